//! What becomes of packets: by hand, and by the other engine.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Engine, Found, Line, seed},
    rows::{self, Row},
};

/// How many packets both engines decide about.
const PACKETS: usize = 4_000;

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = Vec::new();
    trials.extend(
        found.each("verdicts::what_subscribers_send", |bench, engine| {
            by_hand(bench, engine, "access", &rows::access())
        }),
    );
    trials.extend(
        found.each("verdicts::what_the_internet_sends", |bench, engine| {
            by_hand(bench, engine, "uplink", &rows::uplink())
        }),
    );
    trials.extend(found.each("verdicts::the_rule_has_its_line", lines));
    trials.push(found.kernel_trial("verdicts::both_engines_agree", agree));
    trials
}

fn by_hand(bench: &Bench, engine: Engine, role: &str, rows: &[Row]) -> Result<()> {
    bench.write("by-hand.pcap", &rows::pcap(rows))?;
    let lines = bench.lines("by-hand.pcap", engine, &["--role", role])?;
    ensure!(lines.len() == rows.len(), "{} lines", lines.len());
    for ((row, line), number) in rows.iter().zip(&lines).zip(1..) {
        is(row, line, engine, number).with_context(|| format!("{}: {line:?}", row.what))?;
    }
    Ok(())
}

fn is(row: &Row, line: &Line, engine: Engine, number: u64) -> Result<()> {
    ensure!(line.number == number, "should be number {number}");
    let length = row.length.unwrap_or(row.frame.len());
    ensure!(
        usize::try_from(line.length)? == length,
        "should be {length} long"
    );
    let captured = row.length.map(|_| row.frame.len());
    let found = line.captured.map(usize::try_from).transpose()?;
    ensure!(found == captured, "{captured:?} captured");
    let expect = &row.expect;
    if row.kernel_skips && engine == Engine::Kernel {
        ensure!(
            line.skipped.is_some() && line.verdict.is_none(),
            "should be skipped"
        );
        return Ok(());
    }
    ensure!(line.skipped.is_none(), "should not be skipped");
    let judged = line.verdict.as_deref().zip(line.reason.as_deref());
    ensure!(judged == expect.judged, "should be {:?}", expect.judged);
    let rule = line.rule.as_ref().map(|it| {
        let prefix = it.prefix.as_deref().unwrap_or_default();
        (it.kind.as_str(), it.name.as_deref(), prefix)
    });
    ensure!(rule == expect.rule, "should be by {:?}", expect.rule);
    let tag = (line.country.as_deref(), line.class.as_deref());
    ensure!(tag == expect.tag, "should have {:?}", expect.tag);
    ensure!(line.shape == expect.shape, "should be {}", expect.shape);
    Ok(())
}

/// Addresses, ports and the place of the rule, of one packet in full.
fn lines(bench: &Bench, engine: Engine) -> Result<()> {
    let rows = rows::access();
    bench.write("all.pcap", &rows::pcap(&rows))?;
    let lines = bench.lines("all.pcap", engine, &["--role", "access"])?;
    let line = |what: &str| {
        let index = rows.iter().position(|row| row.what == what);
        let line = index.and_then(|index| lines.get(index));
        line.with_context(|| format!("no line about {what}"))
    };
    let exempt = line("exempt until July")?;
    let rule = exempt.rule.as_ref().context("no rule")?;
    ensure!(
        rule.file.as_ref() == Some(&bench.path("static.txt"))
            && rule.line == Some(2)
            && rule.ticket.as_deref() == Some("NOC-4711"),
        "{rule:?}"
    );
    let ends = (
        exempt.source.as_deref(),
        exempt.source_port,
        exempt.destination.as_deref(),
        exempt.port,
    );
    ensure!(
        ends == (
            Some("100.64.9.8"),
            Some(40_000),
            Some("198.51.100.7"),
            Some(25)
        ),
        "{exempt:?}"
    );
    ensure!(
        exempt.time.as_deref() == Some("2026-06-01T00:00:00Z"),
        "{exempt:?}"
    );
    let arp = line("ARP")?;
    ensure!(arp.source.is_none() && arp.port.is_none(), "{arp:?}");
    let later = line("a later fragment")?;
    ensure!(later.source.is_some() && later.port.is_none(), "{later:?}");
    Ok(())
}

/// Packets of the rows, changed at random, at random times.
fn agree(bench: &Bench) -> Result<()> {
    let seed = seed();
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(io::stdout(), "GATE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (role, rows) in [("access", rows::access()), ("uplink", rows::uplink())] {
        let usable: Vec<&Row> = rows.iter().filter(|row| !row.kernel_skips).collect();
        let mut changed = Vec::new();
        for _ in 0..PACKETS {
            let row = random.choice(&usable).context("no rows")?;
            let mut frame = row.frame.clone();
            for _ in 0..random.usize(..4) {
                let place = random.usize(..frame.len());
                if let Some(octet) = frame.get_mut(place) {
                    *octet = random.u8(..);
                }
            }
            if random.u8(..4) == 0 {
                frame.truncate(random.usize(14..=frame.len()));
            }
            changed.push((random.u64(rows::JUNE..rows::JULY + 86_400), frame));
        }
        let frames = changed
            .iter()
            .map(|(second, frame)| (*second, frame.len(), frame.as_slice()));
        bench.write("random.pcap", &rows::pcap_of(frames))?;
        let [kernel, host] =
            Engine::ALL.map(|it| bench.lines("random.pcap", it, &["--role", role]));
        let (kernel, host) = (kernel?, host?);
        ensure!(
            kernel.len() == PACKETS && host.len() == PACKETS,
            "lines are missing"
        );
        let judged = host.iter().filter(|line| line.verdict.is_some()).count();
        ensure!(judged > PACKETS / 4, "only {judged} are judged at all");
        for (kernel, host) in kernel.iter().zip(&host) {
            ensure!(
                kernel == host,
                "GATE_SEED={seed}: the kernel says {kernel:?}, the process {host:?}"
            );
        }
    }
    Ok(())
}
