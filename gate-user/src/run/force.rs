//! Putting a generation in force, in the order that keeps the gate from opening.
//!
//! The new generation goes into a slot that no packet looks at. On a first start it is put in force, then the program is
//! attached. On a gate that is in force the program is attached to new interfaces, then the generation is put in force by
//! one store, then the program is replaced in place on the others, then links of interfaces that the configuration names
//! no more go. Before all that, pins of links get the names that their interfaces have now.
//!
//! What fails before the store is taken back. What fails after it (replacing the program on one interface, looking at
//! the result) leaves the new generation in force, under the program that was there, and is reported.

use std::collections::BTreeMap;

use aya::programs::ProgramError;

use super::{Order, kernel, list_devices, ready::Ready, sweep, wall_offset};
use crate::{
    attach::{self, Places, Target, UnsentError},
    change::Memory,
    error::Error,
    generation::Manifest,
    kernel::{Gate, Loaded, Prepared},
    memory,
    pins::Pins,
    sys::XdpMode,
};

/// A generation that was just put in force.
#[derive(Debug)]
pub(super) struct InForce {
    /// Where the program runs on each interface of the configuration.
    pub(super) modes: BTreeMap<String, XdpMode>,
    /// Interfaces that the program was put on.
    pub(super) attached: Vec<String>,
    /// Interfaces that it was taken off.
    pub(super) removed: Vec<String>,
    /// The memory of the tables; that it is not known keeps nothing from being in force.
    pub(super) memory: Result<Memory, Error>,
    /// Whether answers that fail to leave are counted; the gate does its work without.
    pub(super) unsent: Result<(), UnsentError>,
}

/// Loads the program, and puts the generation in force; where that fails before the store, nothing of it is left.
pub(super) fn start(
    pins: &Pins,
    order: Order<'_>,
    ready: &Ready,
) -> Result<(Gate, InForce), Error> {
    let fresh = ready.before.fresh;
    if fresh && pins.exist() {
        // What an earlier start that was cut short left behind: nothing of it is in force.
        pins.remove_all_but_root()?;
    }
    match load_and_flip(pins, order, ready) {
        // Nothing of this start is to stay.
        Err(error) if fresh => Err(error.after(pins.remove_all_but_root())),
        result => result,
    }
}

/// Puts the generation in force under the program that this process runs. Only where its maps are not those that are
/// pinned, because somebody removed pins, it is loaded again.
pub(super) fn again(
    pins: &Pins,
    order: Order<'_>,
    ready: &Ready,
    gate: &mut Gate,
) -> Result<InForce, Error> {
    if !ready.before.fresh && gate.is_pinned(pins) {
        return flip(pins, order, ready, gate);
    }
    let (loaded, in_force) = start(pins, order, ready)?;
    *gate = loaded;
    Ok(in_force)
}

fn load_and_flip(pins: &Pins, order: Order<'_>, ready: &Ready) -> Result<(Gate, InForce), Error> {
    // Told to end while it read data: loading takes as long again.
    if (order.cancelled)() {
        return Err(Error::Cancelled);
    }
    pins.create()?;
    let mut gate = Gate::pinned(order.object, pins)?;
    gate.maps.set_wall_offset(wall_offset()?)?;
    let in_force = flip(pins, order, ready, &mut gate)?;
    sweep(&gate.maps)?;
    Ok((gate, in_force))
}

/// Puts the generation in force under a program that is loaded.
fn flip(pins: &Pins, order: Order<'_>, ready: &Ready, gate: &mut Gate) -> Result<InForce, Error> {
    let index = |name: &str| {
        ready
            .targets
            .iter()
            .find(|target| target.name() == name)
            .map(Target::index)
    };
    let number = |it: &Manifest| pins.generation(it.number);
    let directory = ready.before.manifest.as_ref().map(number);
    let loaded = ready.before.manifest.as_ref().zip(directory.as_deref());
    let loaded = loaded.map(|(manifest, directory)| Loaded {
        directory,
        manifest,
    });
    let places = Places::now(pins)?;
    let prepared = gate.maps.prepare(&ready.loaded.plan, &index, loaded)?;
    let mut flip = Flip {
        gate,
        prepared: &prepared,
        pins,
        ready,
        attached: Vec::new(),
        memory: Ok(Memory::default()),
        unsent: Ok(()),
    };
    let result = if (order.cancelled)() {
        Err(Error::Cancelled)
    } else {
        flip.run()
    };
    let Flip {
        attached,
        memory,
        unsent,
        ..
    } = flip;
    match result {
        Ok(removed) => Ok(InForce {
            modes: attach::modes(&ready.targets, &list_devices()?)?,
            attached,
            removed,
            memory,
            unsent,
        }),
        Err(error) => Err(error.after(take_back(gate, &prepared, &attached, &places, pins))),
    }
}

/// The steps around the store, and what they have done so far.
struct Flip<'a> {
    gate: &'a mut Gate,
    prepared: &'a Prepared,
    pins: &'a Pins,
    ready: &'a Ready,
    attached: Vec<String>,
    memory: Result<Memory, Error>,
    unsent: Result<(), UnsentError>,
}

impl Flip<'_> {
    /// Takes them; returns the interfaces that the gate was taken off.
    fn run(&mut self) -> Result<Vec<String>, Error> {
        let Self { pins, ready, .. } = *self;
        let directory = pins.create_generation(self.prepared.number())?;
        self.prepared.pin(&directory)?;
        let before = pins.generation(ready.before.word.number());
        self.memory = memory::of_generations(&[&before]).and_then(|bytes| {
            Ok(Memory {
                before: bytes,
                after: memory::of_generations(&[&directory])?,
                both: memory::of_generations(&[&before, &directory])?,
            })
        });
        attach::arrange(&ready.targets, pins)?;
        if ready.before.fresh {
            self.activate()?;
            self.count_unsent();
        }
        for target in ready.targets.iter().filter(|target| !target.linked()) {
            attach::attach(self.gate.program()?, target, pins)?;
            self.attached.push(target.name().to_owned());
        }
        if !ready.before.fresh {
            self.activate()?;
        }
        for target in ready.targets.iter().filter(|target| target.linked()) {
            attach::attach(self.gate.program()?, target, pins)?;
        }
        self.repin_program()?;
        let removed = attach::detach_others(&ready.targets, &list_devices()?, pins)?;
        if !ready.before.fresh {
            self.count_unsent();
        }
        Ok(removed)
    }

    fn count_unsent(&mut self) {
        self.unsent = attach::count_unsent(self.gate, &self.ready.targets, self.pins);
    }

    fn activate(&self) -> Result<(), Error> {
        let number = self.prepared.number();
        self.gate.maps.activate(self.prepared)?;
        self.pins.set_current(number)?;
        self.pins.remove_other_generations(number)?;
        Ok(())
    }

    fn repin_program(&mut self) -> Result<(), Error> {
        let path = self.pins.program();
        self.pins.remove(&path)?;
        self.gate.program()?.pin(&path).map_err(|error| {
            Error::Kernel(kernel::KernelError::Program(Box::new(
                ProgramError::IOError(std::io::Error::other(error)),
            )))
        })
    }
}

/// Undoes what was done for a generation that is not in force.
fn take_back(
    gate: &Gate,
    prepared: &Prepared,
    attached: &[String],
    places: &Places,
    pins: &Pins,
) -> Result<(), Error> {
    if gate.maps.discard(prepared)? {
        for name in attached {
            pins.remove(&pins.link(name))?;
        }
        places.restore(pins)?;
        pins.remove_generation(prepared.number())?;
    }
    Ok(())
}
