//! What the daemon looks after all the time, and cannot: it goes on with everything else, says so everywhere, and does it once it can.

use std::{
    collections::BTreeMap,
    panic,
    process::Child,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{State, maps};
use gate_tests::{
    gate::Daemon,
    hold::{self, Before, Call, Verdict},
    interrupt,
    lab::Who,
    pin::{self, Object},
};
use libtest_mimic::Trial;
use nix::{errno::Errno, sys::signal::Signal};

use super::{LIMIT, READ_ONLY, WRITABLE, apart, remount, until};
use crate::{
    bench::{Bench, Found},
    events, rehearse,
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("faults::a_bypass_that_cannot_be_cleared_away", bypass),
        found.lab_trial(
            "faults::a_killed_rehearsal_that_cannot_be_cleared_away",
            rehearsal,
        ),
        found.lab_trial(
            "faults::a_killed_listener_that_cannot_be_cleared_away",
            listener,
        ),
        found.lab_trial("faults::maps_that_the_kernel_does_not_let_it_read", unread),
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
    told(daemon, words, 1)
}

/// The log says it so often.
fn told(daemon: &Daemon, words: &str, times: usize) -> Result<()> {
    let found = || daemon.said().matches(words).count();
    interrupt::wait_until(LIMIT, || found() >= times)?;
    let found = found();
    ensure!(
        found == times,
        "`{words}` {found} times, not {times}: {}",
        daemon.said()
    );
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
    let going = rehearse::Going::begin(bench, &config)?;
    left(bench, &daemon, "rehearsal", "a rehearsal", || {
        going.signal(Signal::SIGKILL)?;
        Ok(going.0)
    })?;
    // The next one begins.
    rehearse::Going::begin(bench, &config)?.end()?;
    Ok(())
}

/// Nothing is told any more, but the note of who listened cannot be removed.
fn listener(bench: &Bench<'_>) -> Result<()> {
    let daemon = Daemon::start(apart(bench)?)?;
    let going = events::Going::begin(bench, &[])?;
    left(bench, &daemon, "listener", "a listener to events", || {
        going.signal(Signal::SIGKILL)?;
        Ok(going.0)
    })?;
    let mut next = events::Going::begin(bench, &[])?;
    next.signal(Signal::SIGINT)?;
    let ended = next.0.wait()?;
    ensure!(ended.success(), "the next one ended with {ended}");
    Ok(())
}

/// What is left of a command that was killed stays, and is said to, for as long as it cannot be cleared away.
fn left(
    bench: &Bench<'_>,
    daemon: &Daemon,
    chore: &str,
    what: &str,
    kill: impl FnOnce() -> Result<Child>,
) -> Result<()> {
    remount(daemon, &READ_ONLY)?;
    kill()?.wait()?;
    undone(bench, chore, &format!("what is left of {what}"))?;
    said(daemon, &format!("cannot clear away {what}"))?;
    bench.in_force()?;
    remount(daemon, &WRITABLE)?;
    until(bench, "not well", |status| status.state == "ok")?;
    said(daemon, &format!("cleared away {what}"))?;
    bench.in_force()
}

/// Something that the daemon looks after by reading a map, which the kernel does not let it do for a while. It has its maps open: nothing that anybody does
/// to pins keeps it from them.
struct Unread {
    chore: &'static str,
    /// What `gate status` and the log say then.
    undone: &'static str,
    /// What the log says once it is over.
    again: &'static str,
    /// How often the log says what is undone: the start tells what it could not do itself.
    times: usize,
    map: &'static str,
    /// Which entry of the map, where not all of it.
    key: Option<State>,
}

const UNREAD: [Unread; 3] = [
    Unread {
        chore: "flows",
        undone: "tags of connections that are too old stay",
        again: "tags of connections that are too old are removed again",
        times: 2,
        map: maps::FLOWS,
        key: None,
    },
    Unread {
        chore: "clock",
        undone: "the clock is not followed",
        again: "the clock is followed again",
        times: 1,
        map: maps::STATE,
        key: Some(State::WallOffset),
    },
    Unread {
        chore: "marks",
        undone: "it is not known whether skb marks are set",
        again: "skb marks are looked after again",
        times: 1,
        map: maps::STATE,
        key: Some(State::NoMetadata),
    },
];

/// What is not to be read: a map by its number, and the entry.
type Denied = Mutex<Option<(u32, Option<u32>)>>;

/// One after the other, and all is well in the end.
fn unread(bench: &Bench<'_>) -> Result<()> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    // The next daemon adopts the maps, whose numbers are known then.
    bench.gate().run(&path)?.kill()?;
    let denied = Denied::default();
    deny(bench, &denied, UNREAD.first())?;
    let mut command = bench.gate().command(&["run", "--config"]);
    command.arg(path);
    hold::prepare(&mut command, [Before::Lookup, Before::LookupBatch]);
    let daemon = Daemon::spawn(command)?;
    let pid = daemon.id();
    let happens = |call: &Call<'_>| {
        let denied = *denied.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match denied {
            Some(denied) if call.read()? == denied => Verdict::Fails(Errno::EPERM),
            _ => Verdict::Done,
        })
    };
    thread::scope(|scope| {
        let watch = scope.spawn(|| hold::watch(pid, happens));
        let outcome = one_by_one(bench, daemon, &denied);
        let watched = watch.join();
        outcome.and(watched.unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}

/// Has the kernel refuse what this one reads, and nothing else.
fn deny(bench: &Bench<'_>, denied: &Denied, unread: Option<&Unread>) -> Result<()> {
    let pins = pin::list(bench.lab.pins())?;
    let of = |it: &Unread| {
        let pin = pins.iter().find(|pin| pin.path.ends_with(it.map));
        match pin.map(|pin| pin.object) {
            Some(Object::Map(id)) => Ok((id, it.key.map(|key| key as u32))),
            other => anyhow::bail!("{}: no map, but {other:?}", it.map),
        }
    };
    let id = unread.map(of).transpose()?;
    *denied.lock().unwrap_or_else(PoisonError::into_inner) = id;
    Ok(())
}

fn one_by_one(bench: &Bench<'_>, mut daemon: Daemon, denied: &Denied) -> Result<()> {
    ensure!(daemon.outcome()?.is_none(), "it ended: {}", daemon.said());
    let mut tried = Vec::new();
    for row in &UNREAD {
        deny(bench, denied, Some(row))?;
        tried.push(row.chore);
        let so_far = UNREAD.iter().take(tried.len());
        let status = until(bench, row.undone, |status| {
            let says = |it: &&Unread| {
                let problem = status.problems.iter().find(|one| one.contains(it.undone));
                problem.is_some_and(|one| one.contains("not permitted"))
            };
            // What was refused before is tried again some seconds later.
            says(&row) && status.problems.len() == so_far.clone().filter(says).count()
        })?;
        ensure!(status.state == "degraded", "{status:?}");
        let mut counted = BTreeMap::new();
        let all = interrupt::wait_until(LIMIT, || {
            counted = failures(bench).unwrap_or_default();
            tried.iter().all(|it| counted.contains_key(*it))
        })?;
        ensure!(
            all && counted.len() == tried.len(),
            "{tried:?} failed, and counted is {counted:?}"
        );
        told(&daemon, row.undone, row.times)?;
        bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    }
    deny(bench, denied, None)?;
    until(bench, "not well", |status| status.state == "ok")?;
    for row in &UNREAD {
        told(&daemon, row.undone, row.times)?;
        said(&daemon, row.again)?;
    }
    bench.in_force()
}
