//! A configuration that `gate init` writes for the router of the lab.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial("init::what_is_there_stays", stays)]
}

fn stays(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("begun.toml");
    let name = path.to_str().context("a path that is no text")?;
    fs::write(&path, "# mine\n")?;
    let refused = bench.gate().output(&["init", "--output", name])?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("hint:"),
        "{refused:?}"
    );
    ensure!(
        fs::read_to_string(&path)? == "# mine\n",
        "it was written over"
    );
    bench.gate().text(&["init", "--output", name, "--force"])?;
    ensure!(
        fs::read_to_string(&path)?.contains("[[interface]]"),
        "not written"
    );
    bench.gate().text(&["check", "--config", name])?;
    let here: Vec<_> = fs::read_dir(bench.lab.scratch())?
        .filter_map(|it| it.ok()?.file_name().into_string().ok())
        .filter(|it| it.starts_with("begun.toml"))
        .collect();
    ensure!(here == ["begun.toml"], "left behind: {here:?}");
    Ok(())
}
