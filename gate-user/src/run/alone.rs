//! What can be decided about a gate in force whose daemon is not there.

use super::{
    Means, fallback, force,
    ready::{Before, Read},
    recall::{self, Back},
};
use crate::{
    change::Change, error::Error, floor, generation::Prefix, kernel, last_good::Why, pins::Pins,
    privilege, view,
};

/// Puts the generation before the one in force in force again.
pub fn rollback(pins: &Pins, object: &[u8], by: Option<String>) -> Result<Change, Error> {
    floor::check()?;
    privilege::check()?;
    view::current(pins)?;
    let _lock = pins.lock()?;
    let before = Before::checked(pins, object, None)?;
    let mut ready = recall::previous(pins, before, &Back::Asked(by))?;
    if let Some(store) = fallback::noted(pins) {
        let from = ready.before.manifest.as_ref();
        let failed = fallback::invalidate(&store, Why::RolledBack, from);
        ready.warnings.extend(failed);
    }
    let means = Means {
        object,
        cancelled: &|| false,
    };
    let (_, in_force) = force::start(pins, means, &ready)?;
    Ok(ready.change(in_force))
}

/// Puts the exemptions of their file in force, of which a person changed one; nothing if they are.
pub fn exempt(pins: &Pins, object: &[u8], prefix: Prefix) -> Result<Option<Change>, Error> {
    floor::check()?;
    privilege::check()?;
    view::current(pins)?;
    let _lock = pins.lock()?;
    let before = Before::checked(pins, object, None)?;
    let Some(mut ready) = super::exempt::ready(pins, before, &Read::default(), prefix)? else {
        return Ok(None);
    };
    if let Some(store) = fallback::noted(pins) {
        fallback::doubt_anew(&store, &mut ready);
    }
    let means = Means {
        object,
        cancelled: &|| false,
    };
    let (_, in_force) = force::start(pins, means, &ready)?;
    Ok(Some(ready.change(in_force)))
}

/// Keeps a generation that waits for a confirmation; returns its number.
pub fn confirm(pins: &Pins, by: Option<&str>) -> Result<u32, Error> {
    view::current(pins)?;
    let _lock = pins.lock()?;
    pins.check_version()?;
    let manifest = kernel::manifest(&view::current(pins)?)?;
    super::confirm::confirm(pins, &manifest, by)?;
    // It holds although this may fail: the next daemon clears it.
    if let Some(store) = fallback::noted(pins)
        && let Ok(Some(doubt)) = store.doubt()
        && doubt.is_of(&manifest)
    {
        store.set_doubt(None)?;
    }
    Ok(manifest.number)
}
