//! The lines of the configuration that decide about whoever is in no list: by the country, or by nothing at all.
//!
//! They travel with the manifest, as where prefixes come from travels with the source map.

use std::path::{Path, PathBuf};

use gate_common::Country;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::config::{Config, Origin};

/// Whom a line decides about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decides {
    /// Sources in a country, by its code: `countries` of a class.
    Country(String),
    /// Sources in any other country: `default` of a class.
    Default,
    /// Sources in no database: `geoip.unknown`.
    Unknown,
    /// Sources that no pool names: `port25.unlisted`.
    Unlisted,
}

/// A line of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Whom it decides about.
    pub of: Decides,
    /// What it says of them: a class, or what becomes of them.
    pub says: String,
    /// The file.
    pub file: PathBuf,
    /// The line in it.
    pub line: u32,
    /// Since when it has been in force and has said that.
    pub since: Timestamp,
}

/// The lines of a configuration that is in force from `now` on, after another; relative paths begin in `directory`.
pub(super) fn lines(
    config: &Config,
    previous: Option<&Manifest>,
    directory: &Path,
    now: Timestamp,
) -> Vec<Line> {
    let before = previous.map_or(&[][..], |it| &it.lines);
    // Of whole seconds, as in the source map.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let line = |of: Decides, says: &str, origin: &Origin| {
        let mut before = before.iter();
        let same = before.find(|it| it.of == of && it.says == says);
        Line {
            since: same.map_or(now, |it| it.since),
            of,
            says: says.to_owned(),
            file: directory.join(&origin.file),
            line: origin.line,
        }
    };
    let mut lines = Vec::new();
    if let Some(at) = &config.port25.unlisted_at {
        let policy = config.port25.unlisted.policy.to_string();
        lines.push(line(Decides::Unlisted, &policy, at));
    }
    let Some(classes) = &config.classes else {
        return lines;
    };
    for class in &classes.list {
        lines.extend(class.countries.iter().filter_map(|it| {
            let of = Decides::Country(code(it.value)?);
            Some(line(of, &class.name, &it.origin))
        }));
    }
    let name = |class: usize| classes.list.get(class).map(|it| it.name.as_str());
    let default = name(classes.default).map(|it| line(Decides::Default, it, &classes.default_at));
    lines.extend(default);
    let unknown = name(classes.unknown).zip(classes.unknown_at.as_ref());
    lines.extend(unknown.map(|(it, at)| line(Decides::Unknown, it, at)));
    lines
}

/// A country as configurations have it.
fn code(country: Country) -> Option<String> {
    country.code().map(|it| it.to_string())
}
