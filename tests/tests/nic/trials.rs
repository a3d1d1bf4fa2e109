//! What is tried on a NIC: the wire without the gate first.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use gate_common::{Shape, abi::ABI_VERSION, parse::MAX_TAGS};
use gate_tests::{
    lab::Family,
    pin::{self, Object},
};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Found, Seen, await_that, say},
    frame::Syn,
};

pub(crate) fn all(found: &Found) -> Vec<Trial> {
    vec![
        found.trial("control_everything_arrives_without_the_gate", control),
        found.trial("port_25_is_refused_behind_every_number_of_tags", tags),
        found.trial(
            "the_program_sees_every_tag_that_the_device_leaves",
            stripped,
        ),
        found.trial("every_queue_is_judged", queues),
        found.trial("nothing_passes_while_the_program_is_replaced", replaced),
        found.trial("control_a_program_that_passes_shows", passing),
    ]
}

/// Numbers of what has to come through, apart from those of what has not.
const PASSED: u64 = 1 << 32;
/// How many connections are spread over the queues.
const FLOWS: u16 = 64;
/// How many frames meet the program between two changes.
const MEET: u64 = 200;
/// How often the program is replaced.
const REPLACED: u32 = 3;

/// A connection to `port` behind each number of tags, in either family.
fn tagged(port: u16) -> Vec<Syn> {
    (0..=MAX_TAGS)
        .flat_map(|tags| {
            Family::ALL.map(|family| Syn {
                family,
                tags,
                source_port: 40_000,
                port,
            })
        })
        .collect()
}

/// Connections that differ in their source port only.
fn flows(port: u16) -> Vec<Syn> {
    (0..FLOWS)
        .map(|flow| Syn {
            family: Family::V4,
            tags: 0,
            source_port: 40_000 + flow,
            port,
        })
        .collect()
}

/// The numbers of `syns`, from `first` on.
fn numbers(first: u64, syns: &[Syn]) -> Result<Range<u64>> {
    Ok(first..first + u64::try_from(syns.len())?)
}

fn control(bench: &Bench<'_>) -> Result<()> {
    let syns = [tagged(25), tagged(587)].concat();
    bench.send(0, &syns)?;
    let seen = bench.await_exactly(numbers(0, &syns)?)?;
    for ((number, arrival), syn) in seen.iter().zip(&syns) {
        let mut sent = syn.frame(*number);
        if syn.tags > 0 {
            // A packet socket gets the outermost tag beside the frame, whoever took it off.
            sent.drain(12..16);
        }
        ensure!(
            arrival.frame == sent,
            "{syn:?} was changed on the wire: {:02x?}",
            arrival.frame
        );
    }
    Ok(())
}

fn tags(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run("enforce")?;
    attached_as_asked(bench)?;
    let refused = tagged(25);
    bench.send(0, &refused)?;
    let count = u64::try_from(refused.len())?;
    bench.await_refused(count)?;
    let passed = tagged(587);
    bench.send(PASSED, &passed)?;
    bench.await_exactly(numbers(PASSED, &passed)?)?;
    let packets = bench.await_refused(count)?;
    ensure!(
        packets.refused == count && packets.unparsed == 0,
        "{count} frames were to port 25, and all could be read: {packets:?}"
    );
    Ok(())
}

fn attached_as_asked(bench: &Bench<'_>) -> Result<()> {
    let (code, status) = bench.gate().status()?;
    let interfaces: Vec<_> = status.interfaces.iter().collect();
    ensure!(
        code == Some(0)
            && interfaces.iter().all(|it| it.name == bench.nic.name
                && it.state == "attached"
                && it.mode.as_ref() == Some(&bench.nic.mode))
            && interfaces.len() == 1,
        "should be attached to {} in {} mode: {code:?}, {status:?}",
        bench.nic.name,
        bench.nic.mode
    );
    Ok(())
}

/// One tag more than the program reads: a device that takes tags off leaves as many as can be read.
fn stripped(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run("enforce")?;
    let strips = bench.nic.strips_tags()?;
    say(&format!(
        "{}: rx-vlan-offload is {}",
        bench.nic.name,
        if strips { "on" } else { "off" }
    ));
    bench.send(
        0,
        &[Syn {
            family: Family::V4,
            tags: MAX_TAGS + 1,
            source_port: 40_000,
            port: 25,
        }],
    )?;
    let mut reasons = Vec::new();
    await_that(|| {
        reasons = bench.gate().counters()?.reasons;
        Ok(!reasons.is_empty())
    })?;
    let too_many = reasons
        .iter()
        .any(|it| it.reason == Shape::TooManyTags.name() && it.packets == 1);
    ensure!(
        reasons.len() == 1 && too_many != strips,
        "a frame with {} tags, where tags are {}: {reasons:?}",
        MAX_TAGS + 1,
        if strips { "taken off" } else { "left" }
    );
    Ok(())
}

