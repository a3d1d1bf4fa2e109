//! `gate run` and its reloads: put a configuration in force, and look after it.
//!
//! A start and a reload take the same way:
//!
//! 1. the lock, so that nothing that is looked at changes; a daemon holds it for as long as it lives;
//! 2. everything that can be checked, which changes nothing (`ready`);
//! 3. the rest, in the order that keeps the gate from opening (`force`).

mod alone;
mod confirm;
mod exempt;
mod fallback;
mod force;
mod ready;
mod recall;
mod restore;
mod upkeep;

use std::{
    collections::BTreeMap,
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

pub use self::{
    alone::{confirm, exempt, rollback},
    confirm::pending,
    fallback::{Fallback, Instead, Reason, kept_in},
    recall::Back,
    restore::{Restored, restore},
    upkeep::Upkeep,
};
use self::{
    confirm::Waits,
    ready::{Before, Read, Ready},
};
use crate::{
    attach::{self, Target, Targets, Tolerance},
    change::{self, Change},
    control::{self, ControlError, Endpoint},
    error::Error,
    floor,
    generation::{Manifest, Prefix},
    geoip::Cancelled,
    kernel::{self, Gate, Maps},
    last_good::{Doubt, LastGoodError, Store, Why},
    load::Source,
    migrate::{Inherited, Migrated, Migration},
    pins::{Lock, Note, Pins},
    privilege,
    progress::Progress,
    sys::{Access, Device, XdpMode, devices},
    watch::Known,
};

/// What the operator should know when the pins of a generation were removed by hand, and a start finds nothing.
const LOST: &str = "the pins of the generation that was in force are gone: its counters of pools, prefixes, relays, \
                    classes and interfaces start from zero, and its prefixes are in force since now";
/// The same where some of it is still known: to the daemon, or from other pins.
const PARTLY_LOST: &str = "pins of the generation that was in force are gone: counters whose map is gone start from \
                           zero, and prefixes are in force since now";

/// How a generation is to be made and put in force.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The configuration.
    pub source: Source<'a>,
    /// The object with the program.
    pub object: &'a [u8],
    /// Whether it is put in force whatever the guards say.
    pub force: bool,
    /// After which time it is taken back, unless a person confirms it.
    pub confirm: Option<Duration>,
    /// Whether the process was told to end, in which case nothing new is put in force.
    pub cancelled: Cancelled<'a>,
}

/// What it takes to put anything in force.
#[derive(Clone, Copy)]
pub struct Means<'a> {
    /// The object with the program.
    pub object: &'a [u8],
    /// As that of [`Order`].
    pub cancelled: Cancelled<'a>,
}

impl<'a> Order<'a> {
    const fn means(&self) -> Means<'a> {
        Means {
            object: self.object,
            cancelled: self.cancelled,
        }
    }
}

/// A gate in force, and the lock that says that its daemon lives.
#[derive(Debug)]
pub struct Running {
    pins: Pins,
    endpoint: Endpoint,
    gate: Gate,
    upkeep: Upkeep,
    manifest: Manifest,
    /// What the generation in force is made of.
    read: Read,
    modes: BTreeMap<String, XdpMode>,
    /// The index that each interface had when the generation in force was made; those that were missing have none.
    indices: BTreeMap<String, u32>,
    /// The interfaces that the gate could not be on, and why.
    blocked: BTreeMap<String, String>,
    /// Whether all was done that belongs to what is in force. What comes after the store can fail, and is then done by
    /// the next reload, whatever that one changes.
    complete: bool,
    warnings: Vec<String>,
    adopted: bool,
    /// Interfaces that the configuration names no more, on which the gate was taken off.
    removed: Vec<String>,
    /// Where what is in force is kept, if anywhere.
    store: Option<Store>,
    /// Why something else is in force than what was named at the start, if it is.
    instead: Option<Instead>,
    /// What became of what another version of the map ABI had in force.
    migrated: Option<Migrated>,
    /// What the start found that was judged by nobody.
    unknown: Option<Unknown>,
    _lock: Lock,
}

/// Interfaces that the program was on at a start, and that the generation in force then did not know by the index that they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// That generation.
    pub generation: u32,
    /// The interfaces.
    pub interfaces: Vec<Target>,
}

