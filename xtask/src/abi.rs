//! `cargo xtask abi`: a layout of the maps has a version of its own.
//!
//! A loader of one version adopts the maps that another one pinned, so two layouts must never bear the same number. `gate-common`
//! writes its layout down in `abi.lock`, and a test there holds the file to the types; this check holds the file to its history.

use anyhow::{Context as _, Result, bail, ensure};

use crate::{command, say, workspace::Workspace};

const LOCK: &str = "gate-common/abi.lock";
/// The test in `gate-common` rewrites the file when it is set.
const BLESS: &str = "GATE_BLESS_ABI";

/// Checks that the ABI version changed whenever the layout of the maps did
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Compare with this revision only, instead of the whole history
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Write the layout of today's types into gate-common/abi.lock first
    #[arg(long)]
    bless: bool,
}

/// One content of the file.
#[derive(Debug, PartialEq, Eq)]
struct Locked {
    version: String,
    layout: Vec<String>,
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let Arguments { base, bless } = arguments;
    if *bless {
        command::run(
            workspace
                .cargo()
                .args(["test", "--quiet", "--package", "gate-common", "abi_lock"])
                .env(BLESS, "1"),
        )?;
    }
    match base {
        Some(base) => {
            let text = show(workspace, base).with_context(|| {
                format!("{base} has no {LOCK}: is it a revision of this repository?")
            })?;
            compare(&current(workspace)?, &parse(&text, base)?, base)
        }
        None => check_history(workspace),
    }
}

/// Compares the file with every content the history has of it: also a change and its reversal, or one that a later commit hides, cannot
/// give a number to two layouts.
pub(crate) fn check_history(workspace: &Workspace) -> Result<()> {
    let current = current(workspace)?;
    let Ok(commits) = workspace.git(&["log", "--format=%H", "--", LOCK]) else {
        say::step(format_args!(
            "no history here (no repository, or no commit yet): {LOCK} is compared with nothing"
        ));
        return Ok(());
    };
    for commit in commits.lines() {
        // The file is absent in a commit that removed it.
        if let Ok(text) = show(workspace, commit) {
            compare(&current, &parse(&text, commit)?, commit)?;
        }
    }
    say::line(format_args!(
        "{LOCK}: version {} has one layout in {} commits and the work tree",
        current.version,
        commits.lines().count()
    ));
    Ok(())
}

fn current(workspace: &Workspace) -> Result<Locked> {
    let text = std::fs::read_to_string(workspace.root.join(LOCK))
        .with_context(|| format!("cannot read {LOCK}: write it with `cargo xtask abi --bless`"))?;
    parse(&text, "the work tree")
}

fn parse(text: &str, place: &str) -> Result<Locked> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let version = lines
        .next()
        .and_then(|line| line.strip_prefix("version = "))
        .with_context(|| format!("{LOCK} in {place} does not begin with `version = N`"))?;
    Ok(Locked {
        version: version.to_owned(),
        layout: lines.map(str::to_owned).collect(),
    })
}

/// Fails when both bear one number and differ.
fn compare(current: &Locked, other: &Locked, place: &str) -> Result<()> {
    if current.version != other.version || current.layout == other.layout {
        return Ok(());
    }
    let only = |a: &Locked, b: &Locked, sign| {
        a.layout
            .iter()
            .filter(|line| !b.layout.contains(line))
            .map(|line| format!("  {sign} {line}"))
            .collect::<Vec<_>>()
    };
    let changes = [only(other, current, '-'), only(current, other, '+')].concat();
    bail!(
        "the layout of the maps changed and ABI_VERSION is still {}: a loader would adopt pinned maps it misreads\n\
         {LOCK} against {place}:\n{}\n\
         raise ABI_VERSION in gate-common, then `cargo xtask abi --bless`, and call the change out in CHANGELOG.md",
        current.version,
        changes.join("\n"),
    )
}

fn show(workspace: &Workspace, revision: &str) -> Result<String> {
    // A revision that begins with a dash would be an option.
    ensure!(!revision.starts_with('-'), "{revision} is no revision");
    workspace.git(&["show", &format!("{revision}:{LOCK}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(text: &str) -> Locked {
        parse(text, "a test").unwrap()
    }

    #[test]
    fn a_new_layout_needs_a_new_version() {
        let old = locked("version = 1\nFlow size=40\nRule size=32\n");
        assert!(
            compare(
                &locked("version = 1\nFlow size=40\nRule size=32\n"),
                &old,
                "x"
            )
            .is_ok()
        );
        assert!(
            compare(
                &locked("version = 2\nFlow size=48\nRule size=32\n"),
                &old,
                "x"
            )
            .is_ok()
        );
        let error = compare(
            &locked("version = 1\nFlow size=48\nRule size=32\n"),
            &old,
            "x",
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("- Flow size=40\n  + Flow size=48"),
            "{error}"
        );
    }

    #[test]
    fn lines_that_changed_places_count() {
        let error = compare(
            &locked("version = 1\na\nb\n"),
            &locked("version = 1\nb\na\n"),
            "x",
        );
        assert!(error.is_err());
    }

    #[test]
    fn a_file_without_a_version_is_refused() {
        assert!(parse("Flow size=40\n", "a test").is_err());
    }
}
