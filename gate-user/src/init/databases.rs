//! Where country databases usually are.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where `geoipupdate` and packages put them.
pub(super) const DIRECTORIES: [&str; 4] = [
    "/var/lib/GeoIP",
    "/usr/share/GeoIP",
    "/usr/local/share/GeoIP",
    "/var/lib/gate",
];

/// The country database in the first of these directories that has one; of several, the last by name, which is the newest of those that have a date.
pub(super) fn find(directories: &[&Path]) -> Vec<PathBuf> {
    let in_directory = |directory: &&Path| {
        let entries = fs::read_dir(directory).ok()?;
        let paths = entries.filter_map(|it| Some(it.ok()?.path()));
        paths.filter(|it| is_country(it) && it.is_file()).max()
    };
    directories
        .iter()
        .find_map(in_directory)
        .into_iter()
        .collect()
}

fn is_country(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|it| it.to_str())
        .unwrap_or_default();
    let name = name.to_lowercase();
    name.contains("country") && Path::new(&name).extension().is_some_and(|it| it == "mmdb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_country_database_of_the_first_directory_that_has_one() {
        let [first, second] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let both = [first.path(), second.path()];
        assert!(find(&both).is_empty());
        for name in ["GeoLite2-City.mmdb", "dbip-country.csv"] {
            fs::write(first.path().join(name), "").unwrap();
        }
        for name in [
            "dbip-country-lite-2026-05.mmdb",
            "dbip-country-lite-2026-06.mmdb",
        ] {
            fs::write(second.path().join(name), "").unwrap();
        }
        let newest = second.path().join("dbip-country-lite-2026-06.mmdb");
        assert_eq!(find(&both), [newest]);
        let other = first.path().join("GeoLite2-Country.mmdb");
        fs::write(&other, "").unwrap();
        assert_eq!(find(&both), [other]);
    }
}
