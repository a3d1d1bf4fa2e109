//! Where notes are: what people asked of a gate in force, which no generation has.

use std::{fs, path::PathBuf};

use super::{Pins, PinsError, remove_if_there};

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Why everything is only observed for now.
    Bypass,
    /// Which generation a person confirmed.
    Confirmed,
    /// What is rehearsed, and for whom.
    Rehearsal,
    /// Who listens to events.
    Events,
    /// Where the daemon keeps what is in force for the next start of the machine.
    State,
    /// What started from zero when another version of the map ABI was taken over from.
    FromZero,
    /// How the maps are laid out, for a gate of another version of the map ABI.
    Layout,
}

impl Note {
    const fn name(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Confirmed => "confirmed",
            Self::Rehearsal => "rehearsal",
            Self::Events => "events",
            Self::State => "state",
            Self::FromZero => "from_zero",
            Self::Layout => "layout",
        }
    }
}

impl Pins {
    pub(super) fn notes(&self) -> PathBuf {
        self.version().join("notes")
    }

    /// Where a note is.
    #[must_use]
    pub fn note(&self, note: Note) -> PathBuf {
        self.notes().join(note.name())
    }

    /// Where the note is pinned that is to take the place of that at [`Pins::note`].
    #[must_use]
    pub fn next_note(&self, note: Note) -> PathBuf {
        self.notes().join(format!("{}:next", note.name()))
    }

    /// Makes room for the note that is to be pinned at [`Pins::next_note`].
    pub fn make_room(&self, note: Note) -> Result<(), PinsError> {
        super::make_private(&self.notes())?;
        remove_if_there(&self.next_note(note))
    }

    /// Puts the note at [`Pins::next_note`] in its place, by one rename.
    pub fn settle_note(&self, note: Note) -> Result<(), PinsError> {
        let path = self.note(note);
        fs::rename(self.next_note(note), &path).map_err(PinsError::io("replace", &path))
    }
}
