//! The last good configuration: what a start of the machine can put in force when the files of the configuration are gone, or have mistakes.
//!
//! It is a copy of everything that the generation in force was made of, in a directory that outlives the machine's end. It is only ever an input to a
//! start: bpffs is the truth about what runs, and nothing here can disagree with it.
//!
//! ```text
//! DIR/last-good -> copy.7      replaced by one rename
//! DIR/before    -> copy.6      the one before, for a rollback
//! DIR/copy.7/index.json        what is in it
//! DIR/copy.7/gate.toml         the configuration
//! DIR/copy.7/data/SHA-256      list files and databases, by their content
//! DIR/doubted.json             what no start puts in force by itself (`doubt`)
//! ```
//!
//! There are two copies at most, and what both have is one file with two names. A copy is whole before `last-good` leads to it: what it was made of is
//! compared with what is in force, by content, and is on the disk. Where that fails, the copy from before stays.

mod content;
mod doubt;
mod error;
mod store;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::{
    doubt::{Doubt, Why},
    error::LastGoodError,
    store::Store,
};
use crate::{
    file,
    generation::{Manifest, manifest::RolledBack},
    geoip::Cancelled,
    hex,
};

/// Where a machine keeps it, unless told otherwise.
pub const DIRECTORY: &str = "/var/lib/gate";

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// When it was copied.
    pub at: Timestamp,
    /// The generation that was made of it.
    pub generation: u32,
    /// The configuration that it was read from.
    pub config: PathBuf,
    /// The SHA-256 of that file, in hexadecimal digits.
    pub config_sha256: String,
    /// The SHA-256 of each data file.
    files: BTreeMap<PathBuf, String>,
    /// That it was rolled back to: a start ends no rollback.
    pub(crate) rolled_back: Option<RolledBack>,
}

impl Index {
    fn of(manifest: &Manifest) -> Self {
        let lists = manifest.list_files.iter().map(|it| (&it.path, &it.sha256));
        let databases = manifest.databases.iter().map(|it| (&it.path, &it.sha256));
        Self {
            at: Timestamp::now(),
            generation: manifest.number,
            config: manifest.config.clone(),
            config_sha256: manifest.config_sha256.clone(),
            files: lists
                .chain(databases)
                .map(|(path, sha256)| (path.clone(), sha256.clone()))
                .collect(),
            rolled_back: manifest.rolled_back.clone(),
        }
    }

    /// Whether this is the same, whenever it was copied.
    fn is_same(&self, other: &Self) -> bool {
        let Self {
            at: _,
            generation: _,
            config,
            config_sha256,
            files,
            rolled_back,
        } = self;
        config == &other.config
            && config_sha256 == &other.config_sha256
            && files == &other.files
            && rolled_back == &other.rolled_back
    }
}

/// A copy that is whole.
#[derive(Debug)]
pub struct Copy {
    directory: PathBuf,
    index: Index,
    text: String,
    /// Why it is not the one that was kept last.
    warning: Option<String>,
}

impl Copy {
    /// The copy in this directory, after making sure that it is what it was.
    fn open(directory: &Path) -> Result<Self, LastGoodError> {
        let copy = Self::found(directory)?;
        copy.check(&|| false)?;
        Ok(copy)
    }

    /// Makes sure that its data files are what they were.
    fn check(&self, cancelled: Cancelled<'_>) -> Result<(), LastGoodError> {
        let mut hashes = self.index.files.values();
        hashes.try_for_each(|it| content::check(&data(&self.directory, it), it, cancelled))
    }

    /// The same, without a look at its data files.
    fn found(directory: &Path) -> Result<Self, LastGoodError> {
        let path = directory.join(store::INDEX);
        let bytes = file::read(&path, file::LIST_MAX).map_err(LastGoodError::io("read", &path))?;
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| {
            LastGoodError::io("read", &path)(std::io::Error::other(error.to_string()))
        })?;
        let path = directory.join(store::CONFIG);
        let text = file::read_text(&path).map_err(LastGoodError::io("read", &path))?;
        if hex(&Sha256::digest(&text)) != index.config_sha256 {
            return Err(LastGoodError::Damaged { path });
        }
        Ok(Self {
            directory: directory.to_owned(),
            index,
            text,
            warning: None,
        })
    }

    /// What is in it.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Why it is not the one that was kept last, if it is not.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// The text of the configuration.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where the copy of this file is; nothing if it has none.
    pub(crate) fn place(&self, path: &Path) -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        let sha256 = self.index.files.get(&path)?;
        Some(data(&self.directory, sha256))
    }
}

/// Where content is in a copy.
fn data(directory: &Path, sha256: &str) -> PathBuf {
    directory.join(store::DATA).join(sha256)
}

/// What is known of the last good configuration of a gate whose daemon keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// The directory.
    pub state: PathBuf,
    /// When what is kept was copied; nothing if nothing is.
    pub kept_at: Option<Timestamp>,
    /// The generation that was made of it.
    pub generation: Option<u32>,
    /// Why what is in force is not kept, if it should be.
    pub problem: Option<String>,
    /// Why something else is in force than the file says, and what to do about it.
    pub instead: Option<String>,
}

impl Keeping {
    /// What is known before anything is kept.
    #[must_use]
    pub fn of(store: &Store, instead: Option<String>) -> Self {
        Self {
            state: store.directory().to_owned(),
            instead,
            ..Self::default()
        }
    }

    /// Notes what became of an attempt to keep what is in force.
    pub fn note(&mut self, store: &Store, error: Option<&LastGoodError>) {
        let kept = store.index().ok();
        self.kept_at = kept.as_ref().map(|it| it.at);
        self.generation = kept.map(|it| it.generation);
        self.problem = error.map(|error| {
            format!(
                "what is in force is not kept as last good: {error}; {}; the daemon tries again",
                error.hint()
            )
        });
    }
}

/// Removes a file, a link or a directory with all that is in it.
fn remove(path: &Path) -> Result<(), LastGoodError> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LastGoodError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