fn queues(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run("observe")?;
    let syns = flows(25);
    bench.send(PASSED, &syns)?;
    let seen = bench.await_exactly(numbers(PASSED, &syns)?)?;
    let used = used(&seen);
    say(&format!(
        "{}: {} connections arrived on {} of {} receive queues",
        bench.nic.name,
        syns.len(),
        used.len(),
        bench.nic.queues()
    ));
    ensure!(
        used.len() >= bench.nic.spread,
        "{} queues should be used: {used:?}",
        bench.nic.spread
    );
    // The same connections again: a device keeps each on its queue.
    bench.configure("enforce")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "the gate should enforce: {reload:?}");
    bench.send(0, &syns)?;
    let count = u64::try_from(syns.len())?;
    let packets = bench.await_refused(count)?;
    let syns = flows(587);
    bench.send(PASSED, &syns)?;
    bench.await_exactly(numbers(PASSED, &syns)?)?;
    ensure!(
        packets.refused == count && packets.observed == count,
        "{count} connections were tried twice: {packets:?}"
    );
    Ok(())
}

fn used(seen: &Seen) -> BTreeSet<usize> {
    seen.values().map(|arrival| arrival.queue).collect()
}

/// What the kernel says about the gate: its link and its program.
fn objects(bench: &Bench<'_>) -> Result<(Object, Object)> {
    let pins = pin::list(bench.pins())?;
    let find = |path: PathBuf| {
        let found = pins.iter().find(|pin| pin.path == path);
        found
            .map(|pin| pin.object)
            .with_context(|| format!("nothing is pinned at {}", path.display()))
    };
    Ok((find(link(bench))?, find(version().join("program"))?))
}

fn version() -> PathBuf {
    format!("v{ABI_VERSION}").into()
}

fn link(bench: &Bench<'_>) -> PathBuf {
    version().join("links").join(&bench.nic.name)
}

/// Runs `work` while connections to port 25 are tried all the time; how many there were.
fn under_traffic(bench: &Bench<'_>, work: impl FnOnce() -> Result<()>) -> Result<u64> {
    let stop = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let sender = &bench.sender;
    thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<()> {
            let syns = flows(25);
            for (number, syn) in (0..).zip(syns.iter().cycle()) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                sender.send(&syn.frame(number))?;
                sent.store(number + 1, Ordering::Relaxed);
                // As many as an emulated NIC can take.
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        });
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        let sending = sending.join().map_err(|_| anyhow!("the sender panicked"))?;
        worked.and(sending)
    })?;
    Ok(sent.load(Ordering::Relaxed))
}

/// Waits until the program has refused some more frames.
fn meet(bench: &Bench<'_>) -> Result<()> {
    let refused = bench.gate().counters()?.verdicts.refused;
    bench.await_refused(refused + MEET).map(drop)
}

fn nothing_came_through(bench: &Bench<'_>) -> Result<()> {
    let seen = bench.seen()?;
    ensure!(seen.is_empty(), "{} frames came through", seen.len());
    Ok(())
}

fn replaced(bench: &Bench<'_>) -> Result<()> {
    // The gate stays when its daemon ends.
    bench.run("enforce")?.terminate()?;
    let sent = under_traffic(bench, || {
        let (link, mut program) = objects(bench)?;
        for _ in 0..REPLACED {
            meet(bench)?;
            bench.run("enforce")?.terminate()?;
            let (link_now, program_now) = objects(bench)?;
            ensure!(
                link_now == link && program_now != program,
                "another program on the same link: {link:?} and {program:?} before, {link_now:?} and {program_now:?} now"
            );
            program = program_now;
        }
        meet(bench)
    })?;
    let packets = bench.gate().counters()?.verdicts;
    nothing_came_through(bench)?;
    say(&format!(
        "{}: {} of {sent} frames refused while the program was replaced {REPLACED} times, none passed",
        bench.nic.name, packets.refused
    ));
    ensure!(
        packets.refused <= sent && packets.unparsed == 0,
        "{sent} were sent: {packets:?}"
    );
    Ok(())
}

fn passing(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run("enforce")?;
    let link = bench.pins().join(link(bench));
    let own = pin::get(&bench.pins().join(version()).join("program"))?;
    let passing = pin::passing_program()?;
    under_traffic(bench, || {
        meet(bench)?;
        nothing_came_through(bench)?;
        pin::replace_program(&link, &passing)?;
        let shows = await_that(|| Ok(!bench.seen()?.is_empty()))?;
        ensure!(shows, "nothing came through a program that passes all");
        pin::replace_program(&link, &own)?;
        // What passed before that is on its way no more.
        meet(bench)?;
        bench.seen()?;
        meet(bench)?;
        nothing_came_through(bench)
    })
    .map(drop)
}
