//! Putting a generation in force, in the order that keeps the gate from opening.
//!
//! The new generation goes into a slot that no packet looks at. On a first start it is put in force, then the program is
//! attached. On a gate that is in force the program is attached to new interfaces, then the generation is put in force by
//! one store, then the program is replaced in place on the others, those in other network namespaces among them, then links of
//! interfaces that the configuration names no more go. Before all that, pins of links get the names that their interfaces have now. Readers of tags are let at the new
//! generation before the store, and at everything else right after it.
//!
//! What fails before the store is taken back. What fails after it (replacing the program on one interface, looking at
//! the result) leaves the new generation in force, under the program that was there, and is reported.

use std::collections::BTreeMap;

use aya::programs::ProgramError;

use super::{Means, kernel, list_devices, ready::Ready, upkeep::sweep};
use crate::{
    attach::{self, MarkError, Places, Targets, UnsentError},
    bypass,
    change::Memory,
    chore::Chore,
    error::Error,
    kernel::{Gate, Loaded, Look, Prepared},
    memory, migrate,
    pins::{Pins, Readers},
    retention::{self, Sweeper},
    sys::XdpMode,
};

/// A generation that was just put in force.
#[derive(Debug)]
pub(super) struct InForce {
    /// Where the program runs on each interface of the configuration.
    pub(super) modes: BTreeMap<String, XdpMode>,
    /// Interfaces that the program could not be put on, and why.
    pub(super) blocked: BTreeMap<String, String>,
    /// Interfaces that the program was put on.
    pub(super) attached: Vec<String>,
    /// Interfaces that it was taken off.
    pub(super) removed: Vec<String>,
    /// The memory of the tables; that it is not known keeps nothing from being in force.
    pub(super) memory: Result<Memory, Error>,
    /// Whether answers that fail to leave are counted; the gate does its work without.
    pub(super) unsent: Result<(), UnsentError>,
    /// Whether the skb mark is set where classes have one; the gate judges without.
    pub(super) marks: Result<(), MarkError>,
    /// What was done about interfaces that the gate was on and judged nothing on.
    pub(super) mended: Vec<String>,
    /// Whether what is over of sources was deleted; the daemon tries it again, and the gate judges meanwhile.
    pub(super) unswept: Result<(), Error>,
    /// What could not be looked at or tidied up afterwards: it is in force, and nothing of this ends that.
    pub(super) untidy: Vec<String>,
}

impl InForce {
    /// What there is to say of it, none of which keeps the gate from judging.
    pub(super) fn warnings(&self) -> Vec<String> {
        let unsent = self.unsent.as_ref().err().map(UnsentError::warning);
        let marks = self.marks.as_ref().err().map(MarkError::warning);
        let unswept = self.unswept.as_ref().err();
        let unswept = unswept.map(|error| retention::unswept(&error.to_string()));
        let undone = [unsent, marks, unswept].into_iter().flatten();
        let untidy = self.untidy.iter().cloned();
        self.mended
            .iter()
            .cloned()
            .chain(undone)
            .chain(untidy)
            .collect()
    }
}

/// Loads the program, and puts the generation in force; where that fails before the store, nothing of it is left.
pub(super) fn start(
    pins: &Pins,
    means: Means<'_>,
    ready: &Ready,
) -> Result<(Gate, InForce), Error> {
    let fresh = ready.before.fresh;
    if fresh && pins.exist() {
        // What an earlier start that was cut short left behind: nothing of it is in force.
        take_down(pins)?;
    }
    match load_and_flip(pins, means, ready) {
        // Nothing of this start is to stay.
        Err(error) if fresh => Err(error.after(take_down(pins))),
        result => result,
    }
}

/// Removes everything that a start left, of which nothing is in force.
fn take_down(pins: &Pins) -> Result<(), Error> {
    attach::unmark(pins)?;
    Ok(pins.remove_all_but_root()?)
}

