//! What a valid configuration comes out as.

use std::path::{Path, PathBuf};

use gate_common::{Action, Answer, Country, Policy, Role, Scope};

use super::{ACCESS, UPLINK, good, read};
use crate::config::{CountryField, Mode, Treatment};

#[test]
fn the_documented_example_is_valid() {
    let documentation = include_str!("../../../../docs/config.md");
    let example = documentation
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let config = good(example);
    assert_eq!(config.warnings, []);
    assert_eq!(config.interfaces.len(), 2);
    assert_eq!(config.pools.len(), 4);
    let [dynamic, trial, fixed, exemptions] = config.pools.as_slice() else {
        panic!()
    };
    assert!(exemptions.name == "exemptions" && exemptions.prefixes.is_empty());
    assert_eq!(dynamic.treatment.action, Action::Enforce);
    assert_eq!((dynamic.source_v4, dynamic.source_v6), (32, 56));
    assert_eq!(trial.treatment.action, Action::Throttle);
    assert_eq!(trial.treatment.answer, Answer::Reset);
    assert_eq!(fixed.treatment, Treatment::EXEMPT);
    assert_eq!(
        fixed.prefixes[0].until,
        Some("2026-12-31T15:00:00Z".parse().unwrap())
    );
    assert_eq!(fixed.prefixes[0].prefix.to_string(), "100.64.9.8/32");
    let classes = config.classes.unwrap();
    assert_eq!(
        (classes.default, classes.unknown, classes.tunnels),
        (2, 0, 2)
    );
}

#[test]
fn defaults_are_as_documented() {
    let config = good(ACCESS);
    let [interface] = config.interfaces.as_slice() else {
        panic!()
    };
    assert_eq!(
        (interface.name.as_str(), interface.role, interface.mode),
        ("eth1", Role::Access, Mode::Auto)
    );
    assert_eq!(interface.origin.to_string(), "/etc/gate/gate.toml:1:1");
    assert_eq!(config.port25.scope, Scope::Syn);
    assert_eq!(config.port25.unlisted, Treatment::EXEMPT);
    let [pool] = config.pools.as_slice() else {
        panic!()
    };
    let restricted = Treatment {
        policy: Policy::Restrict,
        action: Action::Observe,
        answer: Answer::Reset,
        effective_from: None,
    };
    assert_eq!(pool.treatment, restricted);
    assert_eq!((pool.source_v4, pool.source_v6), (32, 64));
    assert!(pool.prefixes[0].from_toml);
    assert_eq!(
        pool.prefixes[0].origin.to_string(),
        "/etc/gate/gate.toml:7:13"
    );
    assert!(config.submission.submission && config.submission.submissions);
    assert!(config.geoip.is_none() && config.classes.is_none());
    assert!(config.counters.sources);
    assert_eq!(config.counters.retention.as_secs(), 24 * 60 * 60);
    assert_eq!(
        (config.counters.source_v4, config.counters.source_v6),
        (32, 128)
    );
    assert_eq!(config.file, Path::new("/etc/gate/gate.toml"));
}

#[test]
fn the_hash_is_that_of_the_text() {
    // From `sha256sum`.
    assert_eq!(
        good(ACCESS).sha256,
        "f4f496f78c67e57f6be2730439f6a4aad8499094af44e462cc188794ad95131f"
    );
}

#[test]
fn pools_override_the_rule_for_port_25() {
    let config = good(&format!(
        "[port25]\nunlisted = \"refuse\"\nscope = \"all\"\nanswer = \"prohibited\"\n{ACCESS}action = \"enforce\"\nanswer = \"drop\"\n"
    ));
    assert_eq!(config.port25.scope, Scope::All);
    assert_eq!(config.port25.unlisted.policy, Policy::Restrict);
    assert_eq!(config.port25.unlisted.action, Action::Observe);
    assert_eq!(config.port25.unlisted.answer, Answer::Prohibited);
    assert_eq!(config.pools[0].treatment.action, Action::Enforce);
    assert_eq!(config.pools[0].treatment.answer, Answer::Drop);
}

#[test]
fn an_access_interface_needs_no_pool_if_unlisted_sources_are_refused() {
    let config = good(
        "[[interface]]\nname = \"eth1\"\nrole = \"access\"\n[port25]\nunlisted = \"refuse\"\naction = \"enforce\"\n",
    );
    assert_eq!(config.port25.unlisted.action, Action::Enforce);
}

#[test]
fn submission_ports_can_be_one() {
    let config = good(&format!(
        "{UPLINK}[submission]\nports = [465]\nservers = [\"192.0.2.0/24\"]\n"
    ));
    assert!(!config.submission.submission && config.submission.submissions);
    assert_eq!(config.submission.servers.len(), 1);
}

#[test]
fn database_paths_are_relative_to_the_configuration() {
    let geoip = good(UPLINK).geoip.unwrap();
    assert_eq!(geoip.databases, [PathBuf::from("/etc/gate/db.mmdb")]);
    assert_eq!(geoip.country, CountryField::Country);
}

#[test]
fn classes_take_countries_and_prefixes_of_both_sources() {
    let toml = UPLINK.replace(
        "countries = [\"JP\"]",
        "countries = [\"jp\", \"XK\"]\nprefixes = [\"198.51.100.0/24\"]\nfiles = [\"own.txt\"]",
    );
    let config = read(&toml, &[("own.txt", "# ours\n2001:db8::/32 ticket=x\n")]).unwrap();
    let classes = config.classes.unwrap();
    let countries = classes.list[0].countries.iter().map(|it| it.value);
    assert_eq!(
        countries.collect::<Vec<_>>(),
        [
            Country::from_code("JP").unwrap(),
            Country::from_code("XK").unwrap()
        ]
    );
    let places: Vec<_> = classes.list[0]
        .prefixes
        .iter()
        .map(|prefix| prefix.origin.to_string())
        .collect();
    assert_eq!(
        places,
        ["/etc/gate/gate.toml:10:13", "/etc/gate/own.txt:2:1"]
    );
}

#[test]
fn without_an_uplink_classes_need_no_class_for_unknown() {
    let toml =
        format!("{ACCESS}[[class]]\nname = \"a\"\n[[class]]\nname = \"b\"\ndefault = true\n");
    let classes = good(&toml).classes.unwrap();
    assert_eq!((classes.unknown, classes.tunnels), (1, 1));
}

#[test]
fn an_inline_array_of_tables_is_as_good() {
    let config = good(
        "interface = [{ name = \"eth1\", role = \"access\" }]\n[[access]]\nname = \"a\"\npolicy = \"exempt\"\nprefixes = [\"10.0.0.0/8\"]\n",
    );
    assert_eq!(config.interfaces.len(), 1);
}

#[test]
fn readers_are_nobody_or_a_group() {
    assert!(good(ACCESS).tags.group.is_none());
    let config = good(&format!("{ACCESS}[tags]\ngroup = \"gate-readers\"\n"));
    assert_eq!(config.tags.group.unwrap().value, "gate-readers");
}
