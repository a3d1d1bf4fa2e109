//! Whole configurations, good and bad, read from memory.

mod answers;
mod bad;
mod class_rules;
mod exemptions;
mod good;
mod guards;
mod lists;
mod metrics;
mod pools;
mod tags;
mod updates;
mod vlans;

use std::{collections::HashMap, io, path::Path};

use super::{Config, ConfigError, load_at};

/// An access interface and a pool.
const ACCESS: &str = r#"[[interface]]
name = "eth1"
role = "access"
[[access]]
name = "dyn"
policy = "restrict"
prefixes = ["100.64.0.0/10"]
"#;

/// An uplink interface, a database and two classes.
const UPLINK: &str = r#"[[interface]]
name = "eth0"
role = "uplink"
[geoip]
databases = ["db.mmdb"]
unknown = "domestic"
[[class]]
name = "domestic"
countries = ["JP"]
[[class]]
name = "foreign"
default = true
"#;

/// Reads `/etc/gate/gate.toml` with this text, and list files beside it, on 2026-06-01.
fn read(toml: &str, lists: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let directory = Path::new("/etc/gate");
    let path = directory.join("gate.toml");
    let mut files: HashMap<_, _> = lists
        .iter()
        .map(|(name, text)| (directory.join(name), (*text).to_owned()))
        .collect();
    files.insert(path.clone(), toml.to_owned());
    let reader = |path: &Path| {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let text = files.get(path).ok_or_else(missing)?;
        if text == "not UTF-8" {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(text.clone())
    };
    load_at(&path, &reader, "2026-06-01T00:00:00Z".parse().unwrap())
}

fn good(toml: &str) -> Config {
    read(toml, &[]).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

/// What a problem says: `LINE:COLUMN: MESSAGE | HINT`, with the name of the file before it if it is a list file.
fn problems(toml: &str, lists: &[(&str, &str)]) -> Vec<String> {
    let error = read(toml, lists).expect_err(toml);
    error.problems.iter().map(told).collect()
}

fn warnings(toml: &str, lists: &[(&str, &str)]) -> Vec<String> {
    let config = read(toml, lists).unwrap_or_else(|error| panic!("{error}"));
    config.warnings.iter().map(told).collect()
}

fn told(problem: &super::Problem) -> String {
    let text = format!("{} | {}", problem.message, problem.hint);
    match &problem.origin {
        None => text,
        Some(origin) => {
            let place = origin.to_string();
            let place = place
                .trim_start_matches("/etc/gate/")
                .trim_start_matches("gate.toml:");
            format!("{place}: {text}")
        }
    }
}

/// Asserts that the configuration has this one problem.
#[track_caller]
fn bad(toml: &str, expected: &str) {
    assert_eq!(problems(toml, &[]), [expected], "{toml}");
}
