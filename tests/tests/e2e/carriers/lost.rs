//! Skb marks that get lost on the way from the XDP program to `gate_mark`, where no call fails.
//!
//! How metadata is lost here: somebody listens on the interface, as a sniffer does, so that the frame has a second owner; a program of traffic
//! control in front of `gate_mark` writes into it, for which the kernel gives that one a head of its own (`pskb_expand_head`), without
//! the metadata. Drivers of older kernels lose it the same way, and nobody can tell the difference.

use std::{os::fd::OwnedFd, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::Status,
    interrupt,
    lab::{Family, Who, Wire},
    nft, pin,
};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;

use super::{grown, marking};
use crate::bench::{Bench, Found};

const RULES: &str = include_str!("../../../../examples/mark/classes.nft");
/// Several times as long as until the daemon looks again.
const NOTICED: Duration = Duration::from_mins(1);
/// Connections, in two families each, of which it takes sixteen to be noticed.
const ENOUGH: usize = 8;

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial(
            "lost_marks::the_daemon_notices_and_has_them_looked_up",
            lost,
        ),
        found.lab_trial("lost_marks::status_notices_without_a_daemon", unattended),
        found.lab_trial("lost_marks::a_chain_that_ends_early_is_told_apart", unseen),
    ]
}

/// A program of traffic control in front of the gate's, where those abroad come in.
fn in_front(bench: &Bench<'_>, program: &OwnedFd) -> Result<OwnedFd> {
    bench
        .lab
        .router()
        .run(|| pin::attach_first(program, if_nametoindex("up-abroad")?))?
}

/// What loses metadata, for as long as both live.
pub(super) fn loses(bench: &Bench<'_>) -> Result<(Wire, OwnedFd)> {
    let sniffer = Wire::new(bench.lab.router(), "up-abroad")?;
    Ok((sniffer, in_front(bench, &pin::rewriting_program()?)?))
}

/// How many of so many connections from abroad, in two families, are marked.
fn marked(bench: &Bench<'_>, connections: usize) -> Result<u64> {
    let [foreign] = grown(bench.lab.router(), ["foreign"], || {
        (0..connections).try_for_each(|_| bench.submits(Who::Foreign))
    })?;
    Ok(foreign)
}

/// Asks for the status until it is as `wanted`.
fn until(bench: &Bench<'_>, wanted: impl Fn(Option<i32>, &Status) -> bool) -> Result<()> {
    let mut seen = None;
    let ask = || {
        seen = Some(bench.gate().status());
        matches!(&seen, Some(Ok((code, status))) if wanted(*code, status))
    };
    let noticed = interrupt::wait_until(NOTICED, ask)?;
    let (code, status) = seen.context("never asked")??;
    ensure!(noticed, "{code:?}: {status:?}");
    Ok(())
}

fn says(status: &Status, words: &str) -> bool {
    status.problems.iter().any(|it| it.contains(words))
}

const LOST: &str =
    "is lost between the XDP program and `gate_mark`: connections are looked up instead";
const UNSEEN: &str = "did not get to `gate_mark`";
const UNATTENDED: &str =
    "since the gate was loaded, 16 of 18 connections that were to get an skb mark did not get one";

/// More connections than it takes to see that nothing is lost any more.
fn many(bench: &Bench<'_>) -> Result<()> {
    let before = bench.gate().counters()?.shown("metadata");
    let hammer = bench
        .lab
        .hammer(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
    let many = || {
        let counters = bench.gate().counters();
        counters.is_ok_and(|it| it.shown("metadata") >= before + 1100)
    };
    let enough = interrupt::wait_until(NOTICED, many)?;
    let knocks = hammer.stop()?;
    ensure!(enough, "{knocks:?}");
    Ok(())
}

fn lost(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), RULES)?;
    let daemon = bench.run(&marking(bench)?)?;
    ensure!(marked(bench, 1)? == 2, "before anything is in the way");
    let in_the_way = loses(bench)?;
    // What is to be noticed: metadata is written, and no mark comes of it.
    let before = bench.gate().counters()?;
    ensure!(marked(bench, ENOUGH)? == 0, "nothing was lost");
    let after = bench.gate().counters()?;
    ensure!(
        after.shown("metadata") == before.shown("metadata") + 16
            && after.shown("marked") == before.shown("marked"),
        "{:?}",
        after.shown
    );
    until(bench, |code, status| code == Some(3) && says(status, LOST))?;
    ensure!(
        daemon.said().contains("16 of 1"),
        "the log: {}",
        daemon.said()
    );
    ensure!(marked(bench, 2)? == 4, "looked up");
    // It outlives the daemon.
    daemon.kill()?;
    ensure!(marked(bench, 2)? == 4, "looked up, without a daemon");
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3) && says(&status, LOST) && !says(&status, "since the gate was loaded"),
        "{status:?}"
    );
    // Once nothing is lost any more, it is as before.
    let daemon = bench.run(&marking(bench)?)?;
    drop(in_the_way);
    many(bench)?;
    until(bench, |code, _| code == Some(0))?;
    let said = daemon.said();
    ensure!(!said.contains(UNSEEN), "the log: {said}");
    let before = bench.gate().counters()?.shown("marked_by_lookup");
    ensure!(marked(bench, 2)? == 4, "by metadata");
    let after = bench.gate().counters()?.shown("marked_by_lookup");
    ensure!(before == after, "{before} look-ups, then {after}");
    Ok(())
}

fn unattended(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), RULES)?;
    bench.run(&marking(bench)?)?.terminate()?;
    ensure!(marked(bench, 1)? == 2, "before anything is in the way");
    let (_, status) = bench.gate().status()?;
    ensure!(!says(&status, UNATTENDED), "{status:?}");
    let _in_the_way = loses(bench)?;
    ensure!(marked(bench, ENOUGH)? == 0, "nothing was lost");
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(3) && says(&status, UNATTENDED), "{status:?}");
    // A daemon goes by what is lost from its start on.
    let _daemon = bench.run(&marking(bench)?)?;
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(0), "{status:?}");
    ensure!(marked(bench, ENOUGH)? == 0, "nothing was lost");
    until(bench, |code, status| code == Some(3) && says(status, LOST))?;
    ensure!(marked(bench, 2)? == 4, "looked up");
    Ok(())
}

fn unseen(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), RULES)?;
    let daemon = bench.run(&marking(bench)?)?;
    let in_front = in_front(bench, &pin::ending_program()?)?;
    ensure!(marked(bench, ENOUGH)? == 0, "the chain does not end");
    // That looking up does not help shows by those that come afterwards.
    until(bench, |code, status| code == Some(3) && says(status, LOST))?;
    ensure!(marked(bench, ENOUGH)? == 0, "the chain does not end");
    until(bench, |code, status| {
        code == Some(3) && says(status, UNSEEN) && !says(status, LOST)
    })?;
    ensure!(
        daemon.said().contains(
            "16 of 16 connections that were to get an skb mark did not get to `gate_mark`"
        ),
        "the log: {}",
        daemon.said()
    );
    drop(in_front);
    many(bench)?;
    until(bench, |code, _| code == Some(0))?;
    ensure!(marked(bench, 2)? == 4, "by metadata");
    ensure!(
        daemon.said().contains("skb marks are set again"),
        "the log: {}",
        daemon.said()
    );
    Ok(())
}
