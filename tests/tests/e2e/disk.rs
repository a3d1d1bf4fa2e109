//! A small disk that can be filled to its last octet.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A tmpfs of 64 KiB, which is gone when this is dropped.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// The name of the file that fills it.
    pub(crate) const BALLAST: &str = "ballast";

    /// Mounts one below `directory`.
    pub(crate) fn new(directory: &Path) -> Result<Self> {
        let path = directory.join("disk");
        fs::create_dir(&path)?;
        mount(
            Some("gate-trial"),
            &path,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=64k,mode=0755"),
        )
        .context("cannot mount a tmpfs")?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves no room for an octet more.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.0.join(Self::BALLAST))?;
        for _ in 0..1024 {
            match file.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        bail!("{} does not get full", self.0.display())
    }

    /// Takes what fills it away.
    pub(crate) fn empty(&self) -> Result<()> {
        fs::remove_file(self.0.join(Self::BALLAST)).context("cannot make room")
    }

    /// What is on it.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = fs::read_dir(&self.0)?
            .filter_map(|it| it.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        Ok(names)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: who still has a file of it open keeps nobody from going on.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}
