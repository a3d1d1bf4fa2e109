//! `[exemptions]`: the list file of customers whose port 25 is open, which `gate exempt` writes.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    slice,
    sync::Arc,
};

use gate_common::decide::SOURCE_LENGTHS;

use super::{
    ConfigError, ListFile, Listed, Origin, Pool, PoolPrefix, Reader, Treatment,
    files::Files,
    overlaps,
    problem::{Problems, Reported},
    section::Section,
    values::path,
};
use crate::lists::Entry;

/// What the pool of exemptions is called everywhere.
pub(crate) const POOL: &str = "exemptions";

/// The file and what is in it; nothing without the table.
pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Result<Option<(PathBuf, Pool)>, Reported> {
    let Some(section) = section? else {
        return Ok(None);
    };
    let file = section.required("file", path, problems)?;
    let resolved = files.directory.join(&file.value);
    if files.paths.contains(resolved.as_path()) {
        return Err(problems.error(
            file.origin,
            format!(
                "the file of exemptions `{}` is a list file of something else as well",
                resolved.display()
            ),
            "give the exemptions a file of their own: `gate exempt` writes it",
        ));
    }
    let pool = pool(&file, section.origin, files, problems)?;
    Ok(Some((resolved, pool)))
}

/// The exemptions in the file at `path`, which may be missing, and how that was read.
pub(crate) fn load(
    path: &Path,
    read: &Reader<'_>,
) -> Result<(Vec<PoolPrefix>, ListFile), ConfigError> {
    let mut problems = Problems::new(path);
    let mut files = Files {
        directory: Path::new(""),
        read,
        seen: Vec::new(),
        paths: HashSet::new(),
    };
    let origin = Origin {
        file: Arc::from(path),
        line: 1,
        column: 1,
    };
    let name = Listed {
        value: path.to_owned(),
        origin: origin.clone(),
    };
    let pool = pool(&name, origin, &mut files, &mut problems).map(|mut pool| {
        overlaps::drop_repeats(slice::from_mut(&mut pool), &mut problems);
        pool
    });
    let file = files.seen.pop().unwrap_or_else(|| ListFile {
        path: path.to_owned(),
        sha256: String::new(),
        prefixes: 0,
    });
    match problems.finish(pool) {
        Ok((pool, _)) => Ok((pool.prefixes, file)),
        Err(problems) => Err(ConfigError {
            file: path.to_owned(),
            problems,
        }),
    }
}

fn pool(
    file: &Listed<PathBuf>,
    origin: Origin,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Result<Pool, Reported> {
    let entries = files.entries_if_there(file, problems)?;
    let prefix = |entry: Listed<Entry>| PoolPrefix {
        prefix: entry.value.prefix,
        until: entry.value.until,
        ticket: entry.value.ticket,
        origin: entry.origin,
        from_toml: false,
    };
    let (source_v4, source_v6) = SOURCE_LENGTHS;
    Ok(Pool {
        name: POOL.to_owned(),
        treatment: Treatment::EXEMPT,
        source_v4,
        source_v6,
        until: None,
        prefixes: entries.into_iter().map(prefix).collect(),
        origin,
    })
}
