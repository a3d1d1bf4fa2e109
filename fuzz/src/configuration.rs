//! Configurations: any text is a configuration in which everything holds that its types promise, or a list of problems, each with a
//! place that exists; what can be read can also be put in force.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use gate_common::{Country, Role};
use gate_user::{
    config::{Config, ConfigError, Origin, load_at},
    generation::{Inputs, Plan},
    geoip::Countries,
};
use jiff::Timestamp;

/// What parts the configuration from the content of every list file that it names.
const PARTED: &str = "\n---\n";
const FILE: &str = "gate.toml";

/// Checks a text.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (toml, list) = text.split_once(PARTED).unwrap_or((text, ""));
    match read(toml, list) {
        Ok(config) => {
            keeps_its_promises(&config);
            a_comment_changes_nothing(toml, list, &config);
            makes_a_generation(&config);
        }
        Err(error) => tells_places(&error, toml, list),
    }
}

fn read(toml: &str, list: &str) -> Result<Config, ConfigError> {
    let reader = |path: &Path| -> io::Result<String> {
        Ok(if path == Path::new(FILE) { toml } else { list }.to_owned())
    };
    load_at(Path::new(FILE), &reader, now())
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn keeps_its_promises(config: &Config) {
    assert!(!config.interfaces.is_empty());
    let mut names = HashSet::new();
    let mut prefixes = HashSet::new();
    for pool in &config.pools {
        assert!(names.insert(&pool.name), "{} is there twice", pool.name);
        assert!(!pool.prefixes.is_empty());
        assert!((1..=32).contains(&pool.source_v4) && (1..=128).contains(&pool.source_v6));
        for listed in &pool.prefixes {
            let prefix = listed.prefix;
            assert!(prefixes.insert(prefix), "{prefix} is there twice");
            assert_eq!(prefix, prefix.trunc());
        }
    }
    if config.interfaces.iter().any(|it| it.has_role(Role::Uplink)) {
        assert!(config.geoip.is_some() && config.classes.is_some());
    }
    if let Some(classes) = &config.classes {
        let count = classes.list.len();
        assert!((1..=gate_common::abi::CLASSES).contains(&count));
        let special = [classes.default, classes.unknown, classes.tunnels];
        assert!(special.iter().all(|index| *index < count));
        let mut countries = HashSet::new();
        let all = classes.list.iter().flat_map(|class| &class.countries);
        all.for_each(|it| assert!(countries.insert(it.value), "{:?} is there twice", it.value));
    }
    let mut files = HashSet::new();
    assert!(config.list_files.iter().all(|it| files.insert(&it.path)));
}

fn a_comment_changes_nothing(toml: &str, list: &str, config: &Config) {
    let again = read(&format!("{toml}\n# nothing"), list).expect("a comment is no problem");
    assert_eq!(again.interfaces, config.interfaces);
    assert_eq!(prefixes(&again), prefixes(config));
    assert_ne!(again.sha256, config.sha256);
}

fn prefixes(config: &Config) -> Vec<ipnet::IpNet> {
    let pools = config.pools.iter().flat_map(|pool| &pool.prefixes);
    pools.map(|listed| listed.prefix).collect()
}

fn makes_a_generation(config: &Config) {
    let net = "192.0.2.0/24".parse().unwrap();
    let countries = Countries::of([(net, Country::NONE)]).expect("one network");
    let made = Plan::new(Inputs {
        config,
        countries: config.geoip.is_some().then_some(&countries),
        previous: None,
        previous_sources: None,
        directory: Path::new(""),
        number: 1,
        now: now(),
    });
    match made {
        Ok(plan) => assert!(!plan.interfaces.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty() && !error.hint().is_empty()),
    }
}

/// Every problem says what it is about and what to do, at a place that is there, and cannot steer a terminal.
fn tells_places(error: &ConfigError, toml: &str, list: &str) {
    assert!(!error.problems.is_empty());
    for problem in &error.problems {
        assert!(!problem.message.is_empty() && !problem.hint.is_empty());
        if let Some(origin) = &problem.origin {
            let is_toml = *origin.file == *PathBuf::from(FILE);
            is_there(origin, if is_toml { toml } else { list });
        }
    }
    let shown = error.to_string();
    let steers = |character: char| character.is_control() && character != '\n';
    assert!(!shown.contains(steers), "{shown:?}");
}

pub(crate) fn is_there(origin: &Origin, text: &str) {
    let line = text
        .split('\n')
        .nth(usize::try_from(origin.line).unwrap() - 1)
        .unwrap_or_else(|| panic!("{origin} is behind the end"));
    // One behind the last character is where something is missing.
    assert!(
        (1..=line.chars().count() + 1).contains(&usize::try_from(origin.column).unwrap()),
        "{origin} is behind the end of its line"
    );
}
