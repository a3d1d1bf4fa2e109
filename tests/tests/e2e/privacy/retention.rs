//! A source is gone when its time is over, whoever runs, and holds no more of an address than it should.
//!
//! Time cannot be set that sources are aged by, so that an entry is made older instead: the trial writes into the map, which the gate never does.

#![expect(
    clippy::indexing_slicing,
    reason = "what is not in a JSON value is null, which no check here takes"
)]

use std::{fs, net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::{
    Addr,
    abi::{SourceSet, maps, moment},
};
use gate_tests::{
    gate::{Counters, Limit},
    interrupt,
    lab::{Family, Who},
};
use gate_user::{
    pins::Pins,
    sys::{Access, Map},
};
use libtest_mimic::Trial;

use super::{PATIENCE, adds_up, in_memory, json, kept, refused, source, store, traffic};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("privacy::a_source_goes_when_its_time_is_over", retention),
        found.lab_trial("privacy::what_is_over_is_not_shown_without_a_daemon", dead),
        found.lab_trial("privacy::a_reload_deletes_what_is_not_to_be_kept", reload),
        found.lab_trial("privacy::a_source_is_cut_and_limits_are_not", cut),
    ]
}

/// Waits until this machine has been up for so long, that what came before could be that old.
fn up_for(seconds: u64) -> Result<()> {
    let up = || -> Result<bool> {
        let uptime = fs::read_to_string("/proc/uptime")?;
        let whole = uptime.split('.').next().unwrap_or_default();
        Ok(whole.parse::<u64>()? > seconds)
    };
    while !up()? {
        interrupt::sleep(Duration::from_secs(1))?;
    }
    Ok(())
}

/// Makes what is known of a line so much older.
fn age(bench: &Bench<'_>, who: Who, seconds: u64) -> Result<()> {
    let map = Map::open(
        &Pins::new(bench.lab.pins())?.map(maps::SOURCES),
        Access::Write,
    )?;
    let wanted: Vec<Addr> = Family::ALL
        .iter()
        .map(|family| Ok(source(bench, who, *family)?.into()))
        .collect::<Result<_>>()?;
    let mut found = 0;
    for (number, mut set) in (0u32..).zip(map.read_all::<SourceSet>()?) {
        for way in &mut set.ways {
            if way.tag.is_live() && wanted.contains(&way.address) {
                found += 1;
                way.first = way
                    .first
                    .checked_sub(moment(seconds * 1_000_000_000))
                    .context("this machine has not been up for that long")?;
            }
        }
        if set.ways.iter().any(|way| wanted.contains(&way.address)) {
            map.update(&number, &set)?;
        }
    }
    ensure!(found > 0, "{who} has no entry");
    Ok(())
}

fn shown(counters: &Counters, bench: &Bench<'_>, who: Who) -> Result<bool> {
    let names: Vec<String> = Family::ALL
        .iter()
        .map(|family| {
            let length = if *family == Family::V4 { 32 } else { 64 };
            Ok(format!("{}/{length}", source(bench, who, *family)?))
        })
        .collect::<Result<_>>()?;
    let mut entries = counters.sources.entries.iter();
    Ok(entries.any(|it| names.contains(&it.source)))
}

fn retention(bench: &Bench<'_>) -> Result<()> {
    up_for(61)?;
    let daemon = bench.run(&kept(bench, "retention = \"1m\"\n")?)?;
    traffic(bench)?;
    let before = bench.gate().counters()?;
    ensure!(
        before.sources.retention_seconds == 60
            && shown(&before, bench, Who::Subscriber)?
            && in_memory(bench, Who::Subscriber)?
            && refused(&before) == 0,
        "{before:#?}"
    );
    adds_up(&before)?;
    age(bench, Who::Subscriber, 61)?;
    // At once, whenever the daemon comes to it.
    let over = bench.gate().counters()?;
    ensure!(
        !shown(&over, bench, Who::Subscriber)? && shown(&over, bench, Who::Neighbour)?,
        "{over:#?}"
    );
    adds_up(&over)?;
    ensure!(refused(&over) > 0, "{over:#?}");
    let mut error = None;
    let gone = interrupt::wait_until(PATIENCE, || match in_memory(bench, Who::Subscriber) {
        Ok(found) => !found,
        Err(found) => {
            error = Some(found);
            true
        }
    })?;
    error.map_or(Ok(()), Err)?;
    ensure!(gone, "it is still in the map: {}", daemon.said());
    // On a slow machine its time was over meanwhile as well.
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    let after = bench.gate().counters()?;
    ensure!(
        shown(&after, bench, Who::Neighbour)? && refused(&after) >= refused(&over),
        "{after:#?}"
    );
    adds_up(&after)?;
    // Who goes on begins anew, and what expired stays so.
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let again = bench.gate().counters()?;
    ensure!(
        shown(&again, bench, Who::Subscriber)? && refused(&again) >= refused(&after),
        "{again:#?}"
    );
    adds_up(&again)
}

