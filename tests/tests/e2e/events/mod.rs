//! `gate events`: what it says of real connections is what `gate counters` counted of them, whoever listens is alone, and nothing waits for him.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not in a JSON value is null, which no check here takes"
)]

mod going;

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::Told;
use gate_tests::{
    exec,
    gate::Packets,
    interrupt,
    lab::{Family, Force, Who},
    packets::{self, Ethernet, V4, flag},
    pin,
};
use gate_user::{
    kernel::{Maps, Tale},
    pins::Pins,
    sys::Access,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

pub(crate) use self::going::Going;
use self::going::Heard;
use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("events::they_are_what_the_counters_count", counted),
        found.lab_trial("events::terms_filters_and_mistakes", terms),
        found.lab_trial("events::one_listener_and_what_a_killed_one_leaves", killed),
        found.lab_trial("events::without_a_daemon_and_until_it_is_detached", alone),
        found.lab_trial("events::they_are_switched_off_with_sources", off),
        found.lab_trial("events::older_than_the_retention_is_not_shown", expired),
    ]
}

/// Those that flood.
pub(crate) fn floods(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial("events::nothing_waits_for_a_listener", stopped)]
}

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

fn maps(bench: &Bench<'_>) -> Result<Maps> {
    Ok(Maps::open(&Pins::new(bench.lab.pins())?, Access::Read)?)
}

fn told(bench: &Bench<'_>) -> Result<Tale> {
    Ok(maps(bench)?.told()?)
}

fn privacy(bench: &Bench<'_>) -> Result<Value> {
    let text = bench.gate().text(&["--format", "json", "privacy"])?;
    let privacy: Value = serde_json::from_str(&text)?;
    let stores = privacy["stores"].as_array().context("no stores")?;
    let found = stores.iter().find(|it| it["store"] == "events");
    Ok(found.context("no store of events")?.clone())
}

/// For how long `gate privacy` says that events are kept.
fn kept(bench: &Bench<'_>) -> Result<String> {
    let privacy = privacy(bench)?;
    Ok(privacy["kept"].as_str().context("no words")?.to_owned())
}

fn listened(bench: &Bench<'_>) -> Result<bool> {
    Ok(kept(bench)?.contains("; in the memory of the process that listens: "))
}

/// Packets that are events.
fn events(packets: Packets) -> u64 {
    packets.refused + packets.observed + packets.tagged
}

/// Connections of every kind, both families; each event is one packet that was counted, with the names that the counters have.
fn counted(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    ensure!(!listened(bench)?, "nobody listens yet");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    ensure!(told(bench)? == Tale::default(), "told of to nobody");
    let before = bench.gate().counters()?;
    let going = Going::begin(bench, &["--rate", "100000"])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    bench.open(Who::Subscriber, Who::OwnMail, 587)?;
    bench.tagged(Who::Foreign, "foreign")?;
    bench.tagged(Who::HighSpam, "high-spam")?;
    let (code, heard) = going.end()?;
    let after = bench.gate().counters()?;
    let counted = after.verdicts.since(before.verdicts);
    ensure!(
        code == Some(0) && heard.end["why"] == "interrupted" && heard.lost.is_empty(),
        "{code:?}: {heard:#?}"
    );
    ensure!(
        heard.events.len() as u64 == events(counted)
            && heard.all() == events(counted)
            && heard.of_end("written") == events(counted)
            && heard.of_end("shown") == events(counted)
            && counted.refused >= 4
            && counted.tagged >= 4
            && counted.passed >= 2,
        "{counted:?}: {heard:#?}"
    );
    for (verdict, packets) in [("refused", counted.refused), ("tagged", counted.tagged)] {
        let found = heard.count(&[("verdict", verdict)]);
        ensure!(found as u64 == packets, "{verdict}: {found}, not {packets}");
    }
    // By source, as the counters have them.
    let mut by_source: BTreeMap<String, u64> = BTreeMap::new();
    for event in &heard.events {
        let source = event["source"].as_str().context("no source")?;
        *by_source.entry(source.to_owned()).or_default() += 1;
    }
    for source in &after.sources.entries {
        let known = before.sources.entries.iter();
        let known = known.filter(|it| it.source == source.source);
        let known: u64 = known.map(|it| events(it.packets)).sum();
        let new = events(source.packets) - known;
        let found = by_source.get(&source.source).copied().unwrap_or(0);
        ensure!(found == new, "{}: {found}, not {new}", source.source);
    }
    let foreign = bench.lab.address(Who::Foreign, Family::V4)?.to_string();
    let known = bench.gate().lookup(&[&foreign])?;
    let country = known.first().and_then(|it| it.country.clone());
    let country = country.context("no country")?;
    for (wanted, least) in [
        (
            &[
                ("role", "access"),
                ("reason", "restricted"),
                ("pool", "dynamic"),
            ][..],
            4,
        ),
        (
            &[
                ("role", "uplink"),
                ("class", "foreign"),
                ("country", &country),
            ],
            2,
        ),
        (&[("class", "high-spam")], 2),
    ] {
        let found = heard.count(wanted);
        ensure!(found >= least, "{wanted:?}: {found} in {heard:#?}");
    }
    // The server of ours is told, and where subscribers connected to is nowhere.
    for family in Family::ALL {
        let ours = bench.lab.address(Who::OwnMail, family)?.to_string();
        let theirs = bench.lab.address(Who::OtherMail, family)?.to_string();
        ensure!(
            heard.count(&[("destination", &ours)]) >= 2 && !heard.text.contains(&theirs),
            "{ours}, {theirs}: {}",
            heard.text
        );
    }
    let access = heard.events.iter().filter(|it| it["role"] == "access");
    for event in access {
        ensure!(event["destination"].is_null(), "{event}");
    }
    ensure!(
        !listened(bench)? && !daemon.said().contains("cleared away"),
        "something is left: {}",
        daemon.said()
    );
    nothing_kept(bench)
}

