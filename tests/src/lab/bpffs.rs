//! A directory of pins that is gone when its owner is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

/// Where systemd mounts bpffs.
pub const BPFFS: &str = "/sys/fs/bpf";

/// A private directory on bpffs. Dropping it removes every pin below it: links that nobody else holds are detached by
/// that.
#[derive(Debug)]
pub struct Pins {
    path: PathBuf,
    // After the directory: it may be what the directory is on.
    _mount: Option<Mount>,
}

impl Pins {
    /// Makes the directory; mounts bpffs for as long as it lives where there is none.
    pub fn new(name: &str) -> Result<Self> {
        let mount = (!is_bpffs(Path::new(BPFFS))).then(Mount::new).transpose()?;
        let path = Path::new(BPFFS).join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self {
            path,
            _mount: mount,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the residue check looks for what this leaves.
        let _ = remove(&self.path);
    }
}

/// bpffs, mounted by this process.
#[derive(Debug)]
struct Mount;

impl Mount {
    fn new() -> Result<Self> {
        mount(
            Some("bpf"),
            BPFFS,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| format!("cannot mount bpffs on {BPFFS}"))?;
        Ok(Self)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Whoever else has begun to use it keeps it until then.
        let _ = umount2(BPFFS, MntFlags::MNT_DETACH);
    }
}

fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|statfs| statfs.filesystem_type() == BPF_FS_MAGIC)
}

fn remove(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(directory)
}
