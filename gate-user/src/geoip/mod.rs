//! Country databases in MaxMind DB format: which country each address is in.
//!
//! | module | what it is |
//! |---|---|
//! | `file` | a file, opened and read from end to end |
//! | `record` | what a record says, in the schemas of all providers |
//! | `special` | addresses that no database is asked about |
//! | `range` | networks as ranges of addresses |
//! | `verify` | whether a table answers as the database does |
//! | `error` | what can be wrong |
//!
//! A file is read into memory whole: a mapped file that is replaced in place kills its reader.

mod error;
mod file;
mod range;
mod record;
mod special;
#[cfg(test)]
mod tests;
mod verify;

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use gate_common::{Addr, Country};
use ipnet::IpNet;

pub use error::{Cause, GeoipError};
pub use special::TUNNELS;

use crate::{
    config::{CountryField, Geoip},
    generation::{CountryTable, ListError, manifest::Database},
    table::{Family, Runs},
};
use file::{Content, File};
use record::Records;
use verify::Subject;

/// Whether the process was told to end, in which case what takes long is given up.
pub type Cancelled<'a> = &'a (dyn Fn() -> bool + Sync);

/// The country of every address, as the configured databases have it.
#[derive(Clone, Debug, Default)]
pub struct Countries {
    /// The countries.
    pub table: CountryTable,
    /// Where they come from.
    pub databases: Vec<Database>,
    /// The words that the databases' licences ask for wherever results are shown.
    pub attribution: Vec<String>,
}

impl Countries {
    /// Countries of no database: those of a list, of whose prefixes the longest wins, and of equal ones the last.
    pub fn of(list: impl IntoIterator<Item = (IpNet, Country)>) -> Result<Self, ListError> {
        let numbered = list
            .into_iter()
            .map(|(net, country)| (net.into(), country.number()));
        Ok(Self {
            table: CountryTable::new(Runs::longest(numbered))?,
            ..Self::default()
        })
    }
}

/// The databases of a configuration, which can still be asked.
pub struct Opened {
    countries: Countries,
    files: Vec<(File, Records)>,
}

impl Opened {
    /// Reads the databases, unless `cancelled`; `progress` hears how many networks of which file are done.
    pub fn read(
        geoip: &Geoip,
        progress: &mut dyn FnMut(&Path, usize),
        cancelled: Cancelled<'_>,
    ) -> Result<Self, GeoipError> {
        Self::read_at(geoip, &Path::to_owned, progress, cancelled)
    }

    /// The same, where the content of the file at a path is at another `place`.
    pub(crate) fn read_at(
        geoip: &Geoip,
        place: &dyn Fn(&Path) -> PathBuf,
        progress: &mut dyn FnMut(&Path, usize),
        cancelled: Cancelled<'_>,
    ) -> Result<Self, GeoipError> {
        let mut databases: Vec<Database> = Vec::new();
        let mut files = Vec::new();
        let (mut v4, mut v6) = (None, None);
        for path in &geoip.databases {
            let fail = GeoipError::at(path);
            let file = File::open(path, &place(path), geoip.country).map_err(&fail)?;
            let content = file.read(progress, cancelled).map_err(&fail)?;
            let Content {
                database,
                v4: runs_v4,
                v6: runs_v6,
                records,
            } = content;
            if let Some(cause) = clash(&database, &databases) {
                return Err(fail(cause));
            }
            if database.networks_v4 > 0 {
                v4 = Some(runs_v4);
            }
            if database.networks_v6 > 0 {
                v6 = Some(runs_v6);
            }
            databases.push(database);
            files.push((file, records));
        }
        let missing = |family| {
            let path = geoip.databases.last().map_or(Path::new(""), |it| it);
            GeoipError::at(path)(Cause::NoFamily { family })
        };
        let runs = Runs::new(
            v4.ok_or_else(|| missing("IPv4"))?,
            v6.ok_or_else(|| missing("IPv6"))?,
        );
        let known = databases
            .iter()
            .filter_map(|it| known_attribution(&it.kind))
            .map(str::to_owned);
        let attribution: BTreeSet<String> =
            geoip.attribution.iter().cloned().chain(known).collect();
        let table = CountryTable::new(runs).map_err(|error| {
            let path = geoip.databases.last().map_or(Path::new(""), |it| it);
            GeoipError::at(path)(Cause::NoTable(error))
        })?;
        let countries = Countries {
            table,
            databases,
            attribution: attribution.into_iter().collect(),
        };
        Ok(Self { countries, files })
    }

    /// What they say.
    #[must_use]
    pub fn countries(&self) -> &Countries {
        &self.countries
    }

    /// Compares `answer`, the table made from the databases, with the databases themselves: at the first and the last
    /// address of every network and of every hole, unless `cancelled`.
    pub fn verify(
        &self,
        answer: &(dyn Fn(Addr) -> Country + Sync),
        cancelled: Cancelled<'_>,
    ) -> Result<(), GeoipError> {
        for ((file, records), database) in self.files.iter().zip(&self.countries.databases) {
            let subject = Subject {
                file,
                records,
                v4: database.networks_v4 > 0,
                v6: database.networks_v6 > 0,
            };
            subject
                .verify(answer, cancelled)
                .map_err(GeoipError::at(&database.path))?;
        }
        Ok(())
    }
}

/// One database by itself, which may know one family only.
#[derive(Debug)]
pub struct Single {
    /// What it is.
    pub database: Database,
    /// Its countries: numbers of runs are those of [`Country`].
    pub runs: Runs,
    /// The words that its provider's licence asks for.
    pub attribution: Option<&'static str>,
}

impl Single {
    /// Reads the file at `path` from end to end, unless `cancelled`.
    pub fn read(
        path: &Path,
        field: CountryField,
        progress: &mut dyn FnMut(&Path, usize),
        cancelled: Cancelled<'_>,
    ) -> Result<Self, GeoipError> {
        let content = File::open(path, path, field).and_then(|it| it.read(progress, cancelled));
        let Content {
            database, v4, v6, ..
        } = content.map_err(GeoipError::at(path))?;
        Ok(Self {
            attribution: known_attribution(&database.kind),
            runs: Runs::new(v4, v6),
            database,
        })
    }

    /// Whether it has a country for any address of `family`.
    #[must_use]
    pub fn knows(&self, family: Family) -> bool {
        let Database {
            networks_v4,
            networks_v6,
            ..
        } = self.database;
        match family {
            Family::V4 => networks_v4 > 0,
            Family::V6 => networks_v6 > 0,
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("databases", &self.countries.databases)
            .finish_non_exhaustive()
    }
}

/// The database before that knows a family that this one knows.
fn clash(database: &Database, before: &[Database]) -> Option<Cause> {
    before.iter().find_map(|other| {
        let families = [
            ("IPv4", database.networks_v4, other.networks_v4),
            ("IPv6", database.networks_v6, other.networks_v6),
        ];
        let (family, ..) = families
            .into_iter()
            .find(|(_, mine, theirs)| *mine > 0 && *theirs > 0)?;
        Some(Cause::SameFamily {
            family,
            other: other.path.clone(),
        })
    })
}

/// What the provider of a database of this type asks for.
fn known_attribution(kind: &str) -> Option<&'static str> {
    kind.starts_with("DBIP-")
        .then_some("IP Geolocation by DB-IP (https://db-ip.com), CC BY 4.0")
}
