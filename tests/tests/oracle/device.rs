//! The gate's program, in the kernel, held against its decision in this process.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use bytemuck::Zeroable;
use gate_common::abi::{BUCKET_SETS, BucketSet, FlowKey, FlowTag, SOURCE_SETS, SourceSet, maps};
use gate_user::sys::Map;

use crate::{
    census::Census,
    host::{Host, Judgement, hex},
    kernel::{Action, Change, Device, LOOPBACK, SHORTEST, Tally},
    packets::{Frame, Packets},
    random::Random,
    rules::Side,
    world::{self, TIMES, World},
};

/// How many configurations there are.
const WORLDS: u64 = 12;
/// How many packets there are at least.
const PACKETS: u64 = 1_000_000;
/// How many packets are counted together.
const BATCH: usize = 500;

/// What comes of answers, and what buckets say. That there is no room for an answer is rare.
const ANSWERS: [&str; 16] = [
    "answer reset",
    "answer prohibited",
    "answer source_limit",
    "answer total_limit",
    "answer encapsulated",
    "answer fragment",
    "answer shape",
    "answer was_reset",
    "answer group",
    "answer unlisted",
    "answer stripped",
    "bucket throttle within",
    "bucket throttle over",
    "bucket answer within",
    "bucket answer over",
    "bucket answer_total over",
];

/// The two do the same with every packet, answer it alike, and count the same for every batch of them.
pub(crate) fn agrees(seed: u64) -> Result<()> {
    let mut census = Census::default();
    let mut packets = 0;
    for number in 0..WORLDS {
        // Not the worlds of the other trial.
        let mut random = Random::new(seed, 1_000_000 + number);
        let world = World::new(number, &mut random)?;
        // A program of its own for each, so that no counter has a number of another's.
        let mut kernel = Kernel::load()?;
        kernel
            .device
            .gate
            .maps
            .set_bypass_until(world.bypass_until_ns())?;
        for side in Side::ALL {
            let index = |name: &str| Some(index_of(name, side));
            kernel.device.put_in_force(&world.plan, &index)?;
            for now in TIMES {
                let share = side.share() as u64 * PACKETS;
                let end = packets + share / (50 * WORLDS * TIMES.len() as u64) + 1;
                while packets < end {
                    let batch = Batch::new(&world, &mut random, side, now)?;
                    batch
                        .check(&kernel)
                        .with_context(|| format!("world {number}, {side:?} side, at {now}"))?;
                    for (frame, judgement) in &batch.frames {
                        census.take(frame, &judgement.fate);
                        for line in &judgement.limits {
                            census.count(line);
                        }
                    }
                    packets += batch.frames.len() as u64;
                }
            }
        }
    }
    ensure!(packets >= PACKETS, "only {packets} packets");
    census.finish(packets, &ANSWERS)
}

/// The interface that frames come in by is the one on `side`; others have indices of their own.
fn index_of(name: &str, side: Side) -> u32 {
    match (name, side) {
        ("access", Side::Access) | ("uplink", Side::Uplink) => LOOPBACK,
        ("access", _) => LOOPBACK + 1000,
        _ => LOOPBACK + 1001,
    }
}

/// The program, and its maps that forget.
struct Kernel {
    device: Device,
    sources: Map,
    flows: Map,
    buckets: Map,
    total_bucket: Map,
}

impl Kernel {
    fn load() -> Result<Self> {
        let device = Device::load(&world::countries())?;
        Ok(Self {
            sources: device.map(maps::SOURCES)?,
            flows: device.map(maps::FLOWS)?,
            buckets: device.map(maps::BUCKETS)?,
            total_bucket: device.map(maps::TOTAL_BUCKET)?,
            device,
        })
    }

    /// As if no packet had come yet, but for the counters.
    fn forget(&self) -> Result<()> {
        let sources: SourceSet = Zeroable::zeroed();
        self.sources.fill(&vec![sources; SOURCE_SETS as usize])?;
        for key in self.flows.entries::<FlowKey, FlowTag>()?.keys() {
            self.flows.delete(key)?;
        }
        let buckets: BucketSet = Zeroable::zeroed();
        self.buckets.fill(&vec![buckets; BUCKET_SETS as usize])?;
        Ok(self.total_bucket.update(&0u32, &0u64)?)
    }
}