fn dead(bench: &Bench<'_>) -> Result<()> {
    up_for(61)?;
    let config = kept(bench, "retention = \"1m\"\n")?;
    let daemon = bench.run(&config)?;
    traffic(bench)?;
    daemon.kill()?;
    age(bench, Who::Subscriber, 61)?;
    let counters = bench.gate().counters()?;
    ensure!(!shown(&counters, bench, Who::Subscriber)?, "{counters:#?}");
    adds_up(&counters)?;
    // Honest about what is still there.
    ensure!(in_memory(bench, Who::Subscriber)?, "who deleted it?");
    let privacy = json(bench, &["privacy"])?;
    ensure!(
        privacy["daemon"] == false && store(&privacy, "sources")?["over"] == 2,
        "{privacy:#}"
    );
    let _daemon = bench.run(&config)?;
    ensure!(!in_memory(bench, Who::Subscriber)?, "a start leaves it");
    let after = bench.gate().counters()?;
    ensure!(refused(&after) >= refused(&counters), "{after:#?}");
    adds_up(&after)
}

fn reload(bench: &Bench<'_>) -> Result<()> {
    up_for(120)?;
    let config = kept(bench, "retention = \"24h\"\n")?;
    let _daemon = bench.run(&config)?;
    traffic(bench)?;
    age(bench, Who::Subscriber, 120)?;
    ensure!(
        shown(&bench.gate().counters()?, bench, Who::Subscriber)?,
        "too early"
    );
    let again = |from: &str, to: &str| -> Result<()> {
        let path = bench.lab.scratch().join("gate.toml");
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to))?;
        let (code, reload) = bench.gate().reload(&[])?;
        ensure!(code == Some(0), "{reload:?}");
        Ok(())
    };
    again("retention = \"24h\"", "retention = \"1m\"")?;
    ensure!(
        !in_memory(bench, Who::Subscriber)?,
        "a shorter retention leaves it"
    );
    ensure!(
        in_memory(bench, Who::Neighbour)?,
        "what is not over is gone"
    );
    adds_up(&bench.gate().counters()?)?;
    // A prefix that keeps less.
    again(
        "retention = \"1m\"",
        "retention = \"1m\"\nsource_prefix = { v4 = 24, v6 = 48 }",
    )?;
    ensure!(
        !in_memory(bench, Who::Neighbour)?,
        "a shorter prefix leaves it"
    );
    adds_up(&bench.gate().counters()?)?;
    traffic(bench)?;
    let counters = bench.gate().counters()?;
    ensure!(counters.sources.entries.len() == 2, "{counters:#?}");
    adds_up(&counters)?;
    // None at all.
    again("sources = true", "sources = false")?;
    traffic(bench)?;
    let map = Map::open(
        &Pins::new(bench.lab.pins())?.map(maps::SOURCES),
        Access::Read,
    )?;
    let sets = map.read_all::<SourceSet>()?;
    let live = sets
        .iter()
        .flat_map(|it| it.ways)
        .filter(|it| it.tag.is_live());
    ensure!(live.count() == 0, "sources are counted");
    let counters = bench.gate().counters()?;
    ensure!(
        !counters.sources.counted && counters.sources.entries.is_empty(),
        "{counters:#?}"
    );
    let privacy = json(bench, &["privacy"])?;
    ensure!(store(&privacy, "sources")?["on"] == false, "{privacy:#}");
    Ok(())
}

/// Two lines in one /24 have one entry, and a limit each.
fn cut(bench: &Bench<'_>) -> Result<()> {
    let mut config = kept(bench, "source_prefix = { v4 = 24, v6 = 48 }\n")?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst: 1,
    });
    let _daemon = bench.run(&config)?;
    let both = [Who::Subscriber, Who::Neighbour];
    for who in both {
        bench.open(who, Who::OtherMail, 25)?;
        bench.refused(who, Who::OtherMail, 25)?;
    }
    let counters = bench.gate().counters()?;
    adds_up(&counters)?;
    let mut names: Vec<&str> = counters
        .sources
        .entries
        .iter()
        .map(|it| &*it.source)
        .collect();
    names.sort_unstable();
    let mut expected = Vec::new();
    for family in Family::ALL {
        let addresses = both.map(|who| bench.lab.address(who, family));
        let [one, other] = addresses.map(|it| it.map(network));
        let (one, other) = (one?, other?);
        ensure!(one == other, "{one} and {other}: these lines show nothing");
        expected.push(one);
    }
    expected.sort_unstable();
    ensure!(names == expected, "{names:?}, not {expected:?}");
    for who in both {
        ensure!(!in_memory(bench, who)?, "{who} is in the map");
    }
    Ok(())
}

fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(it) => {
            let [a, b, c, _] = it.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(it) => {
            let network = it.to_bits() >> 80 << 80;
            format!("{}/48", std::net::Ipv6Addr::from(network))
        }
    }
}
