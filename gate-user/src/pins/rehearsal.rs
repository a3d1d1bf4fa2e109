//! The lock of whoever rehearses a configuration. It is apart from the one on all pins, which a daemon holds for as long as it lives.

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

/// The right to rehearse; given up when dropped, or when the process ends.
#[derive(Debug)]
pub struct RehearsalLock {
    _flock: Flock<File>,
}

impl Pins {
    pub(super) fn rehearsal(&self) -> PathBuf {
        self.version().join("rehearsal")
    }

    /// Takes the lock; nothing if somebody else has it. Who clears away what is left, or only looks, has it for an instant.
    pub fn lock_rehearsal(&self) -> Result<Option<RehearsalLock>, PinsError> {
        let path = self.rehearsal();
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

    /// The same, where somebody rehearsed something before; nothing if nobody ever did, or somebody does.
    pub fn lock_left_rehearsal(&self) -> Result<Option<RehearsalLock>, PinsError> {
        let path = self.rehearsal();
        match File::open(&path) {
            Ok(file) => locked(&path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PinsError::io("open", &path)(error)),
        }
    }

    /// Whether somebody has the lock.
    pub fn rehearses(&self) -> Result<bool, PinsError> {
        let path = self.rehearsal();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(PinsError::io("open", &path)(error)),
        };
        // Shared: two who look do not take one another for somebody who rehearses.
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(false),
            Err((_, Errno::EWOULDBLOCK)) => Ok(true),
            Err((_, errno)) => Err(PinsError::io("lock", &path)(errno.into())),
        }
    }
}

fn locked(path: &Path, file: File) -> Result<Option<RehearsalLock>, PinsError> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(flock) => Ok(Some(RehearsalLock { _flock: flock })),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(PinsError::io("lock", path)(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn who_looks_whether_somebody_rehearses_is_in_nobodys_way() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(directory.path()).unwrap();
        create_dir(pins.directory()).unwrap();
        assert!(!pins.rehearses().unwrap(), "nobody ever did");
        let lock = pins.lock_rehearsal().unwrap();
        assert!(lock.is_some() && pins.rehearses().unwrap());
        assert!(pins.lock_rehearsal().unwrap().is_none());
        drop(lock);
        assert!(!pins.rehearses().unwrap(), "the lock is free");
        let looks = File::open(pins.rehearsal()).unwrap();
        let _looks = Flock::lock(looks, FlockArg::LockSharedNonblock).unwrap();
        assert!(!pins.rehearses().unwrap(), "somebody else looks");
    }

    #[test]
    fn a_lock_that_is_held_for_an_instant_is_waited_for() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(directory.path()).unwrap();
        create_dir(pins.directory()).unwrap();
        let held = pins.lock_rehearsal().unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| pins.lock_rehearsal());
            thread::sleep(PAUSE);
            drop(held);
            assert!(second.join().unwrap().unwrap().is_some());
        });
    }
}
