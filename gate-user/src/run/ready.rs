//! Everything that can be checked before anything is changed.

use std::io;

use gate_common::abi::GenerationWord;

use super::{Order, change, kernel, list_devices};
use crate::{
    attach::{self, Target},
    error::Error,
    generation::{Manifest, SourceMap},
    guard::{self, GuardError},
    kernel::{KernelError, Maps},
    load::{Base, Loaded, load},
    pins::Pins,
    progress::Progress,
    sys::strips_vlans,
};

/// What there was before.
#[derive(Debug)]
pub(super) struct Before {
    /// The generation that the program runs.
    pub(super) word: GenerationWord,
    /// What it is made of; nothing if nobody knows.
    pub(super) manifest: Option<Manifest>,
    /// Where its prefixes came from; nothing if that is lost.
    sources: Option<SourceMap>,
    /// Whether the pins of a generation that is in force, or was put there by this daemon, are gone.
    pub(super) lost: bool,
    /// Whether nothing is in force: no generation, and the program is on no interface.
    pub(super) fresh: bool,
}

impl Before {
    /// Looks at the pins; `kept` is what the daemon put in force, and holds where somebody removed the pins that say so.
    fn look(pins: &Pins, kept: Option<&Manifest>) -> Result<Self, Error> {
        let word = Maps::pinned_generation(pins)?;
        let directory = (word.number() != 0).then(|| pins.generation(word.number()));
        let directory = directory.as_deref();
        // Guards compare with it: only what is not there is lost, and what cannot be read is an error.
        let manifest = directory
            .and_then(|it| if_there(kernel::manifest(it)).transpose())
            .transpose()?;
        let sources = directory
            .and_then(|it| if_there(kernel::source_map(it)).transpose())
            .transpose()?;
        let known = directory.is_some() || kept.is_some();
        Ok(Self {
            word,
            lost: known && (manifest.is_none() || sources.is_none()),
            manifest: manifest.or_else(|| kept.cloned()),
            sources,
            fresh: word.number() == 0 && pins.linked()?.is_empty(),
        })
    }

    /// The number after which the next generation's comes. It goes on where the map that holds it was removed: within
    /// the life of a daemon no two generations have the same.
    fn number(&self) -> u32 {
        let known = self.manifest.as_ref().map_or(0, |it| it.number);
        self.word.number().max(known)
    }
}

/// What is pinned; nothing if it is not.
fn if_there<T>(read: Result<T, KernelError>) -> Result<Option<T>, KernelError> {
    match read {
        Err(KernelError::Open { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A generation that nothing speaks against.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) before: Before,
    pub(super) loaded: Loaded,
    pub(super) targets: Vec<Target>,
}

impl Ready {
    /// Reads everything that `order` names, and compares it with what is in force and what the system has. `kept` is
    /// what this daemon put in force last.
    pub(super) fn new(
        pins: &Pins,
        order: Order<'_>,
        kept: Option<&Manifest>,
        progress: &mut Progress,
    ) -> Result<Self, Error> {
        pins.check_ownership()?;
        kernel::check_pins(order.object, pins)?;
        let before = Before::look(pins, kept)?;
        let base = Base {
            manifest: before.manifest.as_ref(),
            sources: before.sources.as_ref(),
            number: before.number(),
        };
        let mut loaded = load(order.source, base, progress)?;
        loaded.plan.manifest.forced = guarded(&before, &loaded, order.force)?;
        let devices = list_devices()?;
        let targets = attach::targets(&loaded.config, &devices, pins)?;
        let warnings = attach::check_stripped(&loaded.config, &devices, strips_vlans)?;
        loaded.config.warnings.extend(warnings);
        Ok(Self {
            before,
            loaded,
            targets,
        })
    }

    /// Whether it would be made from what the generation in force is made from, nothing of which is lost, answers that fail
    /// to leave are counted, and it would be for the same interfaces: one that was made anew, or has a name that another one had, has another index.
    pub(super) fn changes_nothing(&self, pins: &Pins) -> Result<bool, Error> {
        let Before { manifest, lost, .. } = &self.before;
        let same = |old| change::same_inputs(old, &self.loaded.plan.manifest);
        Ok(!lost
            && attach::uncounted(pins)?.is_empty()
            && manifest.as_ref().is_some_and(same)
            && self.targets.iter().all(Target::settled)
            && pins.linked()?.len() == self.targets.len())
    }
}

/// What the guards say that is overridden; an error if it is not.
fn guarded(before: &Before, loaded: &Loaded, force: bool) -> Result<Vec<String>, Error> {
    let Some(old) = &before.manifest else {
        return Ok(Vec::new());
    };
    let violations = guard::violations(&loaded.config.guards, old, &loaded.plan.manifest);
    if violations.is_empty() || force {
        Ok(violations)
    } else {
        Err(GuardError { violations }.into())
    }
}
