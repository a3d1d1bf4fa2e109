//! `gate run` and its reloads: put a configuration in force, and look after it.
//!
//! A start and a reload take the same way:
//!
//! 1. the lock, so that nothing that is looked at changes; a daemon holds it for as long as it lives;
//! 2. everything that can be checked, which changes nothing (`ready`);
//! 3. the rest, in the order that keeps the gate from opening (`force`).

mod force;
mod ready;

use std::{
    collections::BTreeMap,
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use gate_common::abi::FLOW_TTL_NS;

use self::ready::Ready;
use crate::{
    change::{self, Change},
    clock,
    control::{self, Endpoint},
    error::Error,
    floor,
    generation::Manifest,
    geoip::Cancelled,
    kernel::{self, Gate, Maps},
    load::Source,
    pins::{Lock, Pins},
    privilege,
    progress::Progress,
    sys::{Access, Device, XdpMode, devices},
    watch::Known,
};

/// The least difference between the clocks that means that somebody set one of them, in nanoseconds: reading both takes
/// some microseconds, and slewing (adjtime(3)) moves both.
const CLOCK_SET_NS: u64 = 10_000_000;

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
    /// Whether the process was told to end, in which case nothing new is put in force.
    pub cancelled: Cancelled<'a>,
}

/// A gate in force, and the lock that says that its daemon lives.
#[derive(Debug)]
pub struct Running {
    pins: Pins,
    endpoint: Endpoint,
    gate: Gate,
    upkeep: Upkeep,
    manifest: Manifest,
    /// The text of the configuration in force.
    text: String,
    /// The data files of the configuration in force, as they were read.
    files: BTreeMap<PathBuf, Known>,
    modes: BTreeMap<String, XdpMode>,
    /// Whether all was done that belongs to what is in force. What comes after the store can fail, and is then done by
    /// the next reload, whatever that one changes.
    complete: bool,
    warnings: Vec<String>,
    adopted: bool,
    /// Interfaces that the configuration names no more, on which the gate was taken off.
    removed: Vec<String>,
    _lock: Lock,
}

/// What a daemon does on its own, whatever else it is busy with. Clones are of one: a reload that has to make maps anew
/// gives it those.
#[derive(Clone, Debug)]
pub struct Upkeep(Arc<Mutex<Maps>>);

/// Puts a configuration in force.
pub fn start(pins: &Pins, order: Order<'_>) -> Result<Running, Error> {
    floor::check()?;
    privilege::check()?;
    let lock = pins.lock()?;
    let mut progress = Progress::until(order.cancelled);
    let result = locked_start(pins, order, &mut progress);
    progress.finish();
    let (endpoint, ready, gate, upkeep, in_force) = match result {
        Ok(started) => started,
        Err(error) => {
            pins.take_back(&lock);
            return Err(error);
        }
    };
    let mut running = Running {
        pins: pins.clone(),
        endpoint,
        gate,
        upkeep: Upkeep(Arc::new(Mutex::new(upkeep))),
        adopted: !ready.before.fresh,
        manifest: ready.loaded.plan.manifest,
        text: ready.loaded.text,
        files: ready.loaded.files,
        modes: in_force.modes,
        complete: true,
        warnings: warnings(&ready.loaded.config.warnings),
        removed: in_force.removed,
        _lock: lock,
    };
    running
        .warnings
        .extend(in_force.unsent.err().map(|error| error.warning()));
    if ready.before.lost {
        let warning = ready.before.manifest.map_or(LOST, |_| PARTLY_LOST);
        running.warnings.push(warning.to_owned());
    }
    running.endpoint.publish()?;
    Ok(running)
}

fn locked_start(
    pins: &Pins,
    order: Order<'_>,
    progress: &mut Progress,
) -> Result<(Endpoint, Ready, Gate, Maps, force::InForce), Error> {
    let ready = Ready::new(pins, order, None, progress)?;
    control::clean_up(pins)?;
    let endpoint = Endpoint::new(pins)?;
    let (gate, in_force) = force::start(pins, order, &ready)?;
    let upkeep = Maps::open(pins, Access::Write)?;
    Ok((endpoint, ready, gate, upkeep, in_force))
}

