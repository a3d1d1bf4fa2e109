//! Locks of those who use a part of a gate in force for a time. They are apart from the one on all pins, which a daemon holds for as long as it lives.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::{PAUSE, Pins, PinsError, TRIES, make_private};

/// What one process at a time may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Rehearse a configuration.
    Rehearsal,
    /// Listen to events.
    Events,
}

impl Claim {
    const fn name(self) -> &'static str {
        match self {
            Self::Rehearsal => "rehearsal",
            Self::Events => "events",
        }
    }
}

/// The right to it; given up when dropped, or when the process ends.
#[derive(Debug)]
pub struct ClaimLock {
    _flock: Flock<File>,
}

impl Pins {
    /// The directory that the lock is on.
    pub(super) fn claim_path(&self, claim: Claim) -> PathBuf {
        self.version().join(claim.name())
    }

    /// Takes the lock; nothing if somebody else has it. Who clears away what is left, or only looks, has it for an instant.
    pub fn claim(&self, claim: Claim) -> Result<Option<ClaimLock>, PinsError> {
        let path = self.claim_path(claim);
        make_private(&path)?;
        for _ in 0..TRIES {
            let file = File::open(&path).map_err(PinsError::io("open", &path))?;
            if let Some(lock) = locked(&path, file)? {
                return Ok(Some(lock));
            }
            thread::sleep(PAUSE);
        }
        Ok(None)
    }

    /// The same, where somebody had it before; nothing if nobody ever did, or somebody has it.
    pub fn claim_left(&self, claim: Claim) -> Result<Option<ClaimLock>, PinsError> {
        let path = self.claim_path(claim);
        match File::open(&path) {
            Ok(file) => locked(&path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PinsError::io("open", &path)(error)),
        }
    }

    /// Whether somebody has the lock.
    pub fn is_claimed(&self, claim: Claim) -> Result<bool, PinsError> {
        let path = self.claim_path(claim);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(PinsError::io("open", &path)(error)),
        };
        // Shared: two who look do not take one another for somebody who has it.
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(PinsError::io("lock", &path)(errno.into())),
        }
    }
}

fn locked(path: &Path, file: File) -> Result<Option<ClaimLock>, PinsError> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(flock) => Ok(Some(ClaimLock { _flock: flock })),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(PinsError::io("lock", path)(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir;

    use tempfile::tempdir;

    use super::*;

    const ALL: [Claim; 2] = [Claim::Rehearsal, Claim::Events];

    #[test]
    fn who_looks_whether_somebody_has_it_is_in_nobodys_way() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(directory.path()).unwrap();
        create_dir(pins.directory()).unwrap();
        for claim in ALL {
            let is_claimed = || pins.is_claimed(claim).unwrap();
            assert!(!is_claimed(), "nobody ever did");
            let lock = pins.claim(claim).unwrap();
            assert!(lock.is_some() && is_claimed());
            assert!(pins.claim(claim).unwrap().is_none());
            drop(lock);
            assert!(!is_claimed(), "the lock is free");
            let looks = File::open(pins.claim_path(claim)).unwrap();
            let _looks = Flock::lock(looks, FlockArg::LockSharedNonblock).unwrap();
            assert!(!is_claimed(), "somebody else looks");
        }
    }

    #[test]
    fn one_claim_is_in_no_other_ones_way() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(directory.path()).unwrap();
        create_dir(pins.directory()).unwrap();
        let held = ALL.map(|claim| pins.claim(claim).unwrap());
        assert!(held.iter().all(Option::is_some));
    }

    #[test]
    fn a_lock_that_is_held_for_an_instant_is_waited_for() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(directory.path()).unwrap();
        create_dir(pins.directory()).unwrap();
        let held = pins.claim(Claim::Rehearsal).unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| pins.claim(Claim::Rehearsal));
            thread::sleep(PAUSE);
            drop(held);
            assert!(second.join().unwrap().unwrap().is_some());
        });
    }
}
