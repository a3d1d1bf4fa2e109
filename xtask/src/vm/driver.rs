//! Drivers out of a kernel's package: where its modules are, and which are part of the kernel itself.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::command;

/// Whether the kernel with these `modules` has a driver, as a module or built in.
pub(super) fn is_there(modules: &Path, name: &str) -> Result<bool> {
    let list = modules.join("modules.builtin");
    let built_in = fs::read_to_string(&list)
        .with_context(|| format!("cannot read {}", list.display()))?
        .lines()
        .any(|line| line.ends_with(&format!("/{name}.ko")));
    Ok(built_in || find(modules, name)?.is_some())
}

/// Puts the module `name` at `path`, unpacked; false where the kernel has none, as of what is built in.
pub(super) fn copy(modules: &Path, name: &str, path: &Path) -> Result<bool> {
    let Some(module) = find(modules, name)? else {
        return Ok(false);
    };
    if module
        .extension()
        .is_some_and(|extension| extension == "xz")
    {
        let output =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        command::run(
            Command::new("xz")
                .args(["--decompress", "--stdout"])
                .arg(&module)
                .stdout(output),
        )?;
    } else {
        fs::copy(&module, path)
            .with_context(|| format!("cannot copy {} to {}", module.display(), path.display()))?;
    }
    Ok(true)
}

/// The file of the module `name`, below `directory`.
fn find(directory: &Path, name: &str) -> Result<Option<PathBuf>> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&path, name)? {
                return Ok(Some(found));
            }
        } else if is_module(&entry.file_name().to_string_lossy(), name) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Packages have modules as they are, or packed.
fn is_module(file: &str, name: &str) -> bool {
    file.strip_prefix(name)
        .is_some_and(|rest| matches!(rest, ".ko" | ".ko.xz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_told_from_those_whose_names_begin_alike() {
        assert!(is_module("virtio_net.ko", "virtio_net"));
        assert!(is_module("virtio_net.ko.xz", "virtio_net"));
        assert!(!is_module("virtio_pci.ko", "virtio"));
        assert!(!is_module("virtio_net.ko.zst", "virtio_net"));
    }
}
