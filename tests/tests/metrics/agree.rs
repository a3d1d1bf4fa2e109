//! Metrics say what the commands say.
#![expect(
    clippy::indexing_slicing,
    reason = "a key that a JSON value lacks is null, which equals nothing that is compared"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{Answer, Config},
    interrupt,
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    bench::{Bench, Found},
    http::{self, Samples},
};

/// How long it may take until a scrape sees what was counted before it.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("agree::metrics_say_what_the_commands_say", agree),
        found.lab_trial("agree::no_counter_goes_backwards", monotonic),
        found.lab_trial("agree::sources_are_labels_only_on_request", sources),
        found.lab_trial("agree::events_are_told_or_lost_and_counted_as_that", events),
        found.lab_trial("agree::run_time_is_told_while_it_is_measured", run_time),
    ]
}

/// Some of everything.
pub(crate) fn traffic(bench: &Bench<'_>) -> Result<()> {
    for (from, to, port) in [
        (Who::Subscriber, Who::OtherMail, 25),
        (Who::Static, Who::OtherMail, 25),
        (Who::Unlisted, Who::OtherMail, 25),
        (Who::Foreign, Who::OwnMail, 587),
        (Who::Domestic, Who::OwnMail, 465),
        (Who::HighSpam, Who::OwnMail, 587),
        (Who::OtherMail, Who::OwnMail, 587),
    ] {
        for family in Family::ALL {
            bench.lab.connect(from, to, family, port)?;
        }
    }
    Ok(())
}

/// Refused clients hear of it, so that there are answers and limits.
pub(crate) fn config(bench: &Bench<'_>, tables: &'static str) -> Result<Config> {
    Ok(Config {
        answer: Answer::Reset,
        tables,
        ..bench.config()?
    })
}

fn json(bench: &Bench<'_>, command: &str) -> Result<Value> {
    let output = bench.gate().output(&["--format", "json", command])?;
    Ok(serde_json::from_str(&output.stdout)?)
}

const VERDICTS: [&str; 5] = ["passed", "refused", "observed", "tagged", "unparsed"];

/// What it says of those sources that are not told one by one. Nothing is over in these trials that is not deleted.
fn of_sources(sources: &Value) -> Vec<(String, &Value)> {
    let retention = &sources["retention_seconds"];
    let mut series = vec![("gate_source_retention_seconds".to_owned(), retention)];
    for (name, key) in [
        ("other_packets", "other"),
        ("expired_packets_total", "expired"),
    ] {
        for verdict in &VERDICTS[..4] {
            let name = format!("gate_source_{name}{{verdict=\"{verdict}\"}}");
            series.push((name, &sources[key][verdict]));
        }
    }
    series
}

