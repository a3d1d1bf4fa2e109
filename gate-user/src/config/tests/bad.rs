//! What is refused, where, why, and what is suggested.

use std::fmt::Write as _;

use super::{ACCESS, UPLINK, bad, problems, read};
use crate::config::schema::{self, LATER};

#[test]
fn the_file_must_be_readable_text() {
    let error = crate::config::load(std::path::Path::new("gate.toml"), &|_| {
        Err(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "no such file",
        ))
    })
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "gate.toml: the configuration cannot be read: no such file\n  hint: name an existing file that you may read: \
         `--config FILE`"
    );
    bad(
        "not UTF-8",
        "the configuration is not UTF-8 text | name the TOML file with `--config FILE`, or save it as UTF-8",
    );
}

#[test]
fn syntax_errors_have_a_place() {
    let found = problems("[port25]\naction = observe\n", &[]);
    assert!(
        found[0].starts_with("2:10: this is no valid TOML: "),
        "{found:?}"
    );
    let found = problems("[port25]\nscope = \"syn\"\nscope = \"all\"\n", &[]);
    assert!(
        found[0].starts_with("3:1: this is no valid TOML: duplicate key"),
        "{found:?}"
    );
    // Each of them is told.
    let found = problems("a = \nb = \n", &[]);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn unknown_keys_are_named_with_the_nearest_and_all_accepted_ones() {
    bad(
        &format!("{ACCESS}[port25]\nactoin = \"observe\"\n"),
        "9:1: unknown key `actoin` in [port25] | did you mean `action`? accepted keys: action, answer, answer_from, effective_from, relays, scope, throttle, unlisted",
    );
    bad(
        &format!("{ACCESS}[log]\n"),
        "8:2: unknown key `log` in the configuration | accepted keys: access, answers, class, counters, exemptions, geoip, interface, lists, metrics, port25, shapes, submission, tags",
    );
    bad(
        &format!("{ACCESS}source_prefix = {{ v5 = 3 }}\n"),
        "8:19: unknown key `v5` in `source_prefix` | accepted keys: v4, v6",
    );
}

#[test]
fn refusing_submission_from_subscribers_is_not_expressible() {
    bad(
        &format!("{ACCESS}ports = [587]\n"),
        "8:1: there is no `access.ports`: only port 25 can be refused from subscribers; 587 and 465 always stay open to \
         them | leave it out; accepted keys: action, answer, effective_from, files, name, policy, prefixes, source_prefix, until",
    );
    let found = problems(&format!("{ACCESS}[port25]\nports = [25, 587]\n"), &[]);
    assert!(
        found[0].starts_with("9:1: there is no `port25.ports`: only port 25"),
        "{found:?}"
    );
}

#[test]
fn what_comes_later_is_refused_by_name() {
    for later in LATER {
        let title = later.title();
        let (table, key) = title.split_once('.').unwrap_or(("", &title));
        let header = [
            schema::INTERFACE,
            schema::PORT25,
            schema::ACCESS,
            schema::GEOIP,
            schema::CLASS,
            schema::COUNTERS,
            schema::TAGS,
        ]
        .iter()
        .find(|known| known.name == table)
        .map_or("", |known| known.header);
        let line = if table.is_empty() {
            key.to_owned()
        } else {
            format!("{key} = 1")
        };
        let found = problems(&format!("{header}\n{line}\n"), &[]);
        let expected = format!("`{title}` is not built yet | {}", later.hint);
        assert!(
            found
                .iter()
                .any(|problem| problem.starts_with("2:") && problem.ends_with(&expected)),
            "{expected}\n{found:#?}"
        );
    }
    bad(
        &format!("{ACCESS}relays = []\n"),
        "8:1: `access.relays` is not built yet | leave it out: the relays of [port25] hold for every pool",
    );
}

/// Every key of the schema is read: a value of a type that no key has is refused.
#[test]
fn no_accepted_key_is_ignored() {
    for table in [
        schema::INTERFACE,
        schema::PORT25,
        schema::ACCESS,
        schema::SUBMISSION,
        schema::GEOIP,
        schema::GEOIP_UPDATE,
        schema::CLASS,
        schema::ANSWERS,
        schema::SHAPES,
        schema::LISTS,
        schema::COUNTERS,
        schema::TAGS,
    ] {
        for key in table.keys {
            let found = problems(&format!("{}\n{} = 1.5\n", table.header, key.name), &[]);
            let start = format!(
                "2:{}: `{}` must be ",
                key.name.len() + 4,
                table.path(key.name)
            );
            assert!(
                found
                    .iter()
                    .any(|problem| problem.starts_with(&start)
                        && problem.contains(", not a float | ")),
                "{start}\n{found:#?}"
            );
        }
    }
    for key in schema::ROOT.keys {
        let found = problems(&format!("{} = 1.5\n", key.name), &[]);
        let start = format!("1:{}: `{}` must be ", key.name.len() + 4, key.name);
        assert!(
            found.iter().any(|problem| problem.starts_with(&start)),
            "{found:#?}"
        );
    }
    for key in schema::SOURCE_PREFIX.keys {
        let found = problems(&format!("{ACCESS}source_prefix.{} = 1.5\n", key.name), &[]);
        assert_eq!(found.len(), 1, "{found:#?}");
    }
}

#[test]
fn types_are_told_with_an_example() {
    bad(
        &ACCESS.replace("[[interface]]", "[interface]"),
        "1:1: `interface` must be an array, not a table | write it like this: `[[interface]]`",
    );
    bad(
        &ACCESS.replace("\"eth1\"", "1"),
        "2:8: `interface.name` must be a string, not an integer | write it like this: `name = \"eth1\"`",
    );
    bad(
        &ACCESS.replace("[\"100.64.0.0/10\"]", "[\"100.64.0.0/10\", 3]"),
        "7:30: `access.prefixes` must be a list of strings, not an integer | write it like this: `prefixes = \
         [\"100.64.0.0/10\"]`",
    );
}

#[test]
fn words_are_told_with_the_accepted_ones() {
    bad(
        &ACCESS.replace("\"access\"", "\"acces\""),
        "3:8: `interface.role` cannot be \"acces\" | did you mean \"access\"? accepted values: \"access\", \"uplink\"",
    );
    bad(
        &format!("{ACCESS}action = \"block\"\n"),
        "8:10: `access.action` cannot be \"block\" | accepted values: \"observe\", \"throttle\", \"enforce\"",
    );
    bad(
        &format!("{ACCESS}answer = \"icmp\"\n"),
        "8:10: `access.answer` cannot be \"icmp\" | accepted values: \"drop\", \"reset\", \"prohibited\"",
    );
}

#[test]
fn required_keys_are_told_at_the_table() {
    bad(
        &ACCESS.replace("role = \"access\"\n", ""),
        "1:1: [[interface]] has no `role` | add a line such as `role = \"access\"`",
    );
    bad(
        &ACCESS.replace("policy = \"restrict\"\n", ""),
        "4:1: [[access]] has no `policy` | add a line such as `policy = \"restrict\"`",
    );
}

#[test]
fn interfaces_have_usable_distinct_names() {
    for name in [
        "",
        "a-name-of-16-byt",
        "eth 1",
        "a/b",
        "a:b",
        "..",
        "インター名前",
    ] {
        bad(
            &ACCESS.replace("eth1", name),
            &format!(
                "2:8: `interface.name` cannot be {name:?} | write the name as `ip link` shows it: 1 to 15 bytes, no `/`, \
                 no `:`, no white space"
            ),
        );
    }
    bad(
        &format!("{ACCESS}[[interface]]\nname = \"eth1\"\nrole = \"access\"\n"),
        "9:8: a second interface is called `eth1`; the first one is at /etc/gate/gate.toml:2:8 | give one interface another \
         name, make one of the two, or give each of them `vlans` of its own",
    );
}

#[test]
fn interfaces_need_something_to_do() {
    bad(
        "",
        "there is no [[interface]]: the gate would be attached to nothing | add an [[interface]] with `name = \"eth1\"` and \
         `role = \"access\"` or `role = \"uplink\"`",
    );
    bad(
        "[[interface]]\nname = \"eth1\"\nrole = \"access\"\n",
        "1:1: the access interface `eth1` has nothing to do: there is no [[access]], and what no pool names passes | add an \
         [[access]] with the subscribers' prefixes, or `unlisted = \"refuse\"` to [port25]",
    );
    assert_eq!(
        problems("[[interface]]\nname = \"eth0\"\nrole = \"uplink\"\n", &[]),
        [
            "1:1: the uplink interface `eth0` has nothing to do: there is no [[class]] to give to connections | add a \
             [[class]] with `name = \"foreign\"` and `default = true`, or delete the interface",
            "1:1: the uplink interface `eth0` needs [geoip] with a country database, even if classes go by prefix only | \
             add [geoip] with `databases = [\"/var/lib/GeoIP/GeoLite2-Country.mmdb\"]` and `unknown`",
        ]
    );
}

#[test]
fn a_missing_section_is_told_once() {
    let toml = UPLINK.replace(
        "[geoip]\ndatabases = [\"db.mmdb\"]\nunknown = \"domestic\"\n",
        "",
    );
    let found = problems(&toml, &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("needs [geoip]"));
}

#[test]
fn submission_ports_are_587_and_465() {
    bad(
        &format!("{ACCESS}[submission]\nports = [587, 25]\n"),
        "9:15: 25 is no port that mail is submitted on | accepted values: 587, 465",
    );
    bad(
        &format!("{ACCESS}[submission]\nports = []\n"),
        "9:9: `submission.ports` is empty: no connection would get a class | write `ports = [587, 465]`, or one of the two",
    );
}

#[test]
fn geoip_needs_a_database() {
    bad(
        &UPLINK.replace("\"db.mmdb\"", ""),
        "5:13: `geoip.databases` is empty: no address would have a country | name a country database (.mmdb), or leave \
         [geoip] out",
    );
    bad(
        &UPLINK.replace("\"db.mmdb\"", "\"\""),
        "5:14: `geoip.databases` has an empty file name | write a path, relative to this file's directory if you like: \
         `databases = [\"/var/lib/GeoIP/GeoLite2-Country.mmdb\"]`",
    );
}

#[test]
fn classes_have_valid_distinct_names() {
    for name in ["", "Foreign", "high_spam", &"a".repeat(33)] {
        bad(
            &UPLINK.replace("\"foreign\"", &format!("\"{name}\"")),
            &format!(
                "11:8: `class.name` cannot be {name:?} | write 1 to 32 of the characters a-z 0-9 -"
            ),
        );
    }
    bad(
        &format!("{UPLINK}[[class]]\nname = \"domestic\"\n"),
        "14:8: a second class is called `domestic`; the first one is at /etc/gate/gate.toml:8:8 | give one class another \
         name, or make one of the two",
    );
}

#[test]
fn exactly_one_class_is_the_default() {
    bad(
        &UPLINK.replace("default = true", "default = false"),
        "7:1: no [[class]] is the default: countries that no class names would have none | add `default = true` to one \
         class, for example to the one for foreign addresses",
    );
    bad(
        &UPLINK.replace("countries = [\"JP\"]", "default = true"),
        "12:11: a second class is the default; the first one is at /etc/gate/gate.toml:9:11 | keep `default = true` in one \
         class only",
    );
}

#[test]
fn at_most_64_classes() {
    let more = (0..63).fold(String::new(), |mut toml, n| {
        let _ = writeln!(toml, "[[class]]\nname = \"c{n}\"");
        toml
    });
    bad(
        &format!("{UPLINK}{more}"),
        "137:1: this is class number 65 of 65 | at most 64 classes can be told apart: make some of them one",
    );
}

#[test]
fn geoip_names_classes_that_exist() {
    bad(
        &UPLINK.replace("unknown = \"domestic\"", "unknown = \"domestik\""),
        "6:11: `geoip.unknown` names no class: there is no [[class]] called `domestik` | did you mean `domestic`? classes: \
         domestic, foreign",
    );
    bad(
        &UPLINK.replace("unknown = \"domestic\"\n", ""),
        "1:1: the uplink interface `eth0` needs `geoip.unknown`: connections from addresses in no database would have no \
         class | add `unknown = \"domestic\"` to [geoip], or whichever class holds your own country, so that customers at \
         home notice nothing",
    );
    bad(
        &format!("{ACCESS}[geoip]\ndatabases = [\"a\"]\ntunnels = \"x\"\n"),
        "10:11: `geoip.tunnels` names the class `x`, but there is no [[class]] | add a [[class]] with `name = \"x\"`, or \
         leave `tunnels` out",
    );
}

#[test]
fn countries_are_known_and_in_one_class() {
    bad(
        &UPLINK.replace("\"JP\"", "\"JP\", \"UK\""),
        "9:20: `UK` is no country code | did you mean `GB`?",
    );
    bad(
        &format!("{UPLINK}countries = [\"US\", \"jp\"]\n"),
        "13:20: JP is in the class `foreign` and in the class `domestic` (at /etc/gate/gate.toml:9:14) | a country has one \
         class: delete it from one of the two",
    );
}

#[test]
fn class_prefixes_are_in_one_class_and_have_no_deadline() {
    let toml = UPLINK.replace("countries = [\"JP\"]", "prefixes = [\"10.0.0.0/8\"]");
    bad(
        &format!("{toml}prefixes = [\"10.0.0.0/9\", \"10.0.0.0/8\"]\n"),
        "13:27: 10.0.0.0/8 is in the class `foreign` and in the class `domestic` (at /etc/gate/gate.toml:9:13) | a prefix \
         has one class: delete it from one of the two",
    );
    assert_eq!(
        problems(
            &format!("{UPLINK}files = [\"own.txt\"]\n"),
            &[("own.txt", "10.0.0.0/8 until=2027-01-01T00:00:00Z\n")]
        ),
        [
            "own.txt:1:1: 10.0.0.0/8 has a deadline, which a class does not know | leave `until` out: deadlines are for the \
             files of [[access]]"
        ]
    );
}

#[test]
fn every_problem_is_told_in_the_order_of_the_file() {
    let toml = "[port25]\nanswer = \"icmp\"\nrelays = [\"10.0.0.1/8\", \"x\"]\nlog = 1\n[[interface]]\nrole = \"acess\"\n";
    let error = read(toml, &[]).unwrap_err();
    let places: Vec<_> = error
        .problems
        .iter()
        .map(|problem| problem.origin.as_ref().unwrap())
        .map(|origin| (origin.line, origin.column))
        .collect();
    assert_eq!(places, [(2, 10), (3, 11), (3, 25), (4, 1), (5, 1), (6, 8)]);
    assert!(error.to_string().starts_with(
        "/etc/gate/gate.toml:2:10: `port25.answer` cannot be \"icmp\"\n  hint: accepted values: \"drop\""
    ));
}

#[test]
fn a_group_of_readers_has_a_name() {
    for (name, shown) in [
        ("", r#""""#),
        ("a:b", r#""a:b""#),
        ("two words", r#""two words""#),
    ] {
        bad(
            &format!("{ACCESS}[tags]\ngroup = \"{name}\"\n"),
            &format!(
                "9:9: `tags.group` cannot be {shown} | write the name of a group as `getent group` shows it: 1 to 32 bytes, \
                 no `:`, no `,`, no `/`, no white space"
            ),
        );
    }
}
