//! `gate run`: puts a configuration in force, and looks after it.
//!
//! The order is what keeps the gate from opening:
//!
//! 1. the lock, so that nothing that is looked at changes;
//! 2. everything that can be checked, which changes nothing;
//! 3. the new generation, in a slot that no packet looks at;
//! 4. a first start: the generation is put in force, then the program is attached. On a gate that is in force: the
//!    program is attached to new interfaces, then the generation is put in force by one store, then the program is
//!    replaced in place on the others, then links of interfaces that the configuration names no more go.
//!
//! What fails before the store is taken back. What fails after it (replacing the program on one interface, looking at
//! the result) leaves the new generation in force, under the program that was there, and is reported.

use std::path::Path;

use aya::programs::ProgramError;
use gate_common::abi::{FLOW_TTL_NS, GenerationWord};

use crate::{
    attach::{self, Target},
    clock,
    config::Config,
    error::Error,
    floor,
    generation::{Manifest, Plan},
    kernel::{self, Gate, Maps, Prepared},
    load::{Base, Loaded, load},
    pins::{Lock, Pins},
    privilege,
    progress::Progress,
    sys::{Device, XdpMode, devices},
};

/// The least difference between the clocks that means that somebody set one of them, in nanoseconds: reading both takes
/// some microseconds, and slewing (adjtime(3)) moves both.
const CLOCK_SET_NS: u64 = 10_000_000;

/// What the operator should know when the pins of a generation were removed by hand.
const LOST: &str = "the pins of the generation that was in force are gone: its counters of pools, prefixes, relays, \
                    classes and interfaces start from zero";

/// A gate in force, and the lock that says that its daemon lives.
#[derive(Debug)]
pub struct Running {
    gate: Gate,
    manifest: Manifest,
    modes: Vec<XdpMode>,
    warnings: Vec<String>,
    adopted: bool,
    /// Interfaces that the configuration names no more, on which the gate was taken off.
    pub removed: Vec<String>,
    _lock: Lock,
}

/// What a start is made from.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The configuration.
    pub config: &'a Path,
    /// The object with the program.
    pub object: &'a [u8],
    /// Whether the process was told to end, in which case nothing new is put in force.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Puts a configuration in force.
pub fn start(pins: &Pins, start: Start<'_>) -> Result<Running, Error> {
    floor::check()?;
    privilege::check()?;
    let lock = pins.lock()?;
    let mut progress = Progress::new();
    let result = locked_start(pins, start, &mut progress);
    progress.finish();
    match result {
        Ok(started) => {
            let Started {
                gate,
                config,
                manifest,
                modes,
                adopted,
                lost,
                removed,
            } = started;
            let lost = lost.then(|| LOST.to_owned());
            let warnings = config
                .warnings
                .iter()
                .map(ToString::to_string)
                .chain(lost)
                .collect();
            Ok(Running {
                gate,
                manifest,
                modes,
                warnings,
                adopted,
                removed,
                _lock: lock,
            })
        }
        Err(error) => {
            pins.take_back(&lock);
            Err(error)
        }
    }
}

struct Started {
    gate: Gate,
    config: Config,
    manifest: Manifest,
    modes: Vec<XdpMode>,
    adopted: bool,
    /// Whether it is not known what the generation before was made of.
    lost: bool,
    removed: Vec<String>,
}

fn locked_start(pins: &Pins, start: Start<'_>, progress: &mut Progress) -> Result<Started, Error> {
    pins.check_ownership()?;
    kernel::check_pins(start.object, pins)?;
    let before = Before::look(pins)?;
    let base = Base {
        manifest: before.manifest.as_ref(),
        number: before.word.number(),
    };
    let Loaded { config, plan } = load(start.config, base, progress)?;
    let targets = attach::targets(&config.interfaces, &list_devices()?, pins)?;
    if before.fresh && pins.exist() {
        // What an earlier start that was cut short left behind: nothing of it is in force.
        pins.remove_all_but_root()?;
    }
    let result = put_in_force(pins, start, &plan, &targets, before.fresh, progress);
    let (gate, removed) = match result {
        Err(error) if before.fresh => {
            // Nothing of this start is to stay.
            return Err(error.after(pins.remove_all_but_root()));
        }
        result => result?,
    };
    sweep(&gate.maps)?;
    let modes = attach::modes(&targets, &list_devices()?)?;
    Ok(Started {
        gate,
        config,
        manifest: plan.manifest,
        modes,
        adopted: !before.fresh,
        lost: before.word.number() != 0 && before.manifest.is_none(),
        removed,
    })
}

/// What there is before a start.
struct Before {
    /// The generation that the program runs.
    word: GenerationWord,
    /// What it is made of; nothing if that is lost.
    manifest: Option<Manifest>,
    /// Whether nothing is in force: no generation, and the program is on no interface.
    fresh: bool,
}

