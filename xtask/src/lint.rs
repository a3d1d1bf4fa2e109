//! `cargo xtask lint`: what is checked without running anything.
//!
//! Host and BPF crates are checked apart: together, cargo would unify features the two never share. All checks run, also after one
//! failed, so that one run tells everything.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    abi, apt, captures, command, data,
    needs::{self, Group},
    object::{self, Object},
    say,
    setup::{self, Bpf},
    tool::Tool,
    vm,
    workspace::Workspace,
};

const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    release: "0.20.2",
};

/// Debian's clippy for the toolchain that `setup` installs there.
const DEBIAN_CLIPPY: &str = "rust-web-clippy";

type Check = (&'static str, fn(&Workspace) -> Result<()>);

const CHECKS: [Check; 8] = [
    ("format", format),
    ("clippy", clippy),
    ("clippy of the BPF crates", clippy_bpf),
    ("documentation", documentation),
    ("bans, licences, sources", deny),
    ("ABI", abi::check_history),
    ("country databases", data::check),
    ("captures", captures::check),
];

/// The subcommand.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    ensure(workspace)?;
    // gate-user embeds the object: without it nothing of userspace compiles.
    object::ensure(workspace, Object::Shipped)?;
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        say::step(format_args!("lint: {name}"));
        if let Err(error) = check(workspace) {
            say::step(format_args!("lint: {name}: {}", say::chain(&error)));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join("; "));
    }
    say::line(format_args!("lint: {} checks ok", CHECKS.len()));
    Ok(())
}

/// Finds or installs rustfmt, clippy, cargo-deny and what the other checks call.
pub(crate) fn ensure(workspace: &Workspace) -> Result<()> {
    needs::ensure(Group::Lint)?;
    let lacks = |tool: &str| command::capture(workspace.cargo().args([tool, "--version"])).is_err();
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter_map(|(tool, component)| lacks(tool).then_some(component))
        .collect();
    if !missing.is_empty() {
        let by_hand = format!("rustup component add {}", missing.join(" "));
        if command::find("rustup").is_none() {
            bail!(
                "this cargo has no {}: install what brings them; with rustup: {by_hand}",
                missing.join(" and no ")
            );
        }
        say::step(format_args!(
            "adding {}: lint needs them",
            missing.join(" and ")
        ));
        command::run(
            Command::new("rustup")
                .args(["component", "add"])
                .args(&missing)
                .current_dir(&workspace.root),
        )
        .with_context(|| {
            format!(
                "cannot add {}: is rustup's server within reach? by hand: {by_hand}",
                missing.join(" and ")
            )
        })?;
    }
    CARGO_DENY.obtain(workspace).map(drop)
}

fn format(workspace: &Workspace) -> Result<()> {
    command::run(workspace.cargo().args(["fmt", "--all", "--check"]))
        .context("mend it with `cargo fmt --all`")
}

fn clippy(workspace: &Workspace) -> Result<()> {
    // All that are tested by default, and the one that is not.
    let nic = ["--package", "gate-tests", "--test", vm::NIC];
    [&["--all-targets"][..], &nic]
        .into_iter()
        .try_for_each(|targets| {
            let mut clippy = workspace.cargo();
            clippy
                .arg("clippy")
                .args(targets)
                .args(["--", "-D", "warnings"]);
            command::run(&mut clippy)
        })
}

/// Clippy of the toolchain that compiles the object: another one could neither read its `core` nor know its intrinsics.
fn clippy_bpf(workspace: &Workspace) -> Result<()> {
    let bpf = setup::bpf(workspace)?;
    let Some(clippy) = bpf_clippy(&bpf)? else {
        say::step(format_args!(
            "{} has no clippy and none can be installed: the BPF crates are only compiled, with warnings as errors",
            bpf.toolchain.rustc.display()
        ));
        return object::PACKAGES.into_iter().try_for_each(|package| {
            let flags = ["-Dwarnings"];
            command::run(&mut object::cargo(
                workspace, &bpf, package, "check", &flags,
            ))
        });
    };
    object::PACKAGES
        .into_iter()
        .try_for_each(|package| clippy_of(workspace, &bpf, &clippy, package))
}

fn clippy_of(workspace: &Workspace, bpf: &Bpf, clippy: &Path, package: &str) -> Result<()> {
    // Started by its path: `cargo clippy` would take the first cargo-clippy of PATH, which is the host toolchain's.
    let check = object::cargo(workspace, bpf, package, "clippy", &[]);
    let mut clippy = Command::new(clippy);
    clippy.args(check.get_args()).current_dir(&workspace.root);
    for (name, value) in check.get_envs() {
        match value {
            Some(value) => clippy.env(name, value),
            None => clippy.env_remove(name),
        };
    }
    clippy
        .env("CARGO", &bpf.toolchain.cargo)
        .args(["--", "-D", "warnings"]);
    command::run(&mut clippy)
}

/// The `cargo-clippy` of that toolchain; installed where it is Debian's.
fn bpf_clippy(bpf: &Bpf) -> Result<Option<PathBuf>> {
    let clippy = bpf.toolchain.sysroot.join("bin/cargo-clippy");
    let is_debian = bpf.toolchain.sysroot == Path::new("/usr");
    if is_debian && !command::is_executable(&clippy) && apt::can_install(&[DEBIAN_CLIPPY])? {
        apt::install(&[DEBIAN_CLIPPY], "clippy for the BPF crates")?;
    }
    Ok(command::is_executable(&clippy).then_some(clippy))
}

fn documentation(workspace: &Workspace) -> Result<()> {
    command::run(
        workspace
            .cargo()
            .args(["doc", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Advisories are left out: they need a database from a git server, which not every builder reaches.
fn deny(workspace: &Workspace) -> Result<()> {
    command::run(
        Command::new(CARGO_DENY.obtain(workspace)?)
            .args(["check", "bans", "licenses", "sources"])
            .current_dir(&workspace.root),
    )
}
