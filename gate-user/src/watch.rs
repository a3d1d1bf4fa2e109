//! The watch over the data files of the configuration in force: a new generation follows a change of content.
//!
//! A look compares what `stat(2)` says, which costs next to nothing. What looks different, and the same at two looks in
//! a row (a file that is still being written is not), is read and hashed: a file that was touched, or replaced by the
//! same bytes, changes nothing. Files are looked at by name, so that a directory or a symbolic link that is swapped
//! is noticed as well.

use std::{
    collections::BTreeMap,
    io, mem,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::file;

/// How a file looks from outside. A file whose content changed looks different: its `ctime` cannot be set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file at `path`; nothing if it is not there or may not be looked at.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let found = path.metadata().ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Something with this SHA-256, in hexadecimal digits.
    Sha256(String),
    /// Nothing: the file is gone.
    Gone,
    /// Something that cannot be read, and why: another cause is another thing to tell.
    Unreadable(String),
}

impl Content {
    fn of(path: &Path) -> Self {
        match file::sha256(path, file::DATABASE_MAX) {
            Ok(sha256) => Self::Sha256(sha256),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::Gone,
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// How it looked before it was read.
    pub stamp: Option<Stamp>,
    /// What was in it.
    pub content: Content,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing that asks for anything: what is in force, what was refused already, or a change that is going on.
    Quiet,
    /// Other content than that in force and than that refused.
    Changed,
    /// The content in force again, after other content was not put in force.
    Restored,
}

/// The files of the configuration in force.
#[derive(Debug)]
pub struct Watch {
    files: BTreeMap<PathBuf, File>,
    /// The content that was refused.
    refused: Option<Vec<Content>>,
    /// Whether content could not be put in force for a reason that is not its own.
    failed: bool,
}

#[derive(Debug)]
struct File {
    in_force: Content,
    known: Known,
    /// How it looked at the last look.
    last: Option<Stamp>,
    /// At how many looks in a row it looked different.
    unsettled: u32,
}

/// After so many looks it is no change any more that goes on, but a file that never stays as it is.
const RESTLESS: u32 = 150;

impl Watch {
    /// A watch over the files that are in force as they were read.
    #[must_use]
    pub fn new(files: BTreeMap<PathBuf, Known>) -> Self {
        let file = |(path, known): (PathBuf, Known)| {
            let file = File {
                in_force: known.content.clone(),
                last: known.stamp,
                known,
                unsettled: 0,
            };
            (path, file)
        };
        Self {
            files: files.into_iter().map(file).collect(),
            refused: None,
            failed: false,
        }
    }

    /// The file at `path` is in force as it was read; what is known of the others stays.
    pub fn take(&mut self, path: &Path, known: &Known) {
        let Some(index) = self.files.keys().position(|it| it == path) else {
            return;
        };
        if let Some(refused) = self.refused.as_mut().and_then(|it| it.get_mut(index)) {
            refused.clone_from(&known.content);
        }
        if let Some(file) = self.files.get_mut(path) {
            *file = File {
                in_force: known.content.clone(),
                last: known.stamp,
                known: known.clone(),
                unsettled: 0,
            };
        }
    }

    /// Looks at every file.
    pub fn look(&mut self) -> Look {
        let mut settled = true;
        for (path, file) in &mut self.files {
            let stamp = Stamp::of(path);
            if stamp == file.known.stamp {
                file.last = stamp;
                file.unsettled = 0;
            } else if stamp == file.last {
                file.known = Known {
                    stamp,
                    content: Content::of(path),
                };
                file.unsettled = 0;
            } else {
                file.last = stamp;
                file.unsettled = file.unsettled.saturating_add(1);
                settled = false;
            }
        }
        if !settled {
            return Look::Quiet;
        }
        if self
            .files
            .values()
            .all(|it| it.known.content == it.in_force)
        {
            let refused = self.refused.take().is_some();
            return if mem::take(&mut self.failed) || refused {
                Look::Restored
            } else {
                Look::Quiet
            };
        }
        if self.refused == Some(self.contents()) {
            Look::Quiet
        } else {
            Look::Changed
        }
    }

    /// The file that never stays as it is, if there is one: nothing of what changed is taken because of it.
    #[must_use]
    pub fn restless(&self) -> Option<&Path> {
        let mut files = self.files.iter();
        let (path, _) = files.find(|(_, file)| file.unsettled >= RESTLESS)?;
        Some(path)
    }

    /// Notes that what was found is refused: it is not [`Look::Changed`] again until it changes.
    pub fn refuse(&mut self) {
        self.refused = Some(self.contents());
    }

    /// Notes that what was found could not be put in force, for a reason that may pass: it is [`Look::Changed`] again.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    fn contents(&self) -> Vec<Content> {
        let contents = self.files.values().map(|it| it.known.content.clone());
        contents.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File as Open, FileTimes},
        os::unix::fs::symlink,
    };

    use tempfile::{TempDir, tempdir};

