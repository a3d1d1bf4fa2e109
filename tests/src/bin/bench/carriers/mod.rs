//! What each carrier of the tag costs a packet: gates that differ in nothing but the carrier, on the same packet.

mod case;
mod proof;
mod setup;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::OwnedFd,
    time::Duration,
};

use anyhow::{Context as _, Result};
use gate_tests::{
    gate::{self, GATE_BIN, GATE_MMDB},
    lab::{Database, Lab, NetNs},
    pin, test_run,
};

use self::{
    case::{CASES, Case, Packet, Program},
    setup::{Setup, World},
};
use crate::{
    costs::{self, Compared, Costs, EMPTY},
    object,
    repeat::{self, PARTS, Place, TIMES},
    shapes::frame::PASS,
    suite::{Rounds, RuleSet, Section, Setting, Suite, progress},
};

/// The suite.
pub(crate) const SUITE: Suite = Suite { name: NAME, run };

const NAME: &str = "carriers";
/// The wire of the programs that do nothing.
const WIRE: [&str; 2] = ["floor", "beyond"];
/// `TC_ACT_UNSPEC`, as the kernel reports it: the packet is handed on.
const HANDED_ON: u32 = u32::MAX;

fn run(setting: &Setting) -> Result<Section> {
    let rounds = Rounds {
        most: setting.either(7, 3),
        patience: Duration::from_mins(2),
    };
    let cases = || CASES.iter().filter(|it| setting.wants(it.name));
    let setups: BTreeSet<Setup> = cases()
        .flat_map(|it| it.subjects)
        .map(|(setup, _)| *setup)
        .collect();
    let program = gate::path_from(GATE_BIN)?;
    let database = Database::open(&gate::path_from(GATE_MMDB)?)?;
    let mut labs = BTreeMap::new();
    for setup in &setups {
        labs.insert(*setup, Lab::new(&database)?);
    }
    let mut worlds = BTreeMap::new();
    for (setup, lab) in &labs {
        progress(&format!("starting the gate: {}", setup.name()));
        let opening = Packet::Opens.frame(lab)?;
        let world = World::start(&program, lab, &database, *setup, &opening);
        worlds.insert(*setup, world.with_context(|| setup.name())?);
    }
    let netns = repeat::wire(WIRE)?;
    let mut costs = Vec::new();
    for case in cases() {
        progress(case.name);
        let measured = measure(case, &labs, &worlds, &netns, rounds);
        costs.push(measured.with_context(|| case.name)?);
    }
    Ok(Section {
        title: "Cost of each carrier of the tag",
        method: method(rounds.most),
        figures: costs.iter().flat_map(Costs::figures).collect(),
        plots: vec![costs::plot(
            NAME,
            "Cost of each carrier of the tag, the loop included",
            costs.iter(),
        )],
        rule_sets: rule_sets(&worlds)?,
        absent: costs.iter().filter_map(Costs::left_out).collect(),
        ..Section::default()
    })
}

