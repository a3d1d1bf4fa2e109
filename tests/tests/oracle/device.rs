//! The gate's program, in the kernel, held against its decision in this process.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use jiff::Timestamp;

use crate::{
    census::Census,
    host::{Host, hex},
    kernel::{Action, Change, Device, LOOPBACK, SHORTEST, Tally},
    packets::{self, Frame},
    random::Random,
    rules::{Fate, Side},
    world::{self, TIMES, World},
};

/// How many configurations there are, and how many times the share of each side there are packets at each time.
const WORLDS: u64 = 12;
const SHARES: usize = 51;

/// The two do the same with every packet, and count the same for every batch of them.
pub(crate) fn agrees(seed: u64) -> Result<()> {
    let mut census = Census::default();
    let mut packets = 0;
    for number in 0..WORLDS {
        // Not the worlds of the other trial.
        let mut random = Random::new(seed, 1_000_000 + number);
        let world = World::new(number, &mut random)?;
        // A program of its own: the map of sources has room for those of some worlds.
        let mut device = Device::load(&world::countries())?;
        for side in Side::ALL {
            device.put_in_force(&world.plan, &|name| Some(index_of(name, side)))?;
            for now in TIMES {
                let batch = Batch::new(&world, &mut random, side, now)?;
                batch.check(&device).map_err(|error| {
                    error.context(format!("world {number}, {side:?} side, at {now}"))
                })?;
                for (frame, fate) in &batch.frames {
                    census.take(frame.kind, frame.edit, fate);
                    packets += 1;
                }
            }
        }
    }
    ensure!(packets >= 100_000, "only {packets} packets");
    census.finish(packets)
}

/// The interface that frames come in by is the one on `side`; others have indices of their own.
fn index_of(name: &str, side: Side) -> u32 {
    match (name, side) {
        ("access", Side::Access) | ("uplink", Side::Uplink) => LOOPBACK,
        ("access", _) => LOOPBACK + 1000,
        _ => LOOPBACK + 1001,
    }
}

/// Packets on one side at one time, and what the gate in this process says to each.
struct Batch {
    now: i64,
    frames: Vec<(Frame, Fate)>,
}

impl Batch {
    fn new(world: &World, random: &mut Random, side: Side, now: i64) -> Result<Self> {
        let host = Host::new(world);
        let packets = SHARES * side.share();
        let mut frames = Vec::with_capacity(packets);
        while frames.len() < packets {
            let frame = packets::next(world, random);
            if frame.bytes.len() >= SHORTEST {
                let fate = host.fate(&frame, side, now)?;
                frames.push((frame, fate));
            }
        }
        Ok(Self { now, frames })
    }

    fn check(&self, device: &Device) -> Result<()> {
        device.set_time(Timestamp::from_second(self.now)?)?;
        device.gate.maps.sweep_flows(u64::MAX)?;
        let before = device.tally()?;
        for (frame, fate) in &self.frames {
            let action = device.run(&frame.bytes)?;
            ensure!(
                (action == Action::Drop) == fate.dropped,
                "{}\n  the kernel says {action}, this process {fate:#?}",
                describe(frame)
            );
        }
        let counted = device.tally()?.since(&before);
        let expected = changes(self.frames.iter().map(|(_, fate)| fate));
        if counted == expected {
            return Ok(());
        }
        self.find(device)?;
        bail!(
            "no packet by itself, but all together were counted as\n{counted}  and not as\n{expected}"
        );
    }

    /// The first packet that is counted differently.
    fn find(&self, device: &Device) -> Result<()> {
        for (frame, fate) in &self.frames {
            device.gate.maps.sweep_flows(u64::MAX)?;
            let before = device.tally()?;
            device.run(&frame.bytes)?;
            let counted = device.tally()?.since(&before);
            let expected = changes([fate]);
            ensure!(
                counted == expected,
                "{}\n  the kernel counted\n{counted}  and not\n{expected}",
                describe(frame)
            );
        }
        Ok(())
    }
}

/// What packets change together. A connection has one tag however often it is opened.
fn changes<'f>(fates: impl IntoIterator<Item = &'f Fate>) -> Change {
    let mut tally = Tally::default();
    let mut tags = BTreeSet::new();
    for line in fates.into_iter().flat_map(|fate| &fate.lines) {
        if !line.starts_with("tag ") || tags.insert(line) {
            tally.count(line);
        }
    }
    tally.into()
}

fn describe(frame: &Frame) -> String {
    format!("{}, edit {}: {}", frame.kind, frame.edit, hex(&frame.bytes))
}
