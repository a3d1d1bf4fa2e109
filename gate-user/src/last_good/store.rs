//! The directory with the copies.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{Copy, Index, LastGoodError, check, data, remove};
use crate::{file, generation::Manifest, hex};

/// What is in a copy.
pub(super) const INDEX: &str = "index.json";
/// The configuration of a copy.
pub(super) const CONFIG: &str = "gate.toml";
/// The data files of a copy.
pub(super) const DATA: &str = "data";
/// The link to the copy of what is in force.
const LAST_GOOD: &str = "last-good";
/// The link to the copy of what was in force before.
const BEFORE: &str = "before";
/// What the names of copies begin with.
const COPY: &str = "copy.";

/// The directory that outlives the machine's end.
#[derive(Clone, Debug)]
pub struct Store(PathBuf);

impl Store {
    /// That at `directory`, which is made when something is to be kept.
    pub fn new(directory: &Path) -> io::Result<Self> {
        std::path::absolute(directory).map(Self)
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// The last good configuration.
    pub fn open(&self) -> Result<Copy, LastGoodError> {
        Copy::open(&self.linked(LAST_GOOD)?)
    }

    /// What the last good configuration is made of.
    pub fn index(&self) -> Result<Index, LastGoodError> {
        self.linked(LAST_GOOD)
            .and_then(|directory| Copy::found(&directory))
            .map(|copy| copy.index)
    }

    /// Keeps what the generation with this manifest was made of, of which `text` is the configuration, if it is known. What is kept already is
    /// copied no more. Where this fails, what was kept before is kept; but not where that was rolled back.
    pub(crate) fn keep(&self, manifest: &Manifest, text: &str) -> Result<(), LastGoodError> {
        let index = Index::of(manifest);
        let result = self.keep_copy(&index, text);
        if result.is_err()
            && index.rolled_back.is_some()
            && let Ok(kept) = self.index()
            && !kept.is_same(&index)
        {
            // No start brings back what somebody rolled back.
            remove(&self.0.join(LAST_GOOD))?;
        }
        result
    }

    fn keep_copy(&self, index: &Index, text: &str) -> Result<(), LastGoodError> {
        let kept: Vec<Copy> = [LAST_GOOD, BEFORE]
            .iter()
            .filter_map(|link| Copy::found(&self.linked(link).ok()?).ok())
            .collect();
        if self.index().is_ok_and(|it| it.is_same(index)) {
            return Ok(());
        }
        make_directory(&self.0)?;
        self.remove_others()?;
        let directory = self.0.join(format!("{COPY}{}", self.next()?));
        let copied = copy(&directory, index, text, &kept);
        // What is cut short leads nowhere, and takes no room.
        if copied.is_err() {
            remove(&directory)?;
        }
        copied?;
        if let Ok(last) = self.linked(LAST_GOOD) {
            self.link(BEFORE, &last)?;
        }
        self.link(LAST_GOOD, &directory)?;
        self.remove_others()
    }

    /// Where a link leads.
    fn linked(&self, link: &str) -> Result<PathBuf, LastGoodError> {
        let path = self.0.join(link);
        match fs::read_link(&path) {
            Ok(name) => Ok(self.0.join(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(LastGoodError::Nothing {
                directory: self.0.clone(),
            }),
            Err(error) => Err(LastGoodError::io("read", &path)(error)),
        }
    }

    /// Has a link lead to a copy, by one rename.
    fn link(&self, link: &str, copy: &Path) -> Result<(), LastGoodError> {
        let (path, next) = (self.0.join(link), self.0.join(format!("{link}.next")));
        remove(&next)?;
        let name = copy.file_name().unwrap_or_default();
        symlink(name, &next).map_err(LastGoodError::io("make", &next))?;
        fs::rename(&next, &path).map_err(LastGoodError::io("replace", &path))?;
        sync(&self.0)
    }

    /// The names of all copies.
    fn copies(&self) -> Result<Vec<PathBuf>, LastGoodError> {
        let entries = fs::read_dir(&self.0).map_err(LastGoodError::io("list", &self.0))?;
        let paths = entries.filter_map(|it| Some(it.ok()?.path()));
        Ok(paths.filter(|it| number(it).is_some()).collect())
    }

    /// The number of the next copy.
    fn next(&self) -> Result<u64, LastGoodError> {
        let copies = self.copies()?;
        let last = copies.iter().filter_map(|it| number(it)).max();
        Ok(last.unwrap_or(0).saturating_add(1))
    }

    /// Removes copies that nothing leads to.
    fn remove_others(&self) -> Result<(), LastGoodError> {
        let kept: Vec<PathBuf> = [LAST_GOOD, BEFORE]
            .iter()
            .filter_map(|link| self.linked(link).ok())
            .collect();
        let copies = self.copies()?;
        copies
            .iter()
            .filter(|it| !kept.contains(it))
            .try_for_each(|it| remove(it))
    }
}

fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(COPY)?.parse().ok()
}

/// Makes a copy, all of which is on the disk afterwards.
fn copy(directory: &Path, index: &Index, text: &str, kept: &[Copy]) -> Result<(), LastGoodError> {
    let contents = directory.join(DATA);
    make_directory(directory)?;
    make_directory(&contents)?;
    let is_config = |text: &str| hex(&Sha256::digest(text)) == index.config_sha256;
    let kept_text = || {
        let mut texts = kept.iter().map(Copy::text);
        texts.find(|text| is_config(text)).map(str::to_owned)
    };
    let text = Some(text.to_owned())
        .filter(|text| is_config(text))
        .or_else(kept_text)
        .or_else(|| {
            file::read_text(&index.config)
                .ok()
                .filter(|it| is_config(it))
        })
        .ok_or_else(|| LastGoodError::Changed {
            path: index.config.clone(),
        })?;
    write(&directory.join(CONFIG), text.as_bytes())?;
    for (path, sha256) in &index.files {
        let to = data(directory, sha256);
        // One content by two names.
        if to.exists() {
            continue;
        }
        let linked = kept.iter().any(|copy| {
            let from = data(&copy.directory, sha256);
            check(&from, sha256).is_ok() && fs::hard_link(&from, &to).is_ok()
        });
        if linked {
            continue;
        }
        let content = read(path)?;
        if hex(&Sha256::digest(&content)) != *sha256 {
            return Err(LastGoodError::Changed { path: path.clone() });
        }
        write(&to, &content)?;
    }
    let path = directory.join(INDEX);
    let bytes = serde_json::to_vec_pretty(index)
        .map_err(|error| LastGoodError::io("write", &path)(io::Error::other(error)))?;
    write(&path, &bytes)?;
    sync(&contents)?;
    sync(directory)
}

/// A data file; one that is missing is a file of exemptions without any.
fn read(path: &Path) -> Result<Vec<u8>, LastGoodError> {
    match file::read(path, file::DATABASE_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(LastGoodError::io("read", path)),
    }
}

/// It has the prefixes of subscribers: nobody else reads it.
fn make_directory(path: &Path) -> Result<(), LastGoodError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(LastGoodError::io("make", path))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LastGoodError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.map_err(LastGoodError::io("write", path))
}

fn sync(directory: &Path) -> Result<(), LastGoodError> {
    File::open(directory)
        .and_then(|it| it.sync_all())
        .map_err(LastGoodError::io("write", directory))
}
