//! `--force`: what it overrides, and what it does not.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gate_tests::gate::Daemon;
use libtest_mimic::Trial;

use super::{
    data::{config, country_is, first, other},
    generation, logs, refused_data, refuses, reloads, replace, well,
};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("reload::force_overrides_guards_and_nothing_else", reload),
        found.lab_trial("reload::a_start_on_a_gate_in_force_is_guarded", start),
    ]
}

const SHRUNK: &str = "2 IPv4 networks, down from 4";

fn reload(bench: &Bench<'_>) -> Result<()> {
    let config = config(bench)?;
    let daemon = bench.run(&config)?;
    let path = config.databases.first().context("no database")?;
    let shrunk = first(4)?;
    refused_data(bench, &daemon, SHRUNK, || replace(path, &shrunk))?;
    let refused = refuses(bench, &[], SHRUNK)?;
    ensure!(
        refused
            .hint
            .is_some_and(|hint| hint.contains("gate reload --force")),
        "no hint at --force"
    );
    let change = reloads(bench, &["--force"])?;
    ensure!(
        change.forced.iter().any(|it| it.contains(SHRUNK)),
        "{change:?}"
    );
    well(bench)?;
    let forced = || -> Result<Vec<String>> {
        let status = bench.gate().status()?.1;
        Ok(status.generation.context("no generation")?.forced)
    };
    ensure!(
        forced()?.iter().any(|it| it.contains(SHRUNK)),
        "the status does not say what was overridden: {:?}",
        forced()?
    );
    logs(&daemon, "--force overrode: ")?;
    replace(path, b"")?;
    refuses(bench, &["--force"], "is an empty file")?;
    // The next generation needed no force.
    fs::write(path, first(3)?)?;
    reloads(bench, &["--force"])?;
    replace(path, &first(4)?)?;
    reloads(bench, &[])?;
    ensure!(forced()?.is_empty(), "forced: {:?}", forced()?);
    well(bench)
}

fn start(bench: &Bench<'_>) -> Result<()> {
    let config = config(bench)?;
    bench.run(&config)?.terminate()?;
    let before = bench.gate().counters()?.generation;
    let path = config.databases.first().context("no database")?;
    fs::write(path, other(-1)?)?;
    let file = config.write(&bench.lab, "gate.toml")?;
    let run = ["run", "--config", file.to_str().context("no text")?];
    let output = bench.gate().output(&run)?;
    ensure!(
        output.code() == Some(2)
            && output.stderr.contains("which is before the database")
            && output.stderr.contains("gate run --force"),
        "should be refused: {output:?}"
    );
    ensure!(
        bench.gate().counters()?.generation == before,
        "another generation"
    );
    country_is(bench, "US")?;
    let mut command = bench.gate().command(&run);
    command.arg("--force");
    let daemon = Daemon::start(command)?;
    logs(&daemon, "--force overrode: ")?;
    country_is(bench, "FR")?;
    ensure!(Some(generation(bench)?) > before, "the same generation");
    well(bench)
}
