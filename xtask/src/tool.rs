//! Programs that the crates registry has: a pinned release of each, built once and kept in the cache.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::{command, say, workspace::Workspace};

/// A program, and the crate of the same name that brings it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Pinned, so that a check does not change its mind between two machines.
    pub(crate) release: &'static str,
}

impl Tool {
    /// The program out of the cache, built there the first time.
    pub(crate) fn obtain(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Self { name, release } = self;
        let root = workspace.cache.join(format!("{name}-{release}"));
        let program = root.join("bin").join(name);
        if command::is_executable(&program) {
            return Ok(program);
        }
        say::step(format_args!(
            "building {name} {release} (a minute or two, once; kept in {})",
            root.display()
        ));
        let mut install = workspace.cargo();
        install
            .args(["install", name, "--version", release])
            .args(["--locked", "--root"])
            .arg(&root)
            // Building takes minutes with optimisation and one without; what they do takes seconds either way.
            .args(["--profile", "dev"])
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env_remove("CARGO_TARGET_DIR");
        command::run(&mut install).with_context(|| {
            format!("cannot build {name} {release}: is the crates registry within reach?")
        })?;
        Ok(program)
    }
}