    use super::*;

    /// A directory with the files `a` and `b`, and a watch over them.
    fn watched() -> (TempDir, Watch) {
        let directory = tempdir().unwrap();
        let files = ["a", "b"].map(|name| {
            let path = directory.path().join(name);
            fs::write(&path, name).unwrap();
            known(&path)
        });
        (directory, Watch::new(files.into()))
    }

    fn known(path: &Path) -> (PathBuf, Known) {
        let known = Known {
            stamp: Stamp::of(path),
            content: Content::of(path),
        };
        (path.to_owned(), known)
    }

    #[test]
    fn a_change_is_told_at_the_second_look_and_until_it_is_refused() {
        let (directory, mut watch) = watched();
        assert_eq!(watch.look(), Look::Quiet);
        fs::write(directory.path().join("a"), "other").unwrap();
        assert_eq!(watch.look(), Look::Quiet);
        assert_eq!(watch.look(), Look::Changed);
        assert_eq!(watch.look(), Look::Changed);
        watch.refuse();
        assert_eq!(watch.look(), Look::Quiet);
        fs::write(directory.path().join("a"), "another").unwrap();
        assert_eq!(watch.look(), Look::Quiet);
        assert_eq!(watch.look(), Look::Changed);
    }

    #[test]
    fn what_keeps_changing_is_left_alone() {
        let (directory, mut watch) = watched();
        fs::write(directory.path().join("b"), "other").unwrap();
        for round in 0..5 {
            fs::write(directory.path().join("a"), "x".repeat(round)).unwrap();
            assert_eq!(watch.look(), Look::Quiet, "{round}");
        }
        assert_eq!(watch.look(), Look::Changed);
    }

    #[test]
    fn a_file_that_never_stays_as_it_is_has_a_name() {
        let (directory, mut watch) = watched();
        let path = directory.path().join("b");
        for round in 1..=RESTLESS {
            assert_eq!(watch.restless(), None, "{round}");
            fs::write(&path, "x".repeat(round as usize + 1)).unwrap();
            watch.look();
        }
        assert_eq!(watch.restless(), Some(path.as_path()));
        watch.look();
        assert_eq!(watch.restless(), None);
    }

    #[test]
    fn the_same_bytes_are_no_change() {
        let (directory, mut watch) = watched();
        let (a, new) = (directory.path().join("a"), directory.path().join("new"));
        fs::write(&new, "a").unwrap();
        fs::rename(&new, &a).unwrap();
        Open::options()
            .write(true)
            .open(directory.path().join("b"))
            .unwrap()
            .set_times(FileTimes::new().set_modified(std::time::UNIX_EPOCH))
            .unwrap();
        for _ in 0..3 {
            assert_eq!(watch.look(), Look::Quiet);
        }
    }

    #[test]
    fn a_time_that_is_set_back_hides_nothing() {
        let (directory, mut watch) = watched();
        let path = directory.path().join("a");
        let modified = path.metadata().unwrap().modified().unwrap();
        fs::write(&path, "b").unwrap();
        let file = Open::options().write(true).open(&path).unwrap();
        file.set_times(FileTimes::new().set_modified(modified))
            .unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
    }

    #[test]
    fn what_changed_before_the_first_look_is_noticed() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "a").unwrap();
        let read = known(&path);
        fs::write(&path, "other").unwrap();
        let mut watch = Watch::new([read].into());
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
    }

    #[test]
    fn a_file_that_is_gone_is_a_change_and_its_return_is_told() {
        let (directory, mut watch) = watched();
        let path = directory.path().join("a");
        fs::remove_file(&path).unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
        watch.refuse();
        fs::write(&path, "a").unwrap();
        assert_eq!(watch.look(), Look::Quiet);
        assert_eq!(watch.look(), Look::Restored);
        assert_eq!(watch.look(), Look::Quiet);
    }

    #[test]
    fn what_failed_is_still_a_change_and_the_return_of_what_was_is_told() {
        let (directory, mut watch) = watched();
        let path = directory.path().join("a");
        fs::write(&path, "other").unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
        watch.fail();
        assert_eq!(watch.look(), Look::Changed);
        fs::write(&path, "a").unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Restored);
        assert_eq!(watch.look(), Look::Quiet);
    }

    #[test]
    fn a_directory_that_is_swapped_is_noticed() {
        let directory = tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for version in ["1", "2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("a"), version).unwrap();
        }
        symlink("1", at("current")).unwrap();
        let mut watch = Watch::new([known(&at("current").join("a"))].into());
        symlink("2", at("next")).unwrap();
        fs::rename(at("next"), at("current")).unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
    }

    #[test]
    fn what_is_no_file_is_a_change_and_hangs_nobody() {
        let (directory, mut watch) = watched();
        let path = directory.path().join("a");
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
        watch.refuse();
        // Another kind of what is no file is told as well.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        watch.look();
        assert_eq!(watch.look(), Look::Changed);
    }
}
