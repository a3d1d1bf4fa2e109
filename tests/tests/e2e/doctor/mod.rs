//! `gate doctor`: a well lab is well, each thing that is broken is named, and what it says mends it does.

mod bridge;
mod window;

use std::{fs, os::unix::fs::PermissionsExt as _, process, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{Answer, Mode},
    interrupt,
    lab::Who,
    pin,
};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;
use serde::Deserialize;

use crate::{
    bench::{Bench, Found},
    database,
};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.lab_trial("doctor::a_well_lab_is_well", well),
        found.lab_trial("doctor::before_the_first_start", before),
        found.lab_trial("doctor::a_bad_configuration_is_told_like_check", bad),
        found.lab_trial("doctor::a_foreign_program_and_who_holds_it", foreign),
        found.lab_trial("doctor::a_program_that_is_pinned", pinned),
        found.lab_trial("doctor::the_mode_that_is_in_force", mode),
        found.lab_trial("doctor::a_missing_interface", missing),
        found.lab_trial("doctor::a_dead_daemon", dead),
        found.lab_trial("doctor::files_that_others_can_write", permissions),
        found.lab_trial("doctor::files_that_are_not_in_force", hashes),
        found.lab_trial("doctor::an_old_database", old),
        found.lab_trial("doctor::the_other_end_of_a_veth_pair", peer),
    ];
    trials.extend(bridge::trials(found));
    trials.extend(window::trials(found));
    trials
}

/// The interface of the subscriber.
const HOME: &str = "acc-home";

/// What `gate doctor` says.
#[derive(Debug, Deserialize)]
pub(crate) struct Doctor {
    outcome: String,
    generation: Option<u32>,
    hashes: Vec<Hash>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Hash {
    kind: String,
    loaded_sha256: Option<String>,
    sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    check: String,
    outcome: String,
    object: String,
    found: String,
    why: Option<String>,
    fix: Option<String>,
}

impl Doctor {
    /// Asks, and holds the exit code against what is said.
    fn ask(bench: &Bench<'_>, arguments: &[&str]) -> Result<Self> {
        let output = bench
            .gate()
            .output(&[&["--format", "json", "doctor"], arguments].concat())?;
        let doctor: Self = serde_json::from_str(&output.stdout)
            .with_context(|| format!("gate doctor: {output:?}"))?;
        let degraded = doctor.findings.iter().any(|it| it.outcome == "degraded");
        ensure!(
            output.code() == Some(if degraded { 3 } else { 0 })
                && degraded == (doctor.outcome == "degraded"),
            "{:?}: {doctor:?}",
            output.code()
        );
        for it in &doctor.findings {
            let bad = ["warning", "degraded"].contains(&it.outcome.as_str());
            ensure!(
                !bad || (it.why.is_some() && it.fix.is_some()),
                "without a reason or a fix: {it:?}"
            );
        }
        Ok(doctor)
    }

    /// The outcome of a check at an object, which is to be one of them.
    fn outcome(&self, check: &str, object: &str) -> Result<&str> {
        Ok(&self.finding(check, object)?.outcome)
    }

    fn finding(&self, check: &str, object: &str) -> Result<&Finding> {
        let mut all = self.findings.iter();
        all.find(|it| it.check == check && it.object == object)
            .with_context(|| format!("no {check} of {object}: {self:?}"))
    }

    /// What is degraded: checks and objects.
    fn degraded(&self) -> Vec<(&str, &str)> {
        let bad = self.findings.iter().filter(|it| it.outcome == "degraded");
        bad.map(|it| (it.check.as_str(), it.object.as_str()))
            .collect()
    }
}

/// Runs in the router what a finding says mends it.
fn mend(bench: &Bench<'_>, finding: &Finding) -> Result<()> {
    let fix = finding.fix.as_deref().context("no fix")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", fix]);
    bench.lab.router().contain(&mut shell);
    exec::tool(&mut shell, "").map(drop)
}

/// The text of a path.
pub(crate) fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn well(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(
        doctor.degraded().is_empty() && doctor.generation == Some(1),
        "{doctor:?}"
    );
    for (check, object) in [
        ("xdp_program", HOME),
        ("xdp_mode", HOME),
        ("interface", HOME),
        ("mtu", HOME),
        ("lro", HOME),
        ("placement", HOME),
        ("daemon", "gate run"),
        ("kernel", "this machine"),
        ("status", "gate status"),
        ("pins", text(bench.lab.pins())?),
    ] {
        ensure!(doctor.outcome(check, object)? == "ok", "{doctor:?}");
    }
    ensure!(
        doctor.hashes.len() == 2
            && doctor
                .hashes
                .iter()
                .all(|it| it.sha256.is_some() && it.sha256 == it.loaded_sha256),
        "{:?}",
        doctor.hashes
    );
    // Looking changed nothing, and people can read it.
    bench.in_force()?;
    let said = bench.gate().text(&["doctor"])?;
    ensure!(said.contains("0 degraded"), "{said}");
    Ok(())
}

fn before(bench: &Bench<'_>) -> Result<()> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(
        doctor.degraded().is_empty()
            && doctor.generation.is_none()
            && doctor.outcome("xdp_program", HOME)? == "note"
            && doctor.outcome("xdp_mode", HOME)? == "ok",
        "{doctor:?}"
    );
    // The lab makes the directory; what is in it would be the gate's.
    ensure!(
        fs::read_dir(bench.lab.pins())?.next().is_none() && bench.lab.attached()?.is_empty(),
        "it left something"
    );
    let nameless = Doctor::ask(bench, &[])?;
    ensure!(
        nameless.degraded() == [("config", "this machine")],
        "{nameless:?}"
    );
    Ok(())
}

