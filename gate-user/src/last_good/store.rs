//! The directory with the copies.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, symlink},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{Copy, Index, LastGoodError, content, data, remove};
use crate::{file, generation::Manifest, geoip::Cancelled, hex};

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

    /// The directory with the last copy, if there is one. It has permissions of its own.
    #[must_use]
    pub fn last(&self) -> Option<PathBuf> {
        self.linked(LAST_GOOD).ok()
    }

    /// The last good configuration; where that is damaged, the one before it. Neither if it was rolled back.
    pub fn open(&self) -> Result<Copy, LastGoodError> {
        let last = self.usable(LAST_GOOD);
        let Err(
            error @ (LastGoodError::Damaged { .. }
            | LastGoodError::Io { .. }
            | LastGoodError::RolledBack { .. }),
        ) = last
        else {
            return last;
        };
        let Ok(mut before) = self.usable(BEFORE) else {
            return Err(error);
        };
        before.warning = Some(format!(
            "{error}; the copy from before takes its place, as it was kept {:.0}",
            before.index.at
        ));
        Ok(before)
    }

    fn usable(&self, link: &str) -> Result<Copy, LastGoodError> {
        let copy = Copy::open(&self.linked(link)?)?;
        if self.doubt()?.is_some_and(|it| it.is_about(&copy.index)) {
            return Err(LastGoodError::RolledBack {
                directory: self.0.clone(),
            });
        }
        Ok(copy)
    }

    /// What the last good configuration is made of.
    pub fn index(&self) -> Result<Index, LastGoodError> {
        self.linked(LAST_GOOD)
            .and_then(|directory| Copy::found(&directory))
            .map(|copy| copy.index)
    }

    /// Keeps what the generation with this manifest was made of, of which `text` is the configuration, if it is known. What is kept already is
    /// copied no more, unless it is damaged, which is looked for where `check` says so. Where this fails, what was kept before is kept; but not where that was
    /// rolled back.
    pub(crate) fn keep(
        &self,
        manifest: &Manifest,
        text: &str,
        check: bool,
        cancelled: Cancelled<'_>,
    ) -> Result<(), LastGoodError> {
        let index = Index::of(manifest);
        let result = self.keep_copy(&index, text, check, cancelled);
        if result.is_err()
            && index.rolled_back.is_some()
            && let Ok(kept) = self.index()
            && !kept.is_same(&index)
        {
            // No start brings back what somebody rolled back.
            self.let_go()?;
        }
        result
    }

    /// Lets the last copy go.
    pub(super) fn let_go(&self) -> Result<(), LastGoodError> {
        remove(&self.0.join(LAST_GOOD))?;
        sync(&self.0)
    }

    fn keep_copy(
        &self,
        index: &Index,
        text: &str,
        check: bool,
        cancelled: Cancelled<'_>,
    ) -> Result<(), LastGoodError> {
        let kept: Vec<Copy> = [LAST_GOOD, BEFORE]
            .iter()
            .filter_map(|link| Copy::found(&self.linked(link).ok()?).ok())
            .collect();
        let last = self.linked(LAST_GOOD).ok();
        let same = last
            .as_deref()
            .and_then(|it| Copy::found(it).ok())
            .filter(|it| it.index.is_same(index));
        let damaged = match &same {
            Some(copy) if check => match copy.check(cancelled) {
                Err(LastGoodError::Cancelled) => return Err(LastGoodError::Cancelled),
                checked => checked.is_err(),
            },
            _ => false,
        };
        if same.is_some() && !damaged {
            return Ok(());
        }
        make_directory(&self.0)?;
        self.remove_others()?;
        let directory = self.0.join(format!("{COPY}{}", self.next()?));
        let copied = copy(&directory, index, text, &kept, cancelled);
        // What is cut short leads nowhere, and takes no room.
        if copied.is_err() {
            remove(&directory)?;
        }
        copied?;
        // In this order, whoever is killed in between leaves a copy that can be used: the last one may be of what was rolled back.
        self.link(LAST_GOOD, &directory)?;
        // Nobody goes back to what is damaged.
        if let Some(last) = last.filter(|_| !damaged) {
            self.link(BEFORE, &last)?;
        }
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
fn copy(
    directory: &Path,
    index: &Index,
    text: &str,
    kept: &[Copy],
    cancelled: Cancelled<'_>,
) -> Result<(), LastGoodError> {
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
            content::check(&from, sha256, cancelled).is_ok() && fs::hard_link(&from, &to).is_ok()
        });
        if !linked {
            content::copy(path, &to, sha256, cancelled)?;
        }
    }
    let path = directory.join(INDEX);
    let bytes = serde_json::to_vec_pretty(index)
        .map_err(|error| LastGoodError::io("write", &path)(io::Error::other(error)))?;
    write(&path, &bytes)?;
    sync(&contents)?;
    sync(directory)
}

/// It has the prefixes of subscribers: nobody else reads it.
pub(super) fn make_directory(path: &Path) -> Result<(), LastGoodError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(LastGoodError::io("make", path))
}

/// Writes a file that is not there yet, and is on the disk afterwards.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LastGoodError> {
    let mut file = content::create(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(LastGoodError::io("write", path))
}

pub(super) fn sync(directory: &Path) -> Result<(), LastGoodError> {
    File::open(directory)
        .and_then(|it| it.sync_all())
        .map_err(LastGoodError::io("write", directory))
}

#[cfg(test)]
mod tests;
