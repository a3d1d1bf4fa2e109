//! Configuration, list files and databases: whether what is in force is what the files say, how old it is, and who could change it.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use nix::unistd::Uid;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::finding::{At, Finding};
use crate::{config::ListFile, file, generation::Manifest, hex};

/// Providers build country databases once a month at least; one that is older than two of them is not kept up.
const OLD: SignedDuration = SignedDuration::from_hours(62 * 24);
/// As much as is read of any file to compare it.
const LIMIT: u64 = file::DATABASE_MAX;
/// Permissions that let others write.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
/// The bit of directories such as /tmp, where people cannot rename what is not theirs.
const STICKY: u32 = 0o1000;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The configuration.
    Config,
    /// A list file.
    List,
    /// A country database.
    Database,
}

/// The hashes of a file, for comparing machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hash {
    /// What kind of file it is.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// The SHA-256 of what is in force, in hexadecimal digits; nothing where it is in force nowhere.
    pub loaded_sha256: Option<String>,
    /// That of what the file has now; nothing where it cannot be read.
    pub sha256: Option<String>,
    /// Whether it is a file of exemptions that is not there, which stands for one without lines.
    #[serde(skip)]
    pub(super) absent: bool,
}

/// The hashes of every file that what is in force was made of, and of every one that the configuration names now.
pub(super) fn hashes(loaded: Option<&Manifest>, named: Option<&Manifest>) -> Vec<Hash> {
    let mut hashes: BTreeMap<PathBuf, (Kind, Option<String>)> = BTreeMap::new();
    for (path, kind, _) in named.into_iter().flat_map(files) {
        hashes.insert(path, (kind, None));
    }
    for (path, kind, sha256) in loaded.into_iter().flat_map(files) {
        hashes.insert(path, (kind, Some(sha256)));
    }
    let of_exemptions: Vec<&Path> = [loaded, named]
        .into_iter()
        .flatten()
        .filter_map(|it| it.exemptions.as_deref())
        .collect();
    let hash = |(path, (kind, loaded)): (PathBuf, _)| one(&path, kind, loaded, &of_exemptions);
    hashes.into_iter().map(hash).collect()
}

/// A file as it is now; `of_exemptions` may be missing.
fn one(path: &Path, kind: Kind, loaded_sha256: Option<String>, of_exemptions: &[&Path]) -> Hash {
    let found = file::sha256(path, LIMIT);
    let absent = of_exemptions.contains(&path)
        && matches!(&found, Err(error) if error.kind() == io::ErrorKind::NotFound);
    Hash {
        kind,
        path: path.to_owned(),
        loaded_sha256,
        // One that is not there yet is one without lines.
        sha256: if absent {
            Some(hex(&Sha256::digest("")))
        } else {
            found.ok()
        },
        absent,
    }
}

fn files(manifest: &Manifest) -> impl Iterator<Item = (PathBuf, Kind, String)> {
    let config = (
        manifest.config.clone(),
        Kind::Config,
        manifest.config_sha256.clone(),
    );
    let list = |it: &ListFile| (it.path.clone(), Kind::List, it.sha256.clone());
    let lists = manifest.list_files.iter().map(list);
    let databases = manifest
        .databases
        .iter()
        .map(|it| (it.path.clone(), Kind::Database, it.sha256.clone()));
    std::iter::once(config).chain(lists).chain(databases)
}

/// Whether what is in force is what the file has.
pub(super) fn hash(hash: &Hash) -> Finding {
    let path = hash.path.display().to_string();
    let at = At::new("hash", &path);
    let short = |text: &str| text.chars().take(12).collect::<String>();
    match (&hash.loaded_sha256, &hash.sha256) {
        (Some(loaded), Some(now)) if loaded == now && hash.absent => {
            at.ok("not there, which is no exemption, as in force")
        }
        (Some(loaded), Some(now)) if loaded == now => {
            at.ok(format!("sha256 {}, as in force", short(now)))
        }
        (None, Some(now)) => at.ok(format!("sha256 {}, not in force", short(now))),
        (Some(loaded), Some(now)) => at.warning(
            format!("sha256 {}, and {} is in force", short(now), short(loaded)),
            "what is in force is not what this file says now, and the next start takes the file",
            "`gate diff --config FILE` says what would change, `gate reload` takes it",
        ),
        (_, None) => at.degraded(
            "cannot be read",
            "the next start of the daemon fails, and no change of it is followed",
            format!("put the file back: `ls -la {path}` shows what is there"),
        ),
    }
}

/// How old the databases are.
pub(super) fn ages(manifest: &Manifest, now: Timestamp) -> Vec<Finding> {
    let age = |it: &crate::generation::manifest::Database| {
        let path = it.path.display().to_string();
        let at = At::new("database_age", &path);
        let age = now.duration_since(it.built);
        let days = age.as_hours() / 24;
        let found = format!("built {:.0}, {days} days ago", it.built);
        if age <= OLD {
            return at.ok(found);
        }
        at.warning(
            found,
            "addresses change hands: every month some percent of countries are wrong that were right",
            format!("get the provider's latest one and rename it into its place (`mv new.mmdb {path}`), or have `gate geoip update` do that; the daemon takes it"),
        )
    };
    manifest.databases.iter().map(age).collect()
}

/// Who owns a file, and what its permissions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

