//! The program under test, from outside: started where the lab wants it, and believed only in what its users see.

mod config;
mod daemon;
mod explain;
mod rehearsal;
mod report;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

pub use self::{
    config::{Answer, Class, Config, Limit, Mode, Pool},
    daemon::Daemon,
    explain::{
        Diff, DiffCountries, DiffGroup, DiffSection, Explanation, Fill, Matrix, MatrixChange,
        MatrixRow, Rule, Treatment,
    },
    rehearsal::{
        Rehearsal, RehearsalEnded, RehearsedDifference, RehearsedOutcome, RehearsedPackets,
        RehearsedSource, Underway,
    },
    report::{
        AnswerPackets, Bypass, Change, ClassPackets, Counters, CountryPackets, Flow, FromZero,
        InterfacePackets, InterfaceState, LimitEvents, Listed, Lookup, Packets, PoolPackets,
        ReasonPackets, Reload, ShownPackets, SourcePackets, Status, Step, Switched, UnsentPackets,
    },
};
use crate::{
    exec::{self, Output},
    lab::{Lab, NetNs},
};

/// The environment variable with the path of the program.
pub const GATE_BIN: &str = "GATE_BIN";
/// The environment variable with the path of a program with another version of the map ABI.
pub const GATE_ANOTHER: &str = "GATE_ANOTHER";
/// The environment variable with the path of the country database.
pub const GATE_MMDB: &str = "GATE_MMDB";

/// How long a command that is no daemon may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The path in an environment variable that `cargo xtask` sets.
pub fn path_from(variable: &str) -> Result<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .with_context(|| {
            format!(
                "{variable} is not set: run this through `cargo xtask demo` or `cargo xtask test`"
            )
        })
}

/// The program, in one place, with one directory of pins.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    program: &'a Path,
    pins: &'a Path,
    scratch: &'a Path,
    /// Where this process is, if nothing else is said.
    netns: Option<&'a NetNs>,
}

impl<'a> Gate<'a> {
    /// `program` in the router of `lab`.
    #[must_use]
    pub fn new(program: &'a Path, lab: &'a Lab) -> Self {
        Self {
            program,
            pins: lab.pins(),
            scratch: lab.scratch(),
            netns: Some(lab.router()),
        }
    }

    /// `program` where this process is, with `pins` and, for its socket, a directory of its own.
    #[must_use]
    pub fn here(program: &'a Path, pins: &'a Path, scratch: &'a Path) -> Self {
        Self {
            program,
            pins,
            scratch,
            netns: None,
        }
    }

    /// The same with other pins.
    #[must_use]
    pub fn with_pins(self, pins: &'a Path) -> Self {
        Self { pins, ..self }
    }

    /// The same in another network namespace.
    #[must_use]
    pub fn within(self, netns: &'a NetNs) -> Self {
        Self {
            netns: Some(netns),
            ..self
        }
    }

