//! A configuration that `gate init` wrote for the router of the lab, checked and put in force as it is.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gate_tests::lab::Who;
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("init::what_it_writes_observes_subscribers", observes),
        found.lab_trial("init::what_is_there_stays", stays),
    ]
}

fn observes(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("begun.toml");
    let name = path.to_str().context("a path that is no text")?;
    let begun = bench.gate().text(&["init", "--output", name])?;
    ensure!(begun.contains("it only observes"), "{begun}");
    bench.gate().text(&["check", "--config", name])?;
    let daemon = bench.gate().run(&path)?;
    let before = bench.gate().counters()?.verdicts;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let after = bench.gate().counters()?.verdicts;
    ensure!(
        after.observed >= before.observed + 2 && after.refused == 0,
        "one connection of each family: {before:?}, {after:?}\n{}",
        fs::read_to_string(&path)?
    );
    daemon.terminate()?;
    bench.gate().detach().map(drop)
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
    let here: Vec<_> = fs::read_dir(bench.lab.scratch())?
        .filter_map(|it| it.ok()?.file_name().into_string().ok())
        .filter(|it| it.starts_with("begun.toml"))
        .collect();
    ensure!(here == ["begun.toml"], "left behind: {here:?}");
    Ok(())
}
