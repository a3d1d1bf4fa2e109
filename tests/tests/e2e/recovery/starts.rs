//! Starts that meet, and starts that are told to end before they are through.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{gate::Config, interrupt, lab::Who, pin};
use libtest_mimic::Trial;

use super::is_well;
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("recovery::of_two_starts_at_once_one_is_ready", two),
        found.lab_trial(
            "recovery::sigterm_while_loading_leaves_all_or_nothing",
            sigterm_while_loading,
        ),
        found.lab_trial(
            "recovery::sigterm_while_attaching_leaves_all_or_nothing",
            sigterm_while_attaching,
        ),
    ]
}

fn two(bench: &Bench<'_>) -> Result<()> {
    const ROUNDS: usize = 4;
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    for round in 1..=ROUNDS {
        let (mut one, mut other) = (bench.gate().begin(&path)?, bench.gate().begin(&path)?);
        let (daemon, second, ended) = match (one.outcome()?, other.outcome()?) {
            (None, Some(ended)) => (one, other, ended),
            (Some(ended), None) => (other, one, ended),
            both => bail!(
                "round {round}: one should be ready and one end: {both:?}, {}, {}",
                one.said(),
                other.said()
            ),
        };
        ensure!(
            ended.code() == Some(4) && second.said().contains("hint: "),
            "round {round}: {ended}: {}",
            second.said()
        );
        is_well(bench)?;
        bench.in_force()?;
        daemon.terminate()?;
        bench.gate().detach()?;
    }
    Ok(())
}

/// With the real database, which takes long enough to be met while it is loaded.
fn sigterm_while_loading(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.databases = vec![bench.tools.real.path().to_owned()];
    sigterm(bench, &config, 3)
}

/// With the small one: most of the time goes into attaching.
fn sigterm_while_attaching(bench: &Bench<'_>) -> Result<()> {
    sigterm(bench, &bench.config()?, 8)
}

/// At moments from when it listens for SIGTERM until a whole start is over.
fn sigterm(bench: &Bench<'_>, config: &Config, parts: u32) -> Result<()> {
    let start = Instant::now();
    bench.run(config)?.terminate()?;
    let whole = start.elapsed();
    bench.gate().detach()?;
    let mut left_nothing = 0;
    for part in 0..=parts {
        let after = whole * part / parts;
        left_nothing += u32::from(
            ended_after(bench, config, after)
                .with_context(|| format!("SIGTERM after {after:?} of {whole:?}"))?,
        );
    }
    ensure!(
        left_nothing > 0,
        "no SIGTERM within {whole:?} came before the gate was in force"
    );
    Ok(())
}

/// Whether a start that got SIGTERM so long after it began to listen for it left nothing; an error if it left neither
/// nothing nor everything.
fn ended_after(bench: &Bench<'_>, config: &Config, after: Duration) -> Result<bool> {
    let path = config.write(&bench.lab, "gate.toml")?;
    let daemon = bench.gate().begin(&path)?;
    let id = daemon.id();
    let listens = interrupt::wait_until(Duration::from_secs(5), || catches_sigterm(id))?;
    ensure!(listens, "it does not listen for SIGTERM");
    interrupt::sleep(after)?;
    let ended = daemon.terminate()?;
    ensure!(
        ended.code().is_some(),
        "ended by the signal, not by itself: {ended}"
    );
    let attached = bench.lab.attached()?;
    let pins = pin::list(bench.lab.pins())?;
    if attached.is_empty() && pins.is_empty() {
        // A start that made the directory takes it back.
        let entries = fs::read_dir(bench.lab.pins()).map_or(0, Iterator::count);
        ensure!(
            entries == 0 && !ended.success(),
            "nothing is in force, {entries} directories are left: {ended}"
        );
        bench.open(Who::Subscriber, Who::OtherMail, 25)?;
        return Ok(true);
    }
    ensure!(
        attached.len() == config.interfaces.len() && ended.success(),
        "neither nothing nor everything: {ended}, {attached:?}, {pins:?}"
    );
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    bench.gate().detach()?;
    Ok(false)
}

/// Whether a process has a handler for it, as the kernel says.
fn catches_sigterm(id: u32) -> bool {
    const SIGTERM: u64 = 1 << 14;
    fs::read_to_string(format!("/proc/{id}/status")).is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask & SIGTERM != 0)
    })
}
