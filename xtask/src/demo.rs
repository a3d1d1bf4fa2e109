//! `cargo xtask demo`: a lab of network namespaces with real connections, refused and passed before one's eyes.
//!
//! The lab itself is the binary `demo` of `gate-tests`; it removes what it made, also after Ctrl-C, and its exit code says whether all
//! went as expected.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

use crate::{command, needs::Group, prepare, say, supervise, workspace::Workspace};

/// Sets up, builds, and shows the gate at work in a lab of network namespaces
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed to the demo as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The subcommand. Its exit code is the demo's.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { arguments } = arguments;
    let prepared = prepare::prepare(workspace, Group::Lab)?;
    say::step("building the demo");
    command::run(workspace.cargo().args([
        "build",
        "--release",
        "--package",
        "gate-tests",
        "--bin",
        "demo",
    ]))?;
    let mut demo = command::privileged(workspace.release("demo"))?;
    demo.args(arguments);
    prepared.tell(&mut demo);
    supervise::run(&mut demo)
}
