//! What becomes of the gate when configuration or data change while it is in force.
//!
//! Waits are for something to be seen, within a limit that only a hang reaches; nothing is concluded from time alone.

mod configuration;
mod data;
mod force;
mod interrupted;
mod lists;
mod repairs;
mod socket;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{ABI_VERSION, List, maps};
use gate_tests::{
    gate::{Change, Config, Daemon, Reload, Status},
    interrupt,
};
use gate_user::sys::{Access, Map};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [
        configuration::trials(found),
        data::trials(found),
        force::trials(found),
        interrupted::trials(found),
        lists::trials(found),
        repairs::trials(found),
        socket::trials(found),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

/// Waits until `gate status` is as it `should` be; returns it.
fn until(bench: &Bench<'_>, what: &str, should: impl Fn(&Status) -> bool) -> Result<Status> {
    let mut last = None;
    let seen = interrupt::wait_until(LIMIT, || {
        last = bench.gate().status().ok();
        last.as_ref().is_some_and(|(_, status)| should(status))
    })?;
    ensure!(seen, "not within {LIMIT:?}: {what}: {last:?}");
    Ok(last.context("no status")?.1)
}

/// Waits until the daemon has looked at its files, from the beginning to the end, at least twice from now on.
fn until_looked_at(bench: &Bench<'_>) -> Result<()> {
    // The look that goes on now may have begun before; the two after it did not.
    for _ in 0..3 {
        let before = bench.gate().status()?.1.daemon.looked_at;
        until(bench, "another look", |status| {
            status.daemon.looked_at != before
        })?;
    }
    Ok(())
}

/// Changes data, and waits until that is refused with these words, in the status and in the log.
fn refused_data(
    bench: &Bench<'_>,
    daemon: &Daemon,
    words: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let before = bench.gate().status()?.1.daemon.last_reload;
    let before = before.map(|reload| reload.at);
    change()?;
    let says = |reload: &Reload| {
        let reason = reload.reason.as_deref();
        reload.by == "watch" && reason.is_some_and(|reason| reason.contains(words))
    };
    until(bench, &format!("a refusal: {words}"), |status| {
        let last = status.daemon.last_reload.as_ref();
        last.is_some_and(|last| Some(&last.at) != before.as_ref() && says(last))
            && status.daemon.refused.iter().any(says)
    })?;
    logs(daemon, words)?;
    refused_in_status(bench, words)
}

/// The log says these words, or does in a moment.
fn logs(daemon: &Daemon, words: &str) -> Result<()> {
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "the log does not say `{words}`: {}", daemon.said());
    Ok(())
}

/// One generation is pinned beside the one that a rollback goes back to, it is the one that runs, its slot is the only one in use, and there is nothing else.
fn one_generation(bench: &Bench<'_>) -> Result<u64> {
    let number = generation(bench)?;
    let path = version(bench);
    let mut pinned = Vec::new();
    for entry in fs::read_dir(path.join("generations"))? {
        pinned.push(entry?.file_name().to_string_lossy().into_owned());
    }
    let current = fs::read_link(path.join("current"))?;
    let previous = bench.gate().status()?.1.generation;
    let previous = previous.and_then(|it| it.previous);
    let mut expected: Vec<String> = previous
        .into_iter()
        .chain([number])
        .map(|it| it.to_string())
        .collect();
    expected.sort();
    pinned.sort();
    ensure!(
        pinned == expected
            && current.ends_with(number.to_string())
            && !path.join("next").is_symlink(),
        "generation {number} runs, {pinned:?} are pinned, {} is current",
        current.display()
    );
    for name in maps::SLOTTED {
        let map = Map::open(&path.join("maps").join(name), Access::Read)?;
        let mut used = 0;
        for slot in 0..map.spec().max_entries {
            used += u32::from(map.lookup::<u32, u32>(&slot)?.is_some());
        }
        // One generation, of which two maps of maps have all lists.
        let wanted = match name {
            maps::ROOTS | maps::NODES => List::COUNT,
            _ => 1,
        };
        ensure!(used == wanted, "{name}: {used} places are in use");
    }
    Ok(number)
}

/// `gate status` ends with 3, and says these words.
fn refused_in_status(bench: &Bench<'_>, words: &str) -> Result<()> {
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3)
            && matches!(&*status.state, "degraded" | "open")
            && status.problems.iter().any(|it| it.contains(words)),
        "status should say `{words}`: {code:?}, {status:?}"
    );
    Ok(())
}

/// `gate status` has nothing to complain about.
fn well(bench: &Bench<'_>) -> Result<()> {
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(0) && status.problems.is_empty() && status.daemon.refused.is_empty(),
        "status: {code:?}, {status:?}"
    );
    Ok(())
}

/// The directory of pins of this version of the map ABI.
fn version(bench: &Bench<'_>) -> PathBuf {
    bench.lab.pins().join(format!("v{ABI_VERSION}"))
}

/// The number of the generation in force.
fn generation(bench: &Bench<'_>) -> Result<u64> {
    let status = bench.gate().status()?.1;
    Ok(status.generation.context("no generation")?.number)
}

/// What `gate reload` changes, which it has to.
fn reloads(bench: &Bench<'_>, arguments: &[&str]) -> Result<Change> {
    let (code, reload) = bench.gate().reload(arguments)?;
    ensure!(
        code == Some(0) && reload.outcome == "loaded",
        "should be in force: {code:?}, {reload:?}"
    );
    reload.change.context("it does not say what it changed")
}

/// `gate reload` is refused with these words, in what is wrong or in what to do about it.
fn refuses(bench: &Bench<'_>, arguments: &[&str], words: &str) -> Result<Reload> {
    let before = generation(bench)?;
    let (code, reload) = bench.gate().reload(arguments)?;
    let told = [&reload.reason, &reload.hint];
    let told = told.into_iter().flatten().any(|it| it.contains(words));
    ensure!(
        code == Some(2) && reload.outcome == "refused" && told,
        "should be refused with `{words}`: {code:?}, {reload:?}"
    );
    ensure!(before == generation(bench)?, "another generation");
    Ok(reload)
}

/// Writes the configuration that the daemon was started with anew.
fn rewrite(bench: &Bench<'_>, config: &Config) -> Result<()> {
    config.write(&bench.lab, "gate.toml").map(drop)
}

/// Puts `content` in the place of the file at `path` in one step, as those who publish data do.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content)?;
    fs::rename(&new, path)?;
    Ok(())
}
