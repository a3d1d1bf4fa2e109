//! What xtask itself writes: progress on standard error, results on standard output.
//!
//! Everything goes through here, so that a line is written whole under one lock, and the lints that forbid stray prints hold
//! everywhere else. A closed pipe (`cargo xtask test | head`) is not an error of the task: write errors are dropped.

use std::{
    fmt::Display,
    io::{self, Write as _},
};

/// A step that begins or a decision that was taken.
pub(crate) fn step(text: impl Display) {
    drop(writeln!(io::stderr().lock(), "xtask: {text}"));
}

/// An error and what caused it, the cause on a line of its own: both may tell what to do next.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    error
        .chain()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\nbecause: ")
}

/// A line of the result.
pub(crate) fn line(text: impl Display) {
    drop(writeln!(io::stdout().lock(), "{text}"));
}

/// Another program's output as it came, behind `prefix`.
pub(crate) fn pass_on(prefix: &str, output: &[u8]) {
    let mut out = io::stdout().lock();
    drop(
        out.write_all(prefix.as_bytes())
            .and_then(|()| out.write_all(output))
            .and_then(|()| out.flush()),
    );
}
