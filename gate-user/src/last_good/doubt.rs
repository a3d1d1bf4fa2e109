//! What no start puts in force by itself: a configuration that nobody confirmed, or that was rolled back.
//!
//! `DIR/doubted.json` says which one. It is on the disk before what it is about goes into force, or goes out of it; so it also holds where the machine ends
//! in between. A configuration is known again by its content, whatever became of the data, of which most changes daily.

use std::{fs, io, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Index, LastGoodError, remove, store};
use crate::{file, generation::Manifest, last_good::Store};

/// Its name in the directory.
const DOUBTED: &str = "doubted.json";

/// Why it is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nobody confirmed it.
    Unconfirmed,
    /// Somebody rolled it back.
    RolledBack,
}

impl Why {
    /// What happened to it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unconfirmed => "was never confirmed",
            Self::RolledBack => "was rolled back",
        }
    }
}

/// A configuration that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Why.
    pub why: Why,
    /// Since when.
    pub at: Timestamp,
    /// What it is made of.
    of: Index,
}

impl Doubt {
    /// About what this generation is made of.
    pub(crate) fn new(why: Why, manifest: &Manifest) -> Self {
        Self {
            why,
            at: Timestamp::now(),
            of: Index::of(manifest),
        }
    }

    /// Whether it is about all that this generation is made of.
    pub(crate) fn is_of(&self, manifest: &Manifest) -> bool {
        self.is_about(&Index::of(manifest))
    }

    pub(super) fn is_about(&self, index: &Index) -> bool {
        self.of.config_sha256 == index.config_sha256 && self.of.files == index.files
    }

    /// Whether it is about the configuration with this SHA-256.
    pub(crate) fn is_of_config(&self, sha256: &str) -> bool {
        self.of.config_sha256 == sha256
    }
}

impl Store {
    /// Where the doubt is noted.
    #[must_use]
    pub fn doubted(&self) -> PathBuf {
        self.directory().join(DOUBTED)
    }

    /// What is in doubt, if anything is.
    pub fn doubt(&self) -> Result<Option<Doubt>, LastGoodError> {
        let path = self.doubted();
        let bytes = match file::read(&path, file::LIST_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(LastGoodError::io("read", &path))?,
        };
        let doubt = serde_json::from_slice(&bytes);
        doubt
            .map(Some)
            .map_err(|error| LastGoodError::io("read", &path)(io::Error::other(error)))
    }

    /// Notes it in the place of the one before, or that there is none; it is on the disk afterwards.
    pub(crate) fn set_doubt(&self, doubt: Option<&Doubt>) -> Result<(), LastGoodError> {
        let path = self.doubted();
        let Some(doubt) = doubt else {
            if !path.exists() {
                return Ok(());
            }
            remove(&path)?;
            return store::sync(self.directory());
        };
        store::make_directory(self.directory())?;
        let next = path.with_extension("next");
        remove(&next)?;
        let bytes = serde_json::to_vec_pretty(doubt)
            .map_err(|error| LastGoodError::io("write", &path)(io::Error::other(error)))?;
        store::write(&next, &bytes)?;
        fs::rename(&next, &path).map_err(LastGoodError::io("replace", &path))?;
        store::sync(self.directory())
    }

    /// Sees to it that no start puts in force again what the generation with this manifest is made of. Where there is no room to note it, the copy of it is
    /// let go at least.
    pub(crate) fn invalidate(&self, why: Why, manifest: &Manifest) -> Result<(), LastGoodError> {
        let doubt = Doubt::new(why, manifest);
        let noted = self.set_doubt(Some(&doubt));
        if noted.is_err() && self.index().is_ok_and(|it| doubt.is_about(&it)) {
            self.let_go()?;
        }
        noted
    }
}
