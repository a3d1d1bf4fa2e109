//! The `gate` program: parses the command line, runs the command, and turns errors into words and an exit code.

mod cli;

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use gate_user::{Error, Exit};

fn main() -> ExitCode {
    let exit = match cli::run(cli::Cli::parse()) {
        Ok(exit) => exit,
        Err(error) => explain(&error),
    };
    ExitCode::from(exit as u8)
}

/// Writes the error, what to do about it, and returns the exit code.
fn explain(error: &anyhow::Error) -> Exit {
    let mut err = std::io::stderr().lock();
    let typed = error.downcast_ref::<Error>();
    let hint = typed.and_then(Error::hint);
    // There is nobody to tell if this fails.
    let _ = match (typed, &hint) {
        (Some(error), Some(hint)) => writeln!(err, "gate: error: {error}\n  hint: {hint}"),
        (Some(error), None) => writeln!(err, "gate: error: {error}"),
        (None, _) => writeln!(err, "gate: error: {error:#}"),
    };
    typed.map_or(Exit::Failed, Error::exit)
}
