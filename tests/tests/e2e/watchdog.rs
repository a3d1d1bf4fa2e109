//! What the service manager hears of a daemon whose worker hangs: no sign of life, while packets are judged.
//!
//! A signal would stop all of the process. strace holds a single thread before its next system call, for as long as strace itself is stopped.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{gate::Daemon, interrupt, lab::Who};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial("watchdog::a_worker_that_hangs_is_no_sign_of_life", hangs)]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

/// What the daemon is told of its manager's patience, in microseconds: it gives a sign of life each second.
const WATCHDOG_USEC: &str = "3000000";

/// As long as five signs of life.
const SILENCE: Duration = Duration::from_secs(5);

/// The thread that reloads.
const WORKER: &str = "reload";

fn hangs(bench: &Bench<'_>) -> Result<()> {
    let socket = bench.lab.scratch().join("notify");
    let manager = UnixDatagram::bind(&socket)?;
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let mut command = bench.gate().command(&["run", "--config"]);
    command
        .arg(config)
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", WATCHDOG_USEC);
    let daemon = Daemon::start(command)?;
    lives(&manager)?;
    lives(&manager)?;

    let worker = worker(&daemon)?;
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-p"]);
    strace.arg(worker.file_name().context("a thread without a number")?);
    let strace = Daemon::spawn(strace)?;
    let holds = interrupt::wait_until(LIMIT, || strace.said().contains("attached"))?;
    ensure!(holds, "strace does not attach: {}", strace.said());
    strace.signal(Signal::SIGSTOP)?;
    let hangs = interrupt::wait_until(LIMIT, || state(&worker).is_ok_and(|it| it == "t"))?;
    ensure!(hangs, "the worker goes on: {:?}", state(&worker));
    falls_silent(&manager)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    bench.in_force()?;
    ensure!(state(&worker)? == "t", "the worker went on meanwhile");

    // Let go, it gets on, and so does what tells of it.
    strace.kill()?;
    lives(&manager)?;
    ensure!(daemon.terminate()?.success(), "no clean end");
    Ok(())
}

/// The directory of the daemon's thread that reloads.
fn worker(daemon: &Daemon) -> Result<PathBuf> {
    let tasks = format!("/proc/{}/task", daemon.id());
    let mut threads = fs::read_dir(tasks)?.filter_map(|it| Some(it.ok()?.path()));
    let found = threads.find(|it| {
        let name = fs::read_to_string(it.join("comm"));
        name.is_ok_and(|it| it.trim_end() == WORKER)
    });
    found.with_context(|| format!("no thread is called {WORKER}"))
}

/// The letter of what a thread does (`proc_pid_stat(5)`): `t` while it is held.
fn state(thread: &Path) -> Result<String> {
    let stat = fs::read_to_string(thread.join("stat"))?;
    let (_, rest) = stat.rsplit_once(") ").context("no state")?;
    Ok(rest.chars().take(1).collect())
}

/// Whether the next message is a sign of life; nothing if none came in time.
fn next(manager: &UnixDatagram) -> Result<Option<bool>> {
    let mut buffer = [0; 4096];
    match manager.recv(&mut buffer) {
        Ok(length) => Ok(Some(buffer.get(..length) == Some(b"WATCHDOG=1"))),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a sign of life.
fn lives(manager: &UnixDatagram) -> Result<()> {
    manager.set_read_timeout(Some(LIMIT))?;
    loop {
        if next(manager)?.context("no sign of life")? {
            return Ok(());
        }
    }
}

/// Waits until there was no sign of life for a time. A daemon that gives them all the same does so for longer than anything here may take.
fn falls_silent(manager: &UnixDatagram) -> Result<()> {
    manager.set_read_timeout(Some(Duration::from_millis(200)))?;
    let begun = Instant::now();
    let mut last = begun;
    while last.elapsed() < SILENCE {
        if next(manager)? == Some(true) {
            last = Instant::now();
        }
        ensure!(begun.elapsed() < LIMIT, "its signs of life go on");
    }
    Ok(())
}
