//! One generation after another, and while packets run.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use aya::programs::Xdp;
use gate_tests::packets::{self, Ethernet, V4, flag};
use gate_user::generation::Plan;
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::Configuration::{self, Enforce, FlipPass, FlipRefuse},
    kernel::{Action, Change, Device, LOOPBACK, Tally, run},
};

/// How often the generation changes under a stream of packets.
const FLIPS: usize = 40;

/// All trials.
pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial("generations: before the first the gate is open", |_| {
            before()
        }),
        bench.trial("generations: a prepared one changes nothing", prepared),
        bench.trial(
            "generations: the next takes over, counters go on by name",
            takes_over,
        ),
        bench.trial("generations: a tag names its own", tags),
        bench.trial("generations: tables of two would show", mixed),
        bench.trial("generations: a packet sees all of one", flips),
    ]
}

/// The SYN of a connection from one address to another.
fn syn(source: [u8; 4], destination: [u8; 4], port: u16) -> Vec<u8> {
    let segment = packets::tcp(40_000, port, flag::SYN);
    Ethernet::new().carry(&V4::new(source.into(), destination.into()).tcp(&segment))
}

/// To port 25, from the source that the two configurations disagree about.
fn disputed() -> Vec<u8> {
    syn([100, 64, 0, 2], [192, 0, 2, 1], 25)
}

/// The access interface is the one that frames come in by.
fn access(name: &str) -> Option<u32> {
    (name == "access").then_some(LOOPBACK)
}

fn change(lines: &[&str]) -> Change {
    let mut tally = Tally::default();
    for line in lines {
        tally.count(*line);
    }
    tally.into()
}

/// A program of its own, since the shared one has had a generation.
fn before() -> Result<()> {
    let device = Device::load(&[])?;
    let seen = |frame: &[u8]| -> Result<(Action, Change)> {
        let before = device.tally()?;
        let action = device.run(frame)?;
        Ok((action, device.tally()?.since(&before)))
    };
    let open = (Action::Pass, change(&["total passed no_generation"]));
    for port in [25, 587, 465] {
        let found = seen(&syn([100, 64, 0, 2], [192, 0, 2, 1], port))?;
        ensure!(
            found == open,
            "port {port}: {}, counted:\n{}",
            found.0,
            found.1
        );
    }
    let found = seen(&syn([100, 64, 0, 2], [192, 0, 2, 1], 443))?;
    ensure!(
        found == (Action::Pass, Change::default()),
        "port 443: {}",
        found.1
    );
    Ok(())
}

/// The generation after the one in force.
fn next(state: &State, configuration: Configuration) -> Result<Plan> {
    configuration.plan(state.device.manifest())
}

fn put(state: &mut State, plan: &Plan) -> Result<()> {
    state.forget();
    state.device.put_in_force(plan, &access)
}

fn prepared(state: &mut State) -> Result<()> {
    put(state, &FlipRefuse.plan(None)?)?;
    let plan = next(state, FlipPass)?;
    let maps = &state.device.gate.maps;
    let prepared = maps.prepare(&plan, &access, None)?;
    ensure!(
        state.device.run(&disputed())? == Action::Drop,
        "a prepared generation is in force"
    );
    state.device.gate.maps.discard(&prepared)?;
    ensure!(
        state.device.run(&disputed())? == Action::Drop,
        "discarding a generation opened the gate"
    );
    Ok(())
}

fn takes_over(state: &mut State) -> Result<()> {
    let bystander = [203, 0, 113, 9];
    put(state, &FlipRefuse.plan(None)?)?;
    for _ in 0..3 {
        ensure!(
            state.device.run(&disputed())? == Action::Drop,
            "the first generation does not refuse"
        );
    }
    state.device.run(&syn(bystander, [192, 0, 2, 1], 25))?;
    let first = state.device.tally()?;

    let plan = next(state, FlipPass)?;
    put(state, &plan)?;
    ensure!(
        state.device.run(&disputed())? == Action::Pass,
        "the second generation does not pass"
    );
    // In another prefix than before, and in the same pool.
    state.device.run(&syn([10, 0, 0, 1], [192, 0, 2, 1], 25))?;
    let second = state.device.tally()?;
    for (what, before, after) in [
        ("pool dynamic refused", 3, 0),
        ("pool bystander observed", 1, 2),
        ("prefix bystander 203.0.113.0/24 observed", 1, 0),
        ("prefix bystander 10.0.0.0/8 observed", 0, 1),
        ("pool fixed passed", 0, 1),
        ("interface access refused", 3, 3),
        ("interface access passed", 0, 1),
        ("interface access observed", 1, 2),
    ] {
        let found = (first.get(what), second.get(what));
        ensure!(
            found == (before, after),
            "{what}: {found:?}, should be {before}, {after}"
        );
    }

    let plan = next(state, FlipRefuse)?;
    put(state, &plan)?;
    let third = state.device.tally()?;
    // The pool was not there in between: its counter may have counted for another one.
    for (what, count) in [
        ("pool dynamic refused", 0),
        ("pool bystander observed", 2),
        ("interface access refused", 3),
    ] {
        ensure!(
            third.get(what) == count,
            "{what}: {}, should be {count}",
            third.get(what)
        );
    }
    ensure!(
        state.device.run(&disputed())? == Action::Drop,
        "the third generation does not refuse"
    );
    Ok(())
}

