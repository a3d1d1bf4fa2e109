//! The switch that has everything observed for a time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{ABI_VERSION, State, maps};
use gate_tests::{
    gate::{Bypass, Daemon},
    interrupt,
    lab::{Family, Seen, Who},
};
use gate_user::sys::{Access, Map};
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("bypass::opens_and_closes_again", opens),
        found.lab_trial("bypass::limits_of_classes_refuse_nobody", class_limit),
        found.lab_trial("bypass::outlives_kill_9_restart_and_reload", outlives),
        found.lab_trial("bypass::needs_no_daemon_and_ends_without_one", alone),
        found.lab_trial("bypass::is_as_long_as_asked_for_by_any_clock", clock),
        found.lab_trial("bypass::a_daemon_tells_of_its_end", told),
        found.lab_trial("bypass::what_was_meant_otherwise_is_refused", bad_input),
    ]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);
const REASON: &str = "customers report lost mail, ticket 4711";

fn begin(bench: &Bench<'_>, length: &str) -> Result<Bypass> {
    let switched = bench
        .gate()
        .bypass(&["--for", length, "--reason", REASON])?;
    switched.now.context("no bypass after it was asked for")
}

/// Port 25 is open to subscribers, and only observed.
fn bypassed(bench: &Bench<'_>) -> Result<()> {
    let before = bench.gate().counters()?.verdicts;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.tagged(Who::Foreign, "foreign")?;
    let counted = bench.gate().counters()?.verdicts.since(before);
    ensure!(
        (counted.observed, counted.refused) == (2, 0),
        "a connection of each family observed: {counted:?}"
    );
    let (code, status) = bench.gate().status()?;
    let bypass = status.bypass.context("status knows of no bypass")?;
    ensure!(
        code == Some(3)
            && status.state == "bypassed"
            && status.problems.iter().any(|it| it.contains(REASON))
            && bypass.reason.as_deref() == Some(REASON)
            && bypass.since.is_some_and(|since| since < bypass.until),
        "{code:?}: {} {:?} {bypass:?}",
        status.state,
        status.problems
    );
    Ok(())
}

fn closed(bench: &Bench<'_>, code: i32) -> Result<()> {
    bench.in_force()?;
    let (found, status) = bench.gate().status()?;
    ensure!(
        found == Some(code) && status.bypass.is_none() && status.state != "bypassed",
        "{found:?}: {status:?}"
    );
    Ok(())
}

fn logs(daemon: &Daemon, words: &str) -> Result<()> {
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "the log does not say `{words}`: {}", daemon.said());
    Ok(())
}

fn opens(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    closed(bench, 0)?;
    let before = Timestamp::now();
    let bypass = begin(bench, "30m")?;
    bypassed(bench)?;
    let half_an_hour = SignedDuration::from_mins(30);
    let since = bypass.since.context("no beginning")?;
    ensure!(
        since >= before && bypass.until.duration_since(since) == half_an_hour,
        "{bypass:?}, asked for at {before}"
    );
    ensure!(bypass.by.is_some(), "nobody asked: {bypass:?}");
    let shown = bench.gate().bypass(&[])?;
    ensure!(
        shown.now.as_ref() == Some(&bypass) && shown.before == shown.now,
        "{shown:?}"
    );
    logs(&daemon, REASON)?;
    let from = bench.lab.address(Who::Subscriber, Family::V4)?.to_string();
    let to = bench.lab.address(Who::OtherMail, Family::V4)?.to_string();
    let interface = Who::Subscriber.interface();
    let explained = bench
        .gate()
        .explain(&["--from", &from, "--to", &to, "--in", interface])?;
    ensure!(
        explained.verdict.as_deref() == Some("observed")
            && explained.why.contains("a bypass until")
            && explained
                .would_change
                .iter()
                .any(|it| it.starts_with("the end of the bypass") && it.contains("refused")),
        "{explained:?}"
    );
    bench.gate().reload(&[])?;
    // Whatever is logged meanwhile says so.
    logs(&daemon, "stays in force [bypassed until ")?;
    // Another one takes its place.
    let longer = bench.gate().bypass(&["--for", "2h", "--reason", REASON])?;
    ensure!(
        longer.before == Some(bypass)
            && longer
                .now
                .is_some_and(|it| it.until > before + half_an_hour * 3),
        "no other bypass"
    );
    bypassed(bench)?;
    let over = bench.gate().bypass(&["off"])?;
    ensure!(over.before.is_some() && over.now.is_none(), "{over:?}");
    closed(bench, 0)?;
    logs(&daemon, "the bypass is over")?;
    let said = daemon.said();
    let during = said
        .lines()
        .skip_while(|line| !line.contains(REASON))
        .take_while(|line| !line.contains("the bypass is over"));
    let (with, without): (Vec<_>, Vec<_>) =
        during.partition(|line| line.contains("[bypassed until "));
    ensure!(
        with.len() > 3 && without.is_empty(),
        "lines that do not say so: {without:#?}, beside {with:#?}"
    );
    let nothing = bench.gate().bypass(&["off"])?;
    ensure!(nothing.before.is_none(), "{nothing:?}");
    closed(bench, 0)
}

