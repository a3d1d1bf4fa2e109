//! What a start puts in force where the configuration that was named cannot be, or must not be without a person.
//!
//! What is in force stays, whatever is kept: a copy may be older. The last good configuration is for a machine on which nothing is.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{
    Order,
    ready::{Before, Ready},
    recall,
};
use crate::{
    error::{Error, Exit},
    file,
    generation::Manifest,
    kernel,
    last_good::{Doubt, Store, Why},
    load::Source,
    pins::{Note, Pins},
    progress::Progress,
};

/// Where a start looks.
#[derive(Clone, Copy, Debug)]
pub struct Fallback<'a> {
    /// What is kept.
    pub store: &'a Store,
    /// Whether a mistake in what was named has something else put in force.
    pub last_good: bool,
}

/// That something else is in force than what was named.
#[derive(Debug)]
pub struct Instead {
    /// Why.
    pub reason: Reason,
    /// The configuration that was named.
    pub config: PathBuf,
    /// When the copy was kept that is in force; nothing if what was in force stays.
    pub kept_at: Option<Timestamp>,
}

/// Why what was named is not in force.
#[derive(Debug)]
pub enum Reason {
    /// It cannot be.
    Mistake(Box<Error>),
    /// It waits for a person.
    Doubt(Why),
}

impl Instead {
    /// What there is to say of it, and what to do about it.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match self.kept_at {
            Some(_) => "the last good configuration is in force",
            None => "what was in force stays",
        };
        match &self.reason {
            Reason::Mistake(error) => {
                format!(
                    "{what}, since that of the file could not be: {error}\nhint: put the file right, then `gate reload`"
                )
            }
            Reason::Doubt(why) => format!(
                "{what}, since that of {} {}\nhint: `gate reload` puts it in force",
                self.config.display(),
                why.words()
            ),
        }
    }
}

/// What is to be put in force.
pub(super) fn ready(
    pins: &Pins,
    order: Order<'_>,
    fallback: Fallback<'_>,
    before: Before,
    progress: &mut Progress,
) -> Result<Ready, Error> {
    let (fresh, stays) = (before.fresh, before.can_stay());
    let otherwise = |before: Before, reason: Reason, progress: &mut Progress| {
        let kept = fresh.then(|| fallback.store.open()).transpose();
        let (mut ready, kept_at) = match kept {
            Ok(Some(copy)) => {
                let source = Source::LastGood(&copy);
                let ready = Ready::new(pins, Order { source, ..order }, before, progress)?;
                (ready, Some(copy.index().at))
            }
            Ok(None) if stays => (recall::again(pins, before)?, None),
            Ok(None) | Err(_) => {
                return Err(match reason {
                    Reason::Mistake(error) => *error,
                    Reason::Doubt(why) => Error::Doubted {
                        config: order.source.path().to_owned(),
                        why: why.words(),
                        note: fallback.store.doubted(),
                    },
                });
            }
        };
        ready.instead = Some(Instead {
            reason,
            config: order.source.path().to_owned(),
            kept_at,
        });
        Ok(ready)
    };
    let (doubt, unread) = match fallback.store.doubt() {
        Ok(doubt) => (doubt.filter(|it| holds(it, &before, order)), None),
        Err(error) => (None, Some(format!("{error}; {}", error.hint()))),
    };
    let mut ready = match doubt {
        Some(doubt) => otherwise(before, Reason::Doubt(doubt.why), progress)?,
        None => match Ready::new(pins, order, before, progress) {
            Err(error) if fallback.last_good && (fresh || stays) && error.exit() == Exit::Usage => {
                let before = Before::at_start(pins, order.object)?;
                otherwise(before, Reason::Mistake(Box::new(error)), progress)?
            }
            ready => ready?,
        },
    };
    ready.warnings.extend(unread);
    Ok(ready)
}

/// Whether the configuration that was named is the one in doubt. What is in force and waits for nobody is in none, whatever the note says: it was confirmed
/// by somebody who did not know of the note.
fn holds(doubt: &Doubt, before: &Before, order: Order<'_>) -> bool {
    let settled = before
        .manifest
        .as_ref()
        .is_some_and(|it| it.rolled_back.is_none() && doubt.is_of(it));
    !settled
        && file::sha256(order.source.path(), file::LIST_MAX).is_ok_and(|it| doubt.is_of_config(&it))
}

/// Where the daemon keeps what is in force, or kept it, as it noted it itself.
pub(super) fn noted(pins: &Pins) -> Option<Store> {
    Store::new(&kept_in(pins)?).ok()
}

/// The same directory, whatever is there.
#[must_use]
pub fn kept_in(pins: &Pins) -> Option<PathBuf> {
    kernel::read_note(pins, Note::State).ok().flatten()
}

/// Notes where what is in force is kept, for who changes it without a daemon; needs the lock on the pins.
pub(super) fn note(pins: &Pins, store: &Store) -> Result<(), Error> {
    let directory = store.directory().to_owned();
    Ok(kernel::write_note(pins, Note::State, &directory)?)
}

/// Notes what waits for a confirmation by the exemptions that it gets meanwhile: by them a confirmation finds the note that it ends.
pub(super) fn doubt_anew(store: &Store, ready: &mut Ready) {
    let manifest = &ready.plan.manifest;
    if manifest.confirm_until.is_none() {
        return;
    }
    let why = Why::Unconfirmed;
    if let Err(error) = store.set_doubt(Some(&Doubt::new(why, manifest))) {
        ready.warnings.push(format!(
            "that it {}, with these exemptions, is not noted for the next start of the machine: {error}; {}",
            why.words(),
            error.hint()
        ));
    }
}

/// What a person should know where a rollback could not be noted.
pub(super) fn invalidate(store: &Store, why: Why, from: Option<&Manifest>) -> Option<String> {
    let error = store.invalidate(why, from?).err()?;
    Some(format!(
        "that it {} is not noted for the next start of the machine, which may put it in force again: {error}; {}",
        why.words(),
        error.hint()
    ))
}