/// Nothing in any pinned map but those that have it anyway, once nobody listens: the ring is gone.
fn nothing_kept(bench: &Bench<'_>) -> Result<()> {
    let directory = Pins::new(bench.lab.pins())?.maps();
    for name in gate_common::abi::maps::LISTENER {
        let dumped = pin::dump(&directory.join(name))?;
        for who in [Who::Subscriber, Who::Foreign, Who::OtherMail] {
            let IpAddr::V4(address) = bench.lab.address(who, Family::V4)? else {
                continue;
            };
            let octets = address.to_bits().to_le_bytes();
            ensure!(
                !dumped.windows(4).any(|it| it == octets),
                "{name} has {address}"
            );
        }
    }
    let ring = pin::dump(&directory.join(gate_common::abi::maps::EVENTS))?;
    ensure!(ring.is_empty(), "a ring is left: {ring:?}");
    let left = maps(bench)?.has_listener()?;
    ensure!(!left, "somebody still listens");
    Ok(())
}

/// Connections that are refused, until an event of one was over the rate.
fn exceed(bench: &Bench<'_>) -> Result<()> {
    let before = told(bench)?;
    let over = interrupt::wait_until(LIMIT, || {
        let tried = bench.refused(Who::Subscriber, Who::OtherMail, 25);
        tried.is_ok() && told(bench).is_ok_and(|it| it.since(&before).count(Told::OverRate) > 0)
    })?;
    ensure!(over, "nothing is over the rate: {:?}", told(bench)?);
    Ok(())
}

fn terms(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    for (arguments, words) in [
        (&["--sample", "0"][..], "is not in 1..=1000000"),
        (&["--rate", "1000001"], "is not in 1..=1000000"),
        (&["--pool", "nobody"], "there are: dynamic"),
        (&["--class", "nobody"], "there are: "),
        (&["--interface", "nobody"], "there are: "),
        (&["--verdict", "gone"], "possible values"),
        (&["--format", "csv"], "only `gate counters`"),
    ] {
        let refused = bench.gate().output(&[&["events"], arguments].concat())?;
        ensure!(
            refused.code() == Some(2) && refused.stderr.contains(words),
            "{arguments:?}: {refused:?}"
        );
    }
    let program = bench.lab.scratch().join("gate");
    fs::copy(&bench.tools.program, &program)?;
    let mut nobody = Command::new("setpriv");
    nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(program)
        .arg("--pins")
        .arg(bench.lab.pins())
        .arg("events");
    let refused = exec::output(&mut nobody, "", LIMIT)?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("run it as root"),
        "{refused:?}"
    );
    // What is not asked for is counted, not shown.
    let before = bench.gate().counters()?;
    let going = Going::begin(bench, &["--class", "foreign", "--count", "2"])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.tagged(Who::Foreign, "foreign")?;
    let (code, heard) = going.heard()?;
    let after = bench.gate().counters()?;
    let counted = events(after.verdicts.since(before.verdicts));
    ensure!(
        code == Some(0)
            && heard.end["why"] == "enough"
            && heard.events.len() == 2
            && heard.count(&[("class", "foreign")]) == 2
            && heard.of_end("filtered") >= 2
            && heard.of_end("shown") + heard.of_end("filtered") + heard.of_end("unread")
                == heard.of_end("written")
            && heard.all() <= counted,
        "{counted}: {heard:#?}"
    );
    // One at once, and none more for a second: what is over the rate is said, and for how long it was listened.
    let before = bench.gate().counters()?;
    let going = Going::begin(bench, &["--rate", "1"])?;
    exceed(bench)?;
    let (code, heard) = going.end()?;
    let counted = events(bench.gate().counters()?.verdicts.since(before.verdicts));
    let lost: u64 = heard
        .lost
        .iter()
        .filter_map(|it| it["over_rate"].as_u64())
        .sum();
    ensure!(
        code == Some(0)
            && heard.end["why"] == "interrupted"
            && heard.of_end("over_rate") > 0
            && lost <= heard.of_end("over_rate")
            && heard.events.len() as u64 == heard.of_end("written")
            && heard.all() <= counted,
        "{counted}: {heard:#?}"
    );
    let short = bench.gate().output(&["events", "--for", "1s"])?;
    let heard = Heard::parse(&short.stdout, short.stderr.clone())?;
    ensure!(
        short.code() == Some(0) && heard.end["why"] == "over",
        "{short:?}"
    );
    Ok(())
}

