//! Limits of classes, and from when on rules bite.

use gate_common::{Action, Over, Policy};

use super::{ACCESS, UPLINK, bad, good, problems, warnings};
use crate::config::{ClassRule, Limit, Per};

/// The uplink's configuration with these lines at the end of its last class, `foreign`, which is the default.
fn foreign(lines: &str) -> String {
    format!("{UPLINK}{lines}\n[submission]\nservers = [\"192.0.2.1\"]\n")
}

fn rule(toml: &str) -> ClassRule {
    good(toml).classes.unwrap().list[1].rule.clone()
}

const LIMIT: &str = "connections = { limit = 6, per = \"minute\"";

#[test]
fn a_class_has_no_limit_unless_it_says_so_and_tags_what_is_over_one() {
    let plain = rule(UPLINK);
    let expected = ClassRule {
        policy: Policy::Restrict,
        action: Action::Enforce,
        effective_from: None,
        connections: None,
        source_v4: 32,
        source_v6: 64,
    };
    assert_eq!(plain, expected);
    let connections = rule(&foreign(&format!("{LIMIT} }}"))).connections.unwrap();
    let limit = Limit {
        limit: 6,
        per: Per::Minute,
        burst: 6,
    };
    assert_eq!((connections.limit, connections.over), (limit, Over::Tag));
}

#[test]
fn a_class_says_all_that_there_is_to_say() {
    let all = rule(&foreign(&format!(
        "{LIMIT}, burst = 10, over = \"reset\" }}\npolicy = \"restrict\"\naction = \"enforce\"\n\
         effective_from = 2026-12-01T00:00:00+09:00\nsource_prefix = {{ v4 = 24, v6 = 48 }}"
    )));
    let connections = all.connections.unwrap();
    assert_eq!(
        (connections.limit.burst, connections.over),
        (10, Over::Reset)
    );
    assert_eq!(connections.origin.to_string(), "/etc/gate/gate.toml:13:63");
    let from = "2026-11-30T15:00:00Z".parse().unwrap();
    assert_eq!(all.effective_from, Some(from));
    assert_eq!((all.source_v4, all.source_v6), (24, 48));
    assert_eq!(
        rule(&foreign("action = \"observe\"")).action,
        Action::Observe
    );
}

#[test]
fn words_and_numbers_of_a_limit_are_checked() {
    bad(
        &foreign("action = \"throttle\""),
        "13:10: `class.action` cannot be \"throttle\" | a class is throttled by its `connections`, with `action = \"enforce\"`; \
         accepted values: \"observe\", \"enforce\"",
    );
    bad(
        &foreign(&format!("{LIMIT}, over = \"reject\" }}")),
        "13:51: `class.connections.over` cannot be \"reject\" | accepted values: \"tag\", \"reset\", \"drop\"",
    );
    bad(
        &foreign("connections = { limit = 0, per = \"minute\" }"),
        "13:25: `class.connections.limit` cannot be 0 | accepted values: 1 to 1000000",
    );
    bad(
        &foreign("connections = { limit = 1, per = \"day\", burst = 400 }"),
        "13:49: `class.connections` allows a burst of 400 again after 400 days only | write a smaller `burst`, or a larger `limit`: \
         at most 366 days can lie between two whole bursts",
    );
    bad(
        &foreign("source_prefix = { v4 = 0 }"),
        "13:24: `class.source_prefix.v4` cannot be 0 | accepted values: 1 to 32, the number of leading bits that name one source",
    );
}

#[test]
fn nobody_is_refused_where_no_server_is_listed() {
    for over in ["reset", "drop"] {
        bad(
            &format!("{UPLINK}{LIMIT}, over = \"{over}\" }}\naction = \"observe\"\n"),
            &format!(
                "13:51: the class `foreign` has `over = \"{over}\"`, and `submission.servers` is empty: connections to other people's \
                 servers would be refused too | list your own servers in `servers` of [submission], or write `over = \"tag\"`"
            ),
        );
    }
    good(&format!("{UPLINK}{LIMIT}, over = \"tag\" }}\n"));
    good(&format!("{UPLINK}{LIMIT} }}\n"));
}

/// The uplink's configuration with an exempt class that has these lines.
fn own(lines: &str) -> String {
    format!("{UPLINK}[[class]]\nname = \"own\"\npolicy = \"exempt\"\n{lines}\n")
}

#[test]
fn an_exempt_class_is_exempt_from_everything() {
    let config = good(&own("prefixes = [\"198.51.100.0/24\"]"));
    let rule = &config.classes.unwrap().list[2].rule;
    assert_eq!(rule.policy, Policy::Exempt);
    assert_eq!((&rule.connections, rule.effective_from), (&None, None));
    let lines = format!("{LIMIT} }}\naction = \"enforce\"\neffective_from = 2027-01-01T00:00:00Z");
    let hint = |key| {
        format!(
            "an exempt class has no `{key}`: nothing limits it, and nothing observes it | leave `{key}` out, or write `policy = \
             \"restrict\"`"
        )
    };
    assert_eq!(
        problems(&own(&lines), &[]),
        [
            format!("16:15: {}", hint("connections")),
            format!("17:10: {}", hint("action")),
            format!("18:18: {}", hint("effective_from")),
        ]
    );
}

