//! Sets up, builds, runs and checks gate. `cargo xtask help` lists the subcommands; each has a file of its name.
//!
//! xtask depends on no crate of the project and compiles on a bare stable toolchain: it is what turns a fresh machine into one that
//! builds the rest. It decides nothing about packets, and nothing in the other crates depends on it, except that `gate-user/build.rs`
//! includes `sources.rs`.

mod abi;
mod against;
mod another;
mod apt;
mod bench;
mod build;
mod captures;
mod command;
mod conformance;
mod coverage;
mod data;
mod demo;
mod dist;
mod fuzz;
mod linker;
mod lint;
mod mutants;
mod needs;
mod object;
mod prepare;
mod run;
mod say;
mod setup;
mod sources;
mod stream;
mod supervise;
mod tally;
mod test;
mod tool;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    about = "Sets up, builds, runs and checks gate"
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Setup(setup::Arguments),
    /// Builds the BPF object and target/release/gate, which embeds it
    Build {
        /// Also embed an object that logs every judged packet (`gate run --log-packets`), for debugging
        #[arg(long)]
        log: bool,
    },
    Run(run::Arguments),
    Demo(demo::Arguments),
    Bench(bench::Arguments),
    Test(test::Arguments),
    Conformance(conformance::Arguments),
    Vm(vm::Arguments),
    Dist(dist::Arguments),
    Fuzz(fuzz::Arguments),
    /// Prints which lines of parser, decision, answers and limits the fuzzing corpora and the property tests reach
    Coverage,
    Mutants(mutants::Arguments),
    /// Checks formatting, clippy, documentation, dependencies, ABI and data
    Lint,
    Abi(abi::Arguments),
    Data(data::Arguments),
}

fn main() -> ExitCode {
    match start(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            say::step(format_args!("error: {}", say::chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn start(task: Task) -> Result<ExitCode> {
    let workspace = &Workspace::locate()?;
    let done = |()| ExitCode::SUCCESS;
    match task {
        Task::Setup(arguments) => setup::run(workspace, &arguments).map(done),
        Task::Build { log } => build::run(workspace, log).map(done),
        Task::Run(arguments) => run::run(workspace, &arguments),
        Task::Demo(arguments) => demo::run(workspace, &arguments),
        Task::Bench(arguments) => bench::run(workspace, &arguments),
        Task::Conformance(arguments) => conformance::run(workspace, &arguments),
        Task::Test(arguments) => test::run(workspace, &arguments),
        Task::Vm(arguments) => vm::run(workspace, &arguments),
        Task::Dist(arguments) => dist::run(workspace, &arguments),
        Task::Fuzz(arguments) => fuzz::run(workspace, &arguments),
        Task::Coverage => coverage::run(workspace).map(done),
        Task::Mutants(arguments) => mutants::run(workspace, &arguments),
        Task::Lint => lint::run(workspace).map(done),
        Task::Abi(arguments) => abi::run(workspace, &arguments).map(done),
        Task::Data(arguments) => data::run(workspace, &arguments).map(done),
    }
}