/// Puts the generation in force under the program that this process runs. Only where its maps are not those that are
/// pinned, because somebody removed pins, or where it has to look at other packets, it is loaded again.
pub(super) fn again(
    pins: &Pins,
    means: Means<'_>,
    ready: &Ready,
    gate: &mut Gate,
) -> Result<InForce, Error> {
    let look = Look::of(&ready.plan.settings);
    if !ready.before.fresh && gate.look() == look && gate.is_pinned(pins) {
        return flip(pins, means, ready, gate);
    }
    let (loaded, in_force) = start(pins, means, ready)?;
    *gate = loaded;
    Ok(in_force)
}

fn load_and_flip(pins: &Pins, means: Means<'_>, ready: &Ready) -> Result<(Gate, InForce), Error> {
    // Told to end while it read data: loading takes as long again.
    if (means.cancelled)() {
        return Err(Error::Cancelled);
    }
    pins.create()?;
    let look = Look::of(&ready.plan.settings);
    let mut gate = Gate::pinned(means.object, pins, look)?;
    migrate::leave(pins)?;
    gate.maps.inherit(&ready.before.inherited.words)?;
    bypass::set_clock(pins, &gate.maps)?;
    let mut in_force = flip(pins, means, ready, &mut gate)?;
    // The daemon tries it again.
    let unswept = sweep(&gate.maps).map_err(|error| Chore::Flows.undone(&error.to_string()));
    in_force.untidy.extend(unswept.err());
    Ok((gate, in_force))
}

/// Puts the generation in force under a program that is loaded.
fn flip(pins: &Pins, means: Means<'_>, ready: &Ready, gate: &mut Gate) -> Result<InForce, Error> {
    let index = |name: &str| ready.targets.index(name);
    let loaded = ready.shared.as_ref().map(|shared| Loaded {
        directory: &shared.directory,
        manifest: &shared.manifest,
    });
    let places = Places::now(pins)?;
    let prepared = gate.maps.prepare(&ready.plan, &index, loaded)?;
    let mut flip = Flip {
        gate,
        prepared: &prepared,
        pins,
        ready,
        attached: Vec::new(),
        blocked: BTreeMap::new(),
        memory: Ok(Memory::default()),
        unsent: Ok(()),
        marks: Ok(()),
        unswept: Ok(()),
    };
    let result = if (means.cancelled)() {
        Err(Error::Cancelled)
    } else {
        flip.run()
    };
    let Flip {
        attached,
        blocked,
        memory,
        unsent,
        marks,
        unswept,
        ..
    } = flip;
    match result {
        Ok(removed) => {
            let (off, removed): (Vec<_>, Vec<_>) = removed
                .into_iter()
                .partition(|it| ready.targets.blocked.contains_key(it));
            let on = ready.targets.found.iter();
            let on = on.filter(|it| !blocked.contains_key(it.name()));
            // That it cannot be asked takes nothing back; who has lost the program meanwhile shows in the status, as ever.
            let modes = list_devices().and_then(|devices| Ok(attach::modes(on, &devices)?));
            let (modes, untold) = match modes {
                Ok(modes) => (modes, None),
                Err(error) => (
                    BTreeMap::new(),
                    Some(format!("{error}; `gate status` asks again")),
                ),
            };
            Ok(InForce {
                mended: mended(&ready.targets, &off),
                modes,
                untidy: untold.into_iter().collect(),
                blocked,
                attached,
                removed,
                memory,
                unsent,
                marks,
                unswept,
            })
        }
        Err(error) => Err(error.after(take_back(gate, &prepared, &attached, &places, pins))),
    }
}

/// What was done about bonds that the gate was on in native mode: it is on them in another one now, or, on these, `off`; and about links that somebody
/// had put another program into.
fn mended(targets: &Targets, off: &[String]) -> Vec<String> {
    let was = |name: &str, now: &str| {
        format!(
            "{name}: the gate was on this bond in native mode, in which it judged nothing, and is taken off; {now}"
        )
    };
    let changed = targets.found.iter().filter(|it| it.was_blind());
    let changed = changed.map(|it| was(it.name(), "it is put on it in generic mode"));
    let off = off.iter().map(|name| was(name, "the bond stays open"));
    let replaced = targets.found.iter().filter(|it| it.was_replaced());
    let replaced = replaced.map(|it| {
        format!(
            "{}: somebody had put another program into the gate's link, and nothing was judged; the gate's is back",
            it.name()
        )
    });
    changed.chain(off).chain(replaced).collect()
}

