//! A kernel of a series with its drivers, out of Debian's newest package of it.
//!
//! Names of kernel packages carry exact versions, and old ones leave the archive: none is written down here, the newest match is taken.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{apt, command, say, workspace::Workspace};

/// What is in a kernel's package.
pub(crate) struct Kernel {
    /// What qemu boots.
    pub(crate) image: PathBuf,
    /// The directory of its modules.
    pub(crate) modules: PathBuf,
}

/// The newest kernel of `series` (`6.1`), fetched into the cache if it is not there.
pub(crate) fn ensure(workspace: &Workspace, series: &str) -> Result<Kernel> {
    let package = if let Some(package) = newest_known(series)? {
        package
    } else {
        // A fresh machine knows no package at all.
        apt::update()?;
        newest_known(series)?.with_context(|| {
            format!(
                "no package source has a linux-image-{series}.*-cloud-amd64: add one that has (Debian 12 with its security updates), or name another series"
            )
        })?
    };
    let directory = workspace.cache.join("kernels").join(&package);
    let files = directory.join("files");
    if files.is_dir() {
        return Kernel::in_package(&files);
    }
    say::step(format_args!(
        "fetching {package} into {}",
        directory.display()
    ));
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    if download(&package, &directory).is_err() {
        // Lists that are too old name packages that have been replaced.
        apt::update()?;
        download(&package, &directory)?;
    }
    unpack(&directory, &files)?;
    Kernel::in_package(&files)
}

impl Kernel {
    fn in_package(files: &Path) -> Result<Self> {
        Ok(Self {
            image: only(&files.join("boot"), |name| name.starts_with("vmlinuz-"))?,
            modules: only(&files.join("lib/modules"), |_| true)?,
        })
    }
}

fn newest_known(series: &str) -> Result<Option<String>> {
    let pattern = format!("^linux-image-{}\\.", series.replace('.', "\\."));
    let known =
        command::capture(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
    Ok(newest(&known, series).map(str::to_owned))
}

/// The newest image of `series` in the output of `apt-cache search`; unsigned only where there is no signed one.
fn newest<'a>(known: &'a str, series: &str) -> Option<&'a str> {
    known
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter_map(|package| {
            let rest = package
                .strip_prefix("linux-image-")?
                .strip_prefix(series)?
                .strip_prefix('.')?;
            let (version, signed) = match rest.strip_suffix("-cloud-amd64") {
                Some(version) => (version, true),
                None => (rest.strip_suffix("-cloud-amd64-unsigned")?, false),
            };
            Some((signed, numbers(version), package))
        })
        .max()
        .map(|(_, _, package)| package)
}

/// The numbers in a version, to be compared one by one: `117+deb12` is newer than `99+deb12`.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

fn download(package: &str, directory: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    if command::is_root() {
        // apt's own user cannot write into root's cache; apt would say so in a warning.
        download.args(["-o", "APT::Sandbox::User=root"]);
    }
    command::run(
        download
            .args(["download", "--quiet", package])
            .current_dir(directory),
    )
}

/// Puts what is in the package in `directory` into `files`, and leaves nothing else there.
fn unpack(directory: &Path, files: &Path) -> Result<()> {
    let archive = only(directory, |name| name.starts_with("linux-image-"))?;
    // Under another name until all of it is there.
    let partial = directory.join("partial");
    command::run(
        Command::new("dpkg-deb")
            .arg("--extract")
            .arg(&archive)
            .arg(&partial),
    )?;
    fs::rename(&partial, files)
        .and_then(|()| fs::remove_file(&archive))
        .with_context(|| format!("cannot tidy {}", directory.display()))
}

/// The entry of `directory` whose name fits.
fn only(directory: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        if fits(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    bail!(
        "{} holds nothing of a kernel: the package is built otherwise than expected",
        directory.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "\
linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-56-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)
linux-image-6.1.0-57-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud
linux-image-6.1.0-58-cloud-amd64-dbg - Debug symbols
linux-image-6.1.0-58-amd64 - Linux 6.1 for 64-bit PCs (signed)
linux-image-6.12-cloud-amd64 - Linux for x86-64 cloud (meta-package)
linux-image-6.12.99+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.12.117+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)
linux-image-6.16.3+deb12-cloud-amd64-unsigned - Linux 6.16 for x86-64 cloud
";

    #[test]
    fn the_newest_signed_image_of_the_series_is_taken() {
        assert_eq!(
            newest(KNOWN, "6.1"),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(
            newest(KNOWN, "6.12"),
            Some("linux-image-6.12.117+deb12-cloud-amd64")
        );
        assert_eq!(
            newest(KNOWN, "6.16"),
            Some("linux-image-6.16.3+deb12-cloud-amd64-unsigned"),
            "unsigned where there is nothing else"
        );
        assert_eq!(newest(KNOWN, "6.6"), None);
    }
}
