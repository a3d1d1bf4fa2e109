//! Where the program is that sets the skb mark: a TCX link, or the word for a filter of clsact, by the interface's index.

use std::{os::unix::fs::symlink, path::PathBuf};

use super::{Pins, PinsError, file_name, list, remove_if_there};

impl Pins {
    pub(super) fn marks(&self) -> PathBuf {
        self.version().join("marks")
    }

    /// Where the link, or the word for the filter, is that sets the skb mark of what the interface with this index receives.
    #[must_use]
    pub fn mark(&self, index: u32) -> PathBuf {
        self.marks().join(index.to_string())
    }

    /// The indices of the interfaces on which the skb mark is set.
    pub fn marked(&self) -> Result<Vec<u32>, PinsError> {
        if !self.marks().is_dir() {
            return Ok(Vec::new());
        }
        let paths = list(&self.marks())?;
        let indices = paths.iter().filter_map(|path| file_name(path).parse().ok());
        Ok(indices.collect())
    }

    /// Writes the word for a filter down.
    pub fn note_mark(&self, index: u32, word: &str) -> Result<(), PinsError> {
        let path = self.mark(index);
        remove_if_there(&path)?;
        symlink(word, &path).map_err(PinsError::io("make the link", &path))
    }
}
