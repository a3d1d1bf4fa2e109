//! From one version of the map ABI to another, and back, with the gate closed all the time.
//!
//! The other program is this one with the next number, and one record of the map ABI laid out otherwise (`xtask/src/another.rs`): that of what token
//! buckets counted, which therefore must not go on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    exec::{self, Output},
    gate::{Daemon, FromZero, Gate},
    interrupt,
    lab::Who,
    pin::{self, Object},
};
use gate_user::{
    kernel::write_note,
    pins::{Note, Pins},
};
use libtest_mimic::Trial;
use serde_json::json;

use super::{
    LIMIT, Scene, Side,
    torrent::{self, MEET, Rate, Torrent},
};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.needs_another(torrent::trial(
            found,
            "migration::no_packet_of_a_flood_gets_through".to_owned(),
            flooded,
        )),
        found.another_trial("migration::a_start_that_fails_is_taken_back", taken_back),
        found.another_trial("migration::a_bypass_goes_on", bypassed),
        found.another_trial("migration::what_does_not_go_on_is_named", named),
        found.another_trial("migration::a_gate_without_links_goes_on", linkless),
        found.another_trial("migration::an_interface_in_another_namespace", elsewhere),
        found.another_trial(
            "migration::a_program_that_cannot_read_it_says_so",
            unreadable,
        ),
        found.another_trial("migration::what_waits_for_a_person_is_refused", waiting),
        found.another_trial("migration::a_daemon_that_runs_is_a_conflict", conflict),
        found.another_trial("migration::detach_takes_either_off", detached),
    ]
}

/// The first words of the log that tell of it.
const TOOK_OVER: &str = "took over what the gate with map ABI";

/// The directories of versions that there are.
fn versions(bench: &Bench<'_>) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(bench.lab.pins())?;
    Ok(entries
        .map(|it| it.map(|it| it.path()))
        .collect::<Result<_, _>>()?)
}

fn config(bench: &Bench<'_>) -> Result<PathBuf> {
    bench.config()?.write(&bench.lab, "gate.toml")
}

/// The links that are pinned, each once.
fn links(bench: &Bench<'_>) -> Result<Vec<u32>> {
    let pins = pin::list(bench.lab.pins())?;
    let xdp = |it: &pin::Pin| it.path.parent().is_some_and(|it| it.ends_with("links"));
    let mut links: Vec<u32> = pins
        .iter()
        .filter(|it| xdp(it))
        .filter_map(|it| match it.object {
            Object::Link(id) => Some(id),
            Object::Program(_) | Object::Map(_) | Object::Other => None,
        })
        .collect();
    links.sort_unstable();
    links.dedup();
    Ok(links)
}

fn flooded(bench: &Bench<'_>) -> Result<Rate> {
    let mut scene = Scene::new(bench)?;
    let path = Side::Refuse.config(bench)?.write(&bench.lab, "gate.toml")?;
    let links_before = links(bench)?;
    let before = scene.account()?;
    let flood = Torrent::start(bench)?;
    let programs = [bench.another()?, bench.gate()];
    let outcome = torrent::watched(&programs, || {
        let mut daemon = scene.daemon.take().context("no daemon")?;
        for program in [programs, programs].concat() {
            flood.meet()?;
            daemon.kill()?;
            daemon = program.run(&path)?;
            ensure!(daemon.said().contains(TOOK_OVER), "{}", daemon.said());
            ensure!(versions(bench)?.len() == 1, "{:?}", versions(bench)?);
        }
        scene.daemon = Some(daemon);
        flood.meet()
    });
    let rate = flood.stop()?;
    outcome?;
    let account = scene.account()?.since(&before);
    let faults = account.faults();
    ensure!(
        faults.is_empty() && account.smtp_out == 0 && account.smtp >= 5 * MEET,
        "not each packet was refused and counted once:{faults}\n{account:#?}"
    );
    ensure!(links(bench)? == links_before, "other links than before");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    Ok(rate)
}

fn run(gate: Gate<'_>, config: &Path) -> Result<Output> {
    let mut command = gate.command(&["run", "--config"]);
    command.arg(config);
    exec::output(&mut command, "", Duration::from_secs(20))
}

