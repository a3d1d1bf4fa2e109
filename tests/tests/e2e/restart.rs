//! What becomes of the gate when its daemon dies, ends or starts again.

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{
    interrupt,
    lab::{Family, Knocks, Who},
    pin::{self, Object, Pin},
};
use libtest_mimic::Trial;

use crate::bench::{A_WHILE, Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("restart::kill_9_changes_no_verdict", kill_9),
        found.lab_trial("restart::sigterm_leaves_the_gate_closed", sigterm),
        found.lab_trial("restart::detach_opens_and_unpins", detach),
        found.lab_trial("restart::a_second_run_adopts", adopt),
        found.lab_trial("restart::a_changed_configuration_takes_effect", changed),
        found.lab_trial("restart::a_second_daemon_is_a_conflict", conflict),
        found.lab_trial("restart::no_connection_gets_through_a_restart", restart),
        found.lab_trial("restart::control_connections_get_through_a_detach", control),
    ]
}

/// A subscriber who knocks at port 25 while `happens` does.
fn while_knocking(bench: &Bench<'_>, happens: impl FnOnce() -> Result<()>) -> Result<Knocks> {
    let hammer = bench
        .lab
        .hammer(Who::Subscriber, Who::OtherMail, Family::V4, 25)?;
    interrupt::sleep(A_WHILE)?;
    happens()?;
    interrupt::sleep(A_WHILE)?;
    hammer.stop()
}

fn nothing_got_through(knocks: Knocks) -> Result<()> {
    ensure!(
        knocks.open == 0 && knocks.tried > 20,
        "not one of many should get through: {knocks:?}"
    );
    Ok(())
}

fn kill_9(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    bench.in_force()?;
    let before = bench.gate().counters()?.verdicts;
    let knocks = while_knocking(bench, || daemon.kill().map(drop))?;
    nothing_got_through(knocks)?;
    bench.in_force()?;
    let after = bench.gate().counters()?.verdicts;
    ensure!(
        after.refused >= before.refused + knocks.tried && after.tagged > before.tagged,
        "counters stopped: {before:?}, {after:?}"
    );
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3) && !status.daemon.alive && !status.problems.is_empty(),
        "status of a gate without its daemon: {code:?}, {status:?}"
    );
    Ok(())
}

fn sigterm(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    let ended = daemon.terminate()?;
    ensure!(ended.success(), "SIGTERM: {ended}");
    bench.in_force()
}

fn detach(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    bench.in_force()?;
    daemon.terminate()?;
    let linked = links(bench)?;
    let said = bench.gate().detach()?;
    bench.out_of_force()?;
    ensure!(!linked.is_empty(), "nothing was attached");
    for pin in &linked {
        let name = pin.path.file_name().context("a link has a name")?;
        let open = format!("{}: detached, ", name.display());
        ensure!(said.contains(&open), "`{open}` is not said: {said}");
    }
    let removed = format!("{}: counters, tags", bench.lab.pins().display());
    ensure!(
        said.contains(&removed) && said.lines().count() == linked.len() + 1,
        "{said}"
    );
    let pins = pin::list(bench.lab.pins())?;
    ensure!(pins.is_empty(), "still pinned: {pins:?}");
    ensure!(
        !bench.lab.pins().join(format!("v{ABI_VERSION}")).exists(),
        "the versioned directory is still there"
    );
    Ok(())
}

fn links(bench: &Bench<'_>) -> Result<Vec<Pin>> {
    let links = bench.lab.pins().join(format!("v{ABI_VERSION}/links"));
    let mut pins = pin::list(&links)?;
    pins.retain(|pin| matches!(pin.object, Object::Link(_)));
    Ok(pins)
}

fn adopt(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    bench.run(&config)?.terminate()?;
    bench.in_force()?;
    let (links_before, counters) = (links(bench)?, bench.gate().counters()?);
    ensure!(
        links_before.len() == config.interfaces.len(),
        "a link for each interface: {links_before:?}"
    );
    let _daemon = bench.run(&config)?;
    let links_after = links(bench)?;
    ensure!(
        links_before == links_after,
        "other links: {links_before:?}, {links_after:?}"
    );
    let adopted = bench.gate().counters()?;
    ensure!(
        adopted.verdicts == counters.verdicts && adopted.reasons == counters.reasons,
        "other counters: {counters:?}, {adopted:?}"
    );
    ensure!(
        adopted.generation > counters.generation,
        "no new generation: {:?}, {:?}",
        counters.generation,
        adopted.generation
    );
    bench.in_force()?;
    let grown = bench.gate().counters()?.verdicts;
    ensure!(
        grown.refused == adopted.verdicts.refused + 2,
        "two more refusals: {:?}, {grown:?}",
        adopted.verdicts
    );
    Ok(())
}

fn changed(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    bench.run(&config)?.terminate()?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let before = links(bench)?;
    config.action = "enforce";
    let _daemon = bench.run(&config)?;
    bench.in_force()?;
    ensure!(before == links(bench)?, "the change replaced links");
    Ok(())
}

fn conflict(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let pins = pin::list(bench.lab.pins())?;
    let path = config.write(&bench.lab, "second.toml")?;
    let path = path.to_str().context("a path that is no text")?;
    let second = bench.gate().output(&["run", "--config", path])?;
    ensure!(
        second.code() == Some(4) && second.stderr.contains("hint:"),
        "a second daemon: {second:?}"
    );
    ensure!(
        pins == pin::list(bench.lab.pins())?,
        "the second daemon changed pins"
    );
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(0) && status.daemon.alive,
        "the first daemon: {code:?}, {status:?}"
    );
    bench.in_force()
}

fn restart(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let knocks = while_knocking(bench, || {
        daemon.terminate()?;
        interrupt::sleep(A_WHILE)?;
        bench.run(&config)?.kill()?;
        bench.run(&config)?.terminate().map(drop)
    })?;
    nothing_got_through(knocks)
}

/// The twin of `restart`: were there a gap, this client would find it.
fn control(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let knocks = while_knocking(bench, || {
        daemon.terminate()?;
        bench.gate().detach()?;
        bench.run(&config)?.terminate().map(drop)
    })?;
    ensure!(
        knocks.open > 0 && knocks.open < knocks.tried,
        "some should get through a detached gate: {knocks:?}"
    );
    Ok(())
}