/// The second one is told who listens; what is left of a killed one is told nothing, is cleared away by the daemon, and the next one hears.
fn killed(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    let mut going = Going::begin(bench, &[])?;
    let second = bench.gate().output(&["events"])?;
    ensure!(
        second.code() == Some(4) && second.stderr.contains("listens to events already: "),
        "{second:?}"
    );
    let kept = privacy(bench)?;
    ensure!(
        kept["kept"]
            .as_str()
            .is_some_and(|it| it.contains("since ")),
        "{kept}"
    );
    going.signal(Signal::SIGKILL)?;
    going.0.wait()?;
    let words = "cleared away a listener to events";
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(words))?;
    ensure!(said, "the daemon does not say `{words}`: {}", daemon.said());
    ensure!(!listened(bench)?, "it still listens");
    let before = told(bench)?;
    bench.in_force()?;
    ensure!(told(bench)? == before, "told of to nobody");
    nothing_kept(bench)?;
    // One whose reader is gone goes as well, although there is nothing to write.
    let mut piped = bench.gate().command(&["events", "--class", "foreign"]);
    piped.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut piped = exec::spawn(&mut piped)?;
    let listens = interrupt::wait_until(LIMIT, || listened(bench).is_ok_and(|it| it))?;
    drop(piped.stdout.take());
    let gone = interrupt::wait_until(LIMIT, || piped.try_wait().is_ok_and(|it| it.is_some()))?;
    ensure!(
        listens && gone && piped.wait()?.success(),
        "it goes on although nobody reads"
    );
    nothing_kept(bench)?;
    ensure!(listening(bench)?.is_null(), "gate status shows somebody");
    let going = Going::begin(bench, &[])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    going.signal(Signal::SIGTERM)?;
    let (code, heard) = going.heard()?;
    ensure!(
        code == Some(0) && heard.count(&[("verdict", "refused")]) >= 2,
        "{heard:#?}"
    );
    shown(bench)
}

/// Who listens, as `gate status` has it.
fn listening(bench: &Bench<'_>) -> Result<Value> {
    let text = bench.gate().text(&["--format", "json", "status"])?;
    let status: Value = serde_json::from_str(&text)?;
    Ok(status["listening"].clone())
}

/// What `gate status` and the status page say of who listens, and of what is lost to him and was not lost to others.
fn shown(bench: &Bench<'_>) -> Result<()> {
    let status = bench.gate().text(&["status"])?;
    ensure!(!status.contains("listening"), "{status}");
    let going = Going::begin(bench, &["--rate", "1"])?;
    let status = bench.gate().text(&["status"])?;
    ensure!(
        status.contains("\nlistening   ") && status.contains("; not told: none\n"),
        "{status}"
    );
    exceed(bench)?;
    let now = listening(bench)?;
    let count = |key: &str| now["events"][key].as_u64();
    let lost = count("over_rate").context("no number")?;
    let status = bench.gate().text(&["status"])?;
    ensure!(
        lost > 0 && status.contains(&format!("; not told: {lost} over the rate\n")),
        "{now}: {status}"
    );
    let (code, heard) = going.end()?;
    ensure!(
        code == Some(0)
            && lost == heard.of_end("over_rate")
            && count("written") == Some(heard.of_end("written")),
        "{now}: {heard:#?}"
    );
    ensure!(listening(bench)?.is_null(), "gate status shows somebody");
    Ok(())
}

