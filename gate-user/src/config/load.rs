//! From a file to a configuration, or to everything that is wrong with it.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use super::{
    Config, ConfigError, CountryField, Guard, Reader, Update,
    assemble::assemble,
    files::Files,
    geoip,
    origin::Source,
    problem::{Problems, Reported},
    schema,
    section::Section,
};
use crate::hex;

/// Reads the configuration at `path` and the list files that it names, through `read`.
///
/// Deadlines are compared with the clock, for warnings only.
pub fn load(path: &Path, read: &Reader<'_>) -> Result<Config, ConfigError> {
    load_at(path, read, Timestamp::now())
}

/// [`load`], with warnings as they are at another time than now.
pub fn load_at(path: &Path, read: &Reader<'_>, now: Timestamp) -> Result<Config, ConfigError> {
    let mut problems = Problems::new(path);
    let config = document(path, read, now, &mut problems);
    match problems.finish(config) {
        Ok((config, warnings)) => Ok(Config { warnings, ..config }),
        Err(problems) => Err(ConfigError {
            file: path.to_owned(),
            problems,
        }),
    }
}

/// What the configuration says of the files of country databases.
#[derive(Clone, Debug)]
pub struct GeoipFiles {
    /// The databases; none without `[geoip]`.
    pub databases: Vec<PathBuf>,
    /// Which country of an entry counts first.
    pub country: CountryField,
    /// How much they may change.
    pub guard: Guard,
    /// Where they are fetched from, those that are.
    pub updates: Vec<Update>,
}

/// Reads `[geoip]` of the configuration at `path`, through `read`. What is wrong elsewhere, or in list files, keeps no
/// database from being fetched.
pub fn load_geoip(path: &Path, read: &Reader<'_>) -> Result<GeoipFiles, ConfigError> {
    let mut problems = Problems::new(path);
    let files = parsed(path, read, &mut problems, |root, _, problems| {
        let section = root.table("geoip", schema::GEOIP, problems);
        let found = geoip::read(section, path.parent().unwrap_or(Path::new("")), problems);
        let (geoip, guard, updates) = (found.geoip?, found.guard?, found.updates?);
        Ok(GeoipFiles {
            country: geoip
                .as_ref()
                .map_or(CountryField::Country, |it| it.country),
            databases: geoip.map_or_else(Vec::new, |it| it.databases),
            guard,
            updates,
        })
    });
    let files = problems.finish(files).map(|(files, _)| files);
    files.map_err(|problems| ConfigError {
        file: path.to_owned(),
        problems,
    })
}

fn document(
    path: &Path,
    read: &Reader<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Config, Reported> {
    parsed(path, read, problems, |root, text, problems| {
        whole(path, text, root, read, now, problems)
    })
}

/// Parses a configuration, and has `work` make something of its top level and its text.
fn parsed<T>(
    path: &Path,
    read: &Reader<'_>,
    problems: &mut Problems,
    work: impl FnOnce(&Section<'_>, &str, &mut Problems) -> Result<T, Reported>,
) -> Result<T, Reported> {
    let text = read(path).map_err(|error| unreadable(&error, problems))?;
    let source = Source::new(path, &text);
    let (document, errors) = DeTable::parse_recoverable(&text);
    let mut syntax = Ok(());
    for error in &errors {
        syntax = Err(not_toml(error, &source, problems));
    }
    syntax?;
    let root = Section::open(
        schema::ROOT,
        document.get_ref(),
        source.origin(0),
        &source,
        problems,
    );
    work(&root, &text, problems)
}

fn whole(
    path: &Path,
    text: &str,
    root: &Section<'_>,
    read: &Reader<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Config, Reported> {
    let mut files = Files {
        directory: path.parent().unwrap_or(Path::new("")),
        read,
        seen: Vec::new(),
        paths: HashSet::new(),
    };
    let parts = assemble(root, &mut files, now, problems)?;
    Ok(Config {
        file: path.to_owned(),
        sha256: hex(&Sha256::digest(text)),
        interfaces: parts.interfaces,
        port25: parts.port25,
        pools: parts.pools,
        exemptions: parts.exemptions,
        submission: parts.submission,
        geoip: parts.geoip,
        classes: parts.classes,
        answers: parts.answers,
        dropped_shapes: parts.dropped_shapes,
        list_files: files.seen,
        guards: parts.guards,
        counters: parts.counters,
        metrics: parts.metrics,
        tags: parts.tags,
        warnings: Vec::new(),
    })
}

fn unreadable(error: &io::Error, problems: &mut Problems) -> Reported {
    if error.kind() == io::ErrorKind::InvalidData {
        problems.error(
            None,
            "the configuration is not UTF-8 text",
            "name the TOML file with `--config FILE`, or save it as UTF-8",
        )
    } else {
        problems.error(
            None,
            format!("the configuration cannot be read: {error}"),
            "name an existing file that you may read: `--config FILE`",
        )
    }
}

fn not_toml(error: &toml::de::Error, source: &Source<'_>, problems: &mut Problems) -> Reported {
    let mut lines = error.message().lines();
    let message = lines.next().unwrap_or("unreadable");
    let details = lines.collect::<Vec<_>>().join("; ");
    problems.error(
        error.span().map(|span| source.origin(span.start)),
        format!("this is no valid TOML: {message}"),
        if details.is_empty() {
            "put the syntax right (https://toml.io/en/v1.0.0)".to_owned()
        } else {
            details
        },
    )
}