/// A refusal with code 4 and these words, which leaves every pin as it is.
fn refuses(bench: &Bench<'_>, gate: Gate<'_>, config: &Path, says: &[&str]) -> Result<()> {
    let before = pin::list(bench.lab.pins())?;
    let output = run(gate, config)?;
    ensure!(
        output.code() == Some(4)
            && output.stderr.contains("hint:")
            && says.iter().all(|it| output.stderr.contains(it)),
        "{output:?} should say {says:?}"
    );
    let after = pin::list(bench.lab.pins())?;
    ensure!(before == after, "{before:?} became {after:?}");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}

/// Something that is wrong with the configuration, and only found when the pins are taken over already.
fn taken_back(bench: &Bench<'_>) -> Result<()> {
    let path = config(bench)?;
    bench.gate().run(&path)?.kill()?;
    let before = pin::list(bench.lab.pins())?;
    let wrong = bench.lab.scratch().join("wrong.toml");
    fs::write(&wrong, "[port25")?;
    let output = run(bench.another()?, &wrong)?;
    ensure!(output.code() == Some(2), "{output:?}");
    let after = pin::list(bench.lab.pins())?;
    ensure!(before == after, "{before:?} became {after:?}");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let daemon = bench.gate().run(&path)?;
    ensure!(!daemon.said().contains(TOOK_OVER), "{}", daemon.said());
    bench.in_force()
}

fn bypassed(bench: &Bench<'_>) -> Result<()> {
    let path = config(bench)?;
    bench.gate().run(&path)?.kill()?;
    bench
        .gate()
        .bypass(&["--for", "10m", "--reason", "ticket 4711"])?;
    let _daemon = bench.another()?.run(&path)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let (_, status) = bench.another()?.status()?;
    let reason = status.bypass.and_then(|it| it.reason);
    ensure!(reason.as_deref() == Some("ticket 4711"), "{reason:?}");
    bench.another()?.bypass(&["off"])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}

fn named(bench: &Bench<'_>) -> Result<()> {
    let path = config(bench)?;
    bench.gate().run(&path)?.kill()?;
    // Something that started from zero before, and goes on this time.
    let before = json!([{ "map": "flows", "what": "tags of connections", "since": "2026-01-01T00:00:00Z", "from_abi": 7, "to_abi": 8 }]);
    write_note(&Pins::new(bench.lab.pins())?, Note::FromZero, &before)?;
    let daemon = bench.another()?.run(&path)?;
    let said = daemon.said();
    let lost: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("start from zero"))
        .collect();
    ensure!(
        matches!(&lost[..], [one] if one.contains("counts of token buckets")),
        "{said}"
    );
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let there = told(bench, bench.another()?)?;
    // It is still counted only since then, whoever starts next.
    daemon.kill()?;
    let daemon = bench.another()?.run(&path)?;
    let later = told(bench, bench.another()?)?;
    ensure!(later == there, "{there:?} became {later:?}");
    daemon.kill()?;
    let _daemon = bench.gate().run(&path)?;
    let back = told(bench, bench.gate())?;
    ensure!(
        back.since > there.since
            && (back.from_abi, back.to_abi) == (there.to_abi, there.from_abi)
            && there.to_abi == there.from_abi + 1,
        "{there:?}, then {back:?}"
    );
    Ok(())
}

/// What started from zero last, as `gate status` and the metrics have it, after what did before; nothing is wrong for it.
fn told(bench: &Bench<'_>, gate: Gate<'_>) -> Result<FromZero> {
    let (code, status) = gate.status()?;
    let [earlier, zero] = &status.from_zero[..] else {
        bail!("not one more thing: {:?}", status.from_zero);
    };
    ensure!(
        code == Some(0)
            && (&*earlier.map, earlier.to_abi) == ("flows", 8)
            && (&*zero.map, &*zero.what) == ("limited", "counts of token buckets"),
        "{status:?}"
    );
    let text = gate.text(&["status"])?;
    let line = format!(
        "from zero   {}: since {:.0}, when map ABI {} took over from {}",
        zero.what, zero.since, zero.to_abi, zero.from_abi
    );
    ensure!(text.contains(&line), "{text} should have `{line}`");
    let metrics = bench.metrics()?;
    let samples: Vec<f64> = metrics
        .lines()
        .filter_map(|it| it.strip_prefix("gate_from_zero_timestamp_seconds{map=\"limited\"} "))
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let seconds = zero.since.as_duration().as_secs_f64();
    ensure!(
        matches!(samples[..], [one] if (one - seconds).abs() < 1.0)
            && metrics.matches("gate_from_zero_timestamp_seconds{").count() == 2,
        "{seconds}: {metrics}"
    );
    Ok(zero.clone())
}