/// The steps around the store, and what they have done so far.
struct Flip<'a> {
    gate: &'a mut Gate,
    prepared: &'a Prepared,
    pins: &'a Pins,
    ready: &'a Ready,
    attached: Vec<String>,
    blocked: BTreeMap<String, String>,
    memory: Result<Memory, Error>,
    unsent: Result<(), UnsentError>,
    marks: Result<(), MarkError>,
    unswept: Result<(), Error>,
}

impl Flip<'_> {
    /// Takes them; returns the interfaces that the gate was taken off.
    fn run(&mut self) -> Result<Vec<String>, Error> {
        let Self { pins, ready, .. } = *self;
        let directory = pins.create_generation(self.prepared.number())?;
        self.prepared.pin(&directory)?;
        ready.readers.admit(&directory)?;
        let before = pins.generation(ready.before.word.number());
        self.memory = memory::of_generations(&[&before]).and_then(|bytes| {
            Ok(Memory {
                before: bytes,
                after: memory::of_generations(&[&directory])?,
                both: memory::of_generations(&[&before, &directory])?,
            })
        });
        self.pin_program()?;
        attach::unblind(&ready.targets.found, pins)?;
        attach::arrange(&ready.targets.found, pins)?;
        if ready.before.fresh {
            self.activate()?;
            self.count_unsent();
        }
        for target in ready.targets.found.iter().filter(|target| !target.linked()) {
            match attach::attach(self.gate.program()?, target, pins) {
                Ok(()) => self.attached.push(target.name().to_owned()),
                Err(error) if ready.lenient => {
                    let name = target.name().to_owned();
                    self.blocked.insert(name, error.to_string());
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !ready.before.fresh {
            self.activate()?;
        }
        for target in ready.targets.found.iter().filter(|target| target.linked()) {
            attach::attach(self.gate.program()?, target, pins)?;
        }
        attach::replace_elsewhere(self.gate.program()?, &ready.targets, pins)?;
        pins.settle_program()?;
        let mut removed = Vec::new();
        if !ready.before.fresh {
            removed = attach::detach_others(&ready.targets, &list_devices()?, pins)?;
            self.count_unsent();
        }
        self.marks = attach::mark(
            self.gate,
            &ready.targets.found,
            &ready.plan.manifest.marked,
            pins,
        );
        // No packet is in the generation before any more: what this one does not keep does not come back.
        self.unswept = Sweeper::default().sweep(pins, &self.gate.maps).map(drop);
        Ok(removed)
    }

    fn count_unsent(&mut self) {
        self.unsent = attach::count_unsent(self.gate, &self.ready.targets.found, self.pins);
    }

    fn activate(&self) -> Result<(), Error> {
        let number = self.prepared.number();
        self.gate.maps.activate(self.prepared)?;
        self.pins.set_current(number)?;
        let previous = self.ready.plan.manifest.previous;
        // Who could read it may not be who can read the new one.
        if let Some(previous) = previous.map(|it| self.pins.generation(it)) {
            Readers::NOBODY.admit(&previous)?;
        }
        let keep: Vec<u32> = previous.into_iter().chain([number]).collect();
        self.pins.remove_other_generations(&keep)?;
        self.ready.readers.settle(self.pins)?;
        Ok(())
    }

    /// Pins the program before any link runs it: who looks at a link knows by that whose program it runs.
    fn pin_program(&mut self) -> Result<(), Error> {
        let path = self.pins.next_program();
        // What somebody left who was killed.
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
        pins.remove(&pins.next_program())?;
        pins.remove_generation(prepared.number())?;
    }
    Ok(())
}
