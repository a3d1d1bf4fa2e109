//! The pins of other versions of the map ABI, which are beside ours, and who holds the lock that all of them share.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};

use super::{Pins, PinsError, file_name, list, remove_tree};

/// What is beside the pins of this version.
#[derive(Default)]
struct Beside {
    versions: Vec<Pins>,
    /// The first that no gate put there.
    foreign: Option<PathBuf>,
}

impl Pins {
    /// The version of the map ABI whose pins these are.
    #[must_use]
    pub fn abi(&self) -> u32 {
        self.version
    }

    /// The directory of this version.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.version()
    }

    /// The pins of other versions in the same directory, by version; an error if there is anything else.
    pub fn others(&self) -> Result<Vec<Self>, PinsError> {
        let Beside { versions, foreign } = self.beside()?;
        foreign.map_or(Ok(versions), |path| Err(PinsError::Foreign { path }))
    }

    /// The same, whatever else is in the directory.
    pub fn others_among_foreign(&self) -> Result<Vec<Self>, PinsError> {
        Ok(self.beside()?.versions)
    }

    /// Makes sure, where nothing of this version is in force, that nothing of another one is pinned.
    pub fn check_no_other(&self) -> Result<(), PinsError> {
        if !self.root.exists() {
            return Ok(());
        }
        let others = self.others_among_foreign()?;
        others.first().map_or(Ok(()), |other| {
            Err(PinsError::OtherVersion {
                path: other.version(),
            })
        })
    }

    fn beside(&self) -> Result<Beside, PinsError> {
        let mut beside = Beside::default();
        for path in list(&self.root)? {
            let name = file_name(&path);
            let version = name.strip_prefix('v').and_then(|it| it.parse().ok());
            match version {
                // No other spelling of a number: nobody of us made that.
                Some(version) if format!("v{version}") != name => {
                    beside.foreign = beside.foreign.or(Some(path));
                }
                Some(version) if version == self.version => {}
                Some(version) if path.is_dir() => {
                    beside.versions.push(Self {
                        root: self.root.clone(),
                        version,
                    });
                }
                _ => beside.foreign = beside.foreign.or(Some(path)),
            }
        }
        beside.versions.sort_by_key(|it| it.version);
        Ok(beside)
    }

    /// Gives a pin of `other` the place that it has among these, unless that is taken: what it keeps alive stays so all the time.
    pub fn take_over(&self, other: &Self, path: &Path) -> Result<(), PinsError> {
        let Ok(place) = path.strip_prefix(other.version()) else {
            return Ok(());
        };
        let place = self.version().join(place);
        if path.symlink_metadata().is_err() || place.symlink_metadata().is_ok() {
            return Ok(());
        }
        fs::rename(path, &place).map_err(PinsError::io("rename", path))
    }

    /// Removes the directory of this version with all that is pinned in it.
    pub fn remove_version(&self) -> Result<(), PinsError> {
        remove_tree(&self.version())
    }

    /// The process that holds the lock, as far as the kernel tells.
    pub(super) fn holder(&self) -> Option<u32> {
        let found = fs::metadata(&self.root).ok()?;
        let locks = fs::read_to_string("/proc/locks").ok()?;
        holder(&locks, found.dev(), found.ino())
    }
}

/// The process in the text of `/proc/locks` that has a lock of flock(2) on this file.
fn holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let file = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (kind, _, _, pid, on) = (
            words.next()?,
            words.next()?,
            words.next()?,
            words.next()?,
            words.next()?,
        );
        // One whose process is in another namespace has the number 0, and one who only waits has an arrow before all that.
        (kind == "FLOCK" && on == file)
            .then(|| pid.parse().ok())?
            .filter(|pid| *pid != 0)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn other_versions_are_told_from_what_is_foreign() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(directory.path()).unwrap();
        let own = format!("v{}", pins.abi());
        for name in [own.as_str(), "v12", "v3"] {
            create_dir(directory.path().join(name)).unwrap();
        }
        let others: Vec<u32> = pins.others().unwrap().iter().map(Pins::abi).collect();
        assert_eq!(others, [3, 12]);
        for name in ["v07", "vx", "theirs"] {
            let path = directory.path().join(name);
            create_dir(&path).unwrap();
            let refused = pins.others();
            assert!(
                matches!(&refused, Err(PinsError::Foreign { path: it }) if *it == path),
                "{name}: {refused:?}"
            );
            fs::remove_dir(&path).unwrap();
        }
    }

    #[test]
    fn who_holds_the_lock_is_found_by_the_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 310 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 311 00:1b:78 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 312 00:1b:77 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 313 00:1b:79 0 EOF\n\
                     4: FLOCK  ADVISORY  READ 0 00:1b:80 0 EOF\n";
        for (inode, pid) in [(77, Some(312)), (78, Some(311)), (79, None), (80, None)] {
            assert_eq!(holder(locks, 0x1b, inode), pid, "{inode}");
        }
    }
}