/// Puts a configuration in force; or, where there is a fallback and that cannot be, something else.
pub fn start(
    pins: &Pins,
    order: Order<'_>,
    fallback: Option<Fallback<'_>>,
) -> Result<Running, Error> {
    floor::check()?;
    privilege::check()?;
    let lock = pins.lock()?;
    let mut progress = Progress::until(order.cancelled);
    let result = locked_start(pins, order, fallback, &mut progress);
    progress.finish();
    let Started {
        endpoint,
        ready,
        gate,
        maps,
        in_force,
        migrated,
        unknown,
    } = match result {
        Ok(started) => started,
        Err(error) => {
            pins.take_back(&lock);
            return Err(error);
        }
    };
    let undone = in_force.warnings();
    let mut running = Running {
        indices: ready.targets.indices(),
        blocked: ready.targets.blocked,
        pins: pins.clone(),
        endpoint,
        gate,
        upkeep: Upkeep::new(pins, maps),
        adopted: !ready.before.fresh,
        manifest: ready.plan.manifest,
        read: ready.read.unwrap_or_default(),
        modes: in_force.modes,
        complete: true,
        warnings: ready.warnings,
        removed: in_force.removed,
        store: fallback.map(|it| it.store.clone()),
        instead: ready.instead,
        migrated,
        unknown,
        _lock: lock,
    };
    running.warnings.extend(undone);
    if ready.before.lost {
        let warning = ready.before.manifest.map_or(LOST, |_| PARTLY_LOST);
        running.warnings.push(warning.to_owned());
    }
    match &running.store {
        Some(store) => fallback::note(pins, store)?,
        None => kernel::remove_note(pins, Note::State)?,
    }
    running.endpoint.publish()?;
    Ok(running)
}

fn locked_start(
    pins: &Pins,
    order: Order<'_>,
    fallback: Option<Fallback<'_>>,
    progress: &mut Progress,
) -> Result<Started, Error> {
    let (mut migration, inherited) = Migration::find(pins)?.unzip();
    let result = match &mut migration {
        None => put_in_force(pins, order, fallback, Inherited::default(), progress),
        Some(migration) => migration.take_over(pins, order.object).and_then(|()| {
            put_in_force(
                pins,
                order,
                fallback,
                inherited.unwrap_or_default(),
                progress,
            )
        }),
    };
    match (result, migration) {
        (Err(error), Some(migration)) => Err(error.after(migration.undo(pins))),
        (Ok(mut started), Some(migration)) => {
            started.migrated = Some(migration.finish()?);
            Ok(started)
        }
        (result, None) => result,
    }
}

fn put_in_force(
    pins: &Pins,
    order: Order<'_>,
    fallback: Option<Fallback<'_>>,
    inherited: Inherited,
    progress: &mut Progress,
) -> Result<Started, Error> {
    let ready = Ready::start(pins, order, fallback, inherited, progress)?;
    let unknown = ready.unknown(pins);
    control::clean_up(pins)?;
    let endpoint = Endpoint::new(pins)?;
    let (gate, in_force) = force::start(pins, order.means(), &ready)?;
    let maps = Maps::open(pins, Access::Write)?;
    Ok(Started {
        endpoint,
        ready,
        gate,
        maps,
        in_force,
        migrated: None,
        unknown,
    })
}

/// What a start made.
struct Started {
    endpoint: Endpoint,
    ready: Ready,
    gate: Gate,
    maps: Maps,
    in_force: force::InForce,
    migrated: Option<Migrated>,
    unknown: Option<Unknown>,
}

fn list_devices() -> Result<Vec<Device>, Error> {
    devices().map_err(Error::system("list the network interfaces"))
}

impl Running {
    /// Puts another configuration, or other data, in force; nothing if they are what is in force.
    ///
    /// Where that fails, what was in force before is in force, unless the error came after the store that puts the new
    /// generation in force; the manifest tells.
    pub fn reload(&mut self, order: Order<'_>) -> Result<Option<Change>, Error> {
        let mut progress = Progress::until(order.cancelled);
        let ready = self.ready(order, &mut progress);
        progress.finish();
        match ready {
            Ok((ready, true)) => self.take_doubted(order.means(), ready).map(Some),
            // What is in force is made of what was read.
            Ok((ready, false)) => {
                self.read = ready.read.unwrap_or_default();
                Ok(self.publish().map(|()| None)?)
            }
            Err(error) => Err(error.after(self.publish())),
        }
    }

    /// Puts the generation before the one in force in force again.
    pub fn rollback(&mut self, back: &Back, means: Means<'_>) -> Result<Change, Error> {
        let before = Before::checked(&self.pins, means.object, Some(&self.manifest));
        let ready = before.and_then(|before| recall::previous(&self.pins, before, back));
        let why = match back {
            Back::Asked(_) => Why::RolledBack,
            Back::Unconfirmed => Why::Unconfirmed,
        };
        match ready {
            Ok(mut ready) => {
                // First: no start of the machine brings it back, whenever that comes.
                if let Some(store) = &self.store {
                    let from = ready.before.manifest.as_ref();
                    let failed = fallback::invalidate(store, why, from);
                    ready.warnings.extend(failed);
                }
                self.take(means, ready)
            }
            Err(error) => Err(error.after(self.publish())),
        }
    }

