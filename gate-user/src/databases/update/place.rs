//! Where a database lies, and what lies beside it while another one is fetched.
//!
//! ```text
//! DIR/NAME            the database; replaced by one rename
//! DIR/.NAME.lock      locked while somebody fetches; stays
//! DIR/.NAME.fetched   what the server said of the one that is there; stays
//! DIR/.NAME.packed    what comes from the server
//! DIR/.NAME.new       the database in it
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use serde::{Deserialize, Serialize};

use super::UpdateError;
use crate::{
    config::Update,
    fetch::{Url, Version},
    file::{self, DATABASE_MAX},
    replace,
};

/// The permissions of a database that was not there.
const MODE: u32 = 0o644;
/// Those of what is not done yet, and of what is remembered.
const PRIVATE: u32 = 0o600;
/// The longest memory that is read.
const MEMORY_MAX: u64 = 64 << 10;

/// The place of a database, which nobody else fetches while this is held.
#[derive(Debug)]
pub(super) struct Place {
    target: PathBuf,
    directory: File,
    _lock: Flock<File>,
}

/// What the server said of the database that is there.
#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    #[serde(flatten)]
    origin: Origin,
    database_sha256: String,
    version: Version,
}

/// Where a database came from, and what it was compared with: without URLs, which may hold a key.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Origin {
    url_sha256: String,
    checksum_url_sha256: Option<String>,
}

impl Origin {
    fn of(update: &Update) -> Self {
        Self {
            url_sha256: update.url.sha256(),
            checksum_url_sha256: update.checksum.as_ref().map(Url::sha256),
        }
    }
}

impl Place {
    /// That of the database at `path`. What was left by somebody who was killed is removed.
    pub(super) fn lock(path: &Path) -> Result<Self, UpdateError> {
        let target = replace::target(path);
        let parent = target.parent().unwrap_or(Path::new("/"));
        let directory = File::open(parent).map_err(UpdateError::io("open", parent))?;
        let beside = replace::beside(&target, ".lock");
        let file = replace::open_lock(&beside).map_err(UpdateError::io("open", &beside))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            if errno == Errno::EWOULDBLOCK {
                UpdateError::Busy {
                    lock: beside.clone(),
                }
            } else {
                UpdateError::io("lock", &beside)(errno.into())
            }
        })?;
        let place = Self {
            target,
            directory,
            _lock: lock,
        };
        for path in [place.packed(), place.new_database(), place.new_memory()] {
            replace::remove(&path).map_err(UpdateError::io("remove", &path))?;
        }
        Ok(place)
    }

    /// The database that is there, or will be.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// What comes from the server.
    pub(super) fn packed(&self) -> PathBuf {
        replace::beside(&self.target, ".packed")
    }

    /// The database in it.
    pub(super) fn new_database(&self) -> PathBuf {
        replace::beside(&self.target, ".new")
    }

    fn memory(&self) -> PathBuf {
        replace::beside(&self.target, ".fetched")
    }

    fn new_memory(&self) -> PathBuf {
        replace::beside(&self.target, ".fetched.new")
    }

    /// The SHA-256 of the database that is there; nothing if there is none that can be read.
    pub(super) fn sha256(&self) -> Option<String> {
        file::sha256(&self.target, DATABASE_MAX).ok()
    }

    /// What the server said of the database that is there, whose SHA-256 is given.
    ///
    /// Where nothing is known, or another program has put another one there, or it was not compared with the same checksum, all of it is fetched.
    pub(super) fn version(&self, update: &Update, database_sha256: Option<&str>) -> Version {
        let memory = file::read(&self.memory(), MEMORY_MAX).ok();
        let memory = memory.and_then(|it| serde_json::from_slice::<Memory>(&it).ok());
        memory
            .filter(|it| it.origin == Origin::of(update))
            .filter(|it| database_sha256 == Some(it.database_sha256.as_str()))
            .map(|it| it.version)
            .unwrap_or_default()
    }

    /// Remembers what the server said of a database: of no use, and no harm, until that one is there.
    pub(super) fn remember(
        &self,
        update: &Update,
        database_sha256: &str,
        version: Version,
    ) -> Result<(), UpdateError> {
        let memory = Memory {
            origin: Origin::of(update),
            database_sha256: database_sha256.to_owned(),
            version,
        };
        let (path, new) = (self.memory(), self.new_memory());
        let write = || {
            let mut file = create(&new)?;
            serde_json::to_writer(&mut file, &memory)?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(UpdateError::io("write", &path))
    }

    /// Makes one of the files that are not done yet.
    pub(super) fn create(path: &Path) -> Result<File, UpdateError> {
        create(path).map_err(UpdateError::io("make", path))
    }

    /// Puts the new database, which is open as `file`, in the place of the old one.
    pub(super) fn replace(&self, file: &mut File) -> Result<(), UpdateError> {
        let mut put = || {
            replace::dress(file, &self.target, MODE)?;
            file.flush()?;
            file.sync_all()?;
            fs::rename(self.new_database(), &self.target)
        };
        put().map_err(UpdateError::io("replace", &self.target))?;
        self.directory
            .sync_all()
            .map_err(|error| UpdateError::Unsynced {
                path: self.target.clone(),
                error,
            })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed now is removed by whoever fetches next.
        for path in [self.packed(), self.new_database(), self.new_memory()] {
            let _ = replace::remove(&path);
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_remembered_counts_for_what_was_asked_and_compared() {
        let directory = tempfile::tempdir().unwrap();
        let url = |text| Url::parse(text).unwrap();
        let update = Update {
            database: directory.path().join("country.mmdb"),
            url: url("https://example.net/country.mmdb"),
            checksum: None,
            credentials: None,
            ca: None,
            octets_max: 1 << 20,
            timeout: Duration::from_secs(1),
        };
        let place = Place::lock(&update.database).unwrap();
        let version = Version {
            etag: Some("\"1\"".to_owned()),
            ..Version::default()
        };
        place.remember(&update, "00ff", version.clone()).unwrap();
        assert_eq!(place.version(&update, Some("00ff")), version);
        let nothing = Version::default();
        for sha256 in [None, Some("ff00")] {
            assert_eq!(place.version(&update, sha256), nothing);
        }
        let compared = Update {
            checksum: Some(url("https://example.net/country.mmdb.sha256")),
            ..update.clone()
        };
        let elsewhere = Update {
            url: url("https://example.net/other.mmdb"),
            ..update
        };
        for update in [compared, elsewhere] {
            assert_eq!(place.version(&update, Some("00ff")), nothing);
        }
    }
}