impl Owned {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            user: found.uid(),
            group: found.gid(),
            mode: found.mode() & 0o7777,
        })
    }

    /// Why somebody else than root, or who runs the gate, could write it.
    fn writable(self, by: u32) -> Option<(String, &'static str)> {
        let Self { user, group, mode } = self;
        if mode & OTHERS_WRITE != 0 {
            Some((
                format!("everybody can write it (mode {mode:04o})"),
                "chmod o-w",
            ))
        } else if mode & GROUP_WRITES != 0 && group != 0 {
            Some((
                format!("the group {group} can write it (mode {mode:04o})"),
                "chmod g-w",
            ))
        } else if user != 0 && user != by {
            Some((format!("the user {user} owns it"), "chown root"))
        } else {
            None
        }
    }
}

/// Whether somebody else could change a file, or put another one in its place; nothing of one that may be missing, and is.
pub(super) fn permissions_of(hash: &Hash) -> Option<Finding> {
    (!hash.absent).then(|| permissions(&hash.path))
}

fn permissions(path: &Path) -> Finding {
    let by = Uid::effective().as_raw();
    let directory = path.parent().map(|it| (it, Owned::of(it)));
    let directory = directory.and_then(|(path, owned)| Some((path, owned.ok()?)));
    match Owned::of(path) {
        Ok(owned) => judge(path, owned, directory, by),
        Err(error) => {
            let name = path.display().to_string();
            At::new("permissions", &name).not_asked(error.to_string())
        }
    }
}

fn judge(path: &Path, owned: Owned, directory: Option<(&Path, Owned)>, by: u32) -> Finding {
    let name = path.display().to_string();
    let at = At::new("permissions", &name);
    let why = "who can write it decides who may send mail";
    if let Some((found, fix)) = owned.writable(by) {
        return at.warning(found, why, format!("{fix} {name}"));
    }
    let open = directory.filter(|(_, it)| it.mode & STICKY == 0);
    if let Some((directory, (found, fix))) =
        open.and_then(|(path, it)| Some((path, it.writable(by)?)))
    {
        let directory = directory.display();
        return at.warning(
            format!("its directory {directory}: {found}, and put another file in its place"),
            why,
            format!("{fix} {directory}"),
        );
    }
    at.ok(format!("mode {:04o}", owned.mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    const SHARED: Owned = Owned {
        user: 0,
        group: 0,
        mode: 0o644,
    };

    fn outcome(owned: Owned, directory: Owned) -> (Outcome, Option<String>) {
        let path = Path::new("/etc/gate/gate.toml");
        let directory = Some((Path::new("/etc/gate"), directory));
        let finding = judge(path, owned, directory, 0);
        (finding.outcome, finding.fix)
    }

    #[test]
    fn who_else_can_write_a_file_is_told_with_what_ends_it() {
        let fix = |text: &str| (Outcome::Warning, Some(text.to_owned()));
        let well = (Outcome::Ok, None);
        let of = |user, group, mode| Owned { user, group, mode };
        for (file, directory, expected) in [
            (SHARED, of(0, 0, 0o755), well.clone()),
            (of(0, 0, 0o664), of(0, 0, 0o755), well.clone()),
            (SHARED, of(0, 0, 0o1777), well.clone()),
            (
                of(0, 0, 0o666),
                of(0, 0, 0o755),
                fix("chmod o-w /etc/gate/gate.toml"),
            ),
            (
                of(0, 100, 0o664),
                of(0, 0, 0o755),
                fix("chmod g-w /etc/gate/gate.toml"),
            ),
            (
                of(1000, 0, 0o644),
                of(0, 0, 0o755),
                fix("chown root /etc/gate/gate.toml"),
            ),
            (SHARED, of(0, 0, 0o777), fix("chmod o-w /etc/gate")),
            (SHARED, of(1000, 0, 0o755), fix("chown root /etc/gate")),
        ] {
            assert_eq!(outcome(file, directory), expected, "{file:?} {directory:?}");
        }
    }

    #[test]
    fn a_file_of_exemptions_may_be_missing_and_no_other_one() {
        let path = tempfile::tempdir().unwrap().path().join("exemptions");
        let empty = hex(&Sha256::digest(""));
        let read = |_: &Path| -> io::Result<String> { Err(io::ErrorKind::NotFound.into()) };
        let (_, list) = crate::config::exemptions::load(&path, &read).unwrap();
        let of = |exemptions: &[&Path]| {
            let found = one(&path, Kind::List, Some(list.sha256.clone()), exemptions);
            (hash(&found).outcome, permissions_of(&found).is_some())
        };
        assert_eq!(list.sha256, empty);
        assert_eq!(of(&[path.as_path()]), (Outcome::Ok, false));
        assert_eq!(of(&[]), (Outcome::Degraded, true));
        // It was deleted, and lines of it are in force.
        let gone = one(&path, Kind::List, Some("a".to_owned()), &[path.as_path()]);
        assert_eq!(hash(&gone).outcome, Outcome::Warning);
    }

    #[test]
    fn what_differs_from_its_file_is_told() {
        let of = |loaded: Option<&str>, now: Option<&str>| {
            let it = Hash {
                kind: Kind::List,
                path: "/etc/gate/list.txt".into(),
                loaded_sha256: loaded.map(str::to_owned),
                sha256: now.map(str::to_owned),
                absent: false,
            };
            hash(&it).outcome
        };
        assert_eq!(of(Some("a"), Some("a")), Outcome::Ok);
        assert_eq!(of(None, Some("a")), Outcome::Ok);
        assert_eq!(of(Some("a"), Some("b")), Outcome::Warning);
        assert_eq!(of(Some("a"), None), Outcome::Degraded);
    }
}
