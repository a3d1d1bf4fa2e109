//! Waits for a child that cleans up after itself.
//!
//! A task that dies of Ctrl-C while its child still removes namespaces gives the prompt back too early, and kills the child where it
//! leads the session. So xtask catches the signals that ask to stop and outlives the child, which gets its default handlers back on exec.

use std::{
    io::{IsTerminal as _, stdin},
    process::{Child, Command, ExitCode, ExitStatus},
    thread,
};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

use crate::{command, say};

/// Runs `command`, passes on what asks it to stop, and returns its exit code.
pub(crate) fn run(command: &mut Command) -> Result<ExitCode> {
    // Before the child starts: no signal may find xtask with its default handlers and the child running.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).context("cannot catch signals")?;
    let handle = signals.handle();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{}`", command::describe(command)))?;
    let pid = pid(&child)?;
    let forwarder = thread::spawn(move || {
        for signal in signals.forever() {
            forward(pid, signal);
        }
    });
    let status = child.wait();
    handle.close();
    // It only ends by the line above and returns nothing.
    let _ = forwarder.join();
    Ok(code(status.with_context(|| {
        format!("cannot wait for `{}`", command::describe(command))
    })?))
}

/// The child's exit code; a shell's convention (128 + signal) where a signal ended it.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let number = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    number
        .and_then(|number| u8::try_from(number).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

fn pid(child: &Child) -> Result<Pid> {
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .context("a process id that is none")
}

fn forward(pid: Pid, signal: i32) {
    // A terminal sends Ctrl-C to every process in the foreground: the child has it already, and a second one might cut its clean-up short.
    if signal == SIGINT && stdin().is_terminal() {
        return;
    }
    let sent = Signal::try_from(signal).and_then(|signal| kill(pid, signal));
    if let Err(error) = sent {
        say::step(format_args!(
            "cannot pass signal {signal} on to process {pid}: {error}"
        ));
    }
}