/// What `gate counters` says, as series.
fn expected(counters: &Value) -> Result<Samples> {
    let mut series = Samples::new();
    let mut add = |name: String, value: &Value| -> Result<()> {
        let value = value.as_f64().with_context(|| format!("{name}: {value}"))?;
        series.insert(name, value);
        Ok(())
    };
    let of = |key: &str| {
        let list = counters[key].as_array();
        list.cloned().with_context(|| format!("no {key}"))
    };
    let word = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    for it in of("reasons")? {
        let (verdict, reason) = (word(&it["verdict"]), word(&it["reason"]));
        add(
            format!("gate_packets_total{{verdict=\"{verdict}\",reason=\"{reason}\"}}"),
            &it["packets"],
        )?;
    }
    for (list, metric, label, key, over) in [
        ("pools", "gate_pool", "pool", "name", true),
        ("classes", "gate_class", "class", "name", true),
        ("relays", "gate_relay", "relay", "prefix", false),
    ] {
        for it in of(list)? {
            let name = word(&it[key]);
            for verdict in VERDICTS {
                add(
                    format!("{metric}_packets_total{{{label}=\"{name}\",verdict=\"{verdict}\"}}"),
                    &it["packets"][verdict],
                )?;
            }
            if over {
                add(
                    format!("{metric}_over_limit_packets_total{{{label}=\"{name}\"}}"),
                    &it["packets"]["over_limit"],
                )?;
            }
        }
    }
    for it in of("interfaces")? {
        let labels = format!(
            "interface=\"{}\",vlans=\"\",role=\"{}\"",
            word(&it["name"]),
            word(&it["role"])
        );
        for verdict in VERDICTS {
            add(
                format!("gate_interface_packets_total{{{labels},verdict=\"{verdict}\"}}"),
                &it["packets"][verdict],
            )?;
        }
        add(
            format!("gate_interface_over_limit_packets_total{{{labels}}}"),
            &it["packets"]["over_limit"],
        )?;
    }
    for it in of("countries")? {
        let country = it["country"].as_str().unwrap_or("none").to_owned();
        add(
            format!("gate_country_packets_total{{country=\"{country}\"}}"),
            &it["packets"],
        )?;
    }
    for (list, metric, label) in [
        ("answers", "gate_answer_packets_total", "answered"),
        ("shown", "gate_shown_packets_total", "shown"),
        ("unsent", "gate_unsent_packets_total", "interface"),
    ] {
        for it in of(list)? {
            let name = word(&it[label]);
            add(format!("{metric}{{{label}=\"{name}\"}}"), &it["packets"])?;
        }
    }
    for it in of("limits")? {
        let limit = word(&it["limit"]);
        for outcome in ["within", "over", "contended"] {
            add(
                format!("gate_limit_events_total{{limit=\"{limit}\",outcome=\"{outcome}\"}}"),
                &it[outcome],
            )?;
        }
        for key in ["made", "evicted"] {
            add(
                format!("gate_limit_buckets_{key}_total{{limit=\"{limit}\"}}"),
                &it[key],
            )?;
        }
    }
    for (name, value) in of_sources(&counters["sources"]) {
        add(name, value)?;
    }
    Ok(series)
}

fn agree(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&config(bench, "")?)?;
    traffic(bench)?;
    let router = bench.lab.router();
    let mut difference = String::new();
    let same = interrupt::wait_until(PATIENCE, || {
        let compared = || -> Result<()> {
            let wanted = expected(&json(bench, "counters")?)?;
            let found = http::scrape(router)?;
            for (series, value) in &wanted {
                let found = found.get(series);
                ensure!(
                    found == Some(value),
                    "{series}: {found:?}, `gate counters` says {value}"
                );
            }
            // Nothing beside it is counted either.
            let counted = found
                .keys()
                .filter(|series| series.contains("packets") || series.starts_with("gate_limit_"));
            for series in counted {
                ensure!(wanted.contains_key(series), "{series} is not expected");
            }
            ensure!(wanted.len() > 80, "too little: {wanted:?}");
            Ok(())
        };
        match compared() {
            Ok(()) => true,
            Err(error) => {
                difference = format!("{error:#}");
                false
            }
        }
    })?;
    ensure!(same, "{difference}");
    let status = json(bench, "status")?;
    let found = http::scrape(router)?;
    let state = status["state"].as_str().context("no state")?;
    let word_by_word: BTreeMap<&String, &f64> = found
        .iter()
        .filter(|(series, _)| series.starts_with("gate_state{"))
        .collect();
    ensure!(word_by_word.len() == 7, "{word_by_word:?}");
    for (series, value) in word_by_word {
        let is = *series == format!("gate_state{{state=\"{state}\"}}");
        ensure!((*value > 0.5) == is, "{series}: {value}");
    }
    let database = &status["databases"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let info = format!(
        "gate_database_info{{database=\"{}\",type=\"{}\",sha256=\"{}\"}}",
        text(&database["path"]),
        text(&database["type"]),
        text(&database["sha256"])
    );
    ensure!(found.get(&info) == Some(&1.0), "no {info}: {found:?}");
    ensure!(
        found.get("gate_generation") == status["generation"]["number"].as_f64().as_ref(),
        "{found:?}"
    );
    ensure!(
        !found.keys().any(|series| series.contains("source=")),
        "a source is a label: {found:?}"
    );
    Ok(())
}

