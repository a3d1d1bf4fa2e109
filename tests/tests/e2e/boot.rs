//! What a machine starts with when the files of the configuration are gone or wrong, and what the service manager is told.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{exec, gate::Daemon, interrupt, lab::Who, pin};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;
use serde_json::Value;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("boot::last_good_needs_none_of_its_files", restored),
        found.lab_trial(
            "boot::an_interface_that_is_missing_is_left_to_the_daemon",
            missing,
        ),
        found.lab_trial(
            "boot::an_interface_of_somebody_else_keeps_no_other_one_open",
            foreign,
        ),
        found.lab_trial("boot::a_damaged_copy_is_not_restored", damaged),
        found.lab_trial("boot::a_mistake_at_a_start_is_no_open_gate", mistake),
        found.lab_trial(
            "boot::what_is_unconfirmed_or_rolled_back_is_not_last_good",
            decided,
        ),
        found.lab_trial("boot::a_full_disk_leaves_the_copy_from_before", full),
        found.lab_trial("boot::the_service_manager_hears_of_it", notified),
    ]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

fn state(bench: &Bench<'_>) -> PathBuf {
    bench.lab.scratch().join("state")
}

/// `gate run` that keeps what it puts in force.
fn command(bench: &Bench<'_>, config: &Path) -> Command {
    let mut command = bench.gate().command(&["run", "--last-good", "--config"]);
    command.arg(config).arg("--state").arg(state(bench));
    command
}

fn run(bench: &Bench<'_>, config: &Path) -> Result<Daemon> {
    Daemon::start(command(bench, config))
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

/// What the status says of what is kept.
fn last_good(status: &Value) -> &Value {
    status.pointer("/daemon/last_good").unwrap_or(&Value::Null)
}

/// Waits until the status says so of what is kept.
fn keeps(bench: &Bench<'_>, is: impl Fn(&Value) -> bool) -> Result<()> {
    let end = Instant::now() + LIMIT;
    loop {
        let (_, status) = status(bench)?;
        let keeping = last_good(&status);
        if is(keeping) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "never kept so: {keeping}");
        interrupt::sleep(Duration::from_millis(100))?;
    }
}

fn kept(bench: &Bench<'_>, generation: u64) -> Result<()> {
    keeps(bench, |it| {
        it["generation"] == generation && it["problem"].is_null()
    })
}

/// The text of the configuration that is kept.
fn kept_text(bench: &Bench<'_>) -> Result<String> {
    Ok(fs::read_to_string(
        state(bench).join("last-good/gate.toml"),
    )?)
}

/// A gate in force that is kept, and its daemon; the configuration is in the file that is named.
fn kept_gate(bench: &Bench<'_>) -> Result<(Daemon, PathBuf)> {
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let daemon = run(bench, &config)?;
    kept(bench, 1)?;
    Ok((daemon, config))
}

fn restored(bench: &Bench<'_>) -> Result<()> {
    let none = restore(bench)?;
    ensure!(
        none.code() == Some(3) && none.stderr.contains("no last good"),
        "nothing is kept yet: {none:?}"
    );
    let (daemon, config) = kept_gate(bench)?;
    daemon.terminate()?;
    let nothing = restore(bench)?;
    ensure!(
        nothing.code() == Some(0) && nothing.stdout.contains("nothing restored: generation 1"),
        "a gate in force: {nothing:?}"
    );
    bench.gate().detach()?;
    bench.out_of_force()?;
    fs::remove_file(config)?;
    let restored = restore(bench)?;
    ensure!(
        restored.code() == Some(0) && restored.stdout.contains("restored: generation 1"),
        "{restored:?}"
    );
    bench.in_force()?;
    bench.gate().detach().map(drop)
}

/// A restore by which the gate is on all interfaces but the subscriber's, about which it says these words.
fn but_for_one(bench: &Bench<'_>, code: i32, words: &str) -> Result<()> {
    let restored = restore(bench)?;
    let line = format!("{}: {words}", Who::Subscriber.interface());
    ensure!(
        restored.code() == Some(code)
            && restored.stdout.starts_with("restored: generation 1")
            && restored.stdout.lines().any(|it| it.starts_with(&line)),
        "{restored:?}"
    );
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.tagged(Who::Foreign, "foreign")
}

fn missing(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = kept_gate(bench)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    bench.lab.unplug(Who::Subscriber)?;
    but_for_one(bench, 0, "is missing, and is left to `gate run`")?;
    bench.lab.plug(Who::Subscriber)?;
    // The link is new: its ends take a moment to find each other.
    let open = || bench.open(Who::Subscriber, Who::OtherMail, 25).is_ok();
    ensure!(
        interrupt::wait_until(LIMIT, open)?,
        "nobody is on it, and it is closed"
    );
    let _daemon = run(bench, &config)?;
    bench.in_force()
}

fn foreign(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = kept_gate(bench)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    let program = pin::passing_program()?;
    let name = Who::Subscriber.interface();
    let theirs = bench
        .lab
        .router()
        .run(|| pin::attach(&program, if_nametoindex(name)?))??;
    but_for_one(bench, 3, "open: ")?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    drop(theirs);
    let _daemon = run(bench, &config)?;
    bench.in_force()
}

