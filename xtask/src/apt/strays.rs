//! Installed packages that stand in the way of others, and of which the configured sources have another version.
//!
//! A package that came from a source that is configured no more (backports, a file) can be too new for what the sources have: apt would
//! take it off. Debian's own version, in its place, does what it did and lets the others in.

use std::process::Command;

use anyhow::Result;

use crate::command;

/// What to install besides `packages` so that nothing has to go, each as `name=version`.
///
/// Only packages whose installed version no configured source has: what a source put there, it keeps.
pub(super) fn beside(packages: &[&str]) -> Result<Vec<String>> {
    // Without `LC_ALL` a simulation is in the user's language.
    let plan = command::capture(
        Command::new("env")
            .args(["LC_ALL=C", "apt-get", "install", "--simulate", "--yes"])
            .arg("--no-install-recommends")
            .args(packages),
    )?;
    removed(&plan)
        .filter_map(|package| other_version(package).transpose())
        .collect()
}

/// `name=version` of what takes the place of `package`; nothing where its own version is in a source, or none is.
fn other_version(package: &str) -> Result<Option<String>> {
    let installed =
        command::capture(Command::new("dpkg-query").args(["-W", "-f=${Version}", package]))?;
    let offered = command::capture(Command::new("apt-cache").args(["madison", package]))?;
    Ok(in_its_place(&installed, &offered).map(|version| format!("{package}={version}")))
}

/// The packages that a simulation of apt takes off.
fn removed(plan: &str) -> impl Iterator<Item = &str> {
    plan.lines()
        .filter_map(|line| line.strip_prefix("Remv ")?.split_whitespace().next())
}

/// The first of the versions that `apt-cache madison` offers, unless the installed one is among them.
fn in_its_place<'a>(installed: &str, offered: &'a str) -> Option<&'a str> {
    let versions = || {
        offered
            .lines()
            .filter_map(|line| line.split('|').nth(1).map(str::trim))
    };
    if versions().any(|version| version == installed) {
        return None;
    }
    versions().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_simulation_removes_is_read() {
        let plan = "The following packages will be REMOVED:\n  qemu-utils\nRemv qemu-utils [1:10.0.2]\nInst cpio (2.13 Debian:12 [amd64])\n";
        assert_eq!(removed(plan).collect::<Vec<_>>(), ["qemu-utils"]);
        assert_eq!(removed("Inst cpio (2.13)\n").count(), 0);
    }

    #[test]
    fn a_version_that_a_source_has_is_kept() {
        let offered = "qemu-utils | 1:7.2-7 | http://mirror stable/main amd64 Packages\nqemu-utils | 1:7.2-5 | http://mirror security/main amd64 Packages\n";
        assert_eq!(in_its_place("1:10.0.2", offered), Some("1:7.2-7"));
        assert_eq!(in_its_place("1:7.2-5", offered), None);
        assert_eq!(in_its_place("1:10.0.2", ""), None, "no source has it");
    }
}
