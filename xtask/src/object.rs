//! The BPF objects: compiled when their sources changed, left alone when not.
//!
//! The compile belongs here and not in a build script: it takes another toolchain than the rest of the workspace, a linker of its own and
//! no host flags. `gate-user/build.rs` only embeds what lies here, after checking the hash (`sources.rs`).

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    command, say,
    setup::{self, Bpf},
    sources, toolchain,
    workspace::Workspace,
};

/// The crate, and the program in it, that becomes the object.
const PACKAGE: &str = "gate-ebpf";
/// The same for the benchmark: programs of its own, which leave the object as it is.
const BENCH_PACKAGE: &str = "gate-bench-ebpf";

/// Every crate of BPF programs.
pub(crate) const PACKAGES: [&str; 2] = [PACKAGE, BENCH_PACKAGE];

/// Which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// The one `gate` embeds: BTF maps only.
    Shipped,
    /// The one that logs every judged packet, embedded with the feature `log`.
    Log,
}

impl Object {
    fn path(self, target: &Path) -> PathBuf {
        match self {
            Self::Shipped => sources::object(target),
            Self::Log => sources::log_object(target),
        }
    }

    fn features(self) -> &'static [&'static str] {
        match self {
            Self::Shipped => &[],
            Self::Log => &["log"],
        }
    }
}

/// Compiles `object` unless the one that is there was compiled from these sources. Returns its path.
pub(crate) fn ensure(workspace: &Workspace, object: Object) -> Result<PathBuf> {
    let path = object.path(&workspace.target);
    let stamp = sources::stamp(&path);
    // Before the compile: what is edited meanwhile makes the object stale, not fresh.
    let hash = sources::files(&workspace.root)
        .and_then(|files| sources::hash(&workspace.root, &files))
        .context("cannot hash the sources of the BPF object: is the checkout complete?")?;
    if path.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found.trim() == hash) {
        return Ok(path);
    }
    let bpf = setup::bpf(workspace)?;
    say::step(format_args!(
        "compiling {}: {}",
        workspace.show(&path),
        bpf.toolchain.describe()
    ));
    compile(workspace, object, &bpf)?;
    // The stamp goes first and comes last: an interruption in between leaves an object that counts as stale.
    let built = built(workspace, PACKAGE);
    let _ = fs::remove_file(&stamp);
    fs::copy(&built, &path)
        .with_context(|| format!("cannot copy {} to {}", built.display(), path.display()))?;
    fs::write(&stamp, hash).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(path)
}

/// Compiles the benchmark's programs; cargo leaves what is fresh alone. Returns the path of their object.
pub(crate) fn bench(workspace: &Workspace) -> Result<PathBuf> {
    let bpf = setup::bpf(workspace)?;
    command::run(&mut cargo(workspace, &bpf, BENCH_PACKAGE, "build", &[]))
        .with_context(|| format!("cannot compile {BENCH_PACKAGE}"))?;
    Ok(built(workspace, BENCH_PACKAGE))
}

/// A cargo command for a BPF crate: `verb`, its package, target, flags and directories.
pub(crate) fn cargo(
    workspace: &Workspace,
    bpf: &Bpf,
    package: &str,
    verb: &str,
    extra_flags: &[&str],
) -> std::process::Command {
    let Bpf { toolchain, linker } = bpf;
    let mut command = toolchain.cargo(&workspace.root);
    command
        .args([verb, "--package", package, "--bin", package, "--release"])
        .args(toolchain.target_arguments())
        .arg("--target-dir")
        .arg(directory(workspace))
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            flags(workspace, toolchain, linker, extra_flags),
        )
        // The release profile is the host's: bpf-linker does the link-time optimisation itself, and BTF is made from the debug
        // information that the host strips.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    command
}

fn compile(workspace: &Workspace, object: Object, bpf: &Bpf) -> Result<()> {
    let mut build = cargo(workspace, bpf, PACKAGE, "build", &[]);
    for feature in object.features() {
        build.args(["--features", feature]);
    }
    command::run(&mut build).with_context(|| format!("cannot compile {PACKAGE} ({object:?})"))
}

/// Where cargo leaves what it compiled from `package`.
fn built(workspace: &Workspace, package: &str) -> PathBuf {
    directory(workspace)
        .join(toolchain::TARGET)
        .join("release")
        .join(package)
}

/// Cargo's directory for the target: apart from the host's, whose flags and compiler differ.
fn directory(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bpf")
}

/// The compiler's flags, encoded as cargo wants them: separated by the byte 0x1f, because a path may contain spaces.
fn flags(
    workspace: &Workspace,
    toolchain: &toolchain::Toolchain,
    linker: &Path,
    extra: &[&str],
) -> String {
    let mut flags = vec![
        // Both for the verifier's log and for the BTF, which the linker makes from debug information.
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", linker.display()),
        // aya-ebpf reads the traced kernel's architecture from here: pt_regs differ.
        format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
    ];
    // Line information names files: relative, so that the object is the same wherever it is compiled.
    flags.extend(
        [
            (Some(workspace.root.clone()), "gate"),
            (cargo_home(), "cargo"),
            (Some(toolchain.sysroot.join("lib/rustlib/src/rust")), "rust"),
        ]
        .into_iter()
        .filter_map(|(from, to)| Some(format!("--remap-path-prefix={}={to}", from?.display()))),
    );
    flags.extend(extra.iter().map(|&flag| flag.to_owned()));
    flags.join("\x1f")
}

fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}
