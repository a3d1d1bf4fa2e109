//! The gate of another commit, built beside this one for as long as a benchmark runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};

use crate::{command, say, supervise, workspace::Workspace};

/// Where the report is kept, and in it the commit that it is about.
const REPORT: &str = "docs/benchmarks/README.md";

/// A checkout of another commit, which is gone when this is, and the program that was built in it.
pub(crate) struct Before {
    tree: Tree,
    /// The program. It is not in the checkout, so that what cargo compiled serves the next time.
    target: PathBuf,
}

/// The checkout.
struct Tree {
    root: PathBuf,
    path: PathBuf,
    commit: String,
}

impl Before {
    /// Builds the gate of `revision`, or of the commit that the last report is about. `None` where there is no such report, or nothing has
    /// changed since.
    pub(crate) fn build(workspace: &Workspace, revision: Option<&str>) -> Result<Option<Self>> {
        let commit = match revision {
            Some(revision) => short(workspace, revision).with_context(|| {
                format!(
                    "--against {revision}: git knows no such commit here\nsee `git log --oneline`"
                )
            })?,
            None => match last(workspace) {
                Some(commit) => commit,
                None => return Ok(None),
            },
        };
        let before = Self {
            tree: Tree::check_out(workspace, commit)?,
            target: workspace.target.join("bench").join("target"),
        };
        say::step(format_args!("building the gate of {}", before.commit()));
        let mut cargo = workspace.cargo();
        cargo
            .args(["xtask", "build"])
            .current_dir(&before.tree.path)
            .env("CARGO_TARGET_DIR", &before.target);
        let code = supervise::run(&mut cargo)?;
        ensure!(
            code == ExitCode::SUCCESS,
            "cannot build the gate of {}: name another commit with --against",
            before.commit()
        );
        Ok(Some(before))
    }

    /// Tells `command` where it is.
    pub(crate) fn tell(&self, command: &mut Command) {
        command
            .env("GATE_BIN_BEFORE", self.target.join("release").join("gate"))
            .env("GATE_COMMIT_BEFORE", self.commit());
    }

    fn commit(&self) -> &str {
        &self.tree.commit
    }
}

impl Tree {
    fn check_out(workspace: &Workspace, commit: String) -> Result<Self> {
        let directory = workspace.target.join("bench");
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let tree = Self {
            root: workspace.root.clone(),
            path: directory.join(&commit),
            commit,
        };
        // What a run left that was killed.
        tree.remove();
        let mut add = tree.git();
        add.args(["worktree", "add", "--quiet", "--force", "--detach"])
            .arg(&tree.path)
            .arg(&tree.commit);
        command::run(&mut add)?;
        Ok(tree)
    }

    fn remove(&self) {
        // It may not be there, or be no checkout: whatever is left in the way, the next `git worktree add` names.
        let _ = fs::remove_dir_all(&self.path);
        let _ = command::run(self.git().args(["worktree", "prune"]));
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.root);
        git
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The short name of a commit.
fn short(workspace: &Workspace, revision: &str) -> Result<String> {
    let commit = format!("{revision}^{{commit}}");
    let name = workspace.git(&["rev-parse", "--verify", "--short=12", &commit])?;
    Ok(name.trim().to_owned())
}

/// The commit of the last report, unless it is this one.
fn last(workspace: &Workspace) -> Option<String> {
    let page = read(&workspace.root.join(REPORT))?;
    let commit = short(workspace, reported(&page)?).ok()?;
    (short(workspace, "HEAD").ok().as_ref() != Some(&commit)).then_some(commit)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The commit that a report says it is about.
fn reported(page: &str) -> Option<&str> {
    let cell = page
        .lines()
        .find_map(|line| line.strip_prefix("| commit | "))?;
    let commit = cell.split([' ', ',', '|']).next()?;
    let is_name = |it: &&str| it.len() >= 7 && it.bytes().all(|it| it.is_ascii_hexdigit());
    Some(commit).filter(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_its_commit() {
        let page = |cell: &str| format!("# Benchmarks\n\n| | |\n|---|---|\n| commit | {cell} |\n");
        assert_eq!(reported(&page("0d3b9d9aa1f2")), Some("0d3b9d9aa1f2"));
        assert_eq!(
            reported(&page("0d3b9d9aa1f2, with changes")),
            Some("0d3b9d9aa1f2")
        );
        assert_eq!(reported(&page("unknown: no repository here")), None);
        assert_eq!(reported("# Benchmarks\n"), None);
    }
}
