//! The ways back from a generation: `gate rollback`, and a reload that goes back unless somebody confirms it.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{ABI_VERSION, PlacedInterface, maps};
use gate_tests::{
    gate::{Config, Daemon, Reload, Status},
    interrupt,
    lab::{Family, Who},
};
use gate_user::{
    kernel,
    sys::{Access, Map},
};
use jiff::Timestamp;
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("rollback::goes_back_and_forward", back_and_forward),
        found.lab_trial("rollback::holds_until_a_reload", holds),
        found.lab_trial("rollback::needs_no_daemon", alone),
        found.lab_trial("rollback::needs_a_generation_before", nothing_before),
        found.lab_trial("rollback::interfaces_are_those_of_today", renamed),
        found.lab_trial("rollback::a_missing_interface_is_no_obstacle", missing),
        found.lab_trial("rollback::what_cannot_be_had_changes_nothing", fails),
        found.lab_trial("confirm::unconfirmed_it_goes_back", unconfirmed),
        found.lab_trial("confirm::confirmed_it_stays", confirmed),
        found.lab_trial("confirm::the_time_goes_on_without_a_daemon", outlives),
        found.lab_trial("confirm::data_waits_for_it", |bench| {
            data_waits(bench, false)
        }),
        found.lab_trial("confirm::data_waits_for_it_through_a_restart", |bench| {
            data_waits(bench, true)
        }),
        found.lab_trial("confirm::what_was_meant_otherwise_is_refused", bad_input),
    ]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);
/// Longer than it takes the daemon to notice a file that changed, and to take it.
const NOTICED: Duration = Duration::from_secs(7);

/// A gate that refuses, under which the configuration then changes to one that observes.
fn enforced_then_observed(bench: &Bench<'_>, arguments: &[&str]) -> Result<(Daemon, Config)> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    bench.in_force()?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    loaded(bench.gate().reload(arguments)?)?;
    observed(bench)?;
    Ok((daemon, config))
}

fn loaded((code, reload): (Option<i32>, Reload)) -> Result<Reload> {
    ensure!(
        code == Some(0) && reload.outcome == "loaded",
        "{code:?}: {reload:?}"
    );
    Ok(reload)
}

fn observed(bench: &Bench<'_>) -> Result<()> {
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

/// The status, which has to be this one.
fn status(bench: &Bench<'_>, state: &str, code: i32) -> Result<Status> {
    let (found, status) = bench.gate().status()?;
    ensure!(
        found == Some(code) && status.state == state,
        "should be {state}: {found:?}, {status:?}"
    );
    Ok(status)
}

fn logs(daemon: &Daemon, words: &str) -> Result<()> {
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "the log does not say `{words}`: {}", daemon.said());
    Ok(())
}

/// What the pool of subscribers counted.
fn refused(bench: &Bench<'_>) -> Result<u64> {
    let counters = bench.gate().counters()?;
    let pool = counters.pools.iter().find(|pool| pool.name == "dynamic");
    Ok(pool.context("no pool")?.packets.refused)
}

fn back_and_forward(bench: &Bench<'_>) -> Result<()> {
    let (daemon, _) = enforced_then_observed(bench, &[])?;
    let counted = refused(bench)?;
    ensure!(counted == 2, "a SYN of each family: {counted}");
    let before = status(bench, "ok", 0)?.generation.context("none")?;
    ensure!(
        before.previous == Some(before.number - 1),
        "no way back: {before:?}"
    );
    let change = loaded(bench.gate().rollback()?)?
        .change
        .context("no change")?;
    ensure!(
        (change.generation.before, change.generation.after)
            == (Some(before.number), Some(before.number + 1)),
        "{change:?}"
    );
    bench.in_force()?;
    ensure!(refused(bench)? == 4, "its counters did not go on");
    let back = status(bench, "rolled_back", 3)?;
    let words = format!(
        "rolled back from generation {} to {}",
        before.number,
        before.number - 1
    );
    ensure!(
        back.problems.iter().any(|it| it.contains(&words))
            && back
                .generation
                .is_some_and(|it| it.previous == Some(before.number)),
        "{:?}",
        back.problems
    );
    logs(&daemon, "rolled back: generation")?;
    logs(&daemon, &words)?;
    loaded(bench.gate().rollback()?)?;
    observed(bench)?;
    status(bench, "rolled_back", 3)?;
    loaded(bench.gate().rollback()?)?;
    bench.in_force()?;
    // What the file says is in force again when a person says so.
    loaded(bench.gate().reload(&[])?)?;
    observed(bench)?;
    status(bench, "ok", 0).map(drop)
}