impl Before {
    fn look(pins: &Pins) -> Result<Self, Error> {
        let word = Maps::pinned_generation(pins)?;
        let manifest = if word.number() == 0 {
            None
        } else {
            kernel::manifest(&pins.generation(word.number())).ok()
        };
        let fresh = word.number() == 0 && pins.linked()?.is_empty();
        Ok(Self {
            word,
            manifest,
            fresh,
        })
    }
}

/// Loads the program and the generation, and puts both in force; returns the interfaces that the gate was taken off.
fn put_in_force(
    pins: &Pins,
    start: Start<'_>,
    plan: &Plan,
    targets: &[Target],
    fresh: bool,
    progress: &mut Progress,
) -> Result<(Gate, Vec<String>), Error> {
    pins.create()?;
    let mut gate = Gate::pinned(start.object, pins)?;
    gate.maps.set_wall_offset(wall_offset()?)?;
    let index = |name: &str| {
        targets
            .iter()
            .find(|target| target.name() == name)
            .map(Target::index)
    };
    let prepared = gate.maps.prepare(plan, &index, &mut |done, total| {
        progress.loaded(done, total);
    })?;
    let mut attached = Vec::new();
    let result = if (start.cancelled)() {
        Err(Error::Cancelled)
    } else {
        flip(&mut gate, &prepared, targets, pins, fresh, &mut attached)
    };
    match result {
        Ok(removed) => Ok((gate, removed)),
        Err(error) => Err(error.after(take_back(&gate, &prepared, &attached, pins))),
    }
}

fn flip(
    gate: &mut Gate,
    prepared: &Prepared,
    targets: &[Target],
    pins: &Pins,
    fresh: bool,
    attached: &mut Vec<String>,
) -> Result<Vec<String>, Error> {
    let directory = pins.create_generation(prepared.number())?;
    prepared.pin(&directory)?;
    if fresh {
        activate(gate, prepared, pins)?;
    }
    for target in targets.iter().filter(|target| !target.linked()) {
        attach::attach(gate.program()?, target, pins)?;
        attached.push(target.name().to_owned());
    }
    if !fresh {
        activate(gate, prepared, pins)?;
    }
    for target in targets.iter().filter(|target| target.linked()) {
        attach::attach(gate.program()?, target, pins)?;
    }
    repin_program(gate, pins)?;
    let mut removed = pins.linked()?;
    removed.retain(|name| !targets.iter().any(|target| target.name() == name));
    for name in &removed {
        pins.remove(&pins.link(name))?;
    }
    Ok(removed)
}

/// Undoes what was done for a generation that is not in force.
fn take_back(
    gate: &Gate,
    prepared: &Prepared,
    attached: &[String],
    pins: &Pins,
) -> Result<(), Error> {
    if gate.maps.discard(prepared)? {
        for name in attached {
            pins.remove(&pins.link(name))?;
        }
        pins.remove_generation(prepared.number())?;
    }
    Ok(())
}

fn activate(gate: &Gate, prepared: &Prepared, pins: &Pins) -> Result<(), Error> {
    gate.maps.activate(prepared)?;
    pins.set_current(prepared.number())?;
    pins.remove_other_generations(prepared.number())?;
    Ok(())
}

fn repin_program(gate: &mut Gate, pins: &Pins) -> Result<(), Error> {
    let path = pins.program();
    pins.remove(&path)?;
    gate.program()?.pin(&path).map_err(|error| {
        Error::Kernel(kernel::KernelError::Program(Box::new(
            ProgramError::IOError(std::io::Error::other(error)),
        )))
    })
}

fn list_devices() -> Result<Vec<Device>, Error> {
    devices().map_err(Error::system("list the network interfaces"))
}

fn wall_offset() -> Result<u64, Error> {
    clock::wall_offset_ns().map_err(|errno| Error::system("read the clock")(errno.into()))
}

/// Removes the tags of connections that are too old to mean anything.
fn sweep(maps: &Maps) -> Result<(), Error> {
    let now = clock::boot_ns().map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(maps.sweep_flows(now.saturating_sub(FLOW_TTL_NS))?)
}

impl Running {
    /// What the generation in force is made of.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The program and its maps.
    pub fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// Where the program runs on each interface, in the order of the manifest's.
    #[must_use]
    pub fn modes(&self) -> &[XdpMode] {
        &self.modes
    }

    /// What is odd about the configuration.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether a gate was in force before.
    #[must_use]
    pub fn adopted(&self) -> bool {
        self.adopted
    }

    /// Tells the program the time of day if the clock was set since it was told last; says whether it was.
    pub fn follow_clock(&self) -> Result<bool, Error> {
        let offset = wall_offset()?;
        if offset.abs_diff(self.gate.maps.wall_offset()?) < CLOCK_SET_NS {
            return Ok(false);
        }
        self.gate.maps.set_wall_offset(offset)?;
        Ok(true)
    }

    /// Removes the tags of connections that are too old to mean anything.
    pub fn sweep(&self) -> Result<(), Error> {
        sweep(&self.gate.maps)
    }
}
