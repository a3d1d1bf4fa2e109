//! Debian's package manager: what is installed, what could be, and installing it without questions.

mod services;
mod strays;

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{command, say};

/// True where packages can be installed this way at all.
pub(crate) fn available() -> bool {
    command::find("apt-get").is_some() && command::find("dpkg-query").is_some()
}

/// The packages of `wanted` that are not installed.
fn missing<'a>(wanted: &[&'a str]) -> Vec<&'a str> {
    wanted
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect()
}

/// True when all of `packages` are installed or could be. Reads the package lists anew when one is unknown, because a fresh machine
/// has none; otherwise leaves the network alone.
pub(crate) fn can_install(packages: &[&str]) -> Result<bool> {
    if !available() {
        return Ok(false);
    }
    let missing = missing(packages);
    let all_known = || missing.iter().all(|package| has_candidate(package));
    if missing.is_empty() {
        return Ok(true);
    }
    if !command::can_be_root() {
        return Ok(false);
    }
    if !all_known() {
        update()?;
    }
    Ok(all_known())
}

/// Installs the packages of `wanted` that are missing; `why` tells the user what for.
pub(crate) fn install(wanted: &[&str], why: &str) -> Result<()> {
    let missing = missing(wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let by_hand = format!("apt-get update && apt-get install {list}");
    if !command::can_be_root() {
        bail!("cannot install {list} ({why}): not root and no sudo here\nas root, run: {by_hand}");
    }
    if !can_install(&missing)? {
        bail!(
            "cannot install {list} ({why}): no configured package source has all of them\n\
             check /etc/apt/sources.list and sources.list.d, then: {by_hand}"
        );
    }
    say::step(format_args!("installing {list}: {why}"));
    // What is there stays: a mail server of this machine would go before another one comes.
    let mut install = apt_get(&["install", "--yes", "--no-install-recommends", "--no-remove"])?;
    install.args(&missing);
    let strays = strays::beside(&missing)?;
    if !strays.is_empty() {
        say::step(format_args!(
            "taking {} instead of the installed version, which no configured source has and which would have to go",
            strays.join(" ")
        ));
        install.arg("--allow-downgrades").args(&strays);
    }
    let _idle = services::Idle::over(&missing)?;
    command::run(&mut install).with_context(|| {
        format!("cannot install {list} ({why})\nwhen the cause is mended, run: {by_hand}")
    })
}

/// Reads the package lists anew.
pub(crate) fn update() -> Result<()> {
    say::step("reading the package lists anew (apt-get update)");
    command::run(&mut apt_get(&["update", "--quiet"])?)
}

/// `apt-get` as root, asking nothing, and waiting its turn where another apt holds the lock.
fn apt_get(arguments: &[&str]) -> Result<Command> {
    // Through env(1), because sudo may drop a variable that is only set for it.
    let mut command = command::privileged("env")?;
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments);
    Ok(command)
}

fn is_installed(package: &str) -> bool {
    command::capture(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

fn has_candidate(package: &str) -> bool {
    command::capture(Command::new("apt-cache").args(["policy", package]))
        .is_ok_and(|policy| candidate(&policy).is_some())
}

/// The version `apt-cache policy` says would be installed.
fn candidate(policy: &str) -> Option<&str> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_is_a_version_and_not_the_word_none() {
        let policy = "llvm-22-dev:\n  Installed: (none)\n  Candidate: 1:22.1.8-1~deb12u1\n";
        assert_eq!(candidate(policy), Some("1:22.1.8-1~deb12u1"));
        assert_eq!(
            candidate("x:\n  Installed: (none)\n  Candidate: (none)\n"),
            None
        );
        assert_eq!(
            candidate(""),
            None,
            "an unknown package has an empty answer"
        );
    }
}
