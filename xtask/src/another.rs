//! A gate with another version of the map ABI, for the trials of what happens when one takes over from the other.
//!
//! It is compiled from a copy of the sources in which the version is the next one, and one record is laid out otherwise. In the sources
//! themselves is nothing for it, so that nothing of it can get into what is shipped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{build, say, workspace::Workspace};

const ABI: &str = "gate-common/src/abi.rs";
const RECORDS: &str = "gate-common/src/abi/records.rs";
const LOCK: &str = "gate-common/abi.lock";

/// Compiles it; cargo leaves what is fresh alone. Returns its path.
pub(crate) fn ensure_built(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.target.join("another");
    copy(workspace, &root).context("cannot make the sources of a gate with another map ABI")?;
    let another = Workspace {
        target: root.join("target"),
        root,
        cache: workspace.cache.clone(),
    };
    lend(&workspace.target, &another.target)
        .context("cannot lend the compiled dependencies to a gate with another map ABI")?;
    say::step("building a gate with another map ABI, for the trials of an upgrade");
    let built = build::ensure_built(&another);
    Ok(built
        .context("cannot build a gate with another map ABI")?
        .gate)
}

/// Links what cargo compiled of other people's crates, which is the same here and there: for them it takes longer than for ours.
fn lend(from: &Path, to: &Path) -> Result<()> {
    let to = to.join("release");
    if to.is_dir() {
        return Ok(());
    }
    for part in [".fingerprint", "build", "deps"] {
        link(&from.join("release").join(part), &to.join(part))?;
    }
    Ok(())
}

/// Links the files of one directory and of those in it, without ours: what cargo writes anew has the same name in both.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let ours = name.to_string_lossy();
        if ["gate", "libgate"].iter().any(|it| ours.starts_with(it)) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            link(&from, &to)?;
        } else {
            fs::hard_link(&from, &to)
                .with_context(|| format!("cannot link {} to {}", to.display(), from.display()))?;
        }
    }
    Ok(())
}

/// Copies what git knows, and what is new and not ignored, with what is changed in it. Files that are as they should be keep their times, so that nothing is
/// compiled twice.
fn copy(workspace: &Workspace, to: &Path) -> Result<()> {
    let version = version(&fs::read_to_string(workspace.root.join(LOCK))?)?;
    let names = workspace.git(&["ls-files", "--cached", "--others", "--exclude-standard"])?;
    for name in names.lines() {
        // Not there is what was deleted, and not committed yet.
        if let Ok(content) = fs::read(workspace.root.join(name)) {
            let content = changed(name, content, version)?;
            write(&to.join(name), &content)?;
        }
    }
    Ok(())
}

/// The content of a file in the gate whose map ABI comes after `version`.
fn changed(name: &str, content: Vec<u8>, version: u32) -> Result<Vec<u8>> {
    let next = version + 1;
    let replacements: Vec<(String, String)> = match name {
        ABI => {
            let line = |it: u32| format!("pub const ABI_VERSION: u32 = {it};");
            vec![(line(version), line(next))]
        }
        LOCK => {
            let line = |it: u32| format!("version = {it}\n");
            let limited = |fields: &str| format!("Limited size=40 {fields} ");
            vec![
                (line(version), line(next)),
                (limited("within@0 over@8"), limited("over@0 within@8")),
            ]
        }
        RECORDS => [
            ("within", "between"),
            ("over", "within"),
            ("between", "over"),
        ]
        .map(|(from, to)| (format!("pub {from}: u64,"), format!("pub {to}: u64,")))
        .into(),
        _ => return Ok(content),
    };
    let mut text = String::from_utf8(content).with_context(|| format!("{name} is no text"))?;
    for (from, to) in replacements {
        ensure!(
            text.matches(&from).count() == 1,
            "{name}: `{}` is not there exactly once",
            from.trim()
        );
        text = text.replace(&from, &to);
    }
    Ok(text.into_bytes())
}

/// The version in the text of a lock file.
fn version(lock: &str) -> Result<u32> {
    let line = lock.lines().next().unwrap_or_default();
    let number = line
        .strip_prefix("version = ")
        .and_then(|it| it.parse().ok());
    number.with_context(|| format!("{LOCK} begins with `{line}`, not with its version"))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    let failed = || format!("cannot write {}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
    }
    fs::write(path, content).with_context(failed)
}
