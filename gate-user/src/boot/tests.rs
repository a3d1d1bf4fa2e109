use std::{collections::BTreeSet, net::IpAddr};

use super::*;
use crate::{
    config,
    generation::{Inputs, Plan, host::HostTables},
};

const HEAD: &str = "[[interface]]\nname = \"eth1\"\nrole = \"access\"\n";

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn plan(text: &str) -> (Config, Plan) {
    let read = |_: &Path| Ok(text.to_owned());
    let config = config::load_at(Path::new("gate.toml"), &read, at()).unwrap();
    let inputs = Inputs {
        config: &config,
        countries: None,
        previous: None,
        previous_sources: None,
        directory: Path::new("/"),
        number: 1,
        now: at(),
    };
    let plan = Plan::new(inputs).unwrap();
    (config, plan)
}

fn made(text: &str) -> BootRules {
    let (config, plan) = plan(text);
    rules(&config, &View::planned(plan), at()).unwrap()
}

/// What stands in a set of the rules.
fn elements(rules: &str, set: &str) -> Vec<String> {
    let start = rules.find(&format!("set {set} {{")).unwrap();
    let body = rules[start..].split("\t}\n\n").next().unwrap();
    let Some((_, elements)) = body.split_once("elements = {") else {
        return Vec::new();
    };
    let elements = elements.split('}').next().unwrap();
    elements.split(',').map(|it| it.trim().to_owned()).collect()
}

const POOLS: &str = "
[port25]
action = \"enforce\"
relays = [\"192.0.2.25\", \"2001:db8:25::/64\"]
[[access]]
name = \"dynamic\"
policy = \"restrict\"
prefixes = [\"100.64.0.0/10\", \"2001:db8:100::/40\"]
[[access]]
name = \"static\"
policy = \"exempt\"
prefixes = [\"100.64.9.8\"]
[[access]]
name = \"trial\"
policy = \"restrict\"
action = \"observe\"
prefixes = [\"100.65.0.0/16\"]
[[access]]
name = \"slow\"
policy = \"restrict\"
action = \"observe\"
prefixes = [\"203.0.113.0/24\"]
[[access]]
name = \"later\"
policy = \"restrict\"
effective_from = 2100-01-01T00:00:00Z
prefixes = [\"198.51.100.0/24\"]
[[access]]
name = \"over\"
policy = \"exempt\"
until = 2020-01-01T00:00:00Z
prefixes = [\"100.64.7.7\"]
";

#[test]
fn what_is_refused_now_is_in_the_sets_and_nothing_else() {
    let made = made(&format!("{HEAD}{POOLS}"));
    assert_eq!(
        elements(&made.rules, "refused_v4"),
        [
            "100.64.0.0-100.64.9.7",
            "100.64.9.9-100.64.255.255",
            "100.66.0.0-100.127.255.255"
        ],
        "exempt, observed and later ones pass, and what was exempt until some time ago does not"
    );
    assert_eq!(elements(&made.rules, "refused_v6"), ["2001:db8:100::/40"]);
    assert_eq!(elements(&made.rules, "relays_v4"), ["192.0.2.25/32"]);
    assert_eq!(elements(&made.rules, "relays_v6"), ["2001:db8:25::/64"]);
    assert!(made.rules.contains("tcp flags & (syn | ack) == syn"));
}

#[test]
fn where_nobody_is_refused_the_sets_are_empty() {
    let pools = POOLS.replace("\"enforce\"", "\"observe\"");
    let made = made(&format!("{HEAD}{pools}"));
    assert_eq!(made.refused, 0);
    assert!(elements(&made.rules, "refused_v4").is_empty());
}

#[test]
fn throttled_pools_and_who_is_in_none_are_as_the_configuration_says() {
    let rest = "throttle = { limit = 1, per = \"minute\" }\nunlisted = \"refuse\"\n";
    let text = POOLS
        .replace(
            "action = \"observe\"\nprefixes = [\"203",
            "action = \"throttle\"\nprefixes = [\"203",
        )
        .replace("[port25]\n", &format!("[port25]\n{rest}"));
    let made = made(&format!("{HEAD}{text}"));
    let found = elements(&made.rules, "refused_v4");
    assert_eq!(
        found,
        [
            "0.0.0.0-100.64.9.7",
            "100.64.9.9-100.64.255.255",
            "100.66.0.0-198.51.99.255",
            "198.51.101.0-203.0.112.255",
            "203.0.114.0-255.255.255.255"
        ]
    );
    let every = text.replace("[port25]\n", "[port25]\nscope = \"all\"\n");
    let made = self::made(&format!("{HEAD}{every}"));
    assert!(made.every_segment && !made.rules.contains("tcp flags"));
}

#[test]
fn subscribers_arrive_by_access_interfaces_and_their_vlans() {
    let interfaces = "[[interface]]\nname = \"eth0\"\nrole = \"access\"\nvlans = [\"100-101\", 300]\nstripped = \"access\"\n\
        [[interface]]\nname = \"eth2\"\nrole = \"access\"\n";
    let made = made(&format!("{interfaces}{POOLS}"));
    assert_eq!(
        made.arrivals,
        ["eth0", "eth0.100", "eth0.101", "eth0.300", "eth2", "eth2.*"]
    );
}

/// An address on each side of every edge: the rules say what the gate's decision by the plan's own tables is.
#[test]
fn the_edges_of_pools_are_those_of_the_gate() {
    for text in [
        format!("{HEAD}{POOLS}"),
        format!(
            "{HEAD}{}",
            POOLS.replace("[port25]\n", "[port25]\nunlisted = \"refuse\"\n")
        ),
    ] {
        let (config, plan) = plan(&text);
        let tables = HostTables::new(&plan, |_| Some(ARRIVAL));
        let runs = plan.lists.table(List::Access).runs();
        let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
        for (family, step) in [(Family::V4, 1 << 96), (Family::V6, 1)] {
            for run in runs.of(family) {
                for key in [
                    run.start,
                    run.start.wrapping_sub(step),
                    run.start.wrapping_add(step),
                ] {
                    addresses.insert(addr(family, key).to_ip());
                }
            }
        }
        let verdicts: Vec<(IpAddr, bool)> = addresses
            .into_iter()
            .map(|source| {
                let to = if source.is_ipv4() {
                    "192.0.2.26"
                } else {
                    "2001:db8:5::1"
                };
                let frame = syn(source, to.parse().unwrap(), SMTP, 0).unwrap();
                let mut flow = Flow::default();
                let shape = parse(frame.as_slice(), &mut flow);
                let now = Now::both(u64::try_from(at().as_nanosecond()).unwrap());
                let decision = decide(shape, &flow, ARRIVAL, &tables, now);
                (
                    source,
                    decision.is_some_and(|it| it.verdict == Verdict::Refused),
                )
            })
            .collect();
        let refused = refused(&View::planned(plan.clone()), at()).unwrap();
        for (source, expected) in verdicts {
            let (family, key) = crate::table::key(source.into());
            let found = refused
                .iter()
                .any(|it| it.family == family && it.first <= key && key <= it.last);
            assert_eq!(found, expected, "{source}");
        }
        assert!(!config.interfaces.is_empty());
    }
}

#[test]
fn comments_make_no_difference_and_rules_do() {
    let one = made(&format!("{HEAD}{POOLS}"));
    let mut text = Vec::new();
    one.text(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with('#') && are_same(&text, &one.rules));
    let other = made(&format!(
        "{HEAD}{}",
        POOLS.replace("100.64.9.8", "100.64.9.9")
    ));
    assert!(!are_same(&text, &other.rules));
}
