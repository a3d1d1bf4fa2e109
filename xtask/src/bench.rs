//! `cargo xtask bench`: how fast the gate and its peers are, on this machine.
//!
//! The measuring is the binary `bench` of `gate-tests`, with BPF programs of its own beside the gate's. A target that is missed is a
//! figure like any other: only a run that cannot be trusted fails.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};

use crate::{
    against::Before,
    command,
    needs::{self, Group},
    object, prepare, say, supervise,
    workspace::Workspace,
};

/// The environment variable with the path of the benchmark's BPF object.
const OBJECT: &str = "GATE_BENCH_OBJECT";
/// The suite that measures the gate of another commit as well.
const SHAPES: &str = "shapes";

/// Sets up, builds, and measures
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this suite: shapes, carriers, refuse, lookup, growth, userspace; can be given again
    #[arg(long, value_name = "NAME")]
    suite: Vec<String>,
    /// Fewer rounds: under three minutes, with more scatter
    #[arg(long)]
    quick: bool,
    /// Also write every figure into this file, as a JSON list
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write a report with plots into this directory, such as docs/benchmarks
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Beside the gate of this tree, measure that of this commit; of the one that the last report is about, if nothing is said
    #[arg(long, value_name = "REV")]
    against: Option<String>,
    /// Passed to the benchmark as they are
    #[arg(last = true)]
    rest: Vec<OsString>,
}

/// The subcommand. Its exit code is the benchmark's.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments {
        suite,
        quick,
        json,
        report,
        against,
        rest,
    } = arguments;
    let prepared = prepare::prepare(workspace, Group::Lab)?;
    needs::offer(Group::Bench);
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
    let before = if suite.is_empty() || suite.iter().any(|it| it == SHAPES) {
        Before::build(workspace, against.as_deref())?
    } else {
        ensure!(
            against.is_none(),
            "--against: only the suite {SHAPES} measures another gate, and it was not asked for"
        );
        None
    };
    let mut bench = command::privileged(workspace.release("bench"))?;
    for name in suite {
        bench.args(["--suite", name]);
    }
    if *quick {
        bench.arg("--quick");
    }
    for (option, path) in [("--json", json), ("--report", report)] {
        if let Some(path) = path {
            bench.arg(option).arg(path);
        }
    }
    bench
        .args(rest)
        .env(OBJECT, object)
        .env("GATE_COMMIT", workspace.commit())
        .env("GATE_COMMAND", typed());
    prepared.tell(&mut bench);
    if let Some(before) = &before {
        before.tell(&mut bench);
    }
    supervise::run(&mut bench)
}

/// What was typed, as far as it can be known.
fn typed() -> String {
    let arguments: Vec<String> = env::args().skip(1).collect();
    format!("cargo xtask {}", arguments.join(" "))
}
