//! `[[geoip.update]]`: where `gate geoip update` fetches a database from.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Listed,
    problem::{Problems, Reported},
    schema::GEOIP_UPDATE,
    section::{Item, Section},
    values::{integer, path, text},
};
use crate::fetch::Url;

/// Where a database is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The database, one of [`super::Geoip::databases`].
    pub database: PathBuf,
    /// Where from.
    pub url: Url,
    /// Where its SHA-256 is, if it is anywhere.
    pub checksum: Option<Url>,
    /// The file with credentials, if there have to be any.
    pub credentials: Option<PathBuf>,
    /// The file of certificates that count; nothing for those of the system.
    pub ca: Option<PathBuf>,
    /// How many octets are taken at most, packed and unpacked.
    pub octets_max: u64,
    /// For how long nothing may come.
    pub timeout: Duration,
}

/// A country database has some 10 MiB; with cities, some 100.
const MIB: i64 = 256;
/// What `gate` reads at most ([`crate::file::DATABASE_MAX`]).
const MIB_ACCEPTED: RangeInclusive<i64> = 1..=1024;
const SECONDS: i64 = 30;
const SECONDS_ACCEPTED: RangeInclusive<i64> = 1..=600;

/// Reads those of `section`; paths are relative to `directory`, and `databases` are those that there are, where that is known.
pub(super) fn read(
    section: &Section<'_>,
    directory: &Path,
    databases: Option<&[PathBuf]>,
    problems: &mut Problems,
) -> Result<Vec<Update>, Reported> {
    let mut updates: Vec<Update> = Vec::new();
    let mut outcome = Ok(());
    for section in section.tables("update", GEOIP_UPDATE, problems)? {
        match one(&section, directory, databases, problems) {
            Ok(update) if updates.iter().any(|it| it.database == update.database) => {
                outcome = Err(problems.error(
                    section.origin.clone(),
                    format!(
                        "{} is updated by two [[geoip.update]]",
                        update.database.display()
                    ),
                    "leave one of them out",
                ));
            }
            Ok(update) => updates.push(update),
            Err(reported) => outcome = Err(reported),
        }
    }
    outcome.map(|()| updates)
}

fn one(
    section: &Section<'_>,
    directory: &Path,
    databases: Option<&[PathBuf]>,
    problems: &mut Problems,
) -> Result<Update, Reported> {
    let database = section.required("database", path, problems);
    let url = section.required("url", url, problems);
    let checksum = section.optional("checksum", self::url, problems);
    let credentials = section.optional("credentials", path, problems);
    let ca = section.optional("ca", path, problems);
    let mib = section.optional("max_mib", within(MIB_ACCEPTED), problems);
    let seconds = section.optional("timeout", within(SECONDS_ACCEPTED), problems);
    let database = database.and_then(|Listed { value, origin }| {
        let database = directory.join(value);
        if databases.is_none_or(|it| it.contains(&database)) {
            return Ok(database);
        }
        Err(problems.error(
            origin,
            format!("{} is none of `geoip.databases`", database.display()),
            "write it as it stands there, or add it there: what nobody reads need not be fetched",
        ))
    });
    let resolve = |it: Listed<PathBuf>| directory.join(it.value);
    Ok(Update {
        database: database?,
        url: url?.value,
        checksum: checksum?.map(|it| it.value),
        credentials: credentials?.map(resolve),
        ca: ca?.map(resolve),
        octets_max: mib?.map_or(MIB, |it| it.value).unsigned_abs() << 20,
        timeout: Duration::from_secs(seconds?.map_or(SECONDS, |it| it.value).unsigned_abs()),
    })
}

/// Reads a URL. What is wrong with one is told without it: it may hold a key.
fn url(item: &Item<'_>, problems: &mut Problems) -> Result<Url, Reported> {
    let written = text(item, problems)?;
    Url::parse(&written).map_err(|fault| {
        problems.error(
            item.place.origin.clone(),
            format!("`{}` {fault}", item.place.path()),
            "write https://HOST/PATH, or http:// to a mirror on this machine; credentials go into a file, which `credentials` names",
        )
    })
}

fn within(
    accepted: RangeInclusive<i64>,
) -> impl FnOnce(&Item<'_>, &mut Problems) -> Result<i64, Reported> {
    move |item, problems| {
        let number = integer(item, problems)?;
        if accepted.contains(&number) {
            return Ok(number);
        }
        Err(problems.error(
            item.place.origin.clone(),
            format!("`{}` cannot be {number}", item.place.path()),
            format!(
                "accepted values: {} to {}",
                accepted.start(),
                accepted.end()
            ),
        ))
    }
}
