//! What the configuration says of VLANs, tunnels, limits and shapes, as decisions.

use std::path::Path;

use gate_common::{
    Action, Answer, Answered, Flow, Over, Policy, Reason, Shape, Verdict,
    abi::{ClassSettings, InterfaceKey, Limit},
    decide::{Decision, Now, decide},
};

use super::super::{Inputs, Manifest, Plan, host::HostTables, manifest};
use super::{addr, at};
use crate::{config, report::observed};

const PORT: u32 = 7;
const POOL: &str =
    "[[access]]\nname = \"dynamic\"\npolicy = \"restrict\"\nprefixes = [\"100.64.0.0/10\"]\n";

fn plan_after(text: &str, previous: Option<&Manifest>) -> Plan {
    let text = format!("{text}\n{POOL}");
    let config = config::load_at(Path::new("gate.toml"), &|_| Ok(text.clone()), at(0))
        .unwrap_or_else(|error| panic!("{error}\n{text}"));
    let inputs = Inputs {
        config: &config,
        countries: None,
        previous,
        previous_sources: None,
        directory: Path::new("/"),
        number: 1,
        now: at(0),
    };
    Plan::new(inputs).unwrap()
}

fn plan(text: &str) -> Plan {
    plan_after(text, None)
}

/// A subscriber's connection to port 25.
fn smtp(vlan: u16) -> Flow {
    Flow {
        src: addr("100.64.0.1"),
        dst: addr("192.0.2.77"),
        sport: 40_000,
        dport: 25,
        vlan,
        flags: 0x02,
        ..Flow::default()
    }
}

fn decisions(plan: &Plan, shape: Shape, flows: &[Flow]) -> Vec<Option<Decision>> {
    let tables = HostTables::new(plan, |name| (name == "eth0").then_some(PORT));
    let now_ns = u64::try_from(at(0).as_nanosecond()).unwrap();
    flows
        .iter()
        .map(|flow| decide(shape, flow, PORT, &tables, Now::both(now_ns)))
        .collect()
}

fn decision(plan: &Plan, shape: Shape, flow: Flow) -> Decision {
    decisions(plan, shape, &[flow]).remove(0).unwrap()
}

fn outcome(plan: &Plan, shape: Shape, flow: Flow) -> (Verdict, Reason) {
    let decision = decision(plan, shape, flow);
    (decision.verdict, decision.reason)
}

const VLANS: &str = r#"
[port25]
action = "enforce"
[[interface]]
name = "eth0"
role = "access"
vlans = ["100-101"]
[[interface]]
name = "eth0"
role = "access"
vlans = [300]
"#;

#[test]
fn each_vlan_has_the_role_of_its_interface_and_others_have_none() {
    let one = plan(VLANS);
    let refused = (Verdict::Refused, Reason::Restricted);
    for (vlan, expected) in [
        (100, refused),
        (101, refused),
        (300, refused),
        (99, (Verdict::Passed, Reason::NoRole)),
        (0, (Verdict::Passed, Reason::NoRole)),
    ] {
        assert_eq!(outcome(&one, Shape::Tcp, smtp(vlan)), expected, "{vlan}");
    }
    let counter = |vlan| decision(&one, Shape::Tcp, smtp(vlan)).interface;
    assert_eq!(counter(100), counter(101));
    assert_ne!(counter(100), counter(300));
    let shown: Vec<_> = one
        .manifest
        .interfaces
        .iter()
        .map(|it| (it.label(), it.counter))
        .collect();
    assert_eq!(
        shown,
        [
            ("eth0 vlans 100-101".to_owned(), counter(100)),
            ("eth0 vlans 300".to_owned(), counter(300))
        ]
    );
    assert_eq!(
        decision(&one, Shape::Tcp, smtp(100)).answer,
        Ok(Answer::Reset)
    );
    // The port itself, and three VLANs.
    let keys: Vec<_> = one
        .interfaces_by_key(|_| Some(PORT))
        .map(|it| it.0)
        .collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.contains(&InterfaceKey::port(PORT)));
}

#[test]
fn stripped_frames_have_a_role_and_a_counter_and_no_answer() {
    let first = plan(VLANS).manifest;
    let text = VLANS.replace("vlans = [300]", "vlans = [300]\nstripped = \"access\"");
    let with = plan_after(&text, Some(&first));
    let untagged = decision(&with, Shape::Tcp, smtp(0));
    assert_eq!(
        (untagged.verdict, untagged.answer),
        (Verdict::Refused, Err(Answered::Stripped))
    );
    let labels: Vec<_> = with
        .manifest
        .interfaces
        .iter()
        .map(manifest::Interface::label)
        .collect();
    assert_eq!(
        labels,
        ["eth0 vlans 100-101", "eth0 vlans 300", "eth0 stripped"]
    );
    assert_eq!(with.manifest.interfaces[2].counter, untagged.interface);
    // Those that were there keep their counters.
    for (object, counter) in first.counters() {
        assert_eq!(with.manifest.counters().get(&object), Some(&counter));
    }
    let pass = plan(&VLANS.replace("vlans = [300]", "vlans = [300]\nstripped = \"pass\""));
    assert_eq!(
        outcome(&pass, Shape::Tcp, smtp(0)),
        (Verdict::Passed, Reason::NoRole)
    );
}

