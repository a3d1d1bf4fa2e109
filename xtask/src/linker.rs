//! `bpf-linker`, built against the LLVM of the compiler whose bitcode it links.
//!
//! An older LLVM cannot read a newer one's bitcode, so a linker that happens to be in `PATH` is a gamble: it does not tell its LLVM. One
//! is built per LLVM major version and kept in the cache; `BPF_LINKER` overrides that for those who know better.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{apt, command, say, workspace::Workspace};

/// The release that is built: pinned, so that every machine links alike.
const RELEASE: &str = "0.13.0";

/// The LLVM versions this release has a feature for.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// How a linker that is not there yet can be had.
pub(crate) enum Plan {
    /// It can be built against the LLVM in this prefix, once the packages, if any, are installed.
    Build {
        prefix: PathBuf,
        packages: Vec<String>,
    },
    /// It cannot be had, for this reason.
    Impossible(String),
}

/// The linker for LLVM `llvm` that is there already: the one the user names, or the one in the cache.
pub(crate) fn ready(workspace: &Workspace, llvm: u32) -> Result<Option<PathBuf>> {
    if let Some(path) = env::var_os("BPF_LINKER").map(PathBuf::from) {
        if !command::is_executable(&path) {
            bail!(
                "BPF_LINKER names {}, which is no program: correct it or unset it",
                path.display()
            );
        }
        return Ok(Some(path));
    }
    let cached = cached(workspace, llvm);
    // Asked for its version, because the libraries it links to may have been removed since it was built.
    Ok((command::is_executable(&cached) && works(&cached)).then_some(cached))
}

/// Finds out how to get a linker for LLVM `llvm`; installs nothing.
pub(crate) fn plan(llvm: u32) -> Result<Plan> {
    if !LLVM.contains(&llvm) {
        return Ok(Plan::Impossible(format!(
            "bpf-linker {RELEASE} supports LLVM {} to {}, not {llvm}",
            LLVM.start(),
            LLVM.end()
        )));
    }
    let packages = debian_packages(llvm);
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    if apt::can_install(&names)? {
        return Ok(Plan::Build {
            prefix: debian_prefix(llvm),
            packages,
        });
    }
    Ok(match installed_prefix(llvm) {
        Some(prefix) => Plan::Build {
            prefix,
            packages: Vec::new(),
        },
        None => Plan::Impossible(format!(
            "no development files of LLVM {llvm} (Debian: {})",
            names.join(" ")
        )),
    })
}

/// Installs `packages` and builds the linker for LLVM `llvm` against the LLVM in `prefix`.
pub(crate) fn obtain(
    workspace: &Workspace,
    llvm: u32,
    prefix: &Path,
    packages: &[String],
) -> Result<PathBuf> {
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    apt::install(&names, &format!("bpf-linker is built against LLVM {llvm}"))?;
    build(workspace, llvm, prefix)
}

/// The steps somebody takes where xtask cannot.
pub(crate) fn by_hand(llvm: &str) -> String {
    format!(
        "LLVM_PREFIX=<prefix of LLVM {llvm}> cargo install bpf-linker --version {RELEASE} --locked --no-default-features --features llvm-{llvm}\n\
         export BPF_LINKER=\"$HOME/.cargo/bin/bpf-linker\""
    )
}

/// The packages Debian needs for the build.
fn debian_packages(llvm: u32) -> Vec<String> {
    let mut packages = vec![
        format!("llvm-{llvm}-dev"),
        format!("libpolly-{llvm}-dev"),
        "zlib1g-dev".to_owned(),
        "libzstd-dev".to_owned(),
    ];
    if command::find("c++").is_none() {
        packages.push("g++".to_owned());
    }
    packages
}

fn build(workspace: &Workspace, llvm: u32, prefix: &Path) -> Result<PathBuf> {
    let root = root(workspace, llvm);
    say::step(format_args!(
        "building bpf-linker {RELEASE} against LLVM {llvm} in {} (one to two minutes, once; kept in {})",
        prefix.display(),
        root.display()
    ));
    let mut install = workspace.cargo();
    install
        .args(["install", "bpf-linker", "--version", RELEASE, "--locked"])
        .args(["--no-default-features", "--features"])
        .arg(format!("llvm-{llvm}"))
        .arg("--root")
        .arg(&root)
        .env("LLVM_PREFIX", prefix)
        // Its own directory of build files, removed afterwards: nothing of it belongs in ours.
        .env_remove("CARGO_TARGET_DIR");
    command::run(&mut install).with_context(|| {
        format!(
            "cannot build bpf-linker {RELEASE} for LLVM {llvm}\n\
             likely causes: the crates registry is out of reach, or {} lacks headers or libraries\n\
             by hand:\n{}",
            prefix.display(),
            by_hand(&llvm.to_string())
        )
    })?;
    let linker = cached(workspace, llvm);
    if !works(&linker) {
        bail!(
            "{} was built but does not start; run it with --version to see why",
            linker.display()
        );
    }
    Ok(linker)
}

fn root(workspace: &Workspace, llvm: u32) -> PathBuf {
    workspace
        .cache
        .join(format!("bpf-linker-{RELEASE}-llvm-{llvm}"))
}

fn cached(workspace: &Workspace, llvm: u32) -> PathBuf {
    root(workspace, llvm).join("bin/bpf-linker")
}

fn works(linker: &Path) -> bool {
    command::capture(Command::new(linker).arg("--version")).is_ok()
}

fn debian_prefix(llvm: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{llvm}"))
}

/// The prefix of an LLVM with that major version: `LLVM_PREFIX`, Debian's place, or the one `llvm-config` tells.
fn installed_prefix(llvm: u32) -> Option<PathBuf> {
    let named = env::var_os("LLVM_PREFIX")
        .map(PathBuf::from)
        .into_iter()
        .chain([debian_prefix(llvm)])
        .map(|prefix| prefix.join("bin/llvm-config"))
        .filter(|config| command::is_executable(config));
    let in_path = [format!("llvm-config-{llvm}"), "llvm-config".to_owned()]
        .into_iter()
        .filter_map(|name| command::find(&name));
    named.chain(in_path).find_map(|config| {
        let ask = |question| command::capture(Command::new(&config).arg(question)).ok();
        let version = ask("--version")?;
        (version.split('.').next() == Some(llvm.to_string().as_str()))
            .then(|| ask("--prefix").map(|prefix| PathBuf::from(prefix.trim_end())))?
    })
}