fn bad(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("bad.toml");
    fs::write(&path, "[port25]\naction = \"never\"\nanswer = 3\n")?;
    let path = text(&path)?;
    let [doctor, check] =
        ["doctor", "check"].map(|it| bench.gate().output(&[it, "--config", path]));
    let (doctor, check) = (doctor?, check?);
    ensure!(
        doctor.code() == Some(2) && doctor.stderr == check.stderr && doctor.stdout.is_empty(),
        "{doctor:?}, {check:?}"
    );
    Ok(())
}

fn foreign(bench: &Bench<'_>) -> Result<()> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let program = pin::passing_program()?;
    let theirs = bench
        .lab
        .router()
        .run(|| pin::attach(&program, if_nametoindex(HOME)?))??;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    let finding = doctor.finding("xdp_program", HOME)?;
    let own = format!("process {}", process::id());
    ensure!(
        finding.outcome == "degraded"
            && finding.found.contains(&own)
            && finding.fix.as_ref().is_some_and(|it| it.contains(&own)),
        "{finding:?}"
    );
    drop(theirs);
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(doctor.outcome("xdp_program", HOME)? == "note", "{doctor:?}");
    Ok(())
}

fn pinned(bench: &Bench<'_>) -> Result<()> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let program = pin::passing_program()?;
    let link = bench
        .lab
        .router()
        .run(|| pin::attach(&program, if_nametoindex(HOME)?))??;
    fs::create_dir_all(bench.lab.pins())?;
    let pinned = bench.lab.pins().join("theirs");
    pin::pin(&link, &pinned)?;
    drop((link, program));
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    let finding = doctor.finding("xdp_program", HOME)?;
    ensure!(
        finding.outcome == "degraded" && finding.found.contains(text(&pinned)?),
        "{finding:?}"
    );
    ensure!(
        doctor.outcome("pins", text(bench.lab.pins())?)? == "degraded",
        "what is no gate's is among the pins: {doctor:?}"
    );
    mend(bench, finding)?;
    // The kernel takes the program off some time after nothing holds its link.
    interrupt::wait_until(LIMIT, || {
        let doctor = Doctor::ask(bench, &["--config", text(&path).unwrap_or_default()]);
        doctor.is_ok_and(|it| it.degraded().is_empty())
    })?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(doctor.degraded().is_empty(), "{doctor:?}");
    fs::remove_dir(bench.lab.pins())?;
    Ok(())
}

fn mode(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.mode = Mode::Generic;
    let daemon = bench.run(&config)?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(doctor.outcome("xdp_mode", HOME)? == "ok", "{doctor:?}");
    // Another file asks for another mode than that in force.
    for (wanted, outcome) in [(Mode::Auto, "warning"), (Mode::Native, "degraded")] {
        config.mode = wanted;
        let path = config.write(&bench.lab, "other.toml")?;
        let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
        ensure!(doctor.outcome("xdp_mode", HOME)? == outcome, "{doctor:?}");
    }
    drop(daemon);
    Ok(())
}

fn missing(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let path = config.write(&bench.lab, "gate.toml")?;
    bench.lab.unplug(Who::Subscriber)?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(doctor.degraded() == [("interface", HOME)], "{doctor:?}");
    config.access_keys = "missing = \"wait\"";
    let path = config.write(&bench.lab, "gate.toml")?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(doctor.outcome("interface", HOME)? == "note", "{doctor:?}");
    bench.lab.plug(Who::Subscriber)
}

fn dead(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    bench.run(&config)?.kill()?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(doctor.degraded() == [("daemon", "gate run")], "{doctor:?}");
    let finding = doctor.finding("daemon", "gate run")?;
    let path = bench.lab.scratch().join("gate.toml");
    ensure!(
        finding.fix.as_deref() == Some(format!("gate run --config {}", path.display()).as_str()),
        "{finding:?}"
    );
    let _daemon = bench.run(&config)?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(doctor.degraded().is_empty(), "{doctor:?}");
    Ok(())
}