fn warnings(problems: &[crate::config::Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn list_devices() -> Result<Vec<Device>, Error> {
    devices().map_err(Error::system("list the network interfaces"))
}

fn wall_offset() -> Result<u64, Error> {
    clock::wall_offset_ns().map_err(|errno| Error::system("read the clock")(errno.into()))
}

/// Removes the tags of connections that are too old to mean anything.
fn sweep(maps: &Maps) -> Result<(), Error> {
    let now =
        clock::monotonic_ns().map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(maps.sweep_flows(now.saturating_sub(FLOW_TTL_NS))?)
}

impl Running {
    /// Puts another configuration, or other data, in force; nothing if they are what is in force.
    ///
    /// Where that fails, what was in force before is in force, unless the error came after the store that puts the new
    /// generation in force; the manifest tells.
    pub fn reload(&mut self, order: Order<'_>) -> Result<Option<Change>, Error> {
        let mut progress = Progress::until(order.cancelled);
        let result = self.step(order, &mut progress);
        progress.finish();
        // Whoever removes pins by hand may have removed the link as well.
        let published = if self.pins.exist() {
            self.endpoint.publish()
        } else {
            Ok(())
        };
        match (result, published) {
            // That nobody finds the socket undoes nothing.
            (Ok(Some(mut change)), Err(error)) => {
                change.warnings.push(format!("{error}; {}", error.hint()));
                Ok(Some(change))
            }
            (Ok(change), published) => Ok(published.map(|()| change)?),
            (Err(error), published) => Err(error.after(published)),
        }
    }

    fn step(&mut self, order: Order<'_>, progress: &mut Progress) -> Result<Option<Change>, Error> {
        let ready = Ready::new(&self.pins, order, Some(&self.manifest), progress)?;
        if self.complete && ready.changes_nothing(&self.pins)? {
            return Ok(None);
        }
        let complete = mem::replace(&mut self.complete, false);
        let applied = force::again(&self.pins, order, &ready, &mut self.gate);
        let Ready { before, loaded, .. } = ready;
        let mut change = Change::between(before.manifest.as_ref(), &loaded.plan.manifest);
        let in_force = Maps::pinned_generation(&self.pins)?.number() == loaded.plan.manifest.number;
        let mut applied = applied;
        if in_force {
            // Its maps may be new ones.
            let followed = self.upkeep.follow(&self.pins);
            applied = match applied {
                Ok(applied) => followed.map(|()| applied),
                Err(error) => Err(error.after(followed)),
            };
        }
        let taken_back = !in_force && !matches!(applied, Err(Error::HalfDone { .. }));
        self.complete = applied.is_ok() || (complete && taken_back);
        if in_force {
            self.manifest = loaded.plan.manifest;
            self.text = loaded.text;
            self.files = loaded.files;
        }
        let force::InForce {
            modes,
            attached,
            removed,
            memory,
            unsent,
        } = applied?;
        self.modes = modes;
        change.attached = attached;
        change.detached = removed;
        change.warnings = warnings(&loaded.config.warnings);
        match memory {
            Ok(memory) => change.memory = Some(memory),
            Err(error) => change.warnings.push(error.to_string()),
        }
        change
            .warnings
            .extend(unsent.err().map(|error| error.warning()));
        if before.lost {
            change.warnings.push(PARTLY_LOST.to_owned());
        }
        Ok(Some(change))
    }

    /// The configuration in force, for a reload of the data alone.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file that the configuration in force was read from.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.manifest.config
    }

    /// The data files of the configuration in force, as they were read.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<PathBuf, Known> {
        &self.files
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

    /// Whether a gate was in force before it started.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// What goes on beside reloads.
    #[must_use]
    pub fn upkeep(&self) -> Upkeep {
        self.upkeep.clone()
    }
}

impl Upkeep {
    fn maps(&self) -> MutexGuard<'_, Maps> {
        // Nothing is done under this lock that could leave the maps half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the maps that are pinned now.
    fn follow(&self, pins: &Pins) -> Result<(), Error> {
        let maps = Maps::open(pins, Access::Write)?;
        *self.maps() = maps;
        Ok(())
    }

    /// Tells the program the time of day if the clock was set since it was told last; says whether it was.
    pub fn follow_clock(&self) -> Result<bool, Error> {
        let maps = self.maps();
        let offset = wall_offset()?;
        if offset.abs_diff(maps.wall_offset()?) < CLOCK_SET_NS {
            return Ok(false);
        }
        maps.set_wall_offset(offset)?;
        Ok(true)
    }

    /// Removes the tags of connections that are too old to mean anything.
    pub fn sweep(&self) -> Result<(), Error> {
        sweep(&self.maps())
    }
}
