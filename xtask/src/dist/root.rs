//! A clean root of this machine's release of Debian, from this machine's own package sources, by mmdebstrap.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::directory;
use crate::{apt, command, say, workspace::Workspace};

/// What it has beside the smallest set: PID 1, what the units call, what the trials make their network of.
const INCLUDE: &str = "systemd-sysv,udev,kmod,nftables,iproute2,ethtool,procps,cpio";

/// The archive of the root, made if there is none of these sources yet.
pub(super) fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let release = release()?;
    let sources = if let Ok(sources) = sources() {
        sources
    } else {
        // A fresh machine has no package lists.
        apt::update()?;
        sources()?
    };
    let options = options()?;
    let directory = directory(workspace);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let digest = Sha256::digest(format!("{INCLUDE}\n{sources}\n{options}"));
    let name = digest
        .iter()
        .take(6)
        .fold(String::new(), |name, byte| format!("{name}{byte:02x}"));
    let archive = directory.join(format!("root-{release}-{name}.tar"));
    if archive.is_file() {
        return Ok(archive);
    }
    let [sources_file, options_file] =
        [("sources", &sources), ("options", &options)].map(|(name, text)| {
            let path = directory.join(name);
            fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()))
                .map(|()| path)
        });
    say::step(format_args!(
        "making a clean root of {release} (a minute, once; kept as {})",
        workspace.show(&archive)
    ));
    // Under another name until all of it is there.
    let partial = archive.with_extension("partial");
    let mut aptopt = std::ffi::OsString::from("--aptopt=");
    aptopt.push(options_file?);
    let mut make = command::privileged("mmdebstrap")?;
    make.args(["--quiet", "--variant=minbase", "--format=tar"])
        .arg(format!("--include={INCLUDE}"))
        .args(["--keyring=/usr/share/keyrings"])
        .arg(aptopt)
        .arg(&release)
        .arg(&partial)
        .arg(sources_file?);
    command::run(&mut make)?;
    fs::rename(&partial, &archive)
        .with_context(|| format!("cannot rename {}", partial.display()))?;
    Ok(archive)
}

/// The name of this machine's release.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .context("/etc/os-release names no release: the trials of the package want a machine with Debian")
}

/// The package sources of Debian's that this machine has, as apt sees them, a line each.
fn sources() -> Result<String> {
    let lines = command::capture(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "deb $(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
        "Origin: Debian",
    ]))?;
    ensure!(
        !lines.trim().is_empty(),
        "no package source of this machine is Debian's: the trials of the package want a machine with Debian"
    );
    Ok(lines)
}

/// How apt of this machine fetches: proxies, what it believes of dates.
fn options() -> Result<String> {
    let dump = command::capture(Command::new("apt-config").args(["dump", "Acquire"]))?;
    let mut lines: Vec<&str> = dump
        .lines()
        .filter(|line| {
            !line.starts_with("Acquire \"") && !line.starts_with("Acquire::IndexTargets")
        })
        .collect();
    lines.push("");
    Ok(lines.join("\n"))
}