/// Data that let the subscriber through is rolled back; what comes after it waits, in this daemon and in the next one.
fn holds(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("static.txt");
    let others = "100.64.200.1\n100.64.200.2\n";
    fs::write(&path, others)?;
    let mut config = bench.config()?;
    for pool in config.pools.iter_mut().filter(|it| it.policy == "exempt") {
        pool.files = vec![path.clone()];
    }
    let daemon = bench.run(&config)?;
    bench.in_force()?;
    let with = format!("{others}100.64.0.2\n2001:db8:100:2::2\n");
    replace(&path, &with)?;
    logs(&daemon, "reloaded: generation")?;
    observed(bench)?;
    loaded(bench.gate().rollback()?)?;
    bench.in_force()?;
    replace(&path, &format!("{with}100.64.200.3\n"))?;
    interrupt::sleep(NOTICED)?;
    bench.in_force()?;
    let held = status(bench, "rolled_back", 3)?;
    daemon.kill()?;
    let daemon = bench.run(&config)?;
    logs(&daemon, "changes of data are held")?;
    interrupt::sleep(NOTICED)?;
    bench.in_force()?;
    let still = status(bench, "rolled_back", 3)?;
    let previous = |it: &Status| it.generation.as_ref().and_then(|it| it.previous);
    ensure!(
        previous(&held).is_some() && previous(&held) == previous(&still),
        "{held:?}, {still:?}"
    );
    loaded(bench.gate().reload(&[])?)?;
    observed(bench)?;
    status(bench, "ok", 0)?;
    // And files are followed again.
    replace(&path, others)?;
    let noticed = interrupt::wait_until(LIMIT, || {
        bench.refused(Who::Subscriber, Who::OtherMail, 25).is_ok()
    })?;
    ensure!(noticed, "files are not followed any more");
    Ok(())
}

/// Puts `content` in the place of the file at `path` in one step.
fn replace(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    Ok(fs::rename(&new, path)?)
}

fn alone(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = enforced_then_observed(bench, &[])?;
    daemon.kill()?;
    let attached = bench.lab.attached()?;
    loaded(bench.gate().rollback()?)?;
    bench.in_force()?;
    status(bench, "rolled_back", 3)?;
    ensure!(bench.lab.attached()?.len() == attached.len(), "other links");
    // A start puts in force what was rolled back to, unless it is told of another file.
    bench.run(&config)?.kill()?;
    bench.in_force()?;
    status(bench, "rolled_back", 3)?;
    let other = config.write(&bench.lab, "other.toml")?;
    let _daemon = bench.gate().run(&other)?;
    observed(bench)?;
    status(bench, "ok", 0).map(drop)
}

fn nothing_before(bench: &Bench<'_>) -> Result<()> {
    let refused = |words: &str| -> Result<()> {
        let output = bench.gate().output(&["rollback"])?;
        let said = [&output.stdout[..], &output.stderr].concat();
        ensure!(
            output.code() == Some(1) && said.contains(words) && said.contains("hint:"),
            "{output:?}"
        );
        Ok(())
    };
    refused("no gate is loaded here")?;
    let config = bench.config()?;
    bench.run(&config)?.kill()?;
    refused("no generation is kept")?;
    // A start with the same is nothing that one could go back from.
    let _daemon = bench.run(&config)?;
    refused("no generation is kept")?;
    bench.in_force()?;
    status(bench, "ok", 0).map(drop)
}