/// All its interfaces are gone, and its links with them: its counters are not.
fn linkless(bench: &Bench<'_>) -> Result<()> {
    let home = Who::Subscriber.interface();
    let mut config = bench.config()?;
    config.interfaces.retain(|(name, _)| *name == home);
    let path = config.write(&bench.lab, "gate.toml")?;
    let daemon = bench.another()?.run(&path)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.lab.unplug(Who::Subscriber)?;
    let gone = interrupt::wait_until(LIMIT, || links(bench).is_ok_and(|it| it.is_empty()))?;
    ensure!(gone, "still linked: {:?}", links(bench)?);
    let before = bench.another()?.counters()?.verdicts.refused;
    ensure!(before > 0, "nothing was counted");
    daemon.kill()?;
    let daemon = bench.gate().run(&path)?;
    ensure!(daemon.said().contains(TOOK_OVER), "{}", daemon.said());
    let after = bench.gate().counters()?.verdicts.refused;
    ensure!(after == before, "{before} became {after}");
    Ok(())
}

/// No interface keeps the program of the other version, wherever it is.
fn elsewhere(bench: &Bench<'_>) -> Result<()> {
    let path = config(bench)?;
    bench.another()?.run(&path)?.kill()?;
    let elsewhere = bench.lab.netns(Who::OtherMail)?;
    let home = Who::Subscriber.interface();
    let to = elsewhere.name();
    bench
        .lab
        .router()
        .ip(&format!("link set {home} netns {to}\n"))?;
    let program = || -> Result<Option<u64>> { Ok(elsewhere.attached()?.get(home).copied()) };
    let before = program()?;
    let _daemon = bench.gate().run(&path)?;
    let here = bench.lab.router().attached()?;
    let after = program()?;
    ensure!(
        before.is_some() && after.is_some() && after != before,
        "{before:?} became {after:?}"
    );
    ensure!(
        !here.is_empty() && here.values().all(|it| Some(*it) == after),
        "{after:?} there, and here {here:?}"
    );
    bench.refused(Who::Neighbour, Who::OtherMail, 25)
}

fn unreadable(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.another()?.run(&config(bench)?)?;
    let names = |when: &str| {
        let bypass = ["bypass", "--for", "1m", "--reason", "ticket 4711"];
        for (arguments, code) in [
            (&["status"][..], 3),
            (&["counters"], 4),
            (&bypass, 4),
            (&["bypass", "off"], 4),
        ] {
            let output = bench.gate().output(arguments)?;
            let said = format!("{}{}", output.stdout, output.stderr);
            ensure!(
                output.code() == Some(code)
                    && said.contains("another map ABI")
                    && !said.contains("no gate is loaded"),
                "{arguments:?} {when}: {output:?}"
            );
        }
        bench.refused(Who::Subscriber, Who::OtherMail, 25)
    };
    names("beside its daemon")?;
    daemon.kill()?;
    names("without a daemon")
}

fn waiting(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon: Daemon = bench.run(&config)?;
    "another text".clone_into(&mut config.title);
    let path = config.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload", "--confirm", "10m"])?;
    daemon.kill()?;
    refuses(
        bench,
        bench.another()?,
        &path,
        &["waits for a confirmation", "--confirmed"],
    )?;
    bench.gate().text(&["reload", "--confirmed"])?;
    let _daemon = bench.another()?.run(&path)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}

fn conflict(bench: &Bench<'_>) -> Result<()> {
    let path = config(bench)?;
    let daemon = bench.gate().run(&path)?;
    let pid = format!("process {}", daemon.id());
    refuses(bench, bench.another()?, &path, &["holds the lock", &pid])
}

fn detached(bench: &Bench<'_>) -> Result<()> {
    bench.gate().run(&config(bench)?)?.kill()?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.another()?.detach()?;
    let pins = pin::list(bench.lab.pins())?;
    ensure!(pins.is_empty(), "still pinned: {pins:?}");
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}
