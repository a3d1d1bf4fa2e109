//! `cargo xtask dist`: the Debian package; with `--try`, what becomes of a machine that installs it.
//!
//! Three layers, each for what it can find: lintian reads the package, a clean root of Debian has it installed, upgraded, removed and purged,
//! and a guest whose PID 1 is systemd runs the units as they are shipped.

mod guest;
mod install;
mod package;
mod root;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};

use self::package::Package;
use crate::{
    build::{self, Built},
    command, data,
    needs::{self, Group},
    say,
    tally::Tally,
    workspace::Workspace,
};

/// Builds the Debian package
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also check it: lintian, an installation in a clean root, the units in a guest with systemd
    #[arg(long = "try")]
    trial: bool,
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { trial } = arguments;
    let built = build::ensure_built(workspace)?;
    let made = Made::new(workspace, &built)?;
    say::line(format_args!(
        "package: {}",
        workspace.show(&made.package.file)
    ));
    if !trial {
        return Ok(ExitCode::SUCCESS);
    }
    let tally = made.check()?;
    let Tally {
        passed,
        failed,
        ignored,
        ..
    } = tally;
    say::line(format_args!(
        "package: {passed} passed, {failed} failed, {ignored} skipped"
    ));
    tally.tell_failures();
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What the trials are made of. Made before they run: all that asks cargo is over then.
pub(crate) struct Made<'a> {
    workspace: &'a Workspace,
    package: Package,
    /// The same with a higher version, to upgrade to.
    next: Package,
}

impl<'a> Made<'a> {
    /// Builds the packages.
    pub(crate) fn new(workspace: &'a Workspace, built: &Built) -> Result<Self> {
        needs::ensure(Group::Package)?;
        let material = package::Material::prepare(workspace, built)?;
        Ok(Self {
            workspace,
            package: material.build("1")?,
            next: material.build("2")?,
        })
    }

    /// Runs all trials.
    pub(crate) fn check(&self) -> Result<Tally> {
        let Self {
            workspace,
            package,
            next,
        } = self;
        if let Err(error) = possible() {
            say::step(format_args!(
                "what is tried with the package is skipped: {}",
                say::chain(&error)
            ));
            return Ok(Tally {
                ignored: 1,
                ..Tally::default()
            });
        }
        let mut tally = package.lint()?;
        let root = root::ensure(workspace)?;
        let database = data::DBIP.unpack(workspace)?;
        tally += install::run(workspace, &root, package, next, &database)?;
        tally += guest::run(workspace, &root, package, next, &database)?;
        Ok(tally)
    }
}

/// Fails where the trials cannot run at all.
fn possible() -> Result<()> {
    ensure!(
        std::env::consts::ARCH == "x86_64",
        "the guest is x86_64 and this machine is {}",
        std::env::consts::ARCH
    );
    ensure!(
        command::can_be_root(),
        "not root, and no sudo here, and a root of Debian is made by root"
    );
    needs::ensure(Group::Dist)
}

/// Where everything of this task is that is no package.
fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("dist")
}