fn permissions(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let path = bench.lab.scratch().join("gate.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    let doctor = Doctor::ask(bench, &[])?;
    let finding = doctor.finding("permissions", text(&path)?)?;
    ensure!(finding.outcome == "warning", "{finding:?}");
    mend(bench, finding)?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(
        doctor.outcome("permissions", text(&path)?)? == "ok",
        "{doctor:?}"
    );
    let socket = fs::read_dir(bench.gate().sockets())?
        .next()
        .context("no socket")??
        .path();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))?;
    let doctor = Doctor::ask(bench, &[])?;
    let [("socket", object)] = doctor.degraded()[..] else {
        anyhow::bail!("{doctor:?}")
    };
    mend(bench, doctor.finding("socket", object)?)?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(doctor.degraded().is_empty(), "{doctor:?}");
    Ok(())
}

fn hashes(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.tables = "[exemptions]\nfile = \"exemptions\"\n";
    let _daemon = bench.run(&config)?;
    // Nobody is exempt yet, and `gate exempt` makes the file.
    let path = bench.lab.scratch().join("exemptions");
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(
        !path.exists()
            && doctor.degraded().is_empty()
            && doctor.outcome("hash", text(&path)?)? == "ok"
            && doctor.finding("permissions", text(&path)?).is_err(),
        "{doctor:?}"
    );
    let path = bench.lab.scratch().join("gate.toml");
    let path = text(&path)?;
    ensure!(Doctor::ask(bench, &[])?.outcome("hash", path)? == "ok");
    fs::write(path, format!("{config}\n# another one\n"))?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(doctor.outcome("hash", path)? == "warning", "{doctor:?}");
    let hash = doctor.hashes.iter().find(|it| it.kind == "config");
    let status = bench.gate().output(&["--format", "json", "status"])?.stdout;
    let status: serde_json::Value = serde_json::from_str(&status)?;
    let in_force = status
        .pointer("/generation/config_sha256")
        .and_then(|it| it.as_str());
    ensure!(
        hash.is_some_and(
            |it| it.loaded_sha256.as_deref() == in_force && it.sha256 != it.loaded_sha256
        ),
        "{hash:?}, {in_force:?}"
    );
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{reload:?}");
    ensure!(Doctor::ask(bench, &[])?.outcome("hash", path)? == "ok");
    fs::write(path, "no configuration")?;
    let doctor = Doctor::ask(bench, &[])?;
    ensure!(doctor.outcome("config", path)? == "degraded", "{doctor:?}");
    Ok(())
}

fn old(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let database = bench.lab.scratch().join("old.mmdb");
    fs::write(&database, database::of_day(-200, &database::NETWORKS)?)?;
    config.databases = vec![database.clone()];
    let path = config.write(&bench.lab, "gate.toml")?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    let object = text(&database)?;
    ensure!(
        doctor.outcome("database_age", object)? == "warning",
        "{doctor:?}"
    );
    let today = jiff::Timestamp::now().as_second() / 86_400 - 20_000;
    fs::write(
        &database,
        database::of_day(i16::try_from(today)? - 1, &database::NETWORKS)?,
    )?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(
        doctor.outcome("database_age", object)? == "ok",
        "{doctor:?}"
    );
    // A clock that is behind it is wrong.
    fs::write(
        &database,
        database::of_day(i16::try_from(today)? + 30, &database::NETWORKS)?,
    )?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(
        doctor.degraded() == [("clock", "this machine")],
        "{doctor:?}"
    );
    Ok(())
}

/// A pair whose ends are both here, of which one is named: the other end can be looked at.
fn peer(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.answer = Answer::Reset;
    config
        .interfaces
        .push(("acc-pair", gate_tests::lab::Role::Access));
    bench.lab.router().ip(
        "link add acc-pair type veth peer name other-end\nlink set acc-pair up\nlink set other-end up\n",
    )?;
    let ethtool = |state: &str| {
        let mut ethtool = Command::new("ethtool");
        ethtool.args(["-K", "other-end", "gro", state]);
        bench.lab.router().contain(&mut ethtool);
        exec::tool(&mut ethtool, "").map(drop)
    };
    ethtool("off")?;
    let path = config.write(&bench.lab, "gate.toml")?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    let finding = doctor.finding("answers", "acc-pair")?;
    ensure!(
        finding.outcome == "degraded" && doctor.outcome("answers", HOME)? == "note",
        "{doctor:?}"
    );
    mend(bench, finding)?;
    let doctor = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(
        doctor.outcome("answers", "acc-pair")? == "note",
        "{doctor:?}"
    );
    Ok(())
}
