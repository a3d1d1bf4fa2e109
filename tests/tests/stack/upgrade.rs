//! A newer gate on a bond: its program replaces the one before while connections come in, and it mends what an older one left there.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{
    cpu, interrupt,
    pin::{self, Object},
    wire::{Arrivals, Sender},
};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;

use crate::{
    bench::{BOND, Bench, FAR, Found, LIMIT, PORTS, syns},
    frame,
    lacp::{self, aggregated},
    trials::{bond, judged},
};

/// How many frames meet the program between two changes.
const MEET: u64 = 50;

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let trial = |name: &str, devices: String, body: fn(&Bench<'_>) -> Result<()>| {
        found.trial(format!("bond::{name}"), devices, body)
    };
    vec![
        trial(
            "802.3ad::nothing_passes_while_the_program_on_each_port_is_replaced",
            lacp::devices(),
            |bench| on_one_processor(|| replaced(bench, &PORTS, "native")),
        ),
        trial(
            "802.3ad::nothing_passes_while_the_program_on_the_bond_is_replaced",
            lacp::devices(),
            |bench| on_one_processor(|| replaced(bench, &[BOND], "generic")),
        ),
        trial(
            "what_an_older_gate_has_on_it_in_native_mode_is_put_on_generic",
            bond("active-backup"),
            blind,
        ),
    ]
}

/// The directory of the gate's pins.
fn version(bench: &Bench<'_>) -> PathBuf {
    bench.gate().pins().join(format!("v{ABI_VERSION}"))
}

/// What is pinned of links and programs.
fn objects(bench: &Bench<'_>) -> Result<BTreeMap<PathBuf, Object>> {
    let pins = pin::list(&version(bench))?.into_iter();
    Ok(pins
        .filter(|it| it.path.starts_with("links") || it.path.starts_with("program"))
        .map(|it| (it.path, it.object))
        .collect())
}

/// Waits until the program has refused some more frames.
fn meet(bench: &Bench<'_>) -> Result<()> {
    let before = bench.refused()?;
    let met = interrupt::wait_until(LIMIT, || {
        bench.refused().is_ok_and(|it| it >= before + MEET)
    })?;
    ensure!(met, "nothing is refused any more");
    Ok(())
}

/// How many of the frames of the trials have come to the bond.
fn came(arrivals: &Arrivals) -> Result<usize> {
    let arrived = arrivals.take()?;
    Ok(arrived
        .iter()
        .filter(|it| frame::number(&it.frame).is_some())
        .count())
}

/// Runs `work` while connections to port 25 are tried by both wires.
fn under_traffic(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let stop = AtomicBool::new(false);
    let senders = [Sender::new(FAR[0])?, Sender::new(FAR[1])?];
    thread::scope(|scope| {
        let sending = scope.spawn(|| -> Result<()> {
            let syns = syns(0);
            for (number, syn) in (0..).zip(syns.iter().cycle()) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                for sender in &senders {
                    sender.send(&syn.frame(number))?;
                }
                // As many as an emulated processor can take.
                thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        });
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        let sending = sending.join().map_err(|_| anyhow!("the sender panicked"))?;
        worked.and(sending)
    })
}

/// Does `work`, and what it starts, on one processor. An emulated one may run into the breakpoint that the kernel has in the way to XDP programs while another
/// processor changes that (`bpf_dispatcher_change_prog`), and learn too late that it is gone: then the kernel panics. Seen under a flood, in qemu without KVM.
fn on_one_processor(work: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let first = *cpu::allowed()?.first().context("no processor")?;
    thread::scope(|scope| {
        let working = scope.spawn(|| cpu::keep_to(first).and_then(|()| work()));
        working.join().map_err(|_| anyhow!("the work panicked"))?
    })
}

/// Another program on the same links, by a start as after an upgrade; and, as the control, one that passes everything.
fn replaced(bench: &Bench<'_>, named: &[&str], mode: &str) -> Result<()> {
    aggregated("before")?;
    // The gate stays when its daemon ends.
    bench.run(named, mode)?.terminate()?;
    let arrivals = Arrivals::at(BOND, 1)?;
    under_traffic(|| {
        let before = objects(bench)?;
        meet(bench)?;
        bench.run(named, mode)?.terminate()?;
        meet(bench)?;
        let after = objects(bench)?;
        let other = |path: &PathBuf| before.get(path) != after.get(path);
        let program = PathBuf::from("program");
        ensure!(
            before.len() == named.len() + 1
                && before.keys().eq(after.keys())
                && before.keys().all(|path| other(path) == (*path == program)),
            "another program on the same links: {before:?} became {after:?}"
        );
        let came_through = came(&arrivals)?;
        ensure!(came_through == 0, "{came_through} frames came through");
        let own = pin::get(&version(bench).join(&program))?;
        let passing = pin::passing_program()?;
        for name in named {
            let link = version(bench).join("links").join(name);
            pin::replace_program(&link, &passing)?;
            let shows =
                interrupt::wait_until(LIMIT, || came(&arrivals).is_ok_and(|frames| frames > 0))?;
            ensure!(shows, "{name}: a program that passes all does not show");
            pin::replace_program(&link, &own)?;
            // What passed before that is on its way no more.
            meet(bench)?;
            came(&arrivals)?;
        }
        meet(bench)?;
        let came_through = came(&arrivals)?;
        ensure!(came_through == 0, "{came_through} frames came through");
        Ok(())
    })?;
    aggregated("after")
}

/// `auto` once meant native mode on a bond, if the kernel took that: the program ran on the ports, for frames that it took for theirs.
fn blind(bench: &Bench<'_>) -> Result<()> {
    bench.run(&[BOND], "auto")?.terminate()?;
    let link = version(bench).join("links").join(BOND);
    let program = pin::get(&version(bench).join("program"))?;
    fs::remove_file(&link).with_context(|| format!("cannot remove {}", link.display()))?;
    let index = if_nametoindex(BOND)?;
    let mut native = None;
    // The kernel takes the other one off in the background.
    interrupt::wait_until(LIMIT, || {
        native = pin::attach(&program, index).ok();
        native.is_some()
    })?;
    pin::pin(&native.context("no program in native mode on it")?, &link)?;
    let through = bench.through(FAR[0], BOND, &syns(0))?;
    ensure!(
        through == syns(0).len(),
        "it should be blind, and {through} came through"
    );
    let (code, status) = bench.gate().status()?;
    let doctor = bench.doctor("placement", BOND)?;
    ensure!(
        code == Some(3) && doctor == ["degraded"],
        "not said: {status:?}, doctor: {doctor:?}"
    );
    let daemon = bench.run(&[BOND], "auto")?;
    judged(bench, "after the upgrade", &FAR[..1])?;
    let said = daemon.said();
    ensure!(said.contains("in generic mode"), "{said}");
    let (_, status) = bench.gate().status()?;
    let modes: Vec<_> = status.interfaces.iter().map(|it| it.mode.clone()).collect();
    ensure!(modes == [Some("generic".to_owned())], "{status:?}");
    Ok(())
}
