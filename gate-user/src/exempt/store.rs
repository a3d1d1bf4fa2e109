//! The file of exemptions: read and replaced as a whole, by one at a time.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::ExemptError;
use crate::{file, replace};

/// The permissions of a file that was not there: who may look at the configuration may look at it.
const MODE: u32 = 0o644;

/// How long somebody else may be at it: a change takes seconds, with the largest lists.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is asked whether they are done.
const LOOK: Duration = Duration::from_millis(20);

/// The file, which nobody else writes while this is held.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    directory: File,
    _lock: Flock<File>,
}

impl Store {
    /// Waits for its turn; `waiting` is called once if there is anybody to wait for.
    pub(super) fn lock(path: &Path, waiting: &mut dyn FnMut()) -> Result<Self, ExemptError> {
        Self::lock_within(path, waiting, PATIENCE)
    }

    fn lock_within(
        path: &Path,
        waiting: &mut dyn FnMut(),
        patience: Duration,
    ) -> Result<Self, ExemptError> {
        let path = replace::target(path);
        let directory = path.parent().unwrap_or(Path::new("/"));
        let directory =
            File::open(directory).map_err(ExemptError::io("open the directory of", &path))?;
        let beside = replace::beside(&path, ".lock");
        let mut open = replace::open_lock(&beside).map_err(ExemptError::io("open", &beside))?;
        let begun = Instant::now();
        let mut told = false;
        loop {
            open = match Flock::lock(open, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => {
                    return Ok(Self {
                        path,
                        directory,
                        _lock: lock,
                    });
                }
                Err((_, Errno::EWOULDBLOCK)) if begun.elapsed() >= patience => {
                    return Err(ExemptError::Busy { lock: beside });
                }
                Err((open, Errno::EWOULDBLOCK)) => open,
                Err((_, errno)) => return Err(ExemptError::io("lock", &beside)(errno.into())),
            };
            if !told {
                waiting();
                told = true;
            }
            thread::sleep(LOOK);
        }
    }

    /// What is in the file; nothing if there is none.
    pub(super) fn read(&self) -> Result<Option<String>, ExemptError> {
        match file::read_text(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ExemptError::io("read", &self.path)(error)),
        }
    }

    /// Puts this into the file; nothing removes it. Whoever reads it meanwhile reads the one or the other, and so does whoever reads it after a crash.
    pub(super) fn write(&self, text: Option<&str>) -> Result<(), ExemptError> {
        match text {
            Some(text) => self.replace(text),
            None => fs::remove_file(&self.path),
        }
        .and_then(|()| self.directory.sync_all())
        .map_err(ExemptError::io("write", &self.path))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = self.path.with_file_name(name);
        // What a writer left that was killed.
        replace::remove(&new)?;
        let made = self.fill(&new, text);
        if made.is_err() {
            // The error is told; what is left is removed by the next writer.
            let _ = fs::remove_file(&new);
        }
        made
    }

    /// Writes `text` to the file at `new`, which is not there yet, and gives it the name, mode and owner of the old one.
    fn fill(&self, new: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(new)?;
        replace::dress(&file, &self.path, MODE)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::Permissions,
        os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    };

    use tempfile::tempdir;

    use super::*;
    use crate::{exempt::edit, lists};

    #[test]
    fn the_file_keeps_its_mode_and_a_link_to_it_stays_one() {
        let directory = tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        // What somebody left who was killed.
        fs::write(directory.path().join("file.new"), "half").unwrap();
        let store = Store::lock(&link, &mut || {}).unwrap();
        store.write(Some("new")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // The file, the link and the lock.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
        store.write(None).unwrap();
        assert_eq!(store.read().unwrap(), None);
    }

    #[test]
    fn a_link_to_no_file_yet_stays_one() {
        let directory = tempdir().unwrap();
        let (file, link) = (
            directory.path().join("sub/file"),
            directory.path().join("link"),
        );
        fs::create_dir(directory.path().join("sub")).unwrap();
        symlink("sub/file", &link).unwrap();
        let store = Store::lock(&link, &mut || {}).unwrap();
        store.write(Some("new")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn only_who_may_write_holds_others_up_and_not_for_ever() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("file");
        let others = File::open(directory.path()).unwrap();
        let _others = Flock::lock(others, FlockArg::LockExclusive).unwrap();
        let held = Store::lock(&path, &mut || panic!("nobody to wait for")).unwrap();
        let lock = directory.path().join(".file.lock");
        assert_eq!(fs::metadata(&lock).unwrap().mode() & 0o7777, 0o600);
        let mut told = 0;
        let error = Store::lock_within(&path, &mut || told += 1, LOOK * 3).unwrap_err();
        assert!(
            matches!(&error, ExemptError::Busy { lock: it } if it.ends_with(".file.lock")),
            "{error}"
        );
        assert_eq!(told, 1);
        assert!(error.hint().contains(".file.lock"), "{}", error.hint());
        drop(held);
        Store::lock_within(&path, &mut || panic!("nobody to wait for"), LOOK).unwrap();
        assert!(lock.exists());
    }

    #[test]
    fn of_writers_at_the_same_time_none_is_lost() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("exemptions");
        thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for host in 0..20 {
                        let store = Store::lock(path, &mut || {}).unwrap();
                        let text = store.read().unwrap().unwrap_or_default();
                        let line = format!("10.0.{writer}.{host}");
                        let entry = lists::found(&line).unwrap().entry;
                        store.write(Some(&edit::put(&text, &entry).text)).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(lists::lines(&text).count(), 160);
    }
}