const WHOLE: &str = "[[interface]]\nname = \"eth0\"\nrole = \"access\"\n";

#[test]
fn identity_reaches_the_tables() {
    let identity = |text: &str| plan(text).interfaces[0].interface.identity;
    assert_eq!(identity(WHOLE), 0);
    assert_eq!(identity(&format!("{WHOLE}identity = \"inner\"\n")), 1);
    let shown = plan(WHOLE).manifest.interfaces.remove(0);
    assert_eq!(shown.identity.as_deref(), Some("outer"));
}

#[test]
fn a_throttled_source_has_its_burst_and_no_more() {
    let plan = plan(&format!(
        "{WHOLE}[port25]\naction = \"throttle\"\nthrottle = {{ limit = 1, per = \"hour\", burst = 2 }}\n"
    ));
    let found = decisions(&plan, Shape::Tcp, &[smtp(0), smtp(0), smtp(0)]);
    let reasons: Vec<_> = found.iter().flatten().map(|it| it.reason).collect();
    assert_eq!(
        reasons,
        [Reason::WithinLimit, Reason::WithinLimit, Reason::OverLimit]
    );
    assert_eq!(found[2].map(|it| it.answer), Some(Ok(Answer::Reset)));
}

#[test]
fn limits_and_addresses_of_answers_reach_the_settings() {
    let default = plan(WHOLE).settings;
    let limit = |interval_ns, burst_ns| Limit {
        interval_ns,
        burst_ns,
    };
    assert_eq!(default.answer_source, limit(100_000_000, 2_000_000_000));
    assert_eq!(default.answer_total, limit(100_000, 1_000_000_000));
    assert_eq!(default.answer_v4, addr("::"));
    // Valid, though nothing throttles.
    assert!(default.throttle.interval_ns > 0 && default.throttle.burst_ns > 0);
    let set = plan(&format!(
        "{WHOLE}[answers]\nsource = {{ limit = 2, per = \"second\" }}\ntotal = {{ limit = 5, per = \"second\" }}\n[port25]\n\
         answer_from = {{ v4 = \"192.0.2.1\", v6 = \"2001:db8::1\" }}\nthrottle = {{ limit = 1, per = \"second\" }}\n"
    ))
    .settings;
    assert_eq!(set.answer_source, limit(500_000_000, 1_000_000_000));
    assert_eq!(set.answer_total, limit(200_000_000, 1_000_000_000));
    assert_eq!(set.throttle, limit(1_000_000_000, 1_000_000_000));
    assert_eq!(set.answer_v4, addr("192.0.2.1"));
    assert_eq!(set.answer_v6, addr("2001:db8::1"));
}

/// Two classes with limits, and a third that is exempt.
const CLASSES: &str = r#"
[[interface]]
name = "eth0"
role = "uplink"
[submission]
servers = ["192.0.2.77"]
[geoip]
databases = ["c.mmdb"]
unknown = "foreign"
[[class]]
name = "foreign"
default = true
connections = { limit = 6, per = "minute", burst = 2, over = "drop" }
source_prefix = { v4 = 24, v6 = 48 }
effective_from = 2026-11-01T00:00:10Z
[[class]]
name = "watched"
prefixes = ["203.0.113.0/24"]
connections = { limit = 1, per = "second", over = "reset" }
action = "observe"
[[class]]
name = "own"
prefixes = ["198.51.100.0/24"]
policy = "exempt"
"#;

