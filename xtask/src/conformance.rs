//! `cargo xtask conformance`: the gate's view of every packet of captures, beside tshark's.
//!
//! The comparison is the binary `conformance` of `gate-tests`. It needs no privilege.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Result;

use crate::{
    captures, command,
    needs::{self, Group},
    object::{self, Object},
    say, supervise,
    workspace::Workspace,
};

/// Compares the gate's view of every packet of captures with tshark's
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A folder of captures (pcap, pcapng), read with the folders in it; without it, those of the repository
    directory: Option<PathBuf>,
    /// Also write the outcome into this file, with every difference
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the outcome into this file, as docs/conformance.md has it
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The subcommand. Its exit code says whether the threat model explains every difference.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments {
        directory,
        json,
        report,
    } = arguments;
    needs::ensure(Group::Conformance)?;
    // gate-user, which the tests' crate links, embeds the object.
    object::ensure(workspace, Object::Shipped)?;
    command::run(workspace.cargo().args([
        "build",
        "--release",
        "--package",
        "gate-tests",
        "--bin",
        "conformance",
    ]))?;
    let directory = match directory {
        Some(directory) => directory.clone(),
        None => captures::unpack(workspace)?,
    };
    say::step(format_args!("comparing {}", directory.display()));
    let mut compare = Command::new(workspace.release("conformance"));
    compare.arg(directory);
    if let Some(file) = json {
        compare.arg("--json").arg(file);
    }
    if let Some(file) = report {
        compare.arg("--report").arg(file);
    }
    supervise::run(&mut compare)
}
