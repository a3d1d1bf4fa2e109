//! `cargo xtask mutants`: the tests of gate-common, held against wrong versions of it.
//!
//! cargo-mutants makes one small change after the other. A change that no test notices is missing a test, or changes nothing that can
//! be observed: `.cargo/mutants.toml` lists those, each with its reason.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{supervise, tool::Tool, workspace::Workspace};

const CARGO_MUTANTS: Tool = Tool {
    name: "cargo-mutants",
    release: "27.1.0",
};

/// Holds the tests against wrong versions of parser, decision, answers, limits and sets; takes about half an hour
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only these files
    files: Vec<PathBuf>,
    /// How many versions are tested at a time
    #[arg(long, default_value_t = 2)]
    jobs: u32,
}

/// What is changed.
const FILES: [&str; 6] = [
    "gate-common/src/parse/*.rs",
    "gate-common/src/decide.rs",
    "gate-common/src/decide/*.rs",
    "gate-common/src/answer.rs",
    "gate-common/src/limit.rs",
    "gate-common/src/sets.rs",
];

/// The subcommand. Its exit code says whether the tests noticed every change.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { files, jobs } = arguments;
    let program = CARGO_MUTANTS.obtain(workspace)?;
    let mut mutants = Command::new(program);
    mutants
        .arg("mutants")
        .args(["--package", "gate-common", "--jobs", &jobs.to_string()])
        .arg("--output")
        .arg(&workspace.target)
        .current_dir(&workspace.root);
    if files.is_empty() {
        for file in FILES {
            mutants.args(["--file", file]);
        }
    }
    for file in files {
        mutants.arg("--file").arg(file);
    }
    // Property tests take seconds each time, and look for what nobody thought of rather than for what is written down.
    mutants.args(["--", "--lib", "--test", "corpora"]);
    mutants.args([
        "--test",
        "shapes",
        "--test",
        "decisions",
        "--test",
        "answers",
        "--test",
        "sets",
    ]);
    supervise::run(&mut mutants)
}
