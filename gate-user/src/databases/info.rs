//! What country databases are: read from end to end, and held beside those in force.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::CountryField,
    error::Error,
    generation::{Manifest, manifest::Database},
    geoip::Single,
    pins::Pins,
    progress::Progress,
    report::Report,
    view::View,
};

/// Databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Infos {
    /// As of when.
    pub at: Timestamp,
    /// In the order in which they were named, or in which the generation in force has them.
    pub databases: Vec<Info>,
    /// What the licences of those that could be read ask for.
    pub attribution: Vec<String>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The file.
    pub path: PathBuf,
    /// What it is; nothing where it cannot be read.
    pub found: Option<Database>,
    /// How many days ago it was built.
    pub age_days: Option<i64>,
    /// Why it cannot be read, and what to do.
    pub fault: Option<String>,
    /// What is in force of this path; nothing if it is in force nowhere, or that cannot be looked at.
    pub loaded: Option<Loaded>,
}

/// A database in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// The number of the generation.
    pub generation: u32,
    /// When it was built.
    pub built: Timestamp,
    /// The SHA-256 of the file that was read, in hexadecimal digits.
    pub sha256: String,
    /// Whether the file has that content now.
    pub current: bool,
}

/// The databases at `paths`; of the generation in force where there are none.
pub fn info(pins: &Pins, paths: &[PathBuf], field: CountryField) -> Result<Infos, Error> {
    let loaded = View::loaded(pins).map(|view| view.manifest);
    let paths: Vec<PathBuf> = match (&loaded, paths) {
        (Ok(manifest), []) => manifest
            .databases
            .iter()
            .map(|it| it.path.clone())
            .collect(),
        (Err(_), []) => return loaded.map(|_| Infos::of(Timestamp::now(), Vec::new(), Vec::new())),
        (_, named) => named.to_vec(),
    };
    Ok(of(&paths, field, loaded.as_ref().ok()))
}

/// The databases at `paths`, beside those of the generation in force.
pub(super) fn of(paths: &[PathBuf], field: CountryField, loaded: Option<&Manifest>) -> Infos {
    let at = Timestamp::now();
    let mut attribution = Vec::new();
    let mut progress = Progress::new();
    let cancelled = progress.cancelled();
    let databases = paths
        .iter()
        .map(|path| {
            let read = Single::read(
                path,
                field,
                &mut |path, done| progress.read(path, done),
                cancelled,
            );
            if let Ok(Single {
                attribution: Some(words),
                ..
            }) = &read
            {
                attribution.push((*words).to_owned());
            }
            let read = read.map(|it| it.database);
            Info::of(
                path,
                read.map_err(|it| format!("{}\n  hint: {}", it.cause, it.hint())),
                loaded,
                at,
            )
        })
        .collect();
    progress.finish();
    attribution.sort();
    attribution.dedup();
    Infos::of(at, databases, attribution)
}

impl Infos {
    const fn of(at: Timestamp, databases: Vec<Info>, attribution: Vec<String>) -> Self {
        Self {
            at,
            databases,
            attribution,
        }
    }

    /// Whether each could be read.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.databases.iter().all(|it| it.fault.is_none())
    }
}

impl Info {
    fn of(
        path: &Path,
        read: Result<Database, String>,
        loaded: Option<&Manifest>,
        at: Timestamp,
    ) -> Self {
        let (found, fault) = match read {
            Ok(database) => (Some(database), None),
            Err(fault) => (None, Some(fault)),
        };
        let in_force = loaded.and_then(|manifest| {
            let database = manifest.databases.iter().find(|it| it.path == path)?;
            Some(Loaded {
                generation: manifest.number,
                built: database.built,
                sha256: database.sha256.clone(),
                current: found
                    .as_ref()
                    .is_some_and(|it| it.sha256 == database.sha256),
            })
        });
        Self {
            path: path.to_owned(),
            age_days: found.as_ref().map(|it| age_days(it, at)),
            found,
            fault,
            loaded: in_force,
        }
    }
}

fn age_days(database: &Database, at: Timestamp) -> i64 {
    at.duration_since(database.built).as_hours() / 24
}

impl Report for Infos {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            databases,
            attribution,
            ..
        } = self;
        if databases.is_empty() {
            writeln!(out, "the generation in force has no country database")?;
        }
        for (index, info) in databases.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", info.path.display())?;
            info.details(out)?;
        }
        attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}

impl Info {
    /// All but its path.
    pub(super) fn details(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            path: _,
            found,
            age_days,
            fault,
            loaded,
        } = self;
        if let Some(fault) = fault {
            writeln!(out, "  ! {fault}")?;
        }
        if let Some(found) = found {
            let Database {
                kind,
                built,
                sha256,
                networks_v4,
                networks_v6,
                countries,
                ..
            } = found;
            let age = age_days.unwrap_or_default();
            writeln!(out, "  type       {kind}")?;
            writeln!(out, "  built      {built:.0}, {age} days ago")?;
            writeln!(out, "  networks   {networks_v4} IPv4, {networks_v6} IPv6")?;
            writeln!(out, "  countries  {countries}")?;
            writeln!(out, "  sha256     {sha256}")?;
        }
        match loaded {
            None => Ok(()),
            Some(Loaded {
                generation,
                current: true,
                ..
            }) => {
                writeln!(out, "  in force   this, generation {generation}")
            }
            Some(Loaded {
                generation,
                built,
                sha256,
                ..
            }) => writeln!(
                out,
                "  in force   another one of this path, built {built:.0}, sha256 {sha256}, generation {generation}"
            ),
        }
    }
}