fn class_limit(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let foreign = config.classes.iter_mut().find(|it| it.name == "foreign");
    foreign
        .context("no class for those abroad")?
        .keys
        .push("connections = { limit = 1, per = \"day\", burst = 1, over = \"drop\" }".to_owned());
    let _daemon = bench.run(&config)?;
    let second = || {
        let mut seen = None;
        for _ in 0..2 {
            let connected = bench
                .lab
                .connect(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
            seen = Some(connected);
        }
        seen.context("no connection")
    };
    ensure!(second()? == Seen::NoAnswer, "before");
    begin(bench, "10m")?;
    let seen = second()?;
    let source = seen.local().with_context(|| format!("during it: {seen}"))?;
    let server = (bench.lab.address(Who::OwnMail, Family::V4)?, 587).into();
    let flow = bench.gate().flow(source, server)?.context("no tag")?;
    ensure!(flow.over_limit && flow.observed, "{flow:?}");
    bench.gate().bypass(&["off"])?;
    ensure!(second()? == Seen::NoAnswer, "after");
    Ok(())
}

fn outlives(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    closed(bench, 0)?;
    let bypass = begin(bench, "1h")?;
    bypassed(bench)?;
    daemon.kill()?;
    bypassed(bench)?;
    let daemon = bench.run(&config)?;
    ensure!(
        daemon.said().contains("[bypassed until "),
        "the start does not say so: {}",
        daemon.said()
    );
    bypassed(bench)?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0) && reload.change.is_some(), "{reload:?}");
    bypassed(bench)?;
    let status = bench.gate().status()?.1;
    ensure!(status.bypass == Some(bypass), "another one: {status:?}");
    daemon.terminate()?;
    bypassed(bench)?;
    config.action = "enforce";
    let _daemon = bench.run(&config)?;
    bypassed(bench)?;
    bench.gate().bypass(&["off"])?;
    closed(bench, 0)
}

/// Nobody is there who would end it, and the kernel is told that a day went by, all but a minute and then the rest.
fn alone(bench: &Bench<'_>) -> Result<()> {
    bench.run(&bench.config()?)?.kill()?;
    closed(bench, 3).context("before")?;
    begin(bench, "24h")?;
    bypassed(bench)?;
    bench.gate().bypass(&["off"])?;
    closed(bench, 3).context("after")?;
    begin(bench, "24h")?;
    let path = bench.lab.pins().join(format!("v{ABI_VERSION}/maps"));
    let state = Map::open(&path.join(maps::STATE), Access::Write)?;
    let offset = State::WallOffset as u32;
    let pass = |seconds: u64| -> Result<()> {
        let before: Option<u64> = state.lookup(&offset)?;
        let later = before
            .context("no offset")?
            .wrapping_add(seconds * 1_000_000_000);
        Ok(state.update(&offset, &later)?)
    };
    pass(24 * 3600 - 60)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    // The program's clock is some milliseconds late.
    pass(61)?;
    bench
        .refused(Who::Subscriber, Who::OtherMail, 25)
        .context("a day later")
}

