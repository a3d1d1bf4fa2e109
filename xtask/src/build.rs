//! `cargo xtask build`: the BPF object, then the program that embeds it: one self-contained file.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::{
    command,
    object::{self, Object},
    say,
    workspace::Workspace,
};

/// What the later tasks run.
pub(crate) struct Built {
    /// The program.
    pub(crate) gate: PathBuf,
    /// The object inside it, for tests that load it themselves.
    pub(crate) object: PathBuf,
}

/// Builds both; instant when nothing changed.
pub(crate) fn ensure_built(workspace: &Workspace) -> Result<Built> {
    build(workspace, false)
}

fn build(workspace: &Workspace, log: bool) -> Result<Built> {
    let object = object::ensure(workspace, Object::Shipped)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--package", "gate-user"]);
    if log {
        object::ensure(workspace, Object::Log)?;
        cargo.args(["--features", "log"]);
    }
    say::step("building gate");
    command::run(&mut cargo)?;
    let gate = workspace.release("gate");
    ensure!(
        gate.is_file(),
        "cargo built gate-user but there is no {}: a `build.target-dir` in cargo's configuration is not followed, set CARGO_TARGET_DIR instead",
        gate.display()
    );
    Ok(Built { gate, object })
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, log: bool) -> Result<()> {
    let Built { gate, object } = build(workspace, log)?;
    say::line(format_args!("program: {}", workspace.show(&gate)));
    say::line(format_args!(
        "BPF object inside: {}",
        workspace.show(&object)
    ));
    Ok(())
}
