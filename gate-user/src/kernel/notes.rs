//! Notes: text that is kept with the pins, each in a map of its own, since bpffs takes no files.

use std::io;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    KernelError,
    tables::{text_at, text_map},
};
use crate::pins::{Note, Pins, PinsError};

/// Reads a note; nothing if there is none.
pub fn read_note<T: DeserializeOwned>(pins: &Pins, note: Note) -> Result<Option<T>, KernelError> {
    let path = pins.note(note);
    let bytes = match text_at(&path) {
        Err(KernelError::Open { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        bytes => bytes?,
    };
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    serde_json::from_slice(text)
        .map(Some)
        .map_err(|error| KernelError::Note { path, error })
}

/// Writes a note, in the place of the one before; needs the lock on the pins.
pub fn write_note<T: Serialize>(pins: &Pins, note: Note, value: &T) -> Result<(), KernelError> {
    let path = pins.next_note(note);
    let text = serde_json::to_vec(value).map_err(|error| KernelError::Note {
        path: path.clone(),
        error,
    })?;
    let map = text_map("NOTE", &text)?;
    pins.make_room(note)?;
    map.pin(&path).map_err(|error| PinsError::Io {
        action: "pin",
        path,
        error,
    })?;
    Ok(pins.settle_note(note)?)
}

/// Removes a note, if there is one; needs the lock on the pins.
pub fn remove_note(pins: &Pins, note: Note) -> Result<(), KernelError> {
    Ok(pins.remove(&pins.note(note))?)
}
