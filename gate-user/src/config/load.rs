//! From a file to a configuration, or to everything that is wrong with it.

use std::{collections::HashSet, io, path::Path};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use super::{
    Config, ConfigError, Reader,
    assemble::assemble,
    files::Files,
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

fn document(
    path: &Path,
    read: &Reader<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Config, Reported> {
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
    let mut files = Files {
        directory: path.parent().unwrap_or(Path::new("")),
        read,
        seen: Vec::new(),
        paths: HashSet::new(),
    };
    let parts = assemble(&root, &mut files, now, problems)?;
    Ok(Config {
        file: path.to_owned(),
        sha256: hex(&Sha256::digest(&text)),
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
