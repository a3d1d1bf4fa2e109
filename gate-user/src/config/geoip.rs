//! `[geoip]`: databases, and the classes of addresses that no country stands for.

use std::path::{Path, PathBuf};

use super::{
    CountryField, Geoip, Guard, Listed, Update, guard,
    problem::{Problems, Reported},
    schema::GEOIP_GUARD,
    section::Section,
    update,
    values::{path, text},
    words::word,
};

/// What `[geoip]` says.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) geoip: Result<Option<Geoip>, Reported>,
    /// How much the databases may change.
    pub(super) guard: Result<Guard, Reported>,
    /// The name of the class of an address in no database.
    pub(super) unknown: Result<Option<Listed<String>>, Reported>,
    /// The name of the class of tunnel prefixes.
    pub(super) tunnels: Result<Option<Listed<String>>, Reported>,
    /// Where databases are fetched from.
    pub(super) updates: Result<Vec<Update>, Reported>,
}

/// Reads the section; paths are relative to `directory`.
pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    directory: &Path,
    problems: &mut Problems,
) -> Read {
    match section {
        Ok(Some(section)) => present(&section, directory, problems),
        Ok(None) => Read {
            geoip: Ok(None),
            guard: Ok(Guard::default()),
            unknown: Ok(None),
            tunnels: Ok(None),
            updates: Ok(Vec::new()),
        },
        Err(reported) => Read {
            geoip: Err(reported),
            guard: Err(reported),
            unknown: Err(reported),
            tunnels: Err(reported),
            updates: Err(reported),
        },
    }
}

fn present(section: &Section<'_>, directory: &Path, problems: &mut Problems) -> Read {
    let databases = section.required("databases", |item, p| item.list(path, p), problems);
    let country = section.optional("country", word::<CountryField>, problems);
    let attribution = section.optional("attribution", text, problems);
    let unknown = section.optional("unknown", text, problems);
    let tunnels = section.optional("tunnels", text, problems);
    let guard = guard::read(section, GEOIP_GUARD, problems);
    let databases = databases.and_then(|databases| {
        if databases.value.is_empty() {
            return Err(problems.error(
                databases.origin,
                "`geoip.databases` is empty: no address would have a country",
                "name a country database (.mmdb), or leave [geoip] out",
            ));
        }
        let paths = databases.value.into_iter();
        Ok(paths
            .map(|path| directory.join(path.value))
            .collect::<Vec<PathBuf>>())
    });
    let named = databases.as_ref().ok().map(Vec::as_slice);
    let updates = update::read(section, directory, named, problems);
    let geoip = databases.and_then(|databases| {
        Ok(Some(Geoip {
            databases,
            country: country?.map_or(CountryField::Country, |field| field.value),
            attribution: attribution?.map(|words| words.value),
        }))
    });
    Read {
        geoip,
        guard,
        unknown,
        tunnels,
        updates,
    }
}