/// Two interfaces took each other's names since: what the old generation says of a name holds for the one that has it now.
fn renamed(bench: &Bench<'_>) -> Result<()> {
    let (_daemon, _) = enforced_then_observed(bench, &[])?;
    let (one, other) = (Who::Subscriber.interface(), Who::Neighbour.interface());
    bench.lab.router().ip(&format!(
        "link set {one} down\nlink set {other} down\n\
         link set {one} name swap0\nlink set {other} name {one}\nlink set swap0 name {other}\n"
    ))?;
    loaded(bench.gate().rollback()?)?;
    let status = status(bench, "rolled_back", 3)?;
    let number = status.generation.context("no generation")?.number;
    let directory = bench
        .lab
        .pins()
        .join(format!("v{ABI_VERSION}/generations/{number}"));
    let table = Map::open(&directory.join(maps::INTERFACES), Access::Read)?;
    let placed: Vec<PlacedInterface> = table.read_all()?;
    let manifest = kernel::manifest(&directory)?;
    for it in &status.interfaces {
        let index = it.index.with_context(|| it.name.clone())?;
        let counter = |it: &&PlacedInterface| it.key.index == index;
        let counter = placed.iter().find(counter).map(|it| it.interface.counter);
        let named = manifest
            .interfaces
            .iter()
            .find(|named| named.name == it.name);
        ensure!(
            counter.is_some() && counter == named.map(|it| it.counter),
            "{}, index {index}: {counter:?} and not {named:?}",
            it.name
        );
    }
    Ok(())
}

/// An interface of the generation before is not there any more: the others go back, and it follows when it comes.
fn missing(bench: &Bench<'_>) -> Result<()> {
    let (_daemon, _) = enforced_then_observed(bench, &[])?;
    bench.lab.unplug(Who::Neighbour)?;
    loaded(bench.gate().rollback()?)?;
    bench.in_force()?;
    bench.lab.plug(Who::Neighbour)?;
    let follows = interrupt::wait_until(LIMIT, || {
        bench.refused(Who::Neighbour, Who::OtherMail, 25).is_ok()
    })?;
    ensure!(follows, "the interface that came back is open");
    status(bench, "rolled_back", 3)?;
    Ok(())
}

/// A table of the generation before is not there any more, and then all of it.
fn fails(bench: &Bench<'_>) -> Result<()> {
    let (_daemon, config) = enforced_then_observed(bench, &[])?;
    let refused = |words: &str| -> Result<()> {
        let before = bench.gate().status()?.1.generation.map(|it| it.number);
        let (code, failed) = bench.gate().rollback()?;
        ensure!(
            code == Some(1)
                && failed
                    .reason
                    .as_deref()
                    .is_some_and(|it| it.contains(words)),
            "{code:?}, {failed:?}"
        );
        let after = bench.gate().status()?.1.generation.map(|it| it.number);
        ensure!(before == after, "{before:?}, then {after:?}");
        observed(bench)
    };
    let generation = status(bench, "ok", 0)?.generation;
    let previous = generation.and_then(|it| it.previous).context("none")?;
    let directory = bench
        .lab
        .pins()
        .join(format!("v{ABI_VERSION}/generations/{previous}"));
    fs::remove_file(directory.join("ACCESS_NODES"))?;
    refused("ACCESS_NODES")?;
    fs::remove_dir_all(directory)?;
    refused("no generation is kept")?;
    // What has to be confirmed needs a way back from it; there is one to what is in force now.
    let enforced = Config {
        action: "enforce",
        ..config
    };
    enforced.write(&bench.lab, "gate.toml")?;
    loaded(bench.gate().reload(&["--confirm", "1h"])?)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    loaded(bench.gate().rollback()?)?;
    observed(bench)
}