/// Every subject of a case on its packet.
fn measure(
    case: &Case,
    labs: &BTreeMap<Setup, Lab>,
    worlds: &BTreeMap<Setup, World<'_>>,
    netns: &NetNs,
    rounds: Rounds,
) -> Result<Costs> {
    let Case {
        name,
        packet,
        program,
        subjects,
    } = case;
    let (baseline, _) = subjects.first().context("no subjects")?;
    let lab = labs.get(baseline).context("no lab")?;
    let frame = packet.frame(lab)?;
    let [interface, _] = WIRE;
    let (floor, _link) = repeat::floor(netns, interface)?;
    // A program of the benchmark finds the next one in a map of its object, which has to live as long.
    let mut objects = Vec::new();
    let mut again = |next: OwnedFd| {
        let mut object = object::load()?;
        let program = repeat::restoring(&mut object, &frame, &next)?;
        objects.push(object);
        anyhow::Ok(program)
    };
    let mut gates = Vec::new();
    for (setup, treated) in *subjects {
        let world = worlds.get(setup).context("no such gate runs")?;
        let program = match program {
            Program::Alone => world.program()?,
            Program::Again => again(world.program()?)?,
            Program::Marker => world.marker()?,
        };
        gates.push((setup.name(), world, *treated, program));
    }
    let floor = match program {
        Program::Alone => floor,
        Program::Again => again(object::program(&mut object::load()?, "frame_pass")?)?,
        Program::Marker => pin::handing_on_program()?,
    };
    let (repeat, answer): (repeat::Repeat, u32) = match program {
        Program::Alone | Program::Again => (test_run::repeat, PASS),
        Program::Marker => (test_run::repeat_tc, HANDED_ON),
    };
    let empty = Place {
        netns,
        interface,
        program: &floor,
        repeat,
    };
    let mut places = vec![(EMPTY, empty, answer)];
    for (name, world, _, program) in &gates {
        let place = Place {
            repeat,
            ..world.place(program)
        };
        places.push((name, place, answer));
    }
    let counters = || -> Result<Vec<_>> { gates.iter().map(|it| it.1.counters()).collect() };
    let before = counters()?;
    let (of, packets) = repeat::measure(&frame, &places, rounds)?;
    let after = counters()?;
    for ((subject, _, treated, _), (before, after)) in gates.iter().zip(before.iter().zip(&after)) {
        let proof = treated.check(before, after, packets);
        proof.with_context(|| (*subject).to_owned())?;
    }
    Ok(Costs {
        suite: NAME,
        case: name,
        compared: Compared::Baseline(baseline.name()),
        of,
    })
}

/// The configuration that all have, and what each adds.
fn rule_sets(worlds: &BTreeMap<Setup, World<'_>>) -> Result<Vec<RuleSet>> {
    let mut rule_sets = Vec::new();
    for (setup, world) in worlds {
        rule_sets.push(if *setup == Setup::FlowMap {
            RuleSet {
                subject: setup.name().to_owned(),
                text: world.text()?,
            }
        } else {
            setup.rule_set()
        });
    }
    Ok(rule_sets)
}

fn method(rounds: u32) -> Vec<String> {
    vec![
        format!(
            "`BPF_PROG_TEST_RUN` of programs that a daemon has attached, on their live maps: up to {rounds} rounds of {PARTS} times {TIMES} \
             runs, as in the suite of shapes. Each subject is a gate of its own, with one configuration but for the keys of the carrier; all of a case take turns on the same packet. Ratios are to \
             the first, which has no carrier but what every tag is written to, the flow map. The counters of each gate have to say that \
             every packet was tagged, was over its limit or not, and showed its tag in the way that is measured, and that no packet did otherwise."
        ),
        "`opens` is a SYN to port 587 without options, `later` an ACK of the same connection, `unrelated` an ACK to port 443. All come with a DSCP (EF) that no class \
         has, so that whoever writes or bleaches one changes the packet. `limit, within` has a million connections a second, so that none is over; `limit, over` one a day. \
         `DSCP, all` and `bleach` are the program `gate_every`, the others `gate`."
            .to_owned(),
        format!(
            "Before each run of `opens` and `later`, a program of the benchmark makes the packet again, takes away the metadata before it, and goes on in the gate's by a tail call: else a DSCP \
             would be written once, and metadata would have no room the third time. What that takes is in the floor (`{EMPTY}`), but for what the gate waits until it can read what was just written; that is alike \
             for all subjects of a case."
        ),
        "`tc` is the program of traffic control alone, `gate_mark`, on a socket buffer, over one that only hands packets on. `BPF_PROG_TEST_RUN` gives socket buffers no metadata: what is \
         measured is a packet that has none. With `mark` that ends there, which every packet but the first of a connection meets at an uplink. With `mark, no metadata` the same gate has \
         met a packet without room for metadata before: it glances at each packet, and looks those up that open a connection. What `gate_mark` takes where it finds metadata is not measured."
            .to_owned(),
    ]
}
