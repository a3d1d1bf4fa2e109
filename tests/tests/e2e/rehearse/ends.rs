//! What ends a rehearsal, and that it leaves nothing behind.

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{interrupt, lab::Who, pin};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{Going, LIMIT, difference};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("rehearse::ends_with_what_it_is_compared_with", ends),
        found.lab_trial("rehearse::a_killed_one_leaves_nothing", killed),
        found.lab_trial("rehearse::the_daemon_dies_and_starts_again", restarted),
        found.lab_trial("rehearse::a_detach_ends_it", detached),
    ]
}

/// A reload and a bypass end it, each with its reason.
fn ends(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let going = Going::begin(bench, &config)?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    let rehearsal = going.report()?;
    ensure!(rehearsal.ended.why == "replaced", "{rehearsal:?}");
    let going = Going::begin(bench, &config)?;
    bench
        .gate()
        .bypass(&["--for", "30m", "--reason", "ticket 4711"])?;
    let rehearsal = going.report()?;
    ensure!(rehearsal.ended.why == "bypassed", "{rehearsal:?}");
    let path = config.write(&bench.lab, "new.toml")?;
    let path = path.to_str().context("a path that is no text")?;
    let refused = bench.gate().output(&["rehearse", "--config", path])?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("gate bypass off"),
        "{refused:?}"
    );
    bench.gate().bypass(&["off"])?;
    Ok(())
}

/// `kill -9` of the command: what is in force goes on, the daemon clears it away, and the next one begins.
fn killed(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    config.action = "observe";
    let mut going = Going::begin(bench, &config)?;
    going.signal(Signal::SIGKILL)?;
    going.0.wait()?;
    bench.in_force()?;
    let words = "cleared away a rehearsal";
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "the daemon does not say `{words}`: {}", daemon.said());
    ensure!(
        bench.gate().status()?.1.rehearsal.is_none(),
        "status shows a rehearsal that nobody has"
    );
    let going = Going::begin(bench, &config)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let rehearsal = going.end()?;
    difference(
        &rehearsal,
        ["refused", "restricted"],
        ["observed", "restricted"],
    )?;
    Ok(())
}

/// `kill -9` of the daemon ends no rehearsal; that another one starts does, with its generation. Nobody gets through in all of this, and the packets
/// before it are told.
fn restarted(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    config.action = "observe";
    let going = Going::begin(bench, &config)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    daemon.kill()?;
    bench.in_force()?;
    config.action = "enforce";
    let _daemon = bench.run(&config)?;
    bench.in_force()?;
    let rehearsal = going.report()?;
    ensure!(rehearsal.ended.why == "replaced", "{rehearsal:?}");
    let found = difference(
        &rehearsal,
        ["refused", "restricted"],
        ["observed", "restricted"],
    )?;
    ensure!(found.packets >= 4, "{found:?}");
    ensure!(
        bench.gate().status()?.1.rehearsal.is_none(),
        "status shows a rehearsal that is over"
    );
    Ok(())
}

/// `gate detach` ends it, and takes all pins with it: it tells what it has found until then.
fn detached(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    config.action = "observe";
    let going = Going::begin(bench, &config)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    bench.out_of_force()?;
    let rehearsal = going.report()?;
    ensure!(rehearsal.ended.why == "detached", "{rehearsal:?}");
    difference(
        &rehearsal,
        ["refused", "restricted"],
        ["observed", "restricted"],
    )?;
    let pins = pin::list(bench.lab.pins())?;
    ensure!(pins.is_empty(), "still pinned: {pins:?}");
    ensure!(
        !bench.lab.pins().join(format!("v{ABI_VERSION}")).exists(),
        "the versioned directory is still there"
    );
    Ok(())
}