fn unconfirmed(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = enforced_then_observed(bench, &["--confirm", "10s"])?;
    logs(&daemon, "waits for a confirmation until")?;
    logs(&daemon, "rolled back: generation")?;
    bench.in_force()?;
    let back = status(bench, "rolled_back", 3)?;
    ensure!(
        back.problems
            .iter()
            .any(|it| it.contains("nobody confirmed it in time")),
        "{:?}",
        back.problems
    );
    stays(bench, Some(RELOADED))?;
    // Nobody is there; the daemon that starts late goes back at once.
    loaded(bench.gate().reload(&["--confirm", "10s"])?)?;
    observed(bench)?;
    daemon.kill()?;
    let until = status(bench, "unconfirmed", 3)?
        .generation
        .and_then(|it| it.confirm_until)
        .context("no time")?;
    ensure!(
        interrupt::wait_until(LIMIT, || Timestamp::now() > until)?,
        "time stands still"
    );
    observed(bench)?;
    let daemon = bench.run(&config)?;
    bench.in_force()?;
    logs(&daemon, "nobody confirmed it in time")?;
    status(bench, "rolled_back", 3)?;
    // Where the way back is gone, what is in force stays, and that is said; a daemon is there all the same.
    loaded(bench.gate().reload(&["--confirm", "10s"])?)?;
    daemon.kill()?;
    let waits = status(bench, "unconfirmed", 3)?
        .generation
        .context("none")?;
    let until = waits.confirm_until.context("no time")?;
    let previous = waits.previous.context("no way back")?;
    let generations = bench.lab.pins().join(format!("v{ABI_VERSION}/generations"));
    fs::remove_dir_all(generations.join(previous.to_string()))?;
    ensure!(
        interrupt::wait_until(LIMIT, || Timestamp::now() > until)?,
        "time stands still"
    );
    let daemon = bench.run(&config)?;
    logs(&daemon, "no generation is kept")?;
    observed(bench)?;
    let (code, kept) = bench.gate().reload(&["--confirmed"])?;
    ensure!(code == Some(0), "{kept:?}");
    Ok(())
}

/// What `gate explain` says of what is in force until somebody confirms it.
const CONFIRMED: &str = "time: unless `gate reload --confirmed` comes by ";
/// The same of what was gone back to.
const RELOADED: &str = "`gate reload`, which puts ";

/// `gate explain` says that what is in force does not stay, and why, where it does not, and only there.
fn stays(bench: &Bench<'_>, expected: Option<&str>) -> Result<()> {
    let [from, to] =
        [Who::Subscriber, Who::OtherMail].map(|who| bench.lab.address(who, Family::V4));
    let (from, to) = (from?.to_string(), to?.to_string());
    let interface = Who::Subscriber.interface();
    let question = ["--from", &from, "--to", &to, "--in", interface];
    let told = bench.gate().explain(&question)?.would_change;
    let found: Vec<_> = [CONFIRMED, RELOADED]
        .into_iter()
        .filter(|line| told.iter().any(|it| it.starts_with(line)))
        .collect();
    ensure!(
        found == Vec::from_iter(expected),
        "{expected:?} is said, among {told:?}"
    );
    Ok(())
}

fn confirmed(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = enforced_then_observed(bench, &["--confirm", "1h"])?;
    stays(bench, Some(CONFIRMED))?;
    let waits = status(bench, "unconfirmed", 3)?;
    ensure!(
        waits.problems.iter().any(|it| it.contains("left")),
        "{:?}",
        waits.problems
    );
    let (code, refused) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(2)
            && refused
                .reason
                .is_some_and(|it| it.contains("waits for a confirmation"))
            && refused.hint.is_some_and(|it| it.contains("--confirmed")),
        "another reload meanwhile: {code:?}"
    );
    observed(bench)?;
    let (code, kept) = bench.gate().reload(&["--confirmed"])?;
    ensure!(
        code == Some(0) && kept.outcome == "confirmed",
        "{code:?}, {kept:?}"
    );
    logs(&daemon, "confirmed: generation")?;
    stays(bench, None)?;
    let (code, again) = bench.gate().reload(&["--confirmed"])?;
    ensure!(code == Some(1), "twice: {again:?}");
    let (code, next) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(0) && next.outcome == "unchanged",
        "{code:?}, {next:?}"
    );
    status(bench, "ok", 0)?;
    daemon.kill()?;
    let _daemon = bench.run(&config)?;
    observed(bench)?;
    status(bench, "ok", 0).map(drop)
}

