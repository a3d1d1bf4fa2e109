//! Country databases that are replaced while the gate is in force.

use std::{fs, fs::File, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_tests::gate::{Config, Daemon};
use libtest_mimic::Trial;
use nix::{sys::stat::Mode, unistd::mkfifo};

use super::{generation, refused_data, refuses, replace, until, until_looked_at, well};
use crate::{
    bench::{Bench, Found},
    database::{self, NETWORKS},
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial(
            "reload::a_bad_database_is_refused_and_a_good_one_taken",
            bad,
        ),
        found.lab_trial("reload::a_database_of_the_same_bytes_is_nothing_new", same),
        found.lab_trial("reload::a_database_that_comes_back_makes_good", restored),
    ]
}

/// The address whose country tells which database is in force.
const ADDRESS: &str = "8.8.8.8";

/// A configuration with a database of its own, and that.
pub(super) fn config(bench: &Bench<'_>) -> Result<Config> {
    let path = bench.lab.scratch().join("countries.mmdb");
    fs::write(&path, database::small()?)?;
    let mut config = bench.config()?;
    config.databases = vec![path];
    Ok(config)
}

/// The small database with another country for [`ADDRESS`], built so many days later.
pub(super) fn other(day: i16) -> Result<Vec<u8>> {
    let networks = NETWORKS.map(|(network, country)| match country {
        "US" => (network, "FR"),
        _ => (network, country),
    });
    database::of_day(day, &networks)
}

/// The first so many networks of the small database, which has four of each family.
pub(super) fn first(networks: usize) -> Result<Vec<u8>> {
    database::of_day(1, NETWORKS.get(..networks).context("there are eight")?)
}

pub(super) fn country(bench: &Bench<'_>) -> Result<Option<String>> {
    let found = bench.gate().lookup(&[ADDRESS])?;
    Ok(found.into_iter().next().context("no answer")?.country)
}

pub(super) fn country_is(bench: &Bench<'_>, code: &str) -> Result<()> {
    let country = country(bench)?;
    ensure!(
        country.as_deref() == Some(code),
        "{ADDRESS} should be in {code}: {country:?}"
    );
    Ok(())
}

/// Puts something at a path where nothing is.
type Put = fn(&Path) -> Result<()>;

fn content(path: &Path, content: Result<Vec<u8>>) -> Result<()> {
    Ok(fs::write(path, content?)?)
}

fn bad(bench: &Bench<'_>) -> Result<()> {
    let cases: [(&str, Put); 11] = [
        ("is an empty file", |path| content(path, Ok(Vec::new()))),
        ("damaged or cut short", |path| {
            let mut half = other(1)?;
            half.truncate(half.len() / 2);
            content(path, Ok(half))
        }),
        ("is not a MaxMind DB file", |path| {
            content(path, Ok(b"<html>502 Bad Gateway</html>".to_vec()))
        }),
        ("which is before the database in force", |path| {
            content(path, other(-1))
        }),
        ("2 IPv4 networks, down from 4", |path| {
            content(path, first(4))
        }),
        ("9 IPv4 networks, up from 4", |path| {
            let more = [
                "31.0.0.0/16",
                "37.0.0.0/16",
                "41.0.0.0/16",
                "46.0.0.0/16",
                "49.0.0.0/16",
            ];
            let networks = NETWORKS.into_iter().chain(more.map(|it| (it, "FR")));
            content(path, database::of_day(1, &networks.collect::<Vec<_>>()))
        }),
        ("has no country", |path| {
            content(path, database::without_countries())
        }),
        ("MiB that are read", |path| {
            Ok(File::create(path)?.set_len((1 << 30) + 1)?)
        }),
        ("this is a FIFO", |path| {
            Ok(mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?)
        }),
        ("this is a directory", |path| Ok(fs::create_dir(path)?)),
        ("No such file", |_| Ok(())),
    ];
    let config = config(bench)?;
    let daemon = bench.run(&config)?;
    let path = config.databases.first().context("no database")?;
    let before = generation(bench)?;
    for (words, put) in cases {
        refused(bench, &daemon, path, put, words).context(words)?;
        ensure!(generation(bench)? == before, "{words}: another generation");
        country_is(bench, "US")?;
    }
    bench.in_force()?;
    replace(path, &other(1)?)?;
    until(bench, "the good database", |status| {
        status.daemon.refused.is_empty()
    })?;
    well(bench)?;
    ensure!(generation(bench)? == before + 1, "not one generation more");
    country_is(bench, "FR")
}

/// What `put` puts at `path` is refused, by the watch and by `gate reload`.
fn refused(bench: &Bench<'_>, daemon: &Daemon, path: &Path, put: Put, words: &str) -> Result<()> {
    refused_data(bench, daemon, words, || {
        if path.is_dir() {
            fs::remove_dir(path)?;
        } else {
            fs::remove_file(path)?;
        }
        put(path)
    })?;
    let tried = daemon.said().matches("reload: a change of data").count();
    refuses(bench, &[], words)?;
    until_looked_at(bench)?;
    let again = daemon.said().matches("reload: a change of data").count();
    ensure!(tried == again, "the same content was tried twice");
    Ok(())
}

fn same(bench: &Bench<'_>) -> Result<()> {
    let config = config(bench)?;
    let daemon = bench.run(&config)?;
    let path = config.databases.first().context("no database")?;
    let before = generation(bench)?;
    replace(path, &fs::read(path)?)?;
    until_looked_at(bench)?;
    File::options()
        .write(true)
        .open(path)?
        .set_modified(std::time::SystemTime::now())?;
    until_looked_at(bench)?;
    ensure!(
        !daemon.said().contains("reload: ") && generation(bench)? == before,
        "a reload for nothing: {}",
        daemon.said()
    );
    well(bench)
}

fn restored(bench: &Bench<'_>) -> Result<()> {
    let config = config(bench)?;
    let daemon = bench.run(&config)?;
    let path = config.databases.first().context("no database")?;
    let before = generation(bench)?;
    refused_data(bench, &daemon, "is an empty file", || replace(path, b""))?;
    replace(path, &database::small()?)?;
    until(bench, "nothing to complain about", |status| {
        status.daemon.refused.is_empty()
    })?;
    well(bench)?;
    ensure!(generation(bench)? == before, "a generation for nothing");
    country_is(bench, "US")
}
