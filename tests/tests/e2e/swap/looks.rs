//! Everything that shows the gate, at once and under the flood: on a terminal, as single packets, as rows, as pages.

use std::{
    io::{self, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Scene, Side, torrent::Torrent};
use crate::{
    bench::Bench,
    top::{self, Screen},
};

/// How many single packets are looked at.
const EVENTS: usize = 50;

pub(super) fn looked_at(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    let says = Side::Refuse.says();
    let before = refused(bench, says.pool)?;
    let mut screen = Screen::open(bench, 24, 80)?;
    let events = lines(
        bench,
        &[
            "events",
            "--verdict",
            says.verdict,
            "--sample",
            "100",
            "--rate",
            "1000",
            "--count",
            &EVENTS.to_string(),
        ],
    )?;
    let (end, events) = events.split_last().context("nothing is heard")?;
    let is_refused = |it: &&Value| it["pool"] == says.pool && it["reason"] == says.reason;
    ensure!(
        events.iter().filter(is_refused).count() == EVENTS
            && end["shown"] == EVENTS
            && end["unsampled"].as_u64() > Some(0),
        "{end}: {events:#?}"
    );
    let rows = lines(
        bench,
        &[
            "counters",
            "--by",
            "pools",
            "--pool",
            says.pool,
            "--interval",
            "1s",
            "--count",
            "2",
            "--format",
            "ndjson",
        ],
    )?;
    let counted = rows
        .iter()
        .filter(|it| it["name"] == says.pool && it["refused"].as_u64() > Some(0));
    ensure!(counted.count() == 2, "{rows:#?}");
    for path in ["/", "/status.json", "/history.json"] {
        get(bench, path)?;
    }
    let metrics = get(bench, "/metrics")?;
    let series = format!(
        "gate_pool_packets_total{{pool=\"{}\",verdict=\"{}\"}} ",
        says.pool, says.verdict
    );
    let told = metrics.lines().find_map(|it| it.strip_prefix(&series));
    let told: u64 = told.with_context(|| metrics.clone())?.parse()?;
    let after = refused(bench, says.pool)?;
    ensure!(
        before < told && told < after,
        "{told} is not between {before} and {after}"
    );
    screen.shows("a rate", |it| {
        top::row(it, "a second").is_some_and(|cells| cells.get(1).is_some_and(|it| it != "0"))
    })?;
    screen.press("q")?;
    screen.ended()?;
    flooded.meet()
}

/// The objects that a command prints, one a line.
fn lines(bench: &Bench<'_>, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = bench.gate().text(arguments)?;
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().context(text)
}

/// How many packets of a pool were refused.
fn refused(bench: &Bench<'_>, pool: &str) -> Result<u64> {
    let counters = bench.gate().counters()?;
    let found = counters.pools.iter().find(|it| it.name == pool);
    Ok(found.context("no such pool")?.packets.refused)
}

/// A page of the daemon's, whole.
fn get(bench: &Bench<'_>, path: &str) -> Result<String> {
    let answer = bench.lab.router().run(|| {
        let mut stream = TcpStream::connect("127.0.0.1:25587")?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        io::read_to_string(stream)
    })??;
    ensure!(
        answer.starts_with("HTTP/1.0 200 ") || answer.starts_with("HTTP/1.1 200 "),
        "{path}: {answer}"
    );
    Ok(answer)
}