#[test]
fn only_listed_prefixes_are_exempt() {
    bad(
        &own("countries = [\"KP\"]"),
        "16:14: the class `own` is exempt, and has `countries`: only prefixes that are listed can be exempt | leave `countries` out and \
         list the prefixes in `prefixes` or `files`, or leave `policy` out",
    );
    let default = UPLINK.replace("default = true", "default = true\npolicy = \"exempt\"");
    bad(
        &default,
        "12:11: the class `foreign` is exempt, and has `default`: only prefixes that are listed can be exempt | leave `default` out and \
         list the prefixes in `prefixes` or `files`, or leave `policy` out",
    );
    for key in ["unknown", "tunnels"] {
        let named = own("prefixes = [\"198.51.100.0/24\"]").replace(
            "unknown = \"domestic\"",
            &format!(
                "{key} = \"own\"{}",
                if key == "tunnels" {
                    "\nunknown = \"domestic\""
                } else {
                    ""
                }
            ),
        );
        let column = key.len() + 4;
        bad(
            &named,
            &format!(
                "6:{column}: `geoip.{key}` names the class `own`, which is exempt: only prefixes that are listed can be exempt | name \
                 another class, or leave `policy` out there"
            ),
        );
    }
}

const FUTURE: &str = "effective_from = 2027-01-01T00:00:00+09:00\n";
const PAST: &str = "effective_from = 2026-01-01T00:00:00+09:00\n";

#[test]
fn pools_inherit_the_moment_of_the_rule() {
    let from = |text: &str| Some(text.parse().unwrap());
    let inherited = good(&format!(
        "[port25]\nunlisted = \"refuse\"\naction = \"enforce\"\n{FUTURE}{ACCESS}"
    ));
    assert_eq!(inherited.warnings, []);
    assert_eq!(
        inherited.port25.unlisted.effective_from,
        from("2026-12-31T15:00:00Z")
    );
    assert_eq!(
        inherited.pools[0].treatment.effective_from,
        from("2026-12-31T15:00:00Z")
    );
    let own = good(&format!(
        "[port25]\naction = \"enforce\"\n{FUTURE}{ACCESS}effective_from = 2028-01-01T00:00:00Z\n"
    ));
    assert_eq!(
        own.pools[0].treatment.effective_from,
        from("2028-01-01T00:00:00Z")
    );
    let exempt = format!("[port25]\n{FUTURE}{}", ACCESS.replace("restrict", "exempt"));
    assert_eq!(good(&exempt).pools[0].treatment.effective_from, None);
    bad(
        &format!("{}{FUTURE}", ACCESS.replace("restrict", "exempt")),
        "8:18: an exempt pool has no `effective_from`: port 25 is open to it | leave `effective_from` out, or write `policy = \
         \"restrict\"`",
    );
}

#[test]
fn a_moment_that_has_passed_is_warned_of() {
    let passed = |place: &str, table: &str| {
        format!(
            "{place}: `effective_from` was at 2025-12-31T15:00:00Z: {table} is in force | delete it, or set a later one to observe until then"
        )
    };
    let enforce = "action = \"enforce\"\n";
    assert_eq!(
        warnings(&format!("[port25]\n{enforce}{PAST}{ACCESS}"), &[]),
        [passed("3:18", "[port25]")]
    );
    assert_eq!(
        warnings(&format!("{ACCESS}{enforce}{PAST}"), &[]),
        [passed("9:18", "[[access]]")]
    );
    assert_eq!(
        warnings(&foreign(PAST), &[]),
        [passed("13:18", "[[class]]")]
    );
    assert_eq!(warnings(&foreign(FUTURE), &[]), [""; 0]);
    // As far as TOML goes.
    let latest = foreign("effective_from = 9999-12-30T00:00:00Z");
    assert_eq!(warnings(&latest, &[]), [""; 0]);
}

#[test]
fn a_moment_at_which_nothing_begins_is_warned_of() {
    let idle = |place: &str, table: &str| {
        format!(
            "{place}: `effective_from` changes nothing: the action of {table} is `observe` | leave it out, or write the action that is to \
             begin then"
        )
    };
    let observe = "action = \"observe\"\n";
    assert_eq!(
        warnings(&foreign(&format!("{observe}{FUTURE}")), &[]),
        [idle("14:18", "[[class]]")]
    );
    assert_eq!(
        warnings(&format!("{ACCESS}{observe}{FUTURE}"), &[]),
        [idle("9:18", "[[access]]")]
    );
    // Pools may begin then that say `enforce`.
    assert_eq!(
        warnings(&format!("[port25]\n{FUTURE}{ACCESS}"), &[]),
        [""; 0]
    );
}

#[test]
fn a_moment_has_an_offset() {
    bad(
        &foreign("effective_from = 2027-01-01"),
        "13:18: `class.effective_from` has no offset from UTC, so that it names no moment | add the offset, for example \
         `2027-01-01T00:00:00+09:00` for Japan, `2027-01-01T00:00:00Z` for UTC",
    );
}
