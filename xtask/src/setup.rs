//! `cargo xtask setup`: finds what the tasks need, installs what is missing, says which and why.
//!
//! Everything it installs comes from the distribution or from the crates registry, and what it builds is kept in the cache: a second run
//! finds it all and changes nothing.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{
    apt,
    linker::{self, Plan},
    lint,
    needs::{self, Group},
    say,
    toolchain::{self, Search, Toolchain},
    workspace::Workspace,
};

/// Finds or installs what the tasks need on this machine
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to set the machine up for
    #[arg(value_enum, default_values_t = [Group::Build, Group::Lab])]
    groups: Vec<Group>,
}

/// A compiler for the BPF target and the linker that fits it.
pub(crate) struct Bpf {
    pub(crate) toolchain: Toolchain,
    pub(crate) linker: PathBuf,
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let Arguments { groups } = arguments;
    for group in groups {
        match group {
            Group::Build => {
                let Bpf { toolchain, linker } = bpf(workspace)?;
                say::line("build");
                say::line(format_args!("  compiler: {}", toolchain.describe()));
                say::line(format_args!("  linker: {}", linker.display()));
                for other in toolchain::search().unfit {
                    say::line(format_args!("  not taken: {other}"));
                }
            }
            Group::Lint => {
                lint::ensure(workspace)?;
                needs::report(*group);
                say::line("  rustfmt, clippy, cargo-deny: found");
            }
            Group::Run
            | Group::Lab
            | Group::Mail
            | Group::Metrics
            | Group::Browser
            | Group::Bench
            | Group::Conformance
            | Group::Vm
            | Group::Package
            | Group::Dist
            | Group::Fuzz
            | Group::Data => {
                needs::ensure(*group)?;
                needs::report(*group);
            }
        }
    }
    Ok(())
}

/// The BPF toolchain: the first of rustup's nightly, a rustc with a prebuilt `core`, and Debian's packages for which a linker can be had.
pub(crate) fn bpf(workspace: &Workspace) -> Result<Bpf> {
    let mut obstacles = Vec::new();
    let Search { fit, unfit } = toolchain::search();
    if let Some(bpf) = first_usable(workspace, fit, &mut obstacles)? {
        return Ok(bpf);
    }
    obstacles.extend(unfit);
    if apt::can_install(&toolchain::DEBIAN_PACKAGES)? {
        apt::install(
            &toolchain::DEBIAN_PACKAGES,
            &format!("no rustc here compiles for {}", toolchain::TARGET),
        )?;
        if let Some(bpf) = first_usable(workspace, toolchain::search().fit, &mut obstacles)? {
            return Ok(bpf);
        }
    }
    bail!("{}", cannot(&obstacles))
}

/// Takes the first toolchain that has a linker or can be given one. One that has it comes first, also where another is preferred: what
/// was set up once is kept, and the next run is instant.
fn first_usable(
    workspace: &Workspace,
    fit: Vec<Toolchain>,
    obstacles: &mut Vec<String>,
) -> Result<Option<Bpf>> {
    let mut without = Vec::new();
    for toolchain in fit {
        match linker::ready(workspace, toolchain.version.llvm)? {
            Some(linker) => return Ok(Some(Bpf { toolchain, linker })),
            None => without.push(toolchain),
        }
    }
    for toolchain in without {
        let llvm = toolchain.version.llvm;
        match linker::plan(llvm)? {
            Plan::Impossible(reason) => {
                obstacles.push(format!("{}: {reason}", toolchain.sysroot.display()));
            }
            Plan::Build { prefix, packages } => {
                let linker = linker::obtain(workspace, llvm, &prefix, &packages)?;
                return Ok(Some(Bpf { toolchain, linker }));
            }
        }
    }
    Ok(None)
}

/// What to do by hand, on either kind of machine.
fn cannot(obstacles: &[String]) -> String {
    let found = if obstacles.is_empty() {
        "no rustc at all".to_owned()
    } else {
        obstacles.join("\n  ")
    };
    format!(
        "no toolchain here compiles for {target}, and none can be installed\n\
         found:\n  {found}\n\
         with rustup:\n\
         rustup toolchain install nightly --component rust-src\n\
         rustc +nightly -vV   # the LLVM version line: its major number is NN below\n\
         {linker}\n\
         on Debian 12 or later, as root (security updates enabled in the package sources):\n\
         apt-get update && apt-get install {packages}\n\
         then: cargo xtask setup",
        target = toolchain::TARGET,
        linker = linker::by_hand("NN"),
        packages = toolchain::DEBIAN_PACKAGES.join(" "),
    )
}
