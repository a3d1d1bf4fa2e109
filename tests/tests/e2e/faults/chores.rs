//! What the daemon looks after all the time, and cannot: it goes on with everything else, says so everywhere, and does it once it can.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use gate_tests::{gate::Daemon, interrupt, lab::Who};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{LIMIT, READ_ONLY, WRITABLE, apart, remount, until};
use crate::{
    bench::{Bench, Found},
    rehearse::Going,
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("faults::a_bypass_that_cannot_be_cleared_away", bypass),
        found.lab_trial(
            "faults::a_killed_rehearsal_that_cannot_be_cleared_away",
            rehearsal,
        ),
    ]
}

/// How often the daemon could not do each, of those that it ever could not, as monitoring systems are told.
fn failures(bench: &Bench<'_>) -> Result<BTreeMap<String, u64>> {
    let mut failures = BTreeMap::new();
    let told = bench.metrics()?;
    let samples = told
        .lines()
        .filter_map(|it| it.strip_prefix("gate_chore_failures_total{chore=\""));
    for sample in samples {
        let (chore, count) = sample.split_once("\"} ").context("no sample")?;
        failures.insert(chore.to_owned(), count.parse()?);
    }
    ensure!(failures.len() == 6, "a counter for each: {told}");
    failures.retain(|_, count| *count > 0);
    Ok(failures)
}

/// The daemon tries again all the time; nothing but this chore fails, and `gate status` has nothing else to say.
fn undone(bench: &Bench<'_>, chore: &str, words: &str) -> Result<()> {
    let status = until(bench, "not degraded", |status| {
        let [problem] = &status.problems[..] else {
            return false;
        };
        problem.contains(words) && problem.contains("Read-only file system")
    })?;
    ensure!(status.state == "degraded", "{status:?}");
    let more_than = |least: u64| {
        let mut last = BTreeMap::new();
        let more = interrupt::wait_until(LIMIT, || {
            last = failures(bench).unwrap_or_default();
            last.get(chore).is_some_and(|it| *it > least)
        })?;
        ensure!(
            more && last.len() == 1,
            "not more than {least}, or others: {last:?}"
        );
        Ok(last.into_values().sum())
    };
    let first = more_than(0)?;
    more_than(first).map(drop)
}

fn said(daemon: &Daemon, words: &str) -> Result<()> {
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "the log should say `{words}`: {}", daemon.said());
    let times = daemon.said().matches(words).count();
    ensure!(times == 1, "`{words}` {times} times: {}", daemon.said());
    Ok(())
}

/// It is over for every packet, but its note cannot be removed.
fn bypass(bench: &Bench<'_>) -> Result<()> {
    let daemon = Daemon::start(apart(bench)?)?;
    let gate = bench.gate();
    gate.bypass(&["--for", "1h", "--reason", "ticket 4711"])?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    ensure!(failures(bench)?.is_empty(), "nothing failed yet");
    remount(&daemon, &READ_ONLY)?;
    let off = gate.output(&["bypass", "off"])?;
    ensure!(
        off.code() == Some(1) && off.stderr.contains("Read-only file system"),
        "{off:?}"
    );
    undone(bench, "bypass", "bypasses are not looked after")?;
    said(&daemon, "bypasses are not looked after")?;
    bench.in_force()?;
    remount(&daemon, &WRITABLE)?;
    until(bench, "not well", |status| status.state == "ok")?;
    said(&daemon, "bypasses are looked after again")?;
    said(&daemon, "the bypass is over")?;
    bench.in_force()
}

/// The candidate is gone from the tables, but the note of the rehearsal cannot be removed.
fn rehearsal(bench: &Bench<'_>) -> Result<()> {
    let daemon = Daemon::start(apart(bench)?)?;
    let mut config = bench.config()?;
    config.action = "observe";
    let mut going = Going::begin(bench, &config)?;
    remount(&daemon, &READ_ONLY)?;
    going.signal(Signal::SIGKILL)?;
    going.0.wait()?;
    undone(bench, "rehearsal", "a rehearsal whose command was killed")?;
    said(&daemon, "cannot clear away a rehearsal")?;
    bench.in_force()?;
    remount(&daemon, &WRITABLE)?;
    until(bench, "not well", |status| status.state == "ok")?;
    said(&daemon, "cleared away a rehearsal")?;
    bench.in_force()?;
    // The next one begins.
    Going::begin(bench, &config)?.end()?;
    Ok(())
}