    /// Puts the exemptions of their file in force, of which a person changed one; nothing if they are.
    pub fn exempt(&mut self, prefix: Prefix, means: Means<'_>) -> Result<Option<Change>, Error> {
        let before = Before::checked(&self.pins, means.object, Some(&self.manifest));
        let ready = before.and_then(|before| exempt::ready(&self.pins, before, &self.read, prefix));
        match ready {
            Ok(Some(mut ready)) => {
                if let Some(store) = &self.store {
                    fallback::doubt_anew(store, &mut ready);
                }
                self.take(means, ready).map(Some)
            }
            Ok(None) => Ok(self.publish().map(|()| None)?),
            Err(error) => Err(error.after(self.publish())),
        }
    }

    /// Makes a generation of what is in force for the interfaces that there are now. No file is read, so that nothing in one keeps the gate off an
    /// interface.
    pub fn settle(&mut self, means: Means<'_>) -> Result<Change, Error> {
        let before = Before::checked(&self.pins, means.object, Some(&self.manifest));
        let ready = before.and_then(|before| recall::again(&self.pins, before));
        match ready {
            Ok(ready) => self.take(means, ready),
            Err(error) => Err(error.after(self.publish())),
        }
    }

    /// Whether the files that the generation in force was made of were read by nobody here, so that their changes cannot be followed.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.read.text.is_empty()
    }

    /// Keeps the generation in force, if it waits for a confirmation.
    pub fn confirm(&self, by: Option<&str>) -> Result<(), Error> {
        confirm::confirm(&self.pins, &self.manifest, by)
    }

    /// Until when what is in force waits for a confirmation; nothing if it does not.
    pub fn pending(&self) -> Result<Option<Timestamp>, Error> {
        pending(&self.pins, &self.manifest)
    }

    /// Whether a person has to decide about what is in force before files are followed again.
    pub fn waits(&self) -> Result<bool, Error> {
        Ok(confirm::waits(&self.pins, &self.manifest)?.is_some())
    }

    /// Whether nobody confirmed what is in force, and its time is over.
    pub fn is_overdue(&self) -> Result<bool, Error> {
        Ok(confirm::waits(&self.pins, &self.manifest)? == Some(Waits::Nobody))
    }

    /// The same as [`Self::take`], after noting that what waits for a confirmation does, for a start of the machine that comes before it.
    fn take_doubted(&mut self, means: Means<'_>, ready: Ready) -> Result<Change, Error> {
        let store = self.store.clone();
        let Some(store) = store.filter(|_| ready.plan.manifest.confirm_until.is_some()) else {
            return self.take(means, ready);
        };
        let number = ready.plan.manifest.number;
        let before = store.doubt()?;
        store.set_doubt(Some(&Doubt::new(Why::Unconfirmed, &ready.plan.manifest)))?;
        match self.take(means, ready) {
            Err(error) if self.manifest.number != number => {
                Err(error.after(store.set_doubt(before.as_ref())))
            }
            taken => taken,
        }
    }

    /// Puts a generation in force, and sees to it that the socket is found.
    fn take(&mut self, means: Means<'_>, ready: Ready) -> Result<Change, Error> {
        let result = self.step(means, ready);
        match (result, self.publish()) {
            // That nobody finds the socket undoes nothing.
            (Ok(mut change), Err(error)) => {
                change.warnings.push(format!("{error}; {}", error.hint()));
                Ok(change)
            }
            (Ok(change), Ok(())) => Ok(change),
            (Err(error), published) => Err(error.after(published)),
        }
    }

    /// Whoever removes pins by hand may have removed the link to the socket as well.
    fn publish(&self) -> Result<(), ControlError> {
        if self.pins.exist() {
            self.endpoint.publish()
        } else {
            Ok(())
        }
    }

    /// The generation that the order makes, and whether it would change anything.
    fn ready(&self, order: Order<'_>, progress: &mut Progress) -> Result<(Ready, bool), Error> {
        let before = Before::checked(&self.pins, order.object, Some(&self.manifest))?;
        if let Some(until) = pending(&self.pins, &self.manifest)? {
            return Err(Error::Unconfirmed {
                generation: self.manifest.number,
                until,
            });
        }
        let ready = Ready::new(&self.pins, order, before, progress)?;
        let needless = self.complete && ready.changes_nothing(&self.pins)?;
        Ok((ready, !needless))
    }

    fn step(&mut self, means: Means<'_>, mut ready: Ready) -> Result<Change, Error> {
        let complete = mem::replace(&mut self.complete, false);
        let applied = force::again(&self.pins, means, &ready, &mut self.gate);
        let in_force = Maps::pinned_generation(&self.pins)?.number() == ready.plan.manifest.number;
        let mut applied = applied;
        if in_force {
            // Its maps may be new ones.
            let followed = self.upkeep.follow();
            applied = match applied {
                Ok(applied) => followed.map(|()| applied),
                Err(error) => Err(error.after(followed)),
            };
        }
        let taken_back = !in_force && !matches!(applied, Err(Error::HalfDone { .. }));
        self.complete = applied.is_ok() || (complete && taken_back);
        if in_force {
            self.manifest = ready.plan.manifest.clone();
            self.indices = ready.targets.indices();
            self.blocked = mem::take(&mut ready.targets.blocked);
            if let Some(read) = ready.read.take() {
                self.read = read;
            }
        }
        let applied = applied?;
        self.modes.clone_from(&applied.modes);
        Ok(ready.change(applied))
    }

    /// Whether interfaces came, went, or lost the program since the generation in force was made.
    pub fn is_unsettled(&self) -> Result<bool, Error> {
        let targets = self.targets()?;
        Ok(targets.indices() != self.indices
            || targets.blocked != self.blocked
            || !targets.settled(&self.pins)?)
    }

    /// The interfaces that the program is on, and that the generation in force does not know by the index that they have now: nothing is judged on them.
    pub fn unknown(&self) -> Result<Vec<Target>, Error> {
        let mut linked = self.targets()?.found;
        linked.retain(|it| it.linked() && self.indices.get(it.name()) != Some(&it.index()));
        Ok(linked)
    }

    /// What is to be done on the interfaces that there are now.
    fn targets(&self) -> Result<Targets, Error> {
        let wanted = recall::wanted(&self.manifest);
        let devices = list_devices()?;
        Ok(attach::targets(
            &wanted,
            &devices,
            &self.pins,
            Tolerance::Blocked,
        )?)
    }

    /// The configuration in force, for a reload of the data alone.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.read.text
    }

    /// The file that the configuration in force was read from.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.manifest.config
    }

    /// The data files of the configuration in force, as they were read.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<PathBuf, Known> {
        &self.read.files
    }

    /// What the generation in force is made of.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The program and its maps.
    pub fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// The socket on which clients ask.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where the program runs on each interface, by name.
    #[must_use]
    pub fn modes(&self) -> &BTreeMap<String, XdpMode> {
        &self.modes
    }

    /// What is odd about the configuration that it started with.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Interfaces on which the start took the gate off, because the configuration names them no more.
    #[must_use]
    pub fn removed(&self) -> &[String] {
        &self.removed
    }

    /// What became of what another version of the map ABI had in force, if there was one.
    #[must_use]
    pub fn migrated(&self) -> Option<&Migrated> {
        self.migrated.as_ref()
    }

    /// The interfaces that nothing was judged on when it started, although the program was on them.
    #[must_use]
    pub fn found_unknown(&self) -> Option<&Unknown> {
        self.unknown.as_ref()
    }

    /// Whether a gate was in force before it started.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Why something else was put in force at the start than what was named, if it was.
    #[must_use]
    pub fn instead(&self) -> Option<&Instead> {
        self.instead.as_ref()
    }

    /// Keeps what the generation in force was made of as the last good configuration, and looks for damage in what is kept where `check` says so. What waits
    /// for a confirmation is not good yet. `held` says whether what is in doubt is still to be kept from being put in force.
    pub fn keep(
        &self,
        store: &Store,
        held: bool,
        check: bool,
        cancelled: Cancelled<'_>,
    ) -> Result<(), LastGoodError> {
        match &self.manifest.rolled_back {
            // By somebody who did not know of the store, or while it had no room.
            Some(back) => {
                let from = kernel::manifest(&self.pins.generation(back.from)).ok();
                if let Some(from) = from
                    && !store.doubt()?.is_some_and(|it| it.is_of(&from))
                {
                    let why = if back.unconfirmed {
                        Why::Unconfirmed
                    } else {
                        Why::RolledBack
                    };
                    store.invalidate(why, &from)?;
                }
            }
            None if held => {}
            None => store.set_doubt(None)?,
        }
        store.keep(&self.manifest, &self.read.text, check, cancelled)
    }

    /// Where it is pinned.
    #[must_use]
    pub fn pins(&self) -> &Pins {
        &self.pins
    }

    /// What goes on beside reloads.
    #[must_use]
    pub fn upkeep(&self) -> Upkeep {
        self.upkeep.clone()
    }
}