/// The kernel goes by another time than the clock's, as where somebody set that while nobody was there to tell the kernel: an hour behind, or ahead.
fn clock(bench: &Bench<'_>) -> Result<()> {
    const HOUR_NS: u64 = 3_600_000_000_000;
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let path = bench.lab.pins().join(format!("v{ABI_VERSION}/maps"));
    let state = Map::open(&path.join(maps::STATE), Access::Write)?;
    let offset = State::WallOffset as u32;
    let right: u64 = state.lookup(&offset)?.context("no offset")?;
    let tell = |offset_ns: u64| state.update(&offset, &offset_ns);
    // With a daemon, which notices: what is left is left.
    for (wrong, moved) in [
        (right.wrapping_sub(HOUR_NS), SignedDuration::from_hours(1)),
        (right.wrapping_add(HOUR_NS), SignedDuration::from_hours(-1)),
    ] {
        let bypass = begin(bench, "2h")?;
        tell(wrong)?;
        let expected = bypass.until + moved;
        let moved = || {
            let shown = bench.gate().bypass(&[]).ok().and_then(|it| it.now);
            shown.is_some_and(|it| {
                let astray = it.until.duration_since(expected).unsigned_abs();
                astray < Duration::from_secs(1) && it.reason == bypass.reason
            })
        };
        ensure!(interrupt::wait_until(LIMIT, moved)?, "it is not {expected}");
        bypassed(bench)?;
    }
    bench.gate().bypass(&["off"])?;
    daemon.kill()?;
    // Without one: what begins is as long as it says, and it is seen for as long as it is.
    for wrong in [right.wrapping_add(HOUR_NS), right.wrapping_sub(HOUR_NS)] {
        tell(wrong)?;
        begin(bench, "30m")?;
        bypassed(bench)?;
        let found: u64 = state.lookup(&offset)?.context("no offset")?;
        ensure!(
            found.abs_diff(right) < HOUR_NS / 3600,
            "the kernel goes by {found}, and not {right}"
        );
        bench.gate().bypass(&["off"])?;
        closed(bench, 3)?;
    }
    // It is over when the kernel has it so, and not by a clock that was set meanwhile.
    let until = begin(bench, "5s")?.until;
    tell(right.wrapping_sub(HOUR_NS))?;
    let over = interrupt::wait_until(LIMIT, || Timestamp::now() > until)?;
    ensure!(over, "time stands still");
    bypassed(bench)
}

fn told(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    begin(bench, "1s")?;
    logs(&daemon, "the bypass is over")?;
    closed(bench, 0)?;
    // Nothing is left of it that a clock could be set back to.
    let path = bench.lab.pins().join(format!("v{ABI_VERSION}/maps"));
    let state = Map::open(&path.join(maps::STATE), Access::Read)?;
    let word: Option<u64> = state.lookup(&(State::Bypass as u32))?;
    ensure!(word == Some(0), "the word is {word:?}");
    daemon.kill()?;
    // One that is over before the next daemon starts.
    begin(bench, "1s")?;
    let over = || {
        bench
            .gate()
            .status()
            .is_ok_and(|(_, it)| it.bypass.is_none())
    };
    ensure!(interrupt::wait_until(LIMIT, over)?, "it does not end");
    let daemon = bench.run(&config)?;
    logs(&daemon, "the bypass is over")?;
    ensure!(
        !daemon.said().contains("[bypassed"),
        "there is none: {}",
        daemon.said()
    );
    closed(bench, 0)
}

fn bad_input(bench: &Bench<'_>) -> Result<()> {
    let refused = |arguments: &[&str], code: i32, words: &str| -> Result<()> {
        let output = bench.gate().output(&[&["bypass"], arguments].concat())?;
        ensure!(
            output.code() == Some(code) && output.stderr.contains(words),
            "{arguments:?} should say `{words}` and end with {code}: {output:?}"
        );
        Ok(())
    };
    refused(&["--for", "1m", "--reason", "x"], 1, "no gate is loaded")?;
    refused(&["off"], 1, "no gate is loaded")?;
    let daemon = bench.run(&bench.config()?)?;
    let long = "x".repeat(1000);
    for (arguments, words) in [
        (&["--for", "30m"][..], "--reason"),
        (&["--reason", "x"], "--for"),
        (&["--for", "30", "--reason", "x"], "30m"),
        (&["--for=-5m", "--reason", "x"], "30m"),
        (&["--for", "forever", "--reason", "x"], "30m"),
        (&["--for", "0s", "--reason", "x"], "24 hours"),
        (&["--for", "24h1s", "--reason", "x"], "24 hours"),
        (&["--for", "1m", "--reason", ""], "without a reason"),
        (&["--for", "1m", "--reason", "  "], "without a reason"),
        (&["--for", "1m", "--reason", "a\nb"], "control characters"),
        (&["--for", "1m", "--reason", &long], "1000 characters"),
        (&["on"], "on"),
        (&["off", "--for", "1m"], "--for"),
    ] {
        refused(arguments, 2, words)?;
    }
    closed(bench, 0)?;
    // A daemon that hangs is in the way, and named.
    daemon.signal(Signal::SIGSTOP)?;
    let hangs = refused(&["--for", "1m", "--reason", "x"], 1, "does not answer");
    daemon.signal(Signal::SIGCONT)?;
    hangs?;
    Ok(())
}
