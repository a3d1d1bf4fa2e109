//! From configuration text to decisions, without a kernel.

mod exemptions;
mod lines;
mod settings;

use std::{io, net::IpAddr, path::Path};

use gate_common::{
    Addr, Country, Flow, Reason, Shape, Verdict,
    decide::{Decision, Now, decide},
};
use jiff::Timestamp;

use super::{Inputs, Manifest, Plan, host::HostTables, manifest::Counted};
use crate::{
    config::{self, Config},
    geoip::Countries,
};

const ACCESS: u32 = 1;
const UPLINK: u32 = 2;
/// 2026-11-01T00:00:00Z
const START: i64 = 1_793_491_200;

const HEAD: &str = r#"
[[interface]]
name = "eth1"
role = "access"
[[interface]]
name = "eth0"
role = "uplink"
[port25]
action = "enforce"
relays = ["192.0.2.25"]
[geoip]
databases = ["country.mmdb"]
unknown = "domestic"
tunnels = "foreign"
[[class]]
name = "domestic"
countries = ["JP"]
prefixes = ["198.51.100.0/24"]
[[class]]
name = "foreign"
default = true
"#;

fn config(pools: &str) -> Config {
    let text = format!("{HEAD}\n{pools}");
    let read = |path: &Path| match path.to_str() {
        Some("gate.toml") => Ok(text.clone()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    config::load_at(Path::new("gate.toml"), &read, at(0)).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn countries() -> Countries {
    let networks = [
        ("203.0.113.0/24", "JP"),
        ("198.51.100.0/23", "US"),
        ("2001:200::/32", "JP"),
    ];
    let entry = |(net, code): (&str, &str)| {
        (
            net.parse::<ipnet::IpNet>().unwrap(),
            Country::from_code(code).unwrap(),
        )
    };
    Countries::of(networks.into_iter().map(entry)).unwrap()
}

fn plan_after(pools: &str, previous: Option<&Manifest>) -> Plan {
    let (config, countries) = (config(pools), countries());
    let inputs = Inputs {
        config: &config,
        countries: Some(&countries),
        previous,
        previous_sources: None,
        directory: Path::new("/"),
        number: previous.map_or(0, |it| it.number) + 1,
        now: at(0),
    };
    Plan::new(inputs).unwrap()
}

fn plan(pools: &str) -> Plan {
    plan_after(pools, None)
}

/// The decision about a SYN, `seconds` after the start.
fn syn(plan: &Plan, interface: u32, source: &str, port: u16, seconds: i64) -> Option<Decision> {
    let tables = HostTables::new(plan, |name| {
        Some(if name == "eth1" { ACCESS } else { UPLINK })
    });
    let flow = Flow {
        src: addr(source),
        dst: addr("192.0.2.77"),
        sport: 40_000,
        dport: port,
        flags: 0x02,
        ..Flow::default()
    };
    let now_ns = u64::try_from(at(seconds).as_nanosecond()).unwrap();
    decide(Shape::Tcp, &flow, interface, &tables, Now::both(now_ns))
}

fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().unwrap().into()
}

fn outcome(plan: &Plan, source: &str, seconds: i64) -> (Verdict, Reason) {
    let decision = syn(plan, ACCESS, source, 25, seconds).unwrap();
    (decision.verdict, decision.reason)
}

#[test]
fn a_deadline_leads_to_the_next_covering_prefix() {
    let plan = plan(
        r#"
        [[access]]
        name = "dynamic"
        policy = "restrict"
        prefixes = ["100.64.0.0/10"]
        [[access]]
        name = "block"
        policy = "exempt"
        prefixes = ["100.64.9.0/24"]
        until = 2026-11-01T00:00:30Z
        [[access]]
        name = "host"
        policy = "restrict"
        prefixes = ["100.64.9.8"]
        until = 2026-11-01T00:00:10Z
        "#,
    );
    for (seconds, expected) in [
        (0, (Verdict::Refused, Reason::Restricted)),
        (9, (Verdict::Refused, Reason::Restricted)),
        (10, (Verdict::Passed, Reason::Exempt)),
        (29, (Verdict::Passed, Reason::Exempt)),
        (30, (Verdict::Refused, Reason::Restricted)),
    ] {
        assert_eq!(
            outcome(&plan, "100.64.9.8", seconds),
            expected,
            "after {seconds} s"
        );
    }
    let pool = |seconds| syn(&plan, ACCESS, "100.64.9.8", 25, seconds).unwrap().group;
    assert_ne!(
        pool(0),
        pool(30),
        "refused by the host's own pool first, by the dynamic one in the end"
    );
}

#[test]
fn a_covering_deadline_that_ends_earlier_is_passed_over() {
    let plan = plan(
        r#"
        [[access]]
        name = "dynamic"
        policy = "restrict"
        prefixes = ["100.64.0.0/10"]
        [[access]]
        name = "short"
        policy = "restrict"
        prefixes = ["100.64.9.0/24"]
        until = 2026-11-01T00:00:05Z
        [[access]]
        name = "long"
        policy = "exempt"
        prefixes = ["100.64.9.8"]
        until = 2026-11-01T00:00:20Z
        "#,
    );
    let [_, rules @ ..] = &plan.rules[..] else {
        panic!("no rules")
    };
    let long = rules.iter().find(|rule| rule.policy == 1).unwrap();
    let next = plan.rules[long.next as usize];
    assert_eq!(next.until_ns, 0, "straight to the rule without a deadline");
    assert_eq!(
        outcome(&plan, "100.64.9.8", 20),
        (Verdict::Refused, Reason::Restricted)
    );
}

#[test]
fn the_last_deadline_leads_to_unlisted() {
    let plan = plan(
        r#"
        [[access]]
        name = "trial"
        policy = "restrict"
        prefixes = ["100.64.0.0/10"]
        until = 2026-11-01T00:00:10Z
        "#,
    );
    assert_eq!(
        outcome(&plan, "100.64.0.1", 9),
        (Verdict::Refused, Reason::Restricted)
    );
    assert_eq!(
        outcome(&plan, "100.64.0.1", 10),
        (Verdict::Passed, Reason::Unlisted)
    );
}

#[test]
fn all_of_ipv6_is_not_all_of_ipv4() {
    let plan = plan(
        r#"
        [[access]]
        name = "six"
        policy = "restrict"
        prefixes = ["::/0"]
        [[access]]
        name = "trial"
        policy = "exempt"
        prefixes = ["100.64.0.0/10"]
        until = 2026-11-01T00:00:10Z
        "#,
    );
    assert_eq!(
        outcome(&plan, "2001:db8::1", 0),
        (Verdict::Refused, Reason::Restricted)
    );
    assert_eq!(
        outcome(&plan, "192.0.2.1", 0),
        (Verdict::Passed, Reason::Unlisted)
    );
    assert_eq!(
        outcome(&plan, "100.64.0.1", 10),
        (Verdict::Passed, Reason::Unlisted)
    );
}

const POOL: &str =
    "[[access]]\nname = \"dynamic\"\npolicy = \"restrict\"\nprefixes = [\"100.64.0.0/10\"]\n";

#[test]
fn classes_are_by_prefix_then_by_country_then_unknown() {
    let plan = plan(POOL);
    let class = |source| {
        let decision = syn(&plan, UPLINK, source, 587, 0).unwrap();
        let name = plan.manifest.classes[usize::from(decision.class)]
            .name
            .clone();
        (
            name,
            decision.reason,
            decision.country.code().map(|code| code.to_string()),
        )
    };
    let jp = Some("JP".to_owned());
    let us = Some("US".to_owned());
    assert_eq!(
        class("203.0.113.9"),
        ("domestic".to_owned(), Reason::ClassCountry, jp)
    );
    assert_eq!(
        class("198.51.101.9"),
        ("foreign".to_owned(), Reason::ClassCountry, us.clone())
    );
    assert_eq!(
        class("198.51.100.9"),
        ("domestic".to_owned(), Reason::ClassPrefix, us)
    );
    assert_eq!(
        class("10.0.0.1"),
        ("domestic".to_owned(), Reason::ClassUnknown, None)
    );
    assert_eq!(
        class("2002:c633:6409::1"),
        ("foreign".to_owned(), Reason::ClassPrefix, None)
    );
}

#[test]
fn submission_from_subscribers_is_never_judged() {
    let plan = plan(POOL);
    for port in [587, 465] {
        assert_eq!(syn(&plan, ACCESS, "100.64.0.1", port, 0), None);
    }
    assert_eq!(syn(&plan, UPLINK, "203.0.113.9", 25, 0), None);
}

#[test]
fn the_same_object_keeps_its_counter_in_the_next_generation() {
    let first = plan(POOL).manifest;
    let more = format!(
        "[[access]]\nname = \"a-new-one\"\npolicy = \"exempt\"\nprefixes = [\"100.64.9.8\"]\n{POOL}"
    );
    let second = plan_after(&more, Some(&first));
    assert_eq!(second.manifest.number, first.number + 1);
    let (before, after) = (first.counters(), second.manifest.counters());
    for (object, counter) in &before {
        assert_eq!(after.get(object), Some(counter), "{object:?}");
    }
    let new = after[&Counted::Pool("a-new-one".to_owned())];
    assert!(!before.values().any(|counter| *counter == new));
    assert!(second.fresh_counters.contains(&new));
}

#[test]
fn the_manifest_comes_back_from_its_bytes() {
    let manifest = plan(POOL).manifest;
    let mut bytes = manifest.to_bytes().unwrap();
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    assert_eq!(Manifest::from_bytes(&bytes).unwrap(), manifest);
    let other = Manifest {
        abi: 99,
        ..manifest
    };
    assert!(Manifest::from_bytes(&other.to_bytes().unwrap()).is_err());
}

/// Tags outlive their generation: what they say holds for as long as the classes are the same, in the same order.
#[test]
fn classes_are_the_same_since_they_changed() {
    let first = plan_after(POOL, None).manifest;
    let second = plan_after(POOL, Some(&first)).manifest;
    assert_eq!(
        (first.classes_since, second.classes_since),
        (first.number, first.number)
    );
    let mut swapped = second.clone();
    swapped.classes.reverse();
    let third = plan_after(POOL, Some(&swapped)).manifest;
    assert_eq!(third.classes_since, third.number);
    assert!(third.number > second.number);
}
