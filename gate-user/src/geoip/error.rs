//! What can be wrong with a country database.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use gate_common::Country;
use maxminddb::MaxMindDbError;

use crate::generation::ListError;

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {cause}", path = path.display())]
pub struct GeoipError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a database.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// It cannot be read.
    #[error("the country database cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is empty.
    #[error("the country database is an empty file")]
    Empty,
    /// It is not a MaxMind DB file, or not all of one.
    #[error("the country database is not a MaxMind DB file, or is damaged or cut short: {0}")]
    Damaged(#[from] MaxMindDbError),
    /// The process was told to end.
    #[error("told to end while the country database was read")]
    Cancelled,
    /// It has no network with a country.
    #[error(
        "the database (type \"{kind}\") has no country in any of its {networks} networks of public addresses"
    )]
    NoCountries {
        /// What it calls itself.
        kind: String,
        /// How many networks it has that are neither local nor tunnels.
        networks: usize,
    },
    /// Two databases know the same family.
    #[error("the database has {family} networks, and so has {other}", other = other.display())]
    SameFamily {
        /// The family.
        family: &'static str,
        /// The database before.
        other: PathBuf,
    },
    /// No database knows a family.
    #[error(
        "the database has no country in any {family} network, and no other database is named: every {family} address \
         would be unknown"
    )]
    NoFamily {
        /// The family.
        family: &'static str,
    },
    /// It makes no table.
    #[error("the country database makes no table: {0}")]
    NoTable(ListError),
    /// The table made from it answers otherwise than the database itself.
    #[error(
        "the table made from the database has {} for {address}, and the database has {}",
        named(*.table),
        named(*.database)
    )]
    Disagrees {
        /// An address for which they differ.
        address: IpAddr,
        /// The table's answer.
        table: Country,
        /// The database's answer.
        database: Country,
    },
}

const NO_COUNTRY_EDITION: &str =
    "use a country or city edition; ASN and domain editions have no countries";

fn named(country: Country) -> String {
    country
        .code()
        .map_or_else(|| "no country".to_owned(), |code| code.to_string())
}

impl GeoipError {
    pub(super) fn at(path: &Path) -> impl Fn(Cause) -> Self + '_ {
        |cause| Self {
            path: path.to_owned(),
            cause,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match &self.cause {
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                "check `databases` under [geoip]; `geoipupdate` writes to /var/lib/GeoIP by default"
                    .to_owned()
            }
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::InvalidInput => {
                "name the database file itself, not its directory: check `databases` under [geoip]"
                    .to_owned()
            }
            Cause::Unreadable(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                NO_COUNTRY_EDITION.to_owned()
            }
            Cause::Unreadable(_) => {
                "check the permissions of the file and of the directories above it".to_owned()
            }
            Cause::Empty | Cause::Damaged(_) => {
                "fetch the file again and compare its size and checksum with the provider's"
                    .to_owned()
            }
            Cause::NoCountries { .. } => NO_COUNTRY_EDITION.to_owned(),
            Cause::Cancelled => "run the command again".to_owned(),
            Cause::NoTable(_) => {
                "use a country edition: this one has more networks than any country database has"
                    .to_owned()
            }
            Cause::SameFamily { .. } => {
                "name either one database for both families, or one for each".to_owned()
            }
            Cause::NoFamily { family } => format!(
                "name a database for {family} beside it in `databases` under [geoip], or one that has both families"
            ),
            Cause::Disagrees { .. } => {
                "this is a fault of the gate or of this machine's memory, not of the configuration: run `gate check` \
                 again, and report it with the database's type and date if it stays"
                    .to_owned()
            }
        }
    }
}
