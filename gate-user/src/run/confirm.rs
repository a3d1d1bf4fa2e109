//! A reload that a person confirms, or that is taken back.
//!
//! Until when is in the manifest of the generation, and so in force with it, by one store. That somebody confirmed it is a note, which
//! names the generation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    clock::Deadline,
    error::Error,
    generation::Manifest,
    kernel,
    pins::{Note, Pins},
};

/// Who has to decide before anything else is put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// A person, by `gate reload` or by a confirmation.
    Person,
    /// Nobody any more: the time for a confirmation is over.
    Nobody,
}

/// That somebody wants to keep a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Confirmed {
    generation: u32,
    at: Timestamp,
    by: Option<String>,
}

/// Until when the generation with this manifest waits for a confirmation, by the clock of people; nothing if it does not, or does no more.
pub fn pending(pins: &Pins, manifest: &Manifest) -> Result<Option<Timestamp>, Error> {
    let until = due(pins, manifest)?.map(Deadline::until).transpose();
    until.map_err(|errno| Error::system("read the clock")(errno.into()))
}

/// The same as a deadline.
pub(super) fn due(pins: &Pins, manifest: &Manifest) -> Result<Option<Deadline>, Error> {
    let Some(until) = manifest.confirm_until else {
        return Ok(None);
    };
    let confirmed: Option<Confirmed> = kernel::read_note(pins, Note::Confirmed)?;
    let confirmed = confirmed.is_some_and(|it| it.generation == manifest.number);
    Ok((!confirmed).then_some(until))
}

/// Who has to decide about the generation with this manifest; nobody has if it may be followed by another one.
pub(super) fn waits(pins: &Pins, manifest: &Manifest) -> Result<Option<Waits>, Error> {
    let is_over = due(pins, manifest)?.map(Deadline::is_over).transpose();
    let is_over = is_over.map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(match is_over {
        Some(true) => Some(Waits::Nobody),
        Some(false) => Some(Waits::Person),
        None => manifest.rolled_back.as_ref().map(|_| Waits::Person),
    })
}

/// Keeps the generation with this manifest, if it waits for that; needs the lock on the pins.
pub(super) fn confirm(pins: &Pins, manifest: &Manifest, by: Option<&str>) -> Result<(), Error> {
    let generation = manifest.number;
    if due(pins, manifest)?.is_none() {
        return Err(Error::NothingToConfirm { generation });
    }
    let confirmed = Confirmed {
        generation,
        at: Timestamp::now(),
        by: by.map(str::to_owned),
    };
    Ok(kernel::write_note(pins, Note::Confirmed, &confirmed)?)
}
