//! A Rust toolchain that compiles for `bpfel-unknown-none`.
//!
//! The target is tier 3: rustup ships no `core` for it. Two kinds of toolchain can do it all the same: a nightly with the standard
//! library's sources, which compiles `core` itself, and a rustc whose sysroot brings a ready-made `core` (Debian's `rustc-web`), where
//! `RUSTC_BOOTSTRAP` opens the few unstable features that aya-ebpf uses. This module looks at what is there; `setup` chooses.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::command;

/// The target triple of the object.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Debian's packages of a toolchain with a prebuilt `core` for the target.
pub(crate) const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

/// Where `core` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Core {
    /// A nightly compiles it from the `rust-src` component.
    Sources,
    /// The sysroot has it.
    Prebuilt,
}

/// A toolchain that was found fit.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) sysroot: PathBuf,
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    pub(crate) core: Core,
    pub(crate) version: Version,
}

/// What `rustc -vV` says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// As written: `1.96.0`, `1.98.0-nightly`.
    pub(crate) release: String,
    minor: (u32, u32),
    /// The linker has to read this LLVM's bitcode.
    pub(crate) llvm: u32,
}

/// What the search came to.
pub(crate) struct Search {
    /// Fit toolchains, the preferred one first.
    pub(crate) fit: Vec<Toolchain>,
    /// Each other rustc and what it lacks.
    pub(crate) unfit: Vec<String>,
}

/// Looks at every rustc of this machine: `RUSTC`, rustup's toolchains, `PATH`.
pub(crate) fn search() -> Search {
    let mut fit = Vec::new();
    let mut unfit = Vec::new();
    for sysroot in sysroots() {
        match probe(&sysroot) {
            Ok(toolchain) => fit.push(toolchain),
            Err(lack) => unfit.push(format!("{}: {lack:#}", sysroot.display())),
        }
    }
    // Newest first within a kind: sort_by is stable, so the search's order decides the rest.
    fit.sort_by(|a, b| (a.core, b.version.minor).cmp(&(b.core, a.version.minor)));
    Search { fit, unfit }
}

impl Toolchain {
    /// Its cargo, set up to compile for the target.
    pub(crate) fn cargo(&self, root: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        // The cargo and the rustup proxy that started xtask leave their own choice of toolchain, flags and libraries in the
        // environment; this one must not inherit them.
        for name in [
            "CARGO",
            "LD_LIBRARY_PATH",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTDOC",
            "RUSTFLAGS",
            "RUSTUP_TOOLCHAIN",
        ] {
            command.env_remove(name);
        }
        command.env("RUSTC", &self.rustc).current_dir(root);
        if self.core == Core::Prebuilt {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// The arguments that a cargo command for the target needs.
    pub(crate) fn target_arguments(&self) -> Vec<&'static str> {
        match self.core {
            Core::Sources => vec!["--target", TARGET, "-Zbuild-std=core"],
            Core::Prebuilt => vec!["--target", TARGET],
        }
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let core = match self.core {
            Core::Sources => "compiles core from rust-src",
            Core::Prebuilt => "brings core for the target",
        };
        format!(
            "rustc {} with LLVM {} ({}, {core})",
            self.version.release,
            self.version.llvm,
            self.rustc.display()
        )
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        let release = field("release: ")?;
        let mut numbers = release.split(['.', '-']).map(str::parse);
        let minor = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let llvm = field("LLVM version: ")?.split('.').next()?.parse().ok()?;
        Some(Self {
            release: release.to_owned(),
            minor,
            llvm,
        })
    }

    fn is_nightly(&self) -> bool {
        self.release.ends_with("-nightly") || self.release.ends_with("-dev")
    }

    /// At least the `rust-version` of the workspace.
    fn is_enough(&self, least: &str) -> bool {
        let mut numbers = least.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => self.minor >= (major, minor),
            _ => true,
        }
    }
}

/// The sysroots of this machine, each once, `RUSTC` first.
fn sysroots() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut add = |path: PathBuf| {
        let path = path.canonicalize().unwrap_or(path);
        if !found.contains(&path) {
            found.push(path);
        }
    };
    if let Some(rustc) = env::var_os("RUSTC") {
        sysroot_of(Path::new(&rustc)).map(&mut add);
    }
    let rustup = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".rustup")));
    if let Some(Ok(toolchains)) = rustup.map(|home| fs::read_dir(home.join("toolchains"))) {
        let mut toolchains: Vec<_> = toolchains.flatten().map(|entry| entry.path()).collect();
        toolchains.sort();
        toolchains.into_iter().for_each(&mut add);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    for rustc in env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin")])
        .map(|directory| directory.join("rustc"))
        .filter(|rustc| command::is_executable(rustc))
    {
        sysroot_of(&rustc).map(&mut add);
    }
    found
}

/// The sysroot a rustc answers for; a rustup proxy answers for the toolchain it stands for.
fn sysroot_of(rustc: &Path) -> Option<PathBuf> {
    command::capture(Command::new(rustc).args(["--print", "sysroot"]))
        .ok()
        .map(|text| PathBuf::from(text.trim_end()))
}

/// The toolchain in `sysroot`, or what it lacks.
fn probe(sysroot: &Path) -> Result<Toolchain> {
    let program = |name: &str| {
        let path = sysroot.join("bin").join(name);
        command::is_executable(&path)
            .then_some(path)
            .with_context(|| format!("no bin/{name}"))
    };
    let (rustc, cargo) = (program("rustc")?, program("cargo")?);
    let prebuilt = has_prebuilt_core(&sysroot.join("lib/rustlib").join(TARGET).join("lib"));
    let sources = sysroot
        .join("lib/rustlib/src/rust/library/core/Cargo.toml")
        .is_file();
    let text = command::capture(
        Command::new(&rustc)
            .arg("-vV")
            .env_remove("LD_LIBRARY_PATH"),
    )?;
    let version = Version::parse(&text).context("`rustc -vV` names no release or no LLVM")?;
    let core = if prebuilt {
        Core::Prebuilt
    } else if sources && version.is_nightly() {
        Core::Sources
    } else if version.is_nightly() {
        anyhow::bail!(
            "rustc {} without rust-src (rustup component add rust-src)",
            version.release
        );
    } else {
        anyhow::bail!(
            "rustc {} is no nightly and brings no core for {TARGET}",
            version.release
        );
    };
    let least = env!("CARGO_PKG_RUST_VERSION");
    anyhow::ensure!(
        version.is_enough(least),
        "rustc {} is older than the {least} the workspace asks for",
        version.release
    );
    Ok(Toolchain {
        sysroot: sysroot.to_path_buf(),
        rustc,
        cargo,
        core,
        version,
    })
}

fn has_prebuilt_core(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libcore-") && name.ends_with(".rlib")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(release: &str, llvm: &str) -> Option<Version> {
        Version::parse(&format!(
            "rustc {release} (ac68faa20 2026-05-25)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: {release}\nLLVM version: {llvm}\n"
        ))
    }

    #[test]
    fn a_version_is_read_from_rustc() {
        let stable = version("1.96.0", "22.1.8").unwrap();
        assert_eq!(stable.llvm, 22);
        assert!(!stable.is_nightly());
        assert!(stable.is_enough("1.95"));
        assert!(stable.is_enough("1.96"));
        assert!(!stable.is_enough("1.97"));
        assert!(version("1.98.0-nightly", "23.0.0").unwrap().is_nightly());
        assert_eq!(Version::parse("rustc 1.96.0"), None);
    }
}
