//! Reloads on a gate that somebody laid hands on, or that a reload before left unfinished.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{State, maps};
use gate_tests::{
    gate::{Change, Config, Daemon},
    interrupt,
    lab::Who,
    pin,
};
use gate_user::sys::{Access, Map};
use libtest_mimic::Trial;
use nix::{net::if_::if_nametoindex, sys::signal::Signal};

use super::{
    LIMIT, generation, lists, logs, one_generation, refused_data, refused_in_status, reloads,
    rewrite, until, version, well,
};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial(
            "reload::what_failed_behind_the_store_is_done_by_the_next",
            unfinished,
        ),
        found.lab_trial(
            "reload::guards_hold_without_the_pins_of_the_generation",
            guarded,
        ),
        found.lab_trial("reload::numbers_go_on_without_the_maps", numbers),
        found.lab_trial("reload::clock_and_sweep_follow_to_new_maps", upkeep),
        found.lab_trial(
            "reload::data_that_met_a_passing_failure_is_tried_again",
            again,
        ),
        found.lab_trial(
            "reload::data_goes_on_without_an_interface_that_is_taken",
            occupied,
        ),
        found.lab_trial(
            "reload::what_comes_after_a_reload_undoes_nothing",
            afterwards,
        ),
        found.lab_trial(
            "reload::memory_that_is_not_known_keeps_nothing_back",
            memory,
        ),
        found.lab_trial("reload::a_long_answer_is_cut_and_the_log_has_all", long),
    ]
}

/// A daemon whose exempt pool has a list file, that, and its configuration.
fn with_list(bench: &Bench<'_>, content: &str) -> Result<(Daemon, PathBuf, Config)> {
    let path = bench.lab.scratch().join("static.txt");
    fs::write(&path, content)?;
    let config = lists::config(bench, &path)?;
    Ok((bench.run(&config)?, path, config))
}

/// The pin of the program cannot be replaced, which comes after the store: the next reload does what is left, where
/// interfaces are the same (`action`), and where one is to be let go.
fn unfinished(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let gone = Who::Neighbour.interface();
    config.action = "observe";
    let change = unfinished_then_done(bench, &config)?;
    ensure!(change.detached.is_empty(), "{change:?}");
    config.interfaces.retain(|(name, _)| *name != gone);
    let change = unfinished_then_done(bench, &config)?;
    ensure!(
        change.detached == [gone] && !bench.lab.attached()?.contains_key(gone),
        "{gone} is still attached: {change:?}"
    );
    Ok(())
}

fn unfinished_then_done(bench: &Bench<'_>, config: &Config) -> Result<Change> {
    let before = generation(bench)?;
    let program = version(bench).join("program");
    fs::remove_file(&program)?;
    fs::create_dir(&program)?;
    rewrite(bench, config)?;
    let attached = bench.lab.attached()?;
    for _ in 0..2 {
        let (code, reload) = bench.gate().reload(&[])?;
        ensure!(
            code == Some(1) && reload.outcome == "failed",
            "{code:?}, {reload:?}"
        );
        let now = generation(bench)?;
        refused_in_status(bench, &format!("generation {now} is in force"))?;
        ensure!(now > before, "no other generation");
    }
    ensure!(
        bench.lab.attached()?.keys().eq(attached.keys()),
        "detached already"
    );
    fs::remove_dir(&program)?;
    let change = reloads(bench, &[])?;
    one_generation(bench)?;
    well(bench)?;
    Ok(change)
}

const SHRUNK: &str = "10 prefixes, down from 200";

fn guarded(bench: &Bench<'_>) -> Result<()> {
    let (daemon, path, _) = with_list(bench, &lists::list(200, &[]))?;
    let before = generation(bench)?;
    let pinned = version(bench).join("generations").join(before.to_string());
    fs::remove_dir_all(pinned)?;
    fs::write(&path, lists::list(10, &[]))?;
    logs(&daemon, SHRUNK)?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(2) && reload.reason.is_some_and(|it| it.contains(SHRUNK)),
        "it is not guarded: {code:?}"
    );
    let change = reloads(bench, &["--force"])?;
    ensure!(
        change.generation.before == Some(before)
            && change.warnings.iter().any(|it| it.contains("are gone")),
        "it does not say what was lost: {change:?}"
    );
    // Nothing changed, but nothing is there either.
    let pinned = version(bench)
        .join("generations")
        .join(generation(bench)?.to_string());
    fs::remove_dir_all(pinned)?;
    let change = reloads(bench, &[])?;
    ensure!(change.list_files.is_empty(), "{change:?}");
    one_generation(bench)?;
    well(bench)
}

