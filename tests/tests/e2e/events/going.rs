//! A `gate events` that goes on, and what it says.

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{exec, interrupt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{LIMIT, listened, maps};
use crate::bench::Bench;

/// A `gate events` that goes on, and the file that it writes to: a pipe that nobody reads would hold it up.
pub(crate) struct Going(pub(crate) Child, PathBuf);

impl Going {
    /// Starts one, and waits until `gate privacy` shows it.
    pub(crate) fn begin(bench: &Bench<'_>, more: &[&str]) -> Result<Self> {
        let arguments = [&["events"], more].concat();
        Self::spawn(bench, bench.gate().command(&arguments))
    }

    pub(super) fn spawn(bench: &Bench<'_>, mut command: Command) -> Result<Self> {
        let path = bench.lab.scratch().join("events.ndjson");
        command
            .stdin(Stdio::null())
            .stdout(File::create(&path)?)
            .stderr(Stdio::piped());
        let going = Self(exec::spawn(&mut command)?, path);
        let mut seen = false;
        interrupt::wait_until(LIMIT, || {
            seen = listened(bench).is_ok_and(|it| it);
            seen
        })?;
        ensure!(seen, "gate privacy shows nobody who listens");
        // The note is written before the first event is told.
        ensure!(
            interrupt::wait_until(LIMIT, || maps(bench)
                .is_ok_and(|it| it.has_listener().is_ok_and(|it| it)))?,
            "nobody listens"
        );
        Ok(going)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        Ok(kill(pid, signal)?)
    }

    /// Ends it with Ctrl-C; its code and what it says.
    pub(super) fn end(self) -> Result<(Option<i32>, Heard)> {
        self.signal(Signal::SIGINT)?;
        self.heard()
    }

    /// Waits for its end.
    pub(super) fn heard(mut self) -> Result<(Option<i32>, Heard)> {
        let ended = exec::wait(&mut self.0, LIMIT)?;
        let code = ended.context("it does not end")?.code();
        let mut error = String::new();
        let mut stderr = self.0.stderr.take().context("no error output")?;
        stderr.read_to_string(&mut error)?;
        Ok((code, Heard::parse(&fs::read_to_string(&self.1)?, error)?))
    }
}

/// What was said.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) events: Vec<Value>,
    pub(super) lost: Vec<Value>,
    pub(super) end: Value,
    pub(super) text: String,
    pub(super) error: String,
}

impl Heard {
    pub(super) fn parse(text: &str, error: String) -> Result<Self> {
        let lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .with_context(|| text.to_owned())?;
        let of = |kind: &str| -> Vec<Value> {
            let lines = lines.iter().filter(|it| it["kind"] == kind);
            lines.cloned().collect()
        };
        Ok(Self {
            events: of("event"),
            lost: of("lost"),
            end: of("end").pop().unwrap_or_default(),
            text: text.to_owned(),
            error,
        })
    }

    /// How many events have these values.
    pub(super) fn count(&self, wanted: &[(&str, &str)]) -> usize {
        let has = |it: &&Value| wanted.iter().all(|(key, value)| it[*key] == *value);
        self.events.iter().filter(has).count()
    }

    pub(super) fn of_end(&self, key: &str) -> u64 {
        self.end[key].as_u64().unwrap_or(u64::MAX)
    }

    /// All that became of events.
    pub(super) fn all(&self) -> u64 {
        ["written", "unsampled", "over_rate", "no_room", "lapsed"]
            .map(|it| self.of_end(it))
            .iter()
            .sum()
    }
}
