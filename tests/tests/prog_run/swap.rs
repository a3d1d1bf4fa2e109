//! Several look-ups of one packet while its tables change: class by prefix, country, and what both numbers mean.
//!
//! Packets run one after another beside the changes, and the tag of each is read before the next one runs.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::Xdp;
use gate_common::{
    Addr, Country,
    abi::{FlowKey, FlowTag, List, maps},
};
use gate_tests::{
    interrupt,
    packets::{self, Ethernet, V4, V6, flag},
};
use gate_user::{generation::Manifest, sys::Map};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::Configuration::{self, FlipFar, FlipNear},
    kernel::{Action, Device, LOOPBACK, run},
};

/// How often the generation changes.
const FLIPS: u32 = 40;
/// How many packets have to run between two changes.
const MEET: u64 = 8;
/// The longest that they may take.
const LIMIT: Duration = Duration::from_mins(1);

/// All trials.
pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial("swap: every tag is of one generation", flips),
        bench.trial("swap: a table of another generation would show", mixed),
    ]
}

/// The interface that frames come in by.
fn uplink(name: &str) -> Option<u32> {
    (name == "uplink").then_some(LOOPBACK)
}

/// Class and country that a configuration gives to every submission, as its generation has them.
fn says(configuration: Configuration, manifest: &Manifest) -> Result<(u8, u16)> {
    let (name, code) = if configuration == FlipNear {
        ("near", "JP")
    } else {
        ("far", "US")
    };
    let class = manifest.classes.iter().position(|class| class.name == name);
    let country = Country::from_code(code).context("no country")?;
    Ok((u8::try_from(class.context("no class")?)?, country.number()))
}

/// What tags said: generation, class, country.
type Tags = BTreeMap<(u32, u8, u16), u64>;

/// Submissions from four addresses, again and again: by prefix and by country, of either family.
struct Stream {
    frames: Vec<(Vec<u8>, FlowKey)>,
    flows: Map,
    packets: AtomicU64,
    stop: AtomicBool,
}

impl Stream {
    fn new(state: &State) -> Result<Self> {
        let segment = packets::tcp(40_000, 587, flag::SYN);
        let v4 = |host: u8| {
            let ends = [[198, 51, 100, host], [192, 0, 2, 1]].map(std::net::Ipv4Addr::from);
            let packet = V4::new(ends[0], ends[1]).tcp(&segment);
            (packet, ends.map(Addr::from))
        };
        let v6 = |subnet: u16| {
            let ends = [
                [0x2001, 0xdb8, 0x8000, subnet, 0, 0, 0, 7],
                [0x2001, 0xdb8, 0x587, 0, 0, 0, 0, 1],
            ]
            .map(std::net::Ipv6Addr::from);
            let packet = V6::new(ends[0], ends[1]).tcp(&segment);
            (packet, ends.map(Addr::from))
        };
        let frame = |(packet, [src, dst]): (packets::Packet, [Addr; 2])| {
            let key = FlowKey {
                src,
                dst,
                sport: 40_000,
                dport: 587,
                protocol: packets::protocol::TCP,
                reserved: 0,
                spare: 0,
            };
            (Ethernet::new().carry(&packet), key)
        };
        Ok(Self {
            frames: [v4(7), v6(0), v4(71), v6(1)].map(frame).into(),
            flows: state.device.map(maps::FLOWS)?,
            packets: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        })
    }

    /// Runs until told to stop; what the tags said.
    fn run(&self, program: &Xdp) -> Result<Tags> {
        let mut tags = Tags::new();
        for (frame, key) in self.frames.iter().cycle() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            ensure!(
                run(program, frame)? == Action::Pass,
                "a submission was refused"
            );
            let tag: Option<FlowTag> = self.flows.lookup(key)?;
            // The next packet of this connection has to get one of its own.
            self.flows.delete(key)?;
            let FlowTag {
                time_ns: _,
                generation,
                country,
                class,
                flags: _,
            } = tag.context("a submission without a tag")?;
            *tags.entry((generation, class, country)).or_default() += 1;
            self.packets.fetch_add(1, Ordering::Relaxed);
        }
        Ok(tags)
    }

    /// Waits until some more packets ran, of each kind.
    fn meet(&self) -> Result<()> {
        let end = self.packets.load(Ordering::Relaxed) + MEET;
        let mut met = false;
        interrupt::wait_until(LIMIT, || {
            met = self.packets.load(Ordering::Relaxed) >= end;
            met || self.stop.load(Ordering::Relaxed)
        })?;
        ensure!(met, "no packets run");
        Ok(())
    }

    /// Runs while `happens` does.
    fn beside(&self, program: &Xdp, happens: impl FnOnce() -> Result<()>) -> Result<Tags> {
        self.stop.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            let running = scope.spawn(|| {
                let tags = self.run(program);
                // Nobody has to wait for packets that do not come.
                self.stop.store(true, Ordering::Relaxed);
                tags
            });
            let happened = happens();
            self.stop.store(true, Ordering::Relaxed);
            let tags = running
                .join()
                .ok()
                .context("the stream of packets panicked")??;
            happened.map(|()| tags)
        })
    }
}

