//! `gate privacy` says what the file system and the maps say, and what is forgotten on request is.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not in a JSON value is null, which no check here takes"
)]

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::maps;
use gate_tests::lab::{Family, Who};
use gate_user::{
    pins::Pins,
    sys::{Access, Map},
};
use libtest_mimic::Trial;
use serde_json::Value;

use super::{PATIENCE, adds_up, in_memory, json, refused, store, traffic};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("privacy::every_pin_is_told_of", told),
        found.lab_trial("privacy::a_source_is_forgotten_on_request", forgotten),
    ]
}

fn told(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.readers = Some("mail");
    let _daemon = bench.run(&config)?;
    traffic(bench)?;
    bench
        .lab
        .connect(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
    let privacy = json(bench, &["privacy"])?;
    ensure!(
        privacy["unknown"].as_array().is_some_and(Vec::is_empty) && privacy["daemon"] == true,
        "{privacy:#}"
    );
    let count = |name: &str| -> Result<(Value, Value)> {
        let store = store(&privacy, name)?;
        Ok((store["entries"].clone(), store["readers"].clone()))
    };
    // Who can read it is what the file system says: by stat, and by nothing of the gate.
    let maps_of = Pins::new(bench.lab.pins())?.maps();
    for (name, map, entries, group_reads) in [
        ("sources", maps::SOURCES, Some(5), false),
        ("flows", maps::FLOWS, Some(1), true),
        ("buckets", maps::BUCKETS, None, false),
    ] {
        let (found, readers) = count(name)?;
        let stat = stat(&maps_of.join(map))?;
        ensure!(
            entries.is_none_or(|it| found == it)
                && readers["group_reads"] == group_reads
                && stat
                    == format!(
                        "{} {} {}",
                        text(&readers["owner"]),
                        text(&readers["group"]),
                        text(&readers["mode"])
                    ),
            "{name}: {stat}, {privacy:#}"
        );
    }
    let since = store(&privacy, "flows")?["oldest"]
        .as_str()
        .context("no time")?;
    let age = jiff::Timestamp::now().duration_since(since.parse()?);
    ensure!((0..60).contains(&age.as_secs()), "{since}");
    // A pin that nobody knows is said to be one.
    let strange = maps_of.join("ELSE");
    Map::open(&maps_of.join(maps::TOTALS), Access::Write)?.pin(&strange)?;
    let privacy = json(bench, &["privacy"])?;
    ensure!(
        privacy["unknown"][0] == strange.display().to_string(),
        "{privacy:#}"
    );
    fs::remove_file(strange)?;
    let shown = bench.gate().text(&["privacy"])?;
    ensure!(
        shown.contains("root and members of mail (root:mail 0640)") && !shown.contains("\n! "),
        "{shown}"
    );
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn stat(path: &Path) -> Result<String> {
    let mut command = std::process::Command::new("stat");
    command.arg("--format=%U %G 0%a").arg(path);
    let output = gate_tests::exec::output(&mut command, "", PATIENCE)?;
    Ok(output.stdout.trim().to_owned())
}

fn forgotten(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    traffic(bench)?;
    // Whoever asks needs no daemon.
    daemon.terminate()?;
    let address = bench.lab.address(Who::Subscriber, Family::V4)?.to_string();
    let forget = |prefix: &str| json(bench, &["counters", "--forget", prefix]);
    let found = forget(&format!("{address}/32"))?;
    ensure!(found["sources"] == 1 && found["left"] == 0, "{found}");
    let found = forget(&format!("{address}/32"))?;
    ensure!(found["sources"] == 0, "{found}");
    let counters = bench.gate().counters()?;
    ensure!(
        counters.sources.entries.len() == 3 && refused(&counters) > 0,
        "{counters:#?}"
    );
    adds_up(&counters)?;
    // An address of a line is its line's; and a network is all that is in it.
    let v6 = bench.lab.address(Who::Subscriber, Family::V6)?;
    let found = forget(&format!("{v6}/128"))?;
    ensure!(found["sources"] == 1, "{found}");
    ensure!(!in_memory(bench, Who::Subscriber)?, "it is still there");
    forget("0.0.0.0/0")?;
    forget("::/0")?;
    let counters = bench.gate().counters()?;
    ensure!(counters.sources.entries.is_empty(), "{counters:#?}");
    adds_up(&counters)?;
    Ok(())
}
