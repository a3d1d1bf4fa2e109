//! `cargo xtask bench`: how fast, on this machine and on the country database of the repository.
//!
//! The measuring is the binary `bench` of `gate-tests`, with BPF programs of its own beside the gate's. A target that is missed is a
//! figure like any other: only a run that cannot be trusted fails.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::ValueEnum;

use crate::{command, needs::Group, object, prepare, say, supervise, workspace::Workspace};

/// The environment variable with the path of the benchmark's BPF object.
const OBJECT: &str = "GATE_BENCH_OBJECT";

/// Sets up, builds, and measures
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is measured
    #[arg(long, value_enum)]
    suite: Suite,
    /// Fewer rounds: under a minute, with more scatter
    #[arg(long)]
    quick: bool,
    /// Also write every figure into this file, as a JSON list
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Passed to the benchmark as they are
    #[arg(last = true)]
    rest: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Suite {
    /// From an address to its country, in the kernel: the gate's table beside the kernel's tries
    Lookup,
}

/// The subcommand. Its exit code is the benchmark's.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments {
        suite,
        quick,
        json,
        rest,
    } = arguments;
    let prepared = prepare::prepare(workspace, Group::Lab)?;
    say::step("building the benchmark");
    let object = object::bench(workspace)?;
    command::run(workspace.cargo().args([
        "build",
        "--release",
        "--package",
        "gate-tests",
        "--bin",
        "bench",
    ]))?;
    let mut bench = command::privileged(workspace.release("bench"))?;
    match suite {
        Suite::Lookup => bench.arg("lookup"),
    };
    if *quick {
        bench.arg("--quick");
    }
    if let Some(file) = json {
        bench.arg("--json").arg(file);
    }
    bench.args(rest).env(OBJECT, object);
    prepared.tell(&mut bench);
    supervise::run(&mut bench)
}