/// Packets on one side at one time, and what the gate in this process says to each.
struct Batch {
    now_ns: u64,
    frames: Vec<(Frame, Judgement)>,
}

impl Batch {
    fn new(world: &World, random: &mut Random, side: Side, now: i64) -> Result<Self> {
        let host = Host::new(world);
        let now_ns = u64::try_from(now)? * 1_000_000_000;
        let mut packets = Packets::default();
        let mut frames = Vec::with_capacity(BATCH);
        while frames.len() < BATCH {
            let frame = packets.next(world, random);
            if frame.bytes.len() >= SHORTEST {
                let judgement = host.judge(&frame, side, now_ns);
                frames.push((frame, judgement));
            }
        }
        Ok(Self { now_ns, frames })
    }

    fn check(&self, kernel: &Kernel) -> Result<()> {
        kernel.device.gate.maps.set_now(self.now_ns)?;
        if counted(&self.frames, kernel)?.is_none() {
            return Ok(());
        }
        // The shortest beginning that is counted differently ends in the packet that is to blame.
        let (mut alike, mut different) = (0, self.frames.len());
        while different - alike > 1 {
            let half = alike.midpoint(different);
            let beginning = self.frames.get(..half).unwrap_or_default();
            if counted(beginning, kernel)?.is_none() {
                alike = half;
            } else {
                different = half;
            }
        }
        let beginning = self.frames.get(..different).unwrap_or_default();
        match (beginning, counted(beginning, kernel)?) {
            ([.., (frame, _)], Some((counted, expected))) => bail!(
                "{}\n  with {alike} packets before it the kernel counted\n{counted}  and not\n{expected}",
                describe(frame)
            ),
            _ => bail!("the kernel counted differently once, and not again"),
        }
    }
}

/// Runs the frames; what was counted and what should have been, if that differs.
fn counted(frames: &[(Frame, Judgement)], kernel: &Kernel) -> Result<Option<(Change, Change)>> {
    kernel.forget()?;
    let before = kernel.device.tally()?;
    for (frame, judgement) in frames {
        run(frame, judgement, &kernel.device).with_context(|| describe(frame))?;
    }
    let counted = kernel.device.tally()?.since(&before);
    let expected = changes(frames.iter().map(|(_, judgement)| judgement));
    Ok((counted != expected).then_some((counted, expected)))
}

fn run(frame: &Frame, judgement: &Judgement, device: &Device) -> Result<()> {
    let Some(answer) = &judgement.answer else {
        let action = device.run(&frame.bytes)?;
        let expected = if judgement.fate.dropped {
            Action::Drop
        } else {
            Action::Pass
        };
        ensure!(
            action == expected,
            "the kernel says {action}, this process {:#?}",
            judgement.fate
        );
        return Ok(());
    };
    let room = frame.bytes.len().max(answer.len()) + SHORTEST;
    let (action, sent) = device.run_and_read(&frame.bytes, room)?;
    ensure!(
        action == Action::Answer && sent == *answer,
        "the kernel says {action}: {}\n  this process answers {}",
        hex(&sent),
        hex(answer)
    );
    Ok(())
}

/// What packets change together. A connection has one tag however often it is opened, and the last one to set its flags does.
fn changes<'f>(judgements: impl IntoIterator<Item = &'f Judgement>) -> Change {
    let mut tally = Tally::default();
    let mut tags = BTreeMap::new();
    let lines = |it: &'f Judgement| it.fate.lines.iter().chain(&it.limits);
    for line in judgements.into_iter().flat_map(lines) {
        match line.rsplit_once(' ') {
            Some((connection, _)) if line.starts_with("tag ") => {
                tags.insert(connection, line);
            }
            _ => tally.count(line),
        }
    }
    for line in tags.into_values() {
        tally.count(line);
    }
    tally.into()
}

fn describe(frame: &Frame) -> String {
    format!("{}, edit {}: {}", frame.kind, frame.edit, hex(&frame.bytes))
}