fn counters_of(samples: &Samples) -> Samples {
    // Reloads count since the daemon started, as do connections that were closed.
    let own = ["gate_reloads_total", "gate_http_"];
    let counters = samples.iter().filter(|(series, _)| {
        let name = series.split('{').next().unwrap_or_default();
        name.ends_with("_total") && !own.iter().any(|it| name.starts_with(it))
    });
    counters
        .map(|(series, value)| (series.clone(), *value))
        .collect()
}

fn monotonic(bench: &Bench<'_>) -> Result<()> {
    let mut daemon = bench.run(&config(bench, "")?)?;
    traffic(bench)?;
    let router = bench.lab.router();
    // What is told is at most a second old.
    let mut before = Samples::new();
    ensure!(
        interrupt::wait_until(PATIENCE, || {
            before = http::scrape(router)
                .map(|it| counters_of(&it))
                .unwrap_or_default();
            before.get("gate_pool_packets_total{pool=\"dynamic\",verdict=\"refused\"}") > Some(&0.0)
        })?,
        "nothing refused: {before:?}"
    );
    let mut not_less = |what: &str| -> Result<()> {
        let mut now = Samples::new();
        // Another generation, or another daemon, is seen within seconds.
        interrupt::wait_until(PATIENCE, || {
            now = http::scrape(router)
                .map(|it| counters_of(&it))
                .unwrap_or_default();
            before
                .iter()
                .all(|(series, value)| now.get(series) >= Some(value))
        })?;
        for (series, value) in &before {
            ensure!(
                now.get(series) >= Some(value),
                "{what}: {series} was {value}, is {:?}",
                now.get(series)
            );
        }
        before = now;
        Ok(())
    };
    let changed = Config {
        title: "something else".to_owned(),
        action: "observe",
        ..config(bench, "")?
    };
    changed.write(&bench.lab, "gate.toml")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0));
    not_less("reload")?;
    ensure!(bench.gate().rollback()?.0 == Some(0));
    not_less("rollback")?;
    daemon.kill()?;
    daemon = bench.gate().run(&bench.lab.scratch().join("gate.toml"))?;
    not_less("restart")?;
    daemon.terminate()?;
    let gone = http::get(router, http::DEFAULT, "/metrics", "*/*");
    ensure!(gone.is_err(), "nobody should answer: {gone:?}");
    Ok(())
}

fn sources(bench: &Bench<'_>) -> Result<()> {
    const TWO: &str = "[metrics]\nsources = 2";
    let _daemon = bench.run(&config(bench, TWO)?)?;
    traffic(bench)?;
    traffic(bench)?;
    let mut found = Samples::new();
    let right = interrupt::wait_until(PATIENCE, || {
        found = http::scrape(bench.lab.router()).unwrap_or_default();
        let series = found
            .keys()
            .filter(|it| it.starts_with("gate_source_packets_total{"));
        // Four verdicts of two sources.
        series.count() == 8
    })?;
    ensure!(right, "not two sources: {found:?}");
    Ok(())
}

fn run_time(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&config(bench, "")?)?;
    let router = bench.lab.router();
    let runs = |samples: &Samples| samples.get("gate_program_runs_total").copied();
    let stats = gate_tests::pin::measure_programs()?;
    traffic(bench)?;
    let mut found = None;
    let told = interrupt::wait_until(PATIENCE, || {
        found = http::scrape(router).ok().and_then(|it| runs(&it));
        found > Some(0.0)
    })?;
    drop(stats);
    ensure!(told, "measured, and not told: {found:?}");
    Ok(())
}

