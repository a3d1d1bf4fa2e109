//! The captures that the gate is compared with tshark on, packed by where they are from.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{command, say, sources, workspace::Workspace};

const DIRECTORY: &str = "tests/fixtures/captures";
const README: &str = "tests/fixtures/captures/README.md";
/// What all of them together may take in the repository.
const PACKED_LIMIT: u64 = 12 << 20;
/// In the unpacked directory: what was unpacked. Written last.
const STAMP: &str = ".unpacked";

/// The directory with all captures unpacked, below the target directory. Instant when they are there.
pub(crate) fn unpack(workspace: &Workspace) -> Result<PathBuf> {
    let unpacked = workspace.target.join("data/captures");
    let archives = archives(workspace)?;
    let lines: Vec<String> = archives
        .iter()
        .map(|Archive { name, sha256, .. }| format!("{sha256}  {name}\n"))
        .collect();
    let stamp = lines.concat();
    if fs::read_to_string(unpacked.join(STAMP)).is_ok_and(|found| found == stamp) {
        return Ok(unpacked);
    }
    say::step("unpacking the captures");
    // What an older archive had must not stay.
    let _ = fs::remove_dir_all(&unpacked);
    fs::create_dir_all(&unpacked)
        .with_context(|| format!("cannot create {}", unpacked.display()))?;
    for Archive { path, .. } in &archives {
        command::run(
            Command::new("tar")
                .args(["--extract", "--xz", "--no-same-owner", "--file"])
                .arg(path)
                .arg("--directory")
                .arg(&unpacked),
        )?;
    }
    fs::write(unpacked.join(STAMP), stamp)
        .with_context(|| format!("cannot write into {}", unpacked.display()))?;
    Ok(unpacked)
}

/// Checks that the archives are those that their page names, and not too large.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let archives = archives(workspace)?;
    let page = fs::read_to_string(workspace.root.join(README))
        .with_context(|| format!("cannot read {README}"))?;
    for Archive { name, sha256, .. } in &archives {
        ensure!(
            page.contains(&format!("`{name}`")) && page.contains(sha256),
            "{README} does not name {name} with sha256 {sha256}: it has to say where each archive is from"
        );
    }
    let named = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .filter(|(cell, _)| cell.ends_with(".tar.xz"))
        .count();
    ensure!(
        named == archives.len(),
        "{README} names {named} archives, {DIRECTORY} has {}",
        archives.len()
    );
    let size: u64 = archives.iter().map(|archive| archive.size).sum();
    ensure!(
        size <= PACKED_LIMIT,
        "the captures are {size} bytes, more than the {PACKED_LIMIT} the repository allows"
    );
    say::line(format_args!(
        "{DIRECTORY}: {} archives, {size} bytes, hashes right",
        archives.len()
    ));
    Ok(())
}

struct Archive {
    name: String,
    path: PathBuf,
    sha256: String,
    size: u64,
}

/// Every archive, in the order of their names.
fn archives(workspace: &Workspace) -> Result<Vec<Archive>> {
    let directory = workspace.root.join(DIRECTORY);
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&directory)?;
        entries.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = list().with_context(|| format!("cannot list {DIRECTORY}"))?;
    paths.sort();
    let packed = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "xz");
    paths
        .into_iter()
        .filter(packed)
        .map(Archive::read)
        .collect()
}

impl Archive {
    fn read(path: PathBuf) -> Result<Self> {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: Path::new(name).display().to_string(),
            sha256: sources::hex(&Sha256::digest(&content)),
            size: content.len() as u64,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_the_truth_about_the_archives() {
        check(&Workspace::locate().unwrap()).unwrap();
    }
}