/// Whoever listens by a clock that is two days ahead has only what is over to read.
fn expired(bench: &Bench<'_>) -> Result<()> {
    const AHEAD: &str = "172800";
    let _daemon = bench.run(&bench.config()?)?;
    let before = bench.gate().counters()?.verdicts;
    let mut command = Command::new("unshare");
    command
        .args(["--time", "--monotonic", AHEAD, "--boottime", AHEAD, "--"])
        .arg(&bench.tools.program)
        .arg("--pins")
        .arg(bench.lab.pins())
        .arg("events");
    let going = Going::spawn(bench, command)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.tagged(Who::Foreign, "foreign")?;
    let (code, heard) = going.end()?;
    let counted = events(bench.gate().counters()?.verdicts.since(before));
    ensure!(
        code == Some(0)
            && counted >= 4
            && heard.events.is_empty()
            && heard.of_end("shown") == 0
            && heard.of_end("written") == counted
            && heard.of_end("expired") == counted,
        "{counted}: {heard:#?}"
    );
    Ok(())
}

/// Pins are all it takes; what a listener left that was killed without a daemon to clear up ends by itself, and the next one clears it.
fn alone(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    daemon.terminate()?;
    let mut going = Going::begin(bench, &[])?;
    going.signal(Signal::SIGKILL)?;
    going.0.wait()?;
    let before = told(bench)?;
    let lapsed = interrupt::wait_until(LIMIT, || {
        let tried = bench.refused(Who::Subscriber, Who::OtherMail, 25);
        tried.is_ok() && told(bench).is_ok_and(|it| it.since(&before).count(Told::Lapsed) > 0)
    })?;
    ensure!(lapsed, "the lease does not end");
    let left = kept(bench)?;
    ensure!(left.contains("left by a process that was killed"), "{left}");
    let going = Going::begin(bench, &[])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.gate().detach()?;
    let (code, heard) = going.heard()?;
    ensure!(
        code == Some(3) && heard.end["why"] == "detached" && heard.events.len() >= 2,
        "{code:?}: {heard:#?}"
    );
    let pins = pin::list(bench.lab.pins())?;
    ensure!(pins.is_empty(), "still pinned: {pins:?}");
    Ok(())
}

fn off(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let going = Going::begin(bench, &[])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let path = bench.lab.scratch().join("gate.toml");
    let text = fs::read_to_string(&path)?;
    ensure!(text.contains("sources = true"), "{text}");
    fs::write(&path, text.replace("sources = true", "sources = false"))?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{reload:?}");
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let (code, heard) = going.heard()?;
    ensure!(
        code == Some(1)
            && heard.end["why"] == "off"
            && heard.events.iter().all(|it| it["generation"] == 1)
            && heard.events.len() >= 2
            && heard.error.contains("sources = false"),
        "{code:?}: {heard:#?}"
    );
    let refused = bench.gate().output(&["events"])?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("gate reload"),
        "{refused:?}"
    );
    Ok(())
}

/// A flood while whoever listens stands still: every packet is refused all the same, and each is written, or counted as lost by its cause.
fn stopped(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.unlisted = "refuse";
    let _daemon = bench.run(&config)?;
    let before = bench.gate().counters()?.verdicts;
    let going = Going::begin(bench, &["--rate", "1000000"])?;
    going.signal(Signal::SIGSTOP)?;
    let segment = packets::tcp(0, 25, flag::SYN);
    let packet = V4::new("16.0.239.255".parse()?, "192.0.2.1".parse()?).tcp(&segment);
    let flood = |force| {
        let frames = vec![Ethernet::new().carry(&packet)];
        bench.lab.flood(Who::Subscriber, frames, force)
    };
    let torrent = flood(Force::Even)?;
    let is_full = interrupt::wait_until(LIMIT, || {
        told(bench).is_ok_and(|it| it.count(Told::NoRoom) > 0)
    })?;
    torrent.stop()?;
    let flood = flood(Force::Trickle)?;
    let lapsed = interrupt::wait_until(LIMIT, || {
        told(bench).is_ok_and(|it| it.count(Told::Lapsed) > 0)
    })?;
    ensure!(is_full && lapsed, "nothing is lost: {:?}", told(bench)?);
    // The gate itself does not notice.
    bench.in_force()?;
    going.signal(Signal::SIGCONT)?;
    // Again in time: the flood goes on, and is told.
    let written = told(bench)?.count(Told::Written);
    let again = interrupt::wait_until(LIMIT, || {
        told(bench).is_ok_and(|it| it.count(Told::Written) > written)
    })?;
    flood.stop()?;
    ensure!(again, "nothing is told any more");
    let (code, heard) = going.end()?;
    let counted = events(bench.gate().counters()?.verdicts.since(before));
    ensure!(
        code == Some(0)
            && heard.of_end("no_room") > 0
            && heard.of_end("lapsed") > 0
            && heard.of_end("unsampled") == 0
            && !heard.lost.is_empty()
            && heard.events.len() as u64 == heard.of_end("shown")
            && heard.of_end("shown") == heard.of_end("written")
            && heard.all() == counted,
        "{code:?}, counted {counted}, {} events, {} losses: {}",
        heard.events.len(),
        heard.lost.len(),
        heard.end
    );
    Ok(())
}
