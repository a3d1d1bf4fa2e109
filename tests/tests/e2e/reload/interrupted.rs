//! Daemons that are ended or killed while they reload.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{exec::Output, gate::Daemon, interrupt, lab::Who, pin};
use libtest_mimic::Trial;

use super::{logs, one_generation, reloads, rewrite, well};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("reload::sigterm_finishes_or_takes_back", sigterm),
        found.lab_trial("reload::kill_9_leaves_what_a_start_adopts", kill_9),
    ]
}

/// How many moments of a reload are tried.
const PARTS: u32 = 4;

/// A daemon of the small database that was told to reload with the real one, which takes long enough to be met in it,
/// and how long that takes.
fn whole(bench: &Bench<'_>) -> Result<Duration> {
    let daemon = bench.run(&bench.config()?)?;
    let mut config = bench.config()?;
    config.databases = vec![bench.tools.real.path().to_owned()];
    rewrite(bench, &config)?;
    let start = Instant::now();
    reloads(bench, &["--force"])?;
    let whole = start.elapsed();
    daemon.terminate()?;
    bench.gate().detach()?;
    Ok(whole)
}

/// Starts such a reload, and does something to the daemon so long after it began.
fn meanwhile(
    bench: &Bench<'_>,
    after: Duration,
    happens: impl FnOnce(Daemon) -> Result<()>,
) -> Result<Output> {
    let daemon = bench.run(&bench.config()?)?;
    let mut config = bench.config()?;
    config.databases = vec![bench.tools.real.path().to_owned()];
    rewrite(bench, &config)?;
    thread::scope(|scope| {
        let client = scope.spawn(|| bench.gate().output(&["reload", "--force"]));
        logs(&daemon, "reload --force: ")?;
        interrupt::sleep(after)?;
        happens(daemon)?;
        let joined = client.join();
        joined.map_err(|_| anyhow::anyhow!("the client panicked"))?
    })
}

fn sigterm(bench: &Bench<'_>) -> Result<()> {
    let whole = whole(bench)?;
    let mut taken_back = 0;
    for part in 0..=PARTS {
        let after = whole * part / PARTS;
        let output = meanwhile(bench, after, |daemon| {
            let ended = daemon.terminate()?;
            ensure!(ended.success(), "{ended}");
            Ok(())
        })
        .with_context(|| format!("SIGTERM after {after:?} of {whole:?}"))?;
        let number = one_generation(bench)?;
        // The client hears what became of it.
        let told = match number {
            1 => output.code() == Some(1),
            _ => number == 2 && output.code() == Some(0),
        };
        ensure!(told, "generation {number}: {output:?}");
        taken_back += u32::from(number == 1);
        ensure!(
            fs::read_dir(bench.gate().sockets())?.next().is_none(),
            "a socket is left"
        );
        bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
        bench.gate().detach()?;
    }
    ensure!(
        taken_back > 0,
        "no SIGTERM within {whole:?} came before the generation was in force"
    );
    Ok(())
}

fn kill_9(bench: &Bench<'_>) -> Result<()> {
    let whole = whole(bench)?;
    for part in 0..=PARTS {
        let after = whole * part / PARTS;
        meanwhile(bench, after, |daemon| daemon.kill().map(drop))
            .with_context(|| format!("killed after {after:?} of {whole:?}"))?;
        bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
        let mut command = bench.gate().command(&["run", "--force", "--config"]);
        command.arg(bench.config()?.write(&bench.lab, "gate.toml")?);
        let daemon = Daemon::start(command)?;
        logs(&daemon, "adopted")?;
        well(bench)?;
        one_generation(bench)?;
        bench.in_force()?;
        daemon.terminate()?;
        bench.gate().detach()?;
        let pins = pin::list(bench.lab.pins())?;
        ensure!(pins.is_empty(), "still pinned: {pins:?}");
        ensure!(
            fs::read_dir(bench.gate().sockets())?.next().is_none(),
            "a socket is left"
        );
    }
    Ok(())
}