fn flips(state: &mut State) -> Result<()> {
    state.forget();
    let first = FlipNear.plan(None)?;
    // Made once: each of the following has the counters of the one before, and the next number.
    let far = FlipFar.plan(Some(&first.manifest))?;
    let near = FlipNear.plan(Some(&far.manifest))?;
    let mut generations = BTreeMap::from([(1, says(FlipNear, &first.manifest)?)]);
    state.device.put_in_force(&first, &uplink)?;
    let stream = Stream::new(state)?;
    let program = state.device.program_again()?;
    let tags = stream.beside(&program, || {
        for flip in 0..FLIPS {
            stream.meet()?;
            // Each twice, so that what was in a slot before is never what comes into it.
            let (to, plan) = if flip / 2 % 2 == 0 {
                (FlipFar, &far)
            } else {
                (FlipNear, &near)
            };
            let mut plan = plan.clone();
            plan.manifest.number = 2 + flip;
            generations.insert(plan.manifest.number, says(to, &plan.manifest)?);
            state.device.put_in_force(&plan, &uplink)?;
        }
        stream.meet()
    })?;
    for (generation, class, country) in tags.keys() {
        ensure!(
            generations.get(generation) == Some(&(*class, *country)),
            "generation {generation} says {:?}, tags: {tags:?}",
            generations.get(generation)
        );
    }
    // One that met no packets proves nothing.
    let met = tags
        .keys()
        .filter(|(generation, ..)| *generation > 1)
        .count();
    ensure!(
        generations.len() == 1 + FLIPS as usize && met == FLIPS as usize,
        "{met} of {FLIPS} generations met packets: {tags:?}"
    );
    Ok(())
}

/// The control of [`flips`]: a table of the generation that waits in its slot, put where packets look things up.
fn mixed(state: &mut State) -> Result<()> {
    state.forget();
    let first = FlipNear.plan(None)?;
    let right = says(FlipNear, &first.manifest)?;
    state.device.put_in_force(&first, &uplink)?;
    let stream = Stream::new(state)?;
    let program = state.device.program_again()?;
    let gate = &state.device.gate.maps;
    let slot = gate.generation()?.slot();
    let plan = FlipFar.plan(state.device.manifest())?;
    let prepared = gate.prepare(&plan, &uplink, None)?;
    let other = u32::from(slot == 0);
    let parts: [(&str, &[&str], Option<List>); 3] = [
        ("settings", &[maps::SETTINGS], None),
        ("classes", &[maps::ROOTS, maps::NODES], Some(List::Classes)),
        (
            "countries",
            &[maps::ROOTS, maps::NODES],
            Some(List::Countries),
        ),
    ];
    for (name, outers, list) in parts {
        let place = |slot: u32| list.map_or(slot, |list| list.place(slot));
        let mut own = Vec::new();
        for outer in outers {
            let outer = state.device.map(outer)?;
            let mine = Device::inner(&outer, place(slot))?;
            let foreign = Device::inner(&outer, place(other))?;
            own.push((outer, mine, foreign));
        }
        let tags = stream.beside(&program, || {
            stream.meet()?;
            for (outer, _, foreign) in &own {
                outer.update_inner(place(slot), foreign)?;
            }
            stream.meet()?;
            for (outer, mine, _) in &own {
                outer.update_inner(place(slot), mine)?;
            }
            stream.meet()
        })?;
        let wrong = tags
            .keys()
            .any(|(_, class, country)| (*class, *country) != right);
        ensure!(wrong, "{name} of another generation do not show: {tags:?}");
    }
    let tags = stream.beside(&program, || stream.meet())?;
    ensure!(
        tags.keys()
            .all(|(_, class, country)| (*class, *country) == right),
        "not as it was: {tags:?}"
    );
    ensure!(
        gate.discard(&prepared)?,
        "the prepared generation is in force"
    );
    Ok(())
}
