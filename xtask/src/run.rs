//! `cargo xtask run -- ARGS`: builds gate and runs it as root.

use std::{ffi::OsString, process::ExitCode};

use anyhow::Result;

use crate::{command, needs::Group, prepare, supervise, workspace::Workspace};

/// Builds gate and runs it as root with ARGS
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed to gate as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// The subcommand. Its exit code is gate's.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { arguments } = arguments;
    let prepared = prepare::prepare(workspace, Group::Run)?;
    let mut gate = command::privileged(&prepared.built.gate)?;
    gate.args(arguments);
    prepared.tell(&mut gate);
    supervise::run(&mut gate)
}
