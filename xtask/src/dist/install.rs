//! The package in a clean root without systemd running: installed, upgraded, removed, purged.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::{directory, package::Package};
use crate::{
    command, stream,
    tally::{self, Tally},
    workspace::Workspace,
};

/// What root does: a root of its own, and the trial in it.
const SCRIPT: &str = r#"
root=$1
rm -rf --one-file-system "$root"
mkdir -p "$root/trial" "$root/var/lib/GeoIP"
tar --extract --directory="$root" --file="$2"
cp "$3" "$root/trial/first.deb"
cp "$4" "$root/trial/next.deb"
printf %s "$5" > "$root/trial/run"
printf %s "$6" > "$root/trial/gate.toml"
cp "$7" "$root/var/lib/GeoIP/"
code=0
unshare --mount --net --pid --fork --kill-child chroot "$root" /bin/bash /trial/run || code=$?
rm -rf --one-file-system "$root"
exit $code
"#;

/// The configuration of the trials.
pub(super) const CONFIG: &str = include_str!("trial.toml");

const TRIAL: &str = include_str!("install.sh");

/// Runs it, counting its checks.
pub(super) fn run(
    workspace: &Workspace,
    archive: &Path,
    package: &Package,
    next: &Package,
    database: &Path,
) -> Result<Tally> {
    let mut script = command::privileged("bash")?;
    script
        .args(["-euc", SCRIPT, "install"])
        .arg(directory(workspace).join("root"))
        .arg(archive)
        .args([&package.file, &next.file])
        .args([TRIAL, CONFIG])
        .arg(database);
    let mut counted = tally::Reader::default();
    let status = stream::run(&mut script, "[package] ", |line| {
        counted.see(line);
    })?;
    let tally = counted
        .finish()
        .with_context(|| format!("the trial of the package ended before its end: {status}"))?;
    if !status.success() && tally.failed == 0 {
        bail!("the trial of the package counted no failure, and ended with {status}");
    }
    Ok(tally)
}
