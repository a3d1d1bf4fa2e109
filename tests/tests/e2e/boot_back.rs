//! What a start of the machine does not bring back: what nobody confirmed, what was rolled back, and a copy that is older than what is in force.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{exec, gate::Daemon, interrupt, lab::Who};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("boot::what_is_in_force_stays_through_a_mistake", mistake),
        found.lab_trial("boot::a_mistake_without_a_copy_is_a_mistake", no_copy),
        found.lab_trial("boot::what_nobody_confirmed_waits_for_a_reload", |bench| {
            unconfirmed(bench, true)
        }),
        found.lab_trial(
            "boot::what_nobody_confirmed_waits_without_a_restore",
            |bench| unconfirmed(bench, false),
        ),
        found.lab_trial("boot::what_was_confirmed_is_in_force_again", confirmed),
        found.lab_trial(
            "boot::what_was_confirmed_with_an_exemption_is_in_force_again",
            confirmed_with_an_exemption,
        ),
        found.lab_trial("boot::what_was_rolled_back_stays_away", |bench| {
            rolled_back(bench, true)
        }),
        found.lab_trial("boot::what_was_rolled_back_without_a_daemon", |bench| {
            rolled_back(bench, false)
        }),
        found.lab_trial("boot::a_damaged_copy_is_mended", mended),
        found.lab_trial("boot::privacy_tells_of_the_copies", told),
    ]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

fn state(bench: &Bench<'_>) -> PathBuf {
    bench.lab.scratch().join("state")
}

fn command(bench: &Bench<'_>) -> Command {
    let mut command = bench.gate().command(&["run", "--last-good", "--config"]);
    let config = bench.lab.scratch().join("gate.toml");
    command.arg(config).arg("--state").arg(state(bench));
    command
}

fn run(bench: &Bench<'_>) -> Result<Daemon> {
    Daemon::start(command(bench))
}

fn restore(bench: &Bench<'_>) -> Result<exec::Output> {
    let state = state(bench);
    let state = state.to_str().context("a path that is no text")?;
    bench.gate().output(&["restore", "--state", state])
}

fn status(bench: &Bench<'_>) -> Result<(Option<i32>, Value)> {
    let output = bench.gate().output(&["status", "--format", "json"])?;
    Ok((output.code(), serde_json::from_str(&output.stdout)?))
}

fn instead(status: &Value) -> &str {
    let found = status.pointer("/daemon/last_good/instead");
    found.and_then(Value::as_str).unwrap_or_default()
}

/// Waits until this generation is kept.
fn kept(bench: &Bench<'_>, generation: u64) -> Result<()> {
    let is_kept = || {
        status(bench).is_ok_and(|(_, it)| {
            it.pointer("/daemon/last_good/generation") == Some(&generation.into())
                && it.pointer("/daemon/last_good/problem") == Some(&Value::Null)
        })
    };
    ensure!(interrupt::wait_until(LIMIT, is_kept)?, "never kept");
    Ok(())
}

/// The configuration that refuses (`enforce`) or that observes; both are told apart by a connection to port 25.
fn write(bench: &Bench<'_>, action: &'static str) -> Result<PathBuf> {
    let mut config = bench.config()?;
    config.action = action;
    config.write(&bench.lab, "gate.toml")
}

/// A gate that refuses, and is kept.
fn first(bench: &Bench<'_>) -> Result<Daemon> {
    write(bench, "enforce")?;
    let daemon = run(bench)?;
    bench.in_force()?;
    kept(bench, 1)?;
    Ok(daemon)
}

fn reload(bench: &Bench<'_>, arguments: &[&str]) -> Result<()> {
    let (code, reload) = bench.gate().reload(arguments)?;
    ensure!(code == Some(0), "{code:?}, {reload:?}");
    Ok(())
}

