//! What becomes of exemptions where something else changes what is in force.

use anyhow::{Context as _, Result, ensure};
use gate_tests::{interrupt, lab::Who};
use libtest_mimic::Trial;

use super::{
    LIMIT, SUBSCRIBER, add, at, config, delete, exempt, generation, open, refused, run, says,
};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("exempt::outlives_reloads_and_restarts", outlives),
        found.lab_trial("exempt::stays_through_a_rollback", rolled_back),
        found.lab_trial("exempt::a_rollback_names_those_that_go", without),
        found.lab_trial("exempt::needs_no_confirmation_and_gives_none", unconfirmed),
        found.lab_trial("exempt::comes_into_force_behind_a_bypass", bypassed),
    ]
}

fn outlives(bench: &Bench<'_>) -> Result<()> {
    let daemon = run(bench)?;
    add(bench, &["--ticket", "NOC 7"])?;
    let mut config = config(bench)?;
    "another text".clone_into(&mut config.title);
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0) && reload.outcome == "loaded", "{reload:?}");
    open(bench)?;
    daemon.kill()?;
    let _daemon = bench.run(&config)?;
    open(bench)?;
    let listing = says(bench, &["list"], 0)?;
    ensure!(at(&listing, "/exemptions/0/ticket") == "NOC 7", "{listing}");
    delete(bench)?;
    refused(bench)
}

/// One that was given after the reload that is taken back stays, and one that was deleted since does not come back.
fn rolled_back(bench: &Bench<'_>) -> Result<()> {
    let _daemon = run(bench)?;
    says(bench, &["add", "100.64.0.3"], 0)?;
    let before = generation(bench)?;
    let mut config = config(bench)?;
    "observe".clone_into(&mut config.title);
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{reload:?}");
    add(bench, &[])?;
    says(bench, &["del", "100.64.0.3"], 0)?;
    let previous = bench
        .gate()
        .status()?
        .1
        .generation
        .context("none")?
        .previous;
    ensure!(
        previous == Some(before),
        "exemptions are no way back: {previous:?}"
    );
    let (code, back) = bench.gate().rollback()?;
    ensure!(code == Some(0), "{back:?}");
    open(bench)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    // What was rolled back stays so, and its exemptions can be changed all the same.
    delete(bench)?;
    refused(bench)?;
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3) && status.state == "rolled_back",
        "{status:?}"
    );
    Ok(())
}

fn unconfirmed(bench: &Bench<'_>) -> Result<()> {
    let _daemon = run(bench)?;
    let mut config = config(bench)?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&["--confirm", "30s"])?;
    ensure!(code == Some(0), "{reload:?}");
    add(bench, &[])?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    let back = interrupt::wait_until(LIMIT, || {
        bench
            .gate()
            .status()
            .is_ok_and(|(_, status)| status.state == "rolled_back")
    })?;
    ensure!(back, "an exemption confirmed the reload");
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    open(bench)
}

/// The configuration that is gone back to has no exemptions, and says which are not in force any more.
fn without(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    config(bench)?.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{reload:?}");
    add(bench, &[])?;
    open(bench)?;
    let (code, back) = bench.gate().rollback()?;
    let change = back.change.context("nothing changed")?;
    let named = |it: &String| {
        it.contains("not in force any more")
            && it.contains("100.64.0.2/32")
            && it.contains("2001:db8:100:2::2/128")
    };
    ensure!(
        code == Some(0) && change.warnings.iter().any(named),
        "{:?}",
        change.warnings
    );
    refused(bench)?;
    let list = exempt(bench, &["list"])?;
    ensure!(
        list.code() == Some(2) && list.stderr.contains("names no file of exemptions"),
        "{list:?}"
    );
    // The file still has them, and so they come back with its configuration.
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{reload:?}");
    open(bench)?;
    delete(bench)?;
    refused(bench)
}

/// Nobody notices while the bypass goes on, which `gate exempt` does not end.
fn bypassed(bench: &Bench<'_>) -> Result<()> {
    let _daemon = run(bench)?;
    says(bench, &["add", "100.64.0.3"], 0)?;
    let reason = ["--for", "30m", "--reason", "ticket 4711"];
    let begun = bench.gate().bypass(&reason)?;
    ensure!(begun.now.is_some(), "{begun:?}");
    let added = says(bench, &["add", SUBSCRIBER[0]], 0)?;
    ensure!(at(&added, "/generation") == generation(bench)?, "{added}");
    says(bench, &["add", SUBSCRIBER[1]], 0)?;
    says(bench, &["del", "100.64.0.3"], 0)?;
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3) && status.state == "bypassed",
        "the bypass ended: {status:?}"
    );
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    bench.gate().bypass(&["off"])?;
    open(bench)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)
}
