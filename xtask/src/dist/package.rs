//! The package, by cargo-deb: `[package.metadata.deb]` of gate-user says what is in it; what has to be made for it is made here.
//!
//! The same commit gives the same package, byte for byte, on machines with the same toolchain: every time in it is that of the commit.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::directory;
use crate::{build::Built, command, say, tally::Tally, tool::Tool, workspace::Workspace};

const CARGO_DEB: Tool = Tool {
    name: "cargo-deb",
    release: "3.8.0",
};

/// Who answers for a package that nobody else signs for: the variables that Debian's own tools read say otherwise.
const MAINTAINER: (&str, &str) = ("The gate authors", "gate@localhost");

/// A package.
pub(super) struct Package {
    pub(super) file: PathBuf,
}

/// What packages are made of.
pub(super) struct Material<'a> {
    workspace: &'a Workspace,
    cargo_deb: PathBuf,
    /// The version of the workspace.
    upstream: String,
    /// What cargo-deb takes files from that are made.
    stage: PathBuf,
    /// The time of the commit, in seconds since 1970.
    epoch: String,
    maintainer: String,
}

impl<'a> Material<'a> {
    /// Makes manual pages and completions out of the command line's definition, and the files that Debian asks for.
    pub(super) fn prepare(workspace: &'a Workspace, built: &Built) -> Result<Self> {
        let Built { gate, object: _ } = built;
        // Below what cargo-deb takes for the directory of the program, wherever that is.
        let stage = gate.with_file_name("dist");
        // From scratch: a page of a command that is gone must not slip in.
        let _ = fs::remove_dir_all(&stage);
        fs::create_dir_all(&stage).with_context(|| format!("cannot create {}", stage.display()))?;
        say::step("making manual pages and completions");
        let mut pages = workspace.cargo();
        // Of no package by name: what the tests compiled of its dependencies serves it as well.
        pages
            .args(["run", "--quiet", "--example", "pages", "--"])
            .arg(&stage);
        command::run(&mut pages)?;
        let crates = command::capture(workspace.cargo().args([
            "tree",
            "--package=gate-user",
            "--edges=normal",
            "--prefix=none",
            "--no-dedupe",
            "--format={p} {l}",
        ]))?;
        write(&stage.join("crates"), &licences(&crates))?;
        for (from, to) in [
            ("packaging/copyright", "copyright"),
            ("CHANGELOG.md", "changelog"),
        ] {
            fs::copy(workspace.root.join(from), stage.join(to))
                .with_context(|| format!("cannot copy {from} to {}", stage.display()))?;
        }
        let man = stage.join("man");
        let mut compressed = vec![stage.join("changelog")];
        for page in fs::read_dir(&man).with_context(|| format!("cannot read {}", man.display()))? {
            compressed.push(page?.path());
        }
        compress(&compressed)?;
        let epoch = match env::var("SOURCE_DATE_EPOCH") {
            Ok(epoch) => epoch,
            Err(_) => workspace
                .git(&["log", "-1", "--format=%ct"])
                .context("the package bears the time of the commit and this is no repository: set SOURCE_DATE_EPOCH")?,
        };
        Ok(Self {
            workspace,
            cargo_deb: CARGO_DEB.obtain(workspace)?,
            upstream: env!("CARGO_PKG_VERSION").to_owned(),
            stage,
            epoch: epoch.trim().to_owned(),
            maintainer: maintainer(|name| env::var(name).ok()),
        })
    }

    /// Builds the package with this revision of Debian.
    pub(super) fn build(&self, revision: &str) -> Result<Package> {
        let Self {
            workspace,
            cargo_deb,
            upstream,
            stage,
            epoch,
            maintainer,
        } = self;
        let version = format!("{upstream}-{revision}");
        let date = command::capture(Command::new("date").env("LC_ALL", "C").args([
            "--utc",
            "--rfc-email",
            &format!("--date=@{epoch}"),
        ]))?;
        let changelog = stage.join("changelog.Debian");
        write(&changelog, &entry(&version, maintainer, date.trim()))?;
        compress(&[changelog])?;
        let directory = directory(workspace);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let file = directory.join(format!("gate_{version}_{}.deb", architecture()?));
        say::step(format_args!("packing {}", workspace.show(&file)));
        let mut pack = Command::new(cargo_deb);
        pack.current_dir(&workspace.root)
            .args(["--package", "gate-user", "--no-build", "--quiet"])
            .args(["--deb-version", &version, "--maintainer", maintainer])
            .arg("--output")
            .arg(&file)
            .env("CARGO_TARGET_DIR", &workspace.target)
            .env("SOURCE_DATE_EPOCH", epoch);
        command::run(&mut pack)?;
        ensure!(
            file.is_file(),
            "cargo-deb ended well, and left no {}",
            file.display()
        );
        Ok(Package { file })
    }
}

impl Package {
    /// What lintian has against it: neither errors nor warnings.
    pub(super) fn lint(&self) -> Result<Tally> {
        let Self { file } = self;
        say::step("lintian reads the package");
        let clean = Command::new("lintian")
            .args(["--fail-on=error,warning", "--tag-display-limit=0"])
            .arg(file)
            // Root in a clean machine is who runs it; its own warning about that is no finding.
            .args(command::is_root().then_some("--allow-root"))
            .status()
            .context("cannot start lintian")?
            .success();
        Ok(Tally::of("lintian", clean))
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Into NAME.gz, as Debian wants manual pages and changelogs, and without the time.
fn compress(files: &[PathBuf]) -> Result<()> {
    command::run(
        Command::new("gzip")
            .args(["--best", "--no-name", "--force"])
            .args(files),
    )
}

/// `amd64`, as Debian calls this machine.
fn architecture() -> Result<String> {
    let word = command::capture(Command::new("dpkg").arg("--print-architecture"))?;
    Ok(word.trim().to_owned())
}

fn maintainer(variable: impl Fn(&str) -> Option<String>) -> String {
    let (name, address) = MAINTAINER;
    format!(
        "{} <{}>",
        variable("DEBFULLNAME").as_deref().unwrap_or(name),
        variable("DEBEMAIL").as_deref().unwrap_or(address)
    )
}

/// What Debian's changelog has to say.
fn entry(version: &str, maintainer: &str, date: &str) -> String {
    format!(
        "gate ({version}) unstable; urgency=medium\n\n  * /usr/share/doc/gate/changelog.gz says what changed.\n\n -- {maintainer}  {date}\n"
    )
}

/// A line for each crate of `cargo tree` that is linked into the program, with its licence, without our own and without paths.
fn licences(tree: &str) -> String {
    let mut lines: Vec<&str> = tree
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("(/"))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines.push("");
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_signs_is_who_debian_s_variables_name() {
        assert_eq!(
            maintainer(|_| None),
            format!("{} <{}>", MAINTAINER.0, MAINTAINER.1)
        );
        assert_eq!(
            maintainer(|name| (name == "DEBEMAIL").then(|| "noc@isp.example".to_owned())),
            format!("{} <noc@isp.example>", MAINTAINER.0)
        );
    }

    #[test]
    fn crates_of_others_are_listed_once_with_their_licence() {
        let tree = "gate-user v0.1.0 (/srv/gate/gate-user) MIT OR Apache-2.0\n\
                    libc v0.2.180 MIT OR Apache-2.0\n\
                    aya v0.14.0 MIT OR Apache-2.0\n\
                    libc v0.2.180 MIT OR Apache-2.0\n\n";
        assert_eq!(
            licences(tree),
            "aya v0.14.0 MIT OR Apache-2.0\nlibc v0.2.180 MIT OR Apache-2.0\n"
        );
    }
}