/// Data that changes while a confirmation is due would take the way back; it is taken afterwards.
fn data_waits(bench: &Bench<'_>, restart: bool) -> Result<()> {
    let path = bench.lab.scratch().join("static.txt");
    let others = "100.64.200.1\n";
    fs::write(&path, others)?;
    let mut config = bench.config()?;
    for pool in config.pools.iter_mut().filter(|it| it.policy == "exempt") {
        pool.files = vec![path.clone()];
    }
    config.action = "observe";
    let mut daemon = bench.run(&config)?;
    config.action = "enforce";
    config.write(&bench.lab, "gate.toml")?;
    loaded(bench.gate().reload(&["--confirm", "1h"])?)?;
    bench.in_force()?;
    if restart {
        daemon.terminate()?;
        daemon = bench.run(&config)?;
    }
    replace(&path, &format!("{others}100.64.0.2\n2001:db8:100:2::2\n"))?;
    interrupt::sleep(NOTICED)?;
    bench.in_force()?;
    ensure!(
        !daemon.said().contains("a change of data"),
        "it was tried: {}",
        daemon.said()
    );
    bench.gate().reload(&["--confirmed"])?;
    logs(&daemon, "reload: a change of data")?;
    let taken = interrupt::wait_until(LIMIT, || observed(bench).is_ok())?;
    ensure!(taken, "the change of data is lost");
    // And so is the next one.
    replace(&path, others)?;
    let taken = interrupt::wait_until(LIMIT, || bench.in_force().is_ok())?;
    ensure!(taken, "another change of data is lost");
    Ok(())
}

fn outlives(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = enforced_then_observed(bench, &["--confirm", "1h"])?;
    let until = |status: Status| status.generation.and_then(|it| it.confirm_until);
    let before = until(status(bench, "unconfirmed", 3)?);
    daemon.kill()?;
    let daemon = bench.run(&config)?;
    observed(bench)?;
    let after = until(status(bench, "unconfirmed", 3)?);
    ensure!(
        before.is_some() && before == after,
        "until {before:?}, then until {after:?}"
    );
    logs(&daemon, "waits for a confirmation until")?;
    // A person goes back before the time.
    loaded(bench.gate().rollback()?)?;
    bench.in_force()?;
    status(bench, "rolled_back", 3)?;
    loaded(bench.gate().reload(&["--confirm", "1h"])?)?;
    observed(bench)?;
    daemon.kill()?;
    let (code, kept) = bench.gate().reload(&["--confirmed"])?;
    ensure!(
        code == Some(0) && kept.outcome == "confirmed",
        "without a daemon: {code:?}, {kept:?}"
    );
    let _daemon = bench.run(&config)?;
    observed(bench)?;
    status(bench, "ok", 0).map(drop)
}

fn bad_input(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    for (arguments, words) in [
        (&["--confirm", "5s"][..], "10 seconds"),
        (&["--confirm", "25h"], "24 hours"),
        (&["--confirm", "soon"], "30m"),
        (&["--confirm"], "--confirm"),
        (&["--confirmed", "--force"], "--force"),
        (&["--confirmed", "--confirm", "1m"], "--confirm"),
    ] {
        let output = bench.gate().output(&[&["reload"], arguments].concat())?;
        ensure!(
            output.code() == Some(2) && output.stderr.contains(words),
            "{arguments:?} should say `{words}`: {output:?}"
        );
    }
    let (code, nothing) = bench.gate().reload(&["--confirmed"])?;
    ensure!(
        code == Some(1)
            && nothing
                .reason
                .as_deref()
                .is_some_and(|it| it.contains("waits for no confirmation")),
        "{code:?}, {nothing:?}"
    );
    // Where nothing changes there is nothing to confirm.
    let (code, unchanged) = bench.gate().reload(&["--confirm", "1m"])?;
    ensure!(
        code == Some(0) && unchanged.outcome == "unchanged",
        "{code:?}, {unchanged:?}"
    );
    status(bench, "ok", 0).map(drop)
}