    /// The directory of its pins.
    #[must_use]
    pub fn pins(&self) -> &'a Path {
        self.pins
    }

    /// One of its commands, to be changed before it is run.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg("--pins")
            .arg(self.pins)
            .args(arguments)
            .env("RUNTIME_DIRECTORY", self.sockets());
        if let Some(netns) = self.netns {
            netns.contain(&mut command);
        }
        command
    }

    /// Where its daemon puts its control socket.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.scratch.join("run")
    }

    /// What one would type to get the same.
    #[must_use]
    pub fn typed(&self, arguments: &str) -> String {
        let within = self
            .netns
            .map(|netns| format!("nsenter --net=/run/netns/{} ", netns.name()))
            .unwrap_or_default();
        format!(
            "{within}{} --pins {} {arguments}",
            self.program.display(),
            self.pins.display()
        )
    }

    /// Runs one of its commands to the end, whatever that is.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        exec::output(&mut self.command(arguments), "", PATIENCE)
    }

    /// Runs one that has to succeed, and returns what it printed.
    pub fn text(&self, arguments: &[&str]) -> Result<String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.output(arguments)?;
        ensure!(
            status.success(),
            "gate {} failed ({status}): {}",
            arguments.join(" "),
            stderr.trim()
        );
        Ok(stdout)
    }

    /// Starts `gate run` and waits until it says that the gate is closed.
    pub fn run(&self, config: &Path) -> Result<Daemon> {
        let mut command = self.command(&["run", "--config"]);
        command.arg(config);
        Daemon::start(command)
    }

    /// Starts `gate run` and waits for nothing.
    pub fn begin(&self, config: &Path) -> Result<Daemon> {
        let mut command = self.command(&["run", "--config"]);
        command.arg(config);
        Daemon::spawn(command)
    }

    /// `gate detach`.
    pub fn detach(&self) -> Result<String> {
        self.text(&["detach"])
    }

    /// `gate counters`.
    pub fn counters(&self) -> Result<Counters> {
        self.json(&["counters"])
    }

    /// `gate status`, with its exit code: it answers also where that is not 0.
    pub fn status(&self) -> Result<(Option<i32>, Status)> {
        let output = self.output(&["--format", "json", "status"])?;
        let status = parse(&output.stdout).with_context(|| {
            format!("gate status says nothing useful: {}", output.stderr.trim())
        })?;
        Ok((output.code(), status))
    }

    /// `gate reload`, with its exit code: it answers also where that is not 0.
    pub fn reload(&self, arguments: &[&str]) -> Result<(Option<i32>, Reload)> {
        let output = self.output(&[&["--format", "json", "reload"], arguments].concat())?;
        let reload = parse(&output.stdout).with_context(|| {
            format!("gate reload says nothing useful: {}", output.stderr.trim())
        })?;
        Ok((output.code(), reload))
    }

    /// `gate rollback`, with its exit code.
    pub fn rollback(&self) -> Result<(Option<i32>, Reload)> {
        let output = self.output(&["--format", "json", "rollback"])?;
        let rollback = parse(&output.stdout).with_context(|| {
            format!(
                "gate rollback says nothing useful: {}",
                output.stderr.trim()
            )
        })?;
        Ok((output.code(), rollback))
    }

    /// `gate bypass`, which has to succeed.
    pub fn bypass(&self, arguments: &[&str]) -> Result<Switched> {
        self.json(&[&["bypass"], arguments].concat())
    }

    /// `gate flow`; `None` when there is no such flow.
    pub fn flow(&self, source: SocketAddr, destination: SocketAddr) -> Result<Option<Flow>> {
        let [source, destination] = [source, destination].map(|end| end.to_string());
        let output = self.output(&["--format", "json", "flow", &source, &destination])?;
        match output.code() {
            Some(0) => parse(&output.stdout).map(Some),
            Some(1) => Ok(None),
            code => anyhow::bail!("gate flow ended with {code:?}: {}", output.stderr.trim()),
        }
    }

    /// `gate explain`.
    pub fn explain(&self, arguments: &[&str]) -> Result<Explanation> {
        self.json(&[&["explain"], arguments].concat())
    }

    /// `gate matrix`.
    pub fn matrix(&self) -> Result<Matrix> {
        self.json(&["matrix"])
    }

    /// `gate diff`.
    pub fn diff(&self, config: &Path, arguments: &[&str]) -> Result<Diff> {
        let config = config.to_str().context("a path that is no text")?;
        self.json(&[&["diff", "--config", config], arguments].concat())
    }

    /// `gate lookup`.
    pub fn lookup(&self, arguments: &[&str]) -> Result<Vec<Lookup>> {
        self.json(&[&["lookup"], arguments].concat())
    }

    fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        parse(&self.text(&[&["--format", "json"], arguments].concat())?)
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).with_context(|| format!("unexpected JSON: {text}"))
}