/// The samples once they have every packet that was refused until now; no other packet comes meanwhile.
fn settled(bench: &Bench<'_>, refused: u64) -> Result<Samples> {
    let mut found = Samples::new();
    let seen = interrupt::wait_until(PATIENCE, || {
        found = http::scrape(bench.lab.router()).unwrap_or_default();
        let of = found
            .iter()
            .filter(|it| it.0.starts_with("gate_packets_total{verdict=\"refused\""));
        same(of.map(|it| *it.1).sum(), count(refused))
    })?;
    ensure!(seen, "{refused} are refused: {found:#?}");
    Ok(found)
}

fn count(packets: u64) -> f64 {
    // Few enough for any float.
    u32::try_from(packets).map_or(f64::NAN, f64::from)
}

/// Of whole numbers.
fn same(one: f64, other: f64) -> bool {
    (one - other).abs() < 0.5
}

const TOLD: &str = "gate_events_total";
const OVER_RATE: &str = "gate_lost_events_total{cause=\"over_rate\"}";
const LAPSED: &str = "gate_lost_events_total{cause=\"lapsed\"}";

/// Each packet that is refused while somebody listens is told or lost; what is told is what the listener wrote down.
fn events(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&config(bench, "")?)?;
    let path = bench.lab.scratch().join("events.ndjson");
    let mut command = bench.gate().command(&["events", "--rate", "1"]);
    command
        .stdin(Stdio::null())
        .stdout(File::create(&path)?)
        .stderr(Stdio::null());
    let mut listener = Listener(exec::spawn(&mut command)?);
    let knock = || -> Result<()> {
        for family in Family::ALL {
            bench
                .lab
                .connect(Who::Subscriber, Who::OtherMail, family, 25)?;
        }
        Ok(())
    };
    let heard = || -> Result<u64> {
        let text = fs::read_to_string(&path)?;
        let events = text.matches("\"kind\":\"event\"").count();
        Ok(events as u64)
    };
    let begun = interrupt::wait_until(PATIENCE, || {
        knock().is_ok() && heard().is_ok_and(|it| it > 0)
    })?;
    ensure!(begun, "nobody hears anything");

    let refused = || -> Result<u64> { Ok(bench.gate().counters()?.verdicts.refused) };
    let before = refused()?;
    let first = settled(bench, before)?;
    let since = |now: &Samples, name: &str| now[name] - first[name];
    // Told and lost, and all of them, until something is lost by that cause.
    let until = |cause: &str| -> Result<Samples> {
        let mut now = first.clone();
        let lost = interrupt::wait_until(PATIENCE, || {
            now = knock()
                .and_then(|()| settled(bench, refused()?))
                .unwrap_or_default();
            now.get(cause).is_some_and(|it| *it > first[cause])
        })?;
        ensure!(lost, "nothing is lost by {cause}: {now:#?}");
        let names = now.keys().filter(|it| it.starts_with("gate_lost_events"));
        let lost: f64 = names.map(|it| since(&now, it)).sum();
        let counted = count(refused()? - before);
        ensure!(
            same(since(&now, TOLD) + lost, counted),
            "{counted} were refused since: {first:#?} {now:#?}"
        );
        Ok(now)
    };
    until(OVER_RATE)?;
    listener.signal(Signal::SIGSTOP)?;
    let last = until(LAPSED)?;
    listener.signal(Signal::SIGCONT)?;
    listener.signal(Signal::SIGINT)?;
    let ended = exec::wait(&mut listener.0, PATIENCE)?.context("it does not end")?;
    ensure!(
        ended.code() == Some(0) && same(count(heard()?), last[TOLD]),
        "{ended}: {} heard, {last:#?}",
        heard()?
    );
    Ok(())
}

/// A `gate events`. Dropping it kills it.
struct Listener(Child);

impl Listener {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.0.id())?), signal)?)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A destructor has nobody to tell; what does not end is found by the check for what is left.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