#[test]
fn what_classes_say_reaches_the_settings_and_the_manifest() {
    let plan = plan(CLASSES);
    let [foreign, watched, own] = [0, 1, 2].map(|number| *plan.settings.class(number));
    let second = 1_000_000_000;
    assert_eq!(
        foreign,
        ClassSettings {
            effective_from_ns: 1_793_491_210 * second,
            connections: Limit {
                interval_ns: 10 * second,
                burst_ns: 20 * second
            },
            counter: foreign.counter,
            over: Over::Drop as u8,
            action: Action::Enforce as u8,
            policy: Policy::Restrict as u8,
            source_v4: 24,
            source_v6: 48,
            dscp: ClassSettings::NO_DSCP,
            over_dscp: ClassSettings::NO_DSCP,
            ..ClassSettings::default()
        }
    );
    assert_eq!(
        (watched.over, watched.action, watched.policy),
        (Over::Reset as u8, Action::Observe as u8, 0)
    );
    assert_eq!((watched.source_v4, watched.source_v6), (32, 64));
    assert_eq!(
        (own.policy, own.connections),
        (Policy::Exempt as u8, Limit::default())
    );
    let shown: Vec<_> = plan
        .manifest
        .classes
        .iter()
        .map(|it| {
            let limit = it.connections.as_ref().map(ToString::to_string);
            (it.counter, it.action.clone(), it.effective_from, limit)
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown,
        [
            (
                foreign.counter,
                text("enforce"),
                Some(at(10)),
                text("6 per minute, burst 2, over drop")
            ),
            (
                watched.counter,
                text("observe"),
                None,
                text("1 per second, burst 1, over reset")
            ),
            (own.counter, None, None, None),
        ]
    );
    // What is only observed, before the moment and from it on.
    let observed = |seconds| -> Vec<String> {
        let found = observed(&plan.manifest, at(seconds));
        found.iter().map(ToString::to_string).collect()
    };
    let always = ["pool dynamic (action)", "class watched (action)"].map(str::to_owned);
    assert_eq!(
        observed(9),
        [
            always[0].clone(),
            "class foreign, until 2026-11-01T00:00:10Z (effective_from)".to_owned(),
            always[1].clone()
        ]
    );
    assert_eq!(observed(10), always);
}

#[test]
fn the_moment_of_port_25_holds_for_whoever_says_nothing_else() {
    let text = format!(
        "{WHOLE}[port25]\naction = \"enforce\"\nunlisted = \"refuse\"\neffective_from = 2026-11-01T00:00:10Z\n\
         [[access]]\nname = \"soon\"\npolicy = \"restrict\"\nprefixes = [\"203.0.113.0/24\"]\neffective_from = 2026-11-01T00:00:05Z\n\
         [[access]]\nname = \"idle\"\npolicy = \"restrict\"\nprefixes = [\"198.18.0.0/24\"]\naction = \"observe\"\n\
         effective_from = 2026-11-01T00:00:01Z\n"
    );
    let plan = plan(&text);
    let ns = |seconds| u64::try_from(at(seconds).as_nanosecond()).unwrap();
    let mut moments: Vec<u64> = plan.rules.iter().map(|it| it.effective_from_ns).collect();
    moments.sort_unstable();
    assert_eq!(moments, [0, ns(1), ns(5), ns(10)]);
    assert_eq!(plan.settings.unlisted_effective_from_ns, ns(10));
    // As soon as anybody is refused anything.
    assert_eq!(plan.settings.sourceless_effective_from_ns, ns(5));
    let found: Vec<String> = observed(&plan.manifest, at(7))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "pool idle (action)",
            "pool dynamic, until 2026-11-01T00:00:10Z (effective_from)",
            "sources that no pool names, until 2026-11-01T00:00:10Z (effective_from)",
        ]
    );
}

#[test]
fn moments_beyond_what_a_word_holds_never_come() {
    let pool = "[[access]]\nname = \"far\"\npolicy = \"restrict\"\nprefixes = [\"203.0.113.0/24\"]\naction = \"enforce\"\n";
    let plan = plan(&format!(
        "{WHOLE}{pool}until = 9999-12-30T00:00:00Z\neffective_from = 1960-01-01T00:00:00Z\n"
    ));
    let far = Flow {
        src: addr("203.0.113.1"),
        ..smtp(0)
    };
    let moments: Vec<_> = plan
        .rules
        .iter()
        .map(|it| (it.until_ns, it.effective_from_ns))
        .collect();
    assert!(moments.contains(&(u64::MAX, 1)), "{moments:?}");
    assert_eq!(
        outcome(&plan, Shape::Tcp, far),
        (Verdict::Refused, Reason::Restricted)
    );
}

#[test]
fn shapes_are_dropped_as_configured() {
    let hidden = Flow {
        dport: 0,
        ..smtp(0)
    };
    let enforce = format!("{WHOLE}[port25]\naction = \"enforce\"\n");
    let default = plan(&enforce);
    let tiny = |plan: &Plan| outcome(plan, Shape::TinyFragment, hidden).0;
    let tunnel = |plan: &Plan| outcome(plan, Shape::UnreadTunnel, hidden).0;
    assert_eq!(
        (tiny(&default), tunnel(&default)),
        (Verdict::Refused, Verdict::Unparsed)
    );
    let other = plan(&format!(
        "{enforce}[shapes]\ntiny_fragment = \"pass\"\nunread_tunnel = \"drop\"\n"
    ));
    assert_eq!(
        (tiny(&other), tunnel(&other)),
        (Verdict::Unparsed, Verdict::Refused)
    );
}

#[test]
fn what_has_no_source_is_refused_where_anybody_is() {
    const LIMIT: &str = "throttle = { limit = 1, per = \"second\" }\n";
    let pool = |action: &str| {
        format!(
            "[[access]]\nname = \"one\"\npolicy = \"restrict\"\nprefixes = [\"203.0.113.0/24\"]\naction = \"{action}\"\n"
        )
    };
    for (action, rest, refused) in [
        ("enforce", String::new(), true),
        ("throttle", String::new(), true),
        ("observe", String::new(), false),
        ("observe", pool("enforce"), true),
        ("observe", pool("throttle"), true),
        ("observe", pool("observe"), false),
    ] {
        let plan = plan(&format!(
            "{WHOLE}[port25]\naction = \"{action}\"\n{LIMIT}{rest}"
        ));
        let (verdict, _) = outcome(&plan, Shape::TooManyTags, Flow::default());
        let expected = if refused {
            Verdict::Refused
        } else {
            Verdict::Observed
        };
        assert_eq!(verdict, expected, "{action} {rest}");
    }
}