fn tags(state: &mut State) -> Result<()> {
    let uplink = |name: &str| (name == "uplink").then_some(LOOPBACK);
    let submission = syn([198, 51, 100, 7], [192, 0, 2, 1], 587);
    let tag = |class: &str| format!("tag 6 198.51.100.7 40000 192.0.2.1 587 {class} US 0");
    state.forget();
    state.device.gate.maps.sweep_flows(u64::MAX)?;
    let mut plan = Enforce.plan(None)?;
    for generation in 1..=3 {
        state.device.put_in_force(&plan, &uplink)?;
        let old = state.device.tally()?.get(&tag("of another generation"));
        ensure!(
            old == u64::from(generation > 1),
            "generation {generation} took over {old} tags"
        );
        state.device.run(&submission)?;
        let new = state.device.tally()?.get(&tag("foreign"));
        ensure!(new == 1, "generation {generation}: {new} tags of its own");
        plan = next(state, Enforce)?;
    }
    Ok(())
}

/// The control of [`flips`]: rules of one generation behind the prefixes of the other, in either combination, give neither's verdict.
fn mixed(state: &mut State) -> Result<()> {
    let (refuse, pass) = (FlipRefuse.plan(None)?, FlipPass.plan(None)?);
    // On the heap: two of them are large.
    let plans = vec![
        Plan {
            rules: pass.rules.clone(),
            ..refuse.clone()
        },
        Plan {
            rules: refuse.rules,
            ..pass
        },
    ];
    for plan in plans {
        put(state, &plan)?;
        let (_, change) = state.observe(&disputed())?;
        let totals = change.totals();
        ensure!(
            totals.get("total observed restricted") == Some(&1),
            "a mixture does not show: {totals:?}"
        );
    }
    Ok(())
}

fn flips(state: &mut State) -> Result<()> {
    put(state, &FlipRefuse.plan(None)?)?;
    let before = state.device.tally()?;
    // Two handles of one program: one runs frames, the other changes its maps.
    let stream = Stream {
        frame: disputed(),
        stop: AtomicBool::new(false),
    };
    let program = state.device.program_again()?;
    let packets = thread::scope(|scope| {
        let running = scope.spawn(|| stream.run(&program));
        let flipped = (0..FLIPS).try_for_each(|flip| {
            let to = if flip % 2 == 0 { FlipPass } else { FlipRefuse };
            let plan = next(state, to)?;
            put(state, &plan)
        });
        stream.stop.store(true, Ordering::Relaxed);
        let packets = running
            .join()
            .ok()
            .context("the stream of packets panicked")?;
        flipped.and(packets)
    })?;
    let totals = state.device.tally()?.since(&before).totals();
    let of = |what: &str| totals.get(what).copied().unwrap_or(0);
    let (refused, passed) = (of("total refused restricted"), of("total passed exempt"));
    ensure!(
        totals.len() == 2 && refused + passed == i128::from(packets),
        "{packets} packets during {FLIPS} flips: {totals:?}"
    );
    ensure!(
        refused > 0 && passed > 0,
        "the flips met no packets: {refused} refused, {passed} passed"
    );
    Ok(())
}

/// One frame, again and again.
struct Stream {
    frame: Vec<u8>,
    stop: AtomicBool,
}

impl Stream {
    /// Runs until told to stop; how many frames that were.
    fn run(&self, program: &Xdp) -> Result<u64> {
        let mut packets = 0;
        while !self.stop.load(Ordering::Relaxed) {
            run(program, &self.frame)?;
            packets += 1;
        }
        Ok(packets)
    }
}