fn damaged(bench: &Bench<'_>) -> Result<()> {
    let (daemon, _) = kept_gate(bench)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    let data = state(bench).join("last-good/data");
    let file = fs::read_dir(&data)?.next().context("no data is kept")??;
    fs::write(file.path(), "something else")?;
    let refused = restore(bench)?;
    ensure!(
        refused.code() == Some(3) && refused.stderr.contains("damaged"),
        "{refused:?}"
    );
    bench.out_of_force()
}

fn mistake(bench: &Bench<'_>) -> Result<()> {
    let (daemon, config) = kept_gate(bench)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    let good = fs::read_to_string(&config)?;
    fs::write(&config, format!("{good}\nnonsense\n"))?;
    let _daemon = run(bench, &config)?;
    bench.in_force()?;
    let (code, degraded) = status(bench)?;
    let instead = last_good(&degraded).get("instead");
    ensure!(
        code == Some(3)
            && degraded.get("state") == Some(&"degraded".into())
            && instead
                .and_then(Value::as_str)
                .is_some_and(|it| it.contains("gate.toml")),
        "{code:?}, {degraded}"
    );
    // A reload of the mistake changes nothing.
    let (code, _) = bench.gate().reload(&[])?;
    ensure!(code == Some(2), "a mistake: {code:?}");
    bench.in_force()?;
    fs::write(&config, good)?;
    let (code, _) = bench.gate().reload(&[])?;
    let (state, well) = status(bench)?;
    ensure!(
        code == Some(0)
            && state == Some(0)
            && last_good(&well).get("instead") == Some(&Value::Null),
        "{code:?}, {state:?}, {well}"
    );
    Ok(())
}

fn decided(bench: &Bench<'_>) -> Result<()> {
    let (_daemon, path) = kept_gate(bench)?;
    let first = fs::read_to_string(&path)?;
    let mut config = bench.config()?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let second = fs::read_to_string(&path)?;
    let (code, _) = bench.gate().reload(&["--confirm", "10m"])?;
    ensure!(code == Some(0), "a reload: {code:?}");
    ensure!(kept_text(bench)? == first, "what nobody confirmed is kept");
    let (code, _) = bench.gate().reload(&["--confirmed"])?;
    ensure!(code == Some(0), "a confirmation: {code:?}");
    kept(bench, 2)?;
    ensure!(
        kept_text(bench)? == second,
        "what was confirmed is not kept"
    );
    let (code, _) = bench.gate().rollback()?;
    ensure!(code == Some(0), "a rollback: {code:?}");
    kept(bench, 3)?;
    ensure!(kept_text(bench)? == first, "what was rolled back is kept");
    Ok(())
}

/// A small file system, for as long as it is there.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Result<Self> {
        fs::create_dir(&at)?;
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=256k", "small"])
            .arg(&at);
        exec::tool(&mut mount, "")?;
        Ok(Self(at))
    }

    /// Leaves room for nothing else.
    fn fill(&self) -> Result<PathBuf> {
        let path = self.0.join("filler");
        let written = fs::write(&path, vec![0; 1 << 20]);
        ensure!(written.is_err(), "that should not fit");
        Ok(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = exec::tool(Command::new("umount").arg(&self.0), "");
    }
}

fn full(bench: &Bench<'_>) -> Result<()> {
    let small = Small::mount(state(bench))?;
    let (daemon, path) = kept_gate(bench)?;
    let first = fs::read_to_string(&path)?;
    let filler = small.fill()?;
    let mut config = bench.config()?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let (code, _) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "a reload does not need the disk: {code:?}");
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let (code, full) = status(bench)?;
    let problem = last_good(&full).get("problem");
    ensure!(
        code == Some(3)
            && problem
                .and_then(Value::as_str)
                .is_some_and(|it| it.contains("No space left")),
        "{code:?}, {full}"
    );
    ensure!(daemon.said().contains("No space left"), "{}", daemon.said());
    ensure!(kept_text(bench)? == first, "the copy from before is gone");
    // It tries again by itself.
    fs::remove_file(filler)?;
    kept(bench, 2)?;
    ensure!(kept_text(bench)? != first, "it is not kept after all");
    daemon.terminate()?;
    bench.gate().detach().map(drop)
}

/// What the manager hears next that is no line of health and no sign of life.
fn heard(manager: &UnixDatagram) -> Result<String> {
    let mut buffer = [0; 4096];
    loop {
        let length = manager.recv(&mut buffer).context("nothing was told")?;
        let message =
            String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        if !message.starts_with("STATUS=") && message != "WATCHDOG=1" {
            return Ok(message);
        }
    }
}

fn notified(bench: &Bench<'_>) -> Result<()> {
    let socket = bench.lab.scratch().join("notify");
    let manager = UnixDatagram::bind(&socket)?;
    manager.set_read_timeout(Some(LIMIT))?;
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let mut command = command(bench, &config);
    command
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "6000000");
    let daemon = Daemon::start(command)?;
    ensure!(heard(&manager)? == "READY=1", "not ready first");
    bench.in_force()?;
    bench.gate().reload(&[])?;
    let reloading = heard(&manager)?;
    ensure!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    ensure!(heard(&manager)? == "READY=1", "a reload without an end");
    let mut buffer = [0; 4096];
    loop {
        let length = manager.recv(&mut buffer).context("no sign of life")?;
        if buffer.get(..length) == Some(b"WATCHDOG=1") {
            break;
        }
    }
    daemon.terminate()?;
    ensure!(heard(&manager)? == "STOPPING=1", "it ended without a word");
    Ok(())
}