fn observes(bench: &Bench<'_>) -> Result<()> {
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

/// The end of the machine.
fn end(bench: &Bench<'_>, daemon: Daemon) -> Result<()> {
    daemon.kill()?;
    bench.gate().detach()?;
    bench.out_of_force()
}

fn mistake(bench: &Bench<'_>) -> Result<()> {
    let daemon = first(bench)?;
    daemon.terminate()?;
    // What is in force is newer than the copy: it was put there by a daemon that kept nothing.
    let path = write(bench, "observe")?;
    let mut other = bench.gate().command(&["run", "--config"]);
    other.arg(&path);
    Daemon::start(other)?.terminate()?;
    observes(bench)?;
    let text = fs::read_to_string(&path)?;
    fs::write(&path, format!("{text}\nnonsense\n"))?;
    let _daemon = run(bench)?;
    observes(bench)?;
    let (code, status) = status(bench)?;
    ensure!(
        code == Some(3)
            && instead(&status).contains("what was in force stays")
            && instead(&status).contains("gate.toml"),
        "{code:?}, {status}"
    );
    Ok(())
}

fn no_copy(bench: &Bench<'_>) -> Result<()> {
    let path = write(bench, "enforce")?;
    fs::write(path, "nonsense\n")?;
    let output = exec::output(&mut command(bench), "", LIMIT)?;
    ensure!(
        output.code() == Some(2) && output.stderr.contains("no last good configuration"),
        "{output:?}"
    );
    bench.out_of_force()
}

fn unconfirmed(bench: &Bench<'_>, restored: bool) -> Result<()> {
    let daemon = first(bench)?;
    write(bench, "observe")?;
    reload(bench, &["--confirm", "10m"])?;
    observes(bench)?;
    end(bench, daemon)?;
    if restored {
        let restored = restore(bench)?;
        ensure!(restored.code() == Some(0), "{restored:?}");
        bench.in_force()?;
    }
    // Twice: the daemon that held it may be started again.
    for _ in 0..2 {
        let daemon = run(bench)?;
        bench.in_force()?;
        let (code, status) = status(bench)?;
        ensure!(
            code == Some(3) && instead(&status).contains("was never confirmed"),
            "{code:?}, {status}"
        );
        daemon.terminate()?;
    }
    let daemon = run(bench)?;
    reload(bench, &[])?;
    observes(bench)?;
    let (code, status) = status(bench)?;
    ensure!(code == Some(0) && instead(&status).is_empty(), "{status}");
    // That was a decision, which holds.
    end(bench, daemon)?;
    let _daemon = run(bench)?;
    observes(bench)
}

fn confirmed(bench: &Bench<'_>) -> Result<()> {
    let daemon = first(bench)?;
    write(bench, "observe")?;
    reload(bench, &["--confirm", "10m"])?;
    reload(bench, &["--confirmed"])?;
    kept(bench, 2)?;
    end(bench, daemon)?;
    let _daemon = run(bench)?;
    observes(bench)?;
    let (code, status) = status(bench)?;
    ensure!(code == Some(0), "{code:?}, {status}");
    Ok(())
}

/// What waits for a confirmation gets an exemption, by a daemon and by none, and is confirmed while none runs.
fn confirmed_with_an_exemption(bench: &Bench<'_>) -> Result<()> {
    let daemon = first(bench)?;
    let path = write(bench, "observe")?;
    let text = fs::read_to_string(&path)?;
    fs::write(
        &path,
        format!("{text}\n[exemptions]\nfile = \"exemptions\"\n"),
    )?;
    reload(bench, &["--confirm", "1h"])?;
    let exempt = |prefix| -> Result<()> {
        let output = bench
            .gate()
            .output(&["exempt", "add", prefix, "--ticket", "NOC-1"])?;
        ensure!(output.code() == Some(0), "{output:?}");
        Ok(())
    };
    exempt("100.64.200.1")?;
    daemon.kill()?;
    exempt("100.64.200.2")?;
    reload(bench, &["--confirmed"])?;
    let _daemon = run(bench)?;
    observes(bench)?;
    let (code, status) = status(bench)?;
    ensure!(
        code == Some(0) && instead(&status).is_empty(),
        "{code:?}, {status}"
    );
    Ok(())
}

fn rolled_back(bench: &Bench<'_>, daemon: bool) -> Result<()> {
    let mut running = Some(first(bench)?);
    write(bench, "observe")?;
    reload(bench, &[])?;
    kept(bench, 2)?;
    if !daemon && let Some(ended) = running.take() {
        ended.terminate()?;
    }
    let (code, _) = bench.gate().rollback()?;
    ensure!(code == Some(0), "a rollback: {code:?}");
    bench.in_force()?;
    if let Some(running) = running {
        running.kill()?;
    }
    bench.gate().detach()?;
    let _daemon = run(bench)?;
    bench.in_force()?;
    let (code, status) = status(bench)?;
    ensure!(
        code == Some(3) && instead(&status).contains("was rolled back"),
        "{code:?}, {status}"
    );
    reload(bench, &[])?;
    observes(bench)
}

fn mended(bench: &Bench<'_>) -> Result<()> {
    let daemon = first(bench)?;
    daemon.terminate()?;
    let data = state(bench).join("last-good/data");
    let file = fs::read_dir(data)?.next().context("no data is kept")??;
    fs::write(file.path(), "something else")?;
    let daemon = run(bench)?;
    let whole = || {
        let data = state(bench).join("last-good/data");
        let file = data.join(file.file_name());
        fs::read(file).is_ok_and(|it| it != b"something else")
    };
    ensure!(interrupt::wait_until(LIMIT, whole)?, "never mended");
    end(bench, daemon)?;
    let restored = restore(bench)?;
    ensure!(restored.code() == Some(0), "{restored:?}");
    bench.in_force()
}

fn told(bench: &Bench<'_>) -> Result<()> {
    let _daemon = first(bench)?;
    // What is kept is root's, whoever may look into the directory.
    fs::set_permissions(state(bench), Permissions::from_mode(0o755))?;
    let output = bench.gate().output(&["privacy"])?;
    let state = state(bench).display().to_string();
    let (_, told) = output
        .stdout
        .split_once("\nlast good\n")
        .with_context(|| format!("{output:?}"))?;
    let told = told.split("\n\n").next().unwrap_or_default();
    ensure!(
        output.code() == Some(0)
            && told.contains(&format!("where    {state}\n"))
            && told.ends_with("read by  root (root:root 0700)"),
        "{output:?}"
    );
    Ok(())
}
