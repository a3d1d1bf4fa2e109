//! Where things are: the workspace, its target directory, the cache, the host's cargo.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{command, sources};

/// The paths every subcommand works with.
pub(crate) struct Workspace {
    /// The directory of the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// `CARGO_TARGET_DIR`, or `target` in the root.
    pub(crate) target: PathBuf,
    /// What is worth keeping between checkouts: the linker, the kernels.
    pub(crate) cache: PathBuf,
}

impl Workspace {
    /// Finds the workspace this xtask was started in.
    pub(crate) fn locate() -> Result<Self> {
        // Cargo sets the variable for `cargo run`; the constant serves a binary that is started by hand.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .with_context(|| format!("{} has no parent directory", manifest.display()))?
            .to_path_buf();
        let target = sources::target_dir(&root);
        Ok(Self {
            root,
            target,
            cache: cache_dir()?,
        })
    }

    /// The host's cargo, the one that runs this task, working in the root.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        // Only where it is not what cargo takes by itself: build scripts that ask for the variable would run anew.
        if self.target != sources::target_dir(&self.root) {
            command.env("CARGO_TARGET_DIR", &self.target);
        }
        // Of this task's own crate, as `cargo run` says it: for the same reason.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// What `git` prints here. An error where there is no repository.
    pub(crate) fn git(&self, arguments: &[&str]) -> Result<String> {
        command::capture(Command::new("git").args(arguments).current_dir(&self.root))
    }

    /// The commit of the tree, and whether it has changes; what a reader of a report can check out.
    pub(crate) fn commit(&self) -> String {
        let Ok(commit) = self.git(&["rev-parse", "--short=12", "HEAD"]) else {
            return "unknown: no repository here".to_owned();
        };
        let commit = commit.trim();
        match self.git(&["status", "--porcelain", "--untracked-files=no"]) {
            Ok(changes) if changes.trim().is_empty() => commit.to_owned(),
            Ok(_) | Err(_) => format!("{commit}, with changes"),
        }
    }

    /// A program that cargo built in the release profile.
    pub(crate) fn release(&self, program: &str) -> PathBuf {
        self.target.join("release").join(program)
    }

    /// `path` as a reader of messages wants it: relative to the root where it lies inside.
    pub(crate) fn show<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

fn cache_dir() -> Result<PathBuf> {
    // The base directory specification has relative values ignored.
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("gate"))
        .context(
            "no place for the cache: neither XDG_CACHE_HOME nor HOME is set to an absolute path",
        )
}
