//! `gate geoip update`: what it fetches, and what it does not take, whatever servers do.
//!
//! Secrets are one word, in everything that may hold one: whatever is written anywhere must not have it.

mod cases;
mod faults;
mod good;
pub(crate) mod server;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::exec::Output;
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Found},
    database,
};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [faults::trials(found), good::trials(found)]
        .into_iter()
        .flatten()
        .collect()
}

/// The word that is nowhere to be read.
const CANARY: &str = "canary4f1d";
/// The user's part of the credentials with it, and what stands for both in a request (RFC 7617), by `base64 <<< -n`.
const CREDENTIALS: &str = "4711:canary4f1d";
const ENCODED: &str = "NDcxMTpjYW5hcnk0ZjFk";

/// A directory with a database, beside a configuration that fetches it.
struct Place<'b> {
    bench: &'b Bench<'b>,
    directory: PathBuf,
    database: PathBuf,
    config: PathBuf,
}

impl<'b> Place<'b> {
    /// One with the small database.
    fn new(bench: &'b Bench<'b>) -> Result<Self> {
        let directory = bench.lab.scratch().join("GeoIP");
        fs::create_dir(&directory)?;
        let credentials = bench.lab.scratch().join("credentials");
        fs::write(&credentials, CREDENTIALS)?;
        fs::set_permissions(&credentials, Permissions::from_mode(0o600))?;
        let database = directory.join("countries.mmdb");
        fs::write(&database, database::small()?)?;
        Ok(Self {
            bench,
            database,
            directory,
            config: bench.lab.scratch().join("gate.toml"),
        })
    }

    /// Writes the configuration, with an update from `url` and these keys besides.
    fn configure(&self, url: &str, keys: &str) -> Result<()> {
        let mut config = self.bench.config()?;
        config.databases = vec![self.database.clone()];
        let update = format!(
            "\n[[geoip.update]]\ndatabase = \"{}\"\nurl = \"{url}\"\nmax_mib = 1\n{keys}\n",
            self.database.display()
        );
        Ok(fs::write(&self.config, format!("{config}{update}"))?)
    }

    /// Runs the command, which tells no secret.
    fn update(&self, arguments: &[&str]) -> Result<Output> {
        let config = self.config.to_string_lossy();
        let all = [&["geoip", "update", "--config", &config], arguments].concat();
        let output = self.bench.gate().output(&all)?;
        secret(&output.stdout)?;
        secret(&output.stderr)?;
        Ok(output)
    }

    /// Runs it, and it ends with `code` and says `words`.
    fn says(&self, arguments: &[&str], code: i32, words: &str) -> Result<String> {
        let output = self.update(arguments)?;
        let told = output.stdout.clone() + &output.stderr;
        ensure!(
            output.code() == Some(code) && told.contains(words),
            "should end with {code} and say `{words}`: {output:?}"
        );
        ensure!(code == 0 || told.contains("hint: "), "no hint: {told}");
        Ok(told)
    }

    /// The database, octet by octet.
    fn content(&self) -> Result<Vec<u8>> {
        fs::read(&self.database).context("no database")
    }

    /// What is in the directory.
    fn names(&self) -> Result<Vec<String>> {
        names(&self.directory)
    }
}

/// What is in a directory; nothing there has a secret.
fn names(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            secret(&String::from_utf8_lossy(&fs::read(entry.path())?))?;
        }
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// There is no secret in this.
fn secret(text: &str) -> Result<()> {
    ensure!(
        !text.contains(CANARY) && !text.contains(ENCODED),
        "a secret is told: {text}"
    );
    Ok(())
}