/// Data that changes, and changes back, after the map with the number of the generation was removed.
fn numbers(bench: &Bench<'_>) -> Result<()> {
    let with = lists::list(3, &lists::SUBSCRIBER);
    let (_daemon, path, _) = with_list(bench, &with)?;
    let before = generation(bench)?;
    fs::remove_dir_all(version(bench).join("maps"))?;
    for (number, content) in [(before + 1, lists::list(3, &[])), (before + 2, with)] {
        fs::write(&path, content)?;
        lists::until_generation(bench, number)?;
    }
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn upkeep(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let maps = version(bench).join("maps");
    fs::remove_dir_all(&maps)?;
    reloads(bench, &[])?;
    let state = Map::open(&maps.join(maps::STATE), Access::Write)?;
    let offset = State::WallOffset as u32;
    // As if somebody had set the clock, by decades.
    state.update(&offset, &1_u64)?;
    let followed = interrupt::wait_until(LIMIT, || {
        state
            .lookup::<u32, u64>(&offset)
            .is_ok_and(|it| it > Some(1))
    })?;
    ensure!(followed, "nobody looks after the clock of the new maps");
    well(bench)
}

fn again(bench: &Bench<'_>) -> Result<()> {
    let (daemon, path, _) = with_list(bench, &lists::list(3, &[]))?;
    // Somebody else's pin among those of the gate.
    let theirs = bench.lab.pins().join("theirs");
    pin::pin(&pin::tiny_map()?, &theirs)?;
    refused_data(bench, &daemon, theirs.to_str().context("no text")?, || {
        Ok(fs::write(&path, lists::list(3, &lists::SUBSCRIBER))?)
    })?;
    // Another attempt, of which there is nothing new to tell.
    let last = || -> Result<_> { Ok(bench.gate().status()?.1.daemon.last_reload.map(|it| it.at)) };
    let first = last()?;
    until(bench, "another attempt", |status| {
        status.daemon.last_reload.as_ref().map(|it| &it.at) != first.as_ref()
    })?;
    ensure!(
        daemon.said().matches("reload: a change of data").count() == 1,
        "told more than once: {}",
        daemon.said()
    );
    fs::remove_file(&theirs)?;
    until(bench, "the data in force", |_| {
        bench.open(Who::Subscriber, Who::OtherMail, 25).is_ok()
    })?;
    well(bench)
}

/// Nobody asked, so that nobody is there who could do something about it: the others get the data. Who asks is told.
fn occupied(bench: &Bench<'_>) -> Result<()> {
    let (daemon, path, _) = with_list(bench, &lists::list(3, &[]))?;
    let name = Who::Neighbour.interface();
    // Somebody else is on an interface that was made anew, before the gate gets there.
    daemon.signal(Signal::SIGSTOP)?;
    bench.lab.unplug(Who::Neighbour)?;
    bench.lab.plug(Who::Neighbour)?;
    let theirs = pin::passing_program()?;
    let theirs = bench
        .lab
        .router()
        .run(|| pin::attach(&theirs, if_nametoindex(name)?))??;
    fs::write(&path, lists::list(3, &lists::SUBSCRIBER))?;
    daemon.signal(Signal::SIGCONT)?;
    until(bench, "the data in force", |_| {
        bench.open(Who::Subscriber, Who::OtherMail, 25).is_ok()
    })?;
    let (code, status) = bench.gate().status()?;
    let foreign = format!("{name}: another XDP program");
    ensure!(
        code == Some(3)
            && status.state == "open"
            && status.problems.iter().any(|it| it.starts_with(name))
            && status.daemon.refused.is_empty(),
        "{status:?}"
    );
    ensure!(daemon.said().contains(&foreign), "{}", daemon.said());
    let reload = bench.gate().output(&["reload"])?;
    let told = reload.stdout.clone() + &reload.stderr;
    ensure!(
        reload.code() == Some(1) && told.contains(&foreign) && told.contains("hint:"),
        "who asks is not told: {reload:?}"
    );
    drop(theirs);
    until(bench, "well", |status| {
        status.interfaces.iter().all(|it| it.state == "attached")
    })?;
    bench.gate().text(&["reload"])?;
    well(bench)
}

/// The link to the control socket cannot be made.
fn afterwards(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    let control = version(bench).join("control");
    fs::remove_file(&control)?;
    fs::create_dir(&control)?;
    config.action = "observe";
    rewrite(bench, &config)?;
    daemon.signal(Signal::SIGHUP)?;
    logs(&daemon, "reloaded: generation 2 is in force")?;
    logs(&daemon, "warning: ")?;
    ensure!(
        daemon.said().contains(control.to_str().context("no text")?),
        "it does not say what failed: {}",
        daemon.said()
    );
    fs::remove_dir(&control)?;
    daemon.signal(Signal::SIGHUP)?;
    logs(&daemon, "it stays in force")?;
    well(bench)
}

fn memory(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let generations = version(bench).join("generations");
    // What is no map has no memory.
    let theirs = generations
        .join(generation(bench)?.to_string())
        .join("theirs");
    fs::create_dir(&theirs)?;
    config.action = "observe";
    rewrite(bench, &config)?;
    let change = reloads(bench, &[])?;
    ensure!(
        change.memory.is_none() && change.warnings.iter().any(|it| it.contains("memory")),
        "{change:?}"
    );
    // It is in the generation that is kept for a rollback now.
    refused_in_status(bench, "how much memory")?;
    fs::remove_dir(theirs)?;
    one_generation(bench)?;
    well(bench)
}

fn long(bench: &Bench<'_>) -> Result<()> {
    const FILES: usize = 1500;
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    let mut files = Vec::new();
    for number in 0..FILES {
        let path = bench.lab.scratch().join(format!("{number:04}.txt"));
        fs::write(
            &path,
            format!("100.64.{}.{}\n", 200 + number / 250, number % 250),
        )?;
        files.push(path);
    }
    let last = files.last().context("no file")?.display().to_string();
    config
        .pools
        .iter_mut()
        .filter(|pool| pool.policy == "exempt")
        .for_each(|pool| pool.files.clone_from(&files));
    rewrite(bench, &config)?;
    let change = reloads(bench, &[])?;
    ensure!(
        change.left_out > 0 && change.list_files.len() + change.left_out == FILES,
        "{} of {FILES} files, {} left out",
        change.list_files.len(),
        change.left_out
    );
    logs(&daemon, &format!("reload: {last}: "))?;
    well(bench)
}
