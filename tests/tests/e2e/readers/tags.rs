//! What a reader is told, by the library that readers are made of.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_common::{
    Country,
    abi::{ABI_VERSION, FLOWS, FlowKey, FlowTag, maps},
};
use gate_tests::{
    cpu,
    gate::{Class, Config},
    lab::{Family, Who},
};
use gate_user::{
    sys::{Access, Map},
    tags::{Found as How, Tag, TagError, TagReader},
};
use libtest_mimic::Trial;

use super::connection;
use crate::bench::{Bench, Found};

const BY_FLOW: How = How::Flow {
    over_limit: false,
    observed: false,
};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("readers::connections_and_addresses_have_tags", told),
        found.lab_trial("readers::flags_are_told", flags),
        found.lab_trial("readers::a_connection_that_made_room_has_its_address", full),
        found.lab_trial("readers::reloads_under_a_reader_never_show", reloads),
        found.lab_trial(
            "readers::tags_outlive_reloads_with_the_same_classes",
            outlive,
        ),
        found.lab_trial("readers::a_gate_that_begins_anew_is_followed", anew),
        found.lab_trial("readers::another_version_is_named", version),
    ]
}

fn key([source, destination]: [SocketAddr; 2]) -> FlowKey {
    FlowKey {
        src: source.ip().into(),
        dst: destination.ip().into(),
        sport: source.port(),
        dport: destination.port(),
        protocol: 6,
        reserved: 0,
        spare: 0,
    }
}

fn flows(bench: &Bench<'_>) -> Result<Map> {
    let path = bench.lab.pins().join(format!("v{ABI_VERSION}/maps"));
    Ok(Map::open(&path.join(maps::FLOWS), Access::Write)?)
}

/// With the real database: what is told of an address is what the database has.
fn told(bench: &Bench<'_>) -> Result<()> {
    const ADDRESSES: [&str; 8] = [
        "133.11.0.1",
        "8.8.8.8",
        "203.0.113.77",
        "10.0.0.1",
        "2001:200::1",
        "2606:4700::1111",
        "2001:db8:7100::1",
        "::1",
    ];
    let real = &bench.tools.real;
    let config = Config {
        databases: vec![real.path().to_owned()],
        ..bench.config()?
    };
    let _daemon = bench.run(&config)?;
    let reader = TagReader::open(bench.lab.pins())?;
    let high_spam = &bench.lab.roamers().high_spam.code;
    for address in ADDRESSES {
        let address: IpAddr = address.parse()?;
        let own = ["203.0.113.77", "2001:db8:7100::1"].contains(&address.to_string().as_str());
        let country = real.country(address)?;
        let class = match &country {
            _ if own => "own-service",
            None => "domestic",
            Some(code) if code == "JP" => "domestic",
            Some(code) if code == high_spam => "high-spam",
            Some(_) => "foreign",
        };
        let expected = Tag {
            class: class.to_owned(),
            country,
            generation: 1,
            found: How::Address,
        };
        let tag = reader.address(address)?;
        ensure!(tag == expected, "{address}: {tag:?}, expected {expected:?}");
    }
    ensure!(
        reader.classes()? == ["domestic", "high-spam", "own-service", "foreign"]
            && reader.generation()? == 1
            && reader
                .attribution()?
                .iter()
                .any(|line| line.contains("DB-IP")),
        "{:?}",
        reader.classes()?
    );
    for family in Family::ALL {
        let [source, server] = connection(bench, Who::HighSpam, family)?;
        let tag = reader.connection(source, server)?;
        let stranger = SocketAddr::new(source.ip(), source.port() ^ 1);
        let of_other = reader.connection(stranger, server)?;
        ensure!(
            tag.found == BY_FLOW && reader.flow(source, server)? == Some(tag.clone()),
            "{tag:?}"
        );
        // The other way round it is another connection.
        ensure!(reader.flow(server, source)?.is_none());
        ensure!(
            of_other.found == How::Address && reader.flow(stranger, server)?.is_none(),
            "{of_other:?}"
        );
    }
    Ok(())
}

fn flags(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let reader = TagReader::open(bench.lab.pins())?;
    let ends = connection(bench, Who::Foreign, Family::V4)?;
    let flows = flows(bench)?;
    let tag: FlowTag = flows.lookup(&key(ends))?.context("no tag")?;
    for (flags, over_limit, observed) in [
        (FlowTag::OVER_LIMIT, true, false),
        (FlowTag::OBSERVED, false, true),
        (FlowTag::OVER_LIMIT | FlowTag::OBSERVED, true, true),
    ] {
        flows.update(&key(ends), &FlowTag { flags, ..tag })?;
        let found = reader.connection(ends[0], ends[1])?.found;
        ensure!(
            found
                == How::Flow {
                    over_limit,
                    observed
                },
            "{flags}: {found:?}"
        );
        let shown = bench.gate().flow(ends[0], ends[1])?.context("no flow")?;
        ensure!(
            (shown.over_limit, shown.observed) == (over_limit, observed),
            "{shown:?}"
        );
    }
    // A tag of a generation that nobody knows any more says nothing.
    let generation = 77;
    flows.update(&key(ends), &FlowTag { generation, ..tag })?;
    let tag = reader.connection(ends[0], ends[1])?;
    ensure!(
        (tag.found, tag.class.as_str(), tag.generation) == (How::Address, "foreign", 1),
        "{tag:?}"
    );
    Ok(())
}

/// As many other connections as the map has room for, and as many again, on each processor: what the kernel has put aside on one processor for
/// entries that are made there is out of the reach of those made on another.
fn full(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let reader = TagReader::open(bench.lab.pins())?;
    let ends = connection(bench, Who::Foreign, Family::V6)?;
    let before = reader.connection(ends[0], ends[1])?;
    ensure!(before.found == BY_FLOW, "{before:?}");
    let flows = flows(bench)?;
    let tag: FlowTag = flows.lookup(&key(ends))?.context("no tag")?;
    for (from, cpu) in (0x0b00_0000..)
        .step_by(2 * FLOWS as usize)
        .zip(cpu::allowed()?)
    {
        let others: Vec<FlowKey> = (from..from + 2 * FLOWS)
            .map(|address: u32| FlowKey {
                src: IpAddr::from(address.to_be_bytes()).into(),
                ..key(ends)
            })
            .collect();
        thread::scope(|scope| {
            joined(scope.spawn(|| -> Result<()> {
                cpu::keep_to(cpu)?;
                Ok(flows.update_batch(&others, &vec![tag; others.len()])?)
            }))
        })?;
    }
    let after = reader.connection(ends[0], ends[1])?;
    let expected = Tag {
        found: How::Address,
        ..before
    };
    ensure!(after == expected, "{after:?}");
    Ok(())
}

/// The classes of odd and of even generations: other names, in another order.
fn alternate(bench: &Bench<'_>) -> Result<[Config; 2]> {
    let odd = bench.config()?;
    let mut even = odd.clone();
    even.classes.insert(
        0,
        Class {
            name: "watched",
            countries: vec![bench.lab.roamers().foreign.code.clone()],
            prefixes: Vec::new(),
            default: false,
            keys: Vec::new(),
        },
    );
    even.classes.reverse();
    Ok([odd, even])
}

/// What the customer abroad is in this generation.
fn class_abroad(generation: u32) -> &'static str {
    if generation % 2 == 1 {
        "foreign"
    } else {
        "watched"
    }
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Whatever comes in between, an answer is all of one generation.
fn reloads(bench: &Bench<'_>) -> Result<()> {
    const RELOADS: u32 = 24;
    let [odd, even] = alternate(bench)?;
    let _daemon = bench.run(&odd)?;
    let reader = TagReader::open(bench.lab.pins())?;
    let abroad = Family::ALL.map(|family| bench.lab.address(Who::Foreign, family));
    let home = bench.lab.address(Who::Domestic, Family::V4)?;
    let own = bench.lab.address(Who::ThirdNetwork, Family::V6)?;
    let [v4, v6] = abroad;
    let abroad = [v4?, v6?];
    let country = &bench.lab.roamers().foreign.code;
    let right = |tag: &Tag| {
        tag.class == class_abroad(tag.generation) && tag.country.as_ref() == Some(country)
    };
    let stop = AtomicBool::new(false);
    let asked = AtomicU64::new(0);
    let flows: Mutex<Vec<[SocketAddr; 2]>> = Mutex::default();
    let ask = || -> Result<u32> {
        let mut newest = 0;
        while !stop.load(Ordering::Relaxed) {
            for address in abroad {
                let tag = reader.address(address)?;
                ensure!(right(&tag) && tag.found == How::Address, "{tag:?}");
                // Nobody goes back to a generation that is retired.
                ensure!(tag.generation >= newest, "{newest}, then {tag:?}");
                newest = tag.generation;
            }
            let tag = reader.address(home)?;
            ensure!(tag.class == "domestic", "{tag:?}");
            // By prefix: the class has another number in each generation.
            let tag = reader.address(own)?;
            ensure!(tag.class == "own-service", "{tag:?}");
            let last = flows
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .last()
                .copied();
            if let Some([source, server]) = last {
                let tag = reader.connection(source, server)?;
                ensure!(right(&tag), "{tag:?}");
            }
            asked.fetch_add(1, Ordering::Relaxed);
        }
        Ok(newest)
    };
    // One that opens everything again and again meets generations that go while it does.
    let pins = bench.lab.pins();
    let open = || -> Result<u32> {
        let mut newest = 0;
        while !stop.load(Ordering::Relaxed) {
            let tag = TagReader::open(pins)?.address(abroad[0])?;
            ensure!(right(&tag) && tag.generation >= newest, "{newest}, {tag:?}");
            newest = tag.generation;
        }
        Ok(newest)
    };
    let gate = bench.gate();
    let change = || -> Result<()> {
        for generation in 2..=RELOADS + 1 {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let config = if generation % 2 == 1 { &odd } else { &even };
            config.write(&bench.lab, "gate.toml")?;
            let (code, reload) = gate.reload(&[])?;
            ensure!(code == Some(0), "{reload:?}");
        }
        Ok(())
    };
    let (changed, newest) = thread::scope(|scope| -> Result<_> {
        let readers = [scope.spawn(ask), scope.spawn(ask), scope.spawn(open)];
        let changing = scope.spawn(change);
        // Who sees something wrong ends, and all others with him.
        let done =
            || changing.is_finished() || readers.iter().any(thread::ScopedJoinHandle::is_finished);
        let connect = || -> Result<()> {
            while !done() {
                let ends = connection(bench, Who::Foreign, Family::V4)?;
                let tag = reader.connection(ends[0], ends[1])?;
                ensure!(right(&tag), "{tag:?}");
                flows
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(ends);
            }
            Ok(())
        };
        let connected = connect();
        stop.store(true, Ordering::Relaxed);
        let changed = joined(changing);
        let newest: Result<Vec<u32>> = readers.into_iter().map(joined).collect();
        connected?;
        Ok((changed, newest?))
    })?;
    changed?;
    ensure!(
        reader.generation()? == RELOADS + 1
            && newest.iter().all(|it| *it > RELOADS / 2)
            && asked.load(Ordering::Relaxed) > u64::from(RELOADS),
        "{newest:?}, {asked:?} rounds"
    );
    Ok(())
}

/// Class numbers are those of the generation that tagged: where the classes are the same since, so are their names.
fn outlive(bench: &Bench<'_>) -> Result<()> {
    let [odd, even] = alternate(bench)?;
    let _daemon = bench.run(&odd)?;
    let reader = TagReader::open(bench.lab.pins())?;
    let [source, server] = connection(bench, Who::Foreign, Family::V4)?;
    let before = reader.connection(source, server)?;
    let same = Config {
        unlisted: "refuse",
        ..odd.clone()
    };
    same.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    let after = reader.connection(source, server)?;
    ensure!(
        after == before && after.found == BY_FLOW && reader.generation()? == 2,
        "{before:?}, then {after:?}"
    );
    even.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    let other = reader.connection(source, server)?;
    ensure!(
        (other.found, other.class.as_str(), other.generation) == (How::Address, "watched", 3),
        "{other:?}"
    );
    Ok(())
}

/// After `gate detach` the numbers begin anew, and mean something else.
fn anew(bench: &Bench<'_>) -> Result<()> {
    let [odd, mut even] = alternate(bench)?;
    let daemon = bench.run(&odd)?;
    let reader = TagReader::new(bench.lab.pins())?;
    let address = bench.lab.address(Who::Foreign, Family::V4)?;
    let ends = connection(bench, Who::Foreign, Family::V4)?;
    let before = reader.connection(ends[0], ends[1])?;
    ensure!(
        (before.class.as_str(), before.found) == ("foreign", BY_FLOW),
        "{before:?}"
    );
    daemon.kill()?;
    ensure!(reader.connection(ends[0], ends[1])? == before);
    bench.gate().detach()?;
    match reader.address(address) {
        Err(TagError::NotLoaded { .. }) => {}
        other => bail!("without a gate: {other:?}"),
    }
    "the same router, anew".clone_into(&mut even.title);
    let _daemon = bench.run(&even)?;
    let after = reader.connection(ends[0], ends[1])?;
    ensure!(
        (after.class.as_str(), after.generation, after.found) == ("watched", 1, How::Address),
        "{after:?}"
    );
    ensure!(
        Country::from_code(after.country.as_deref().unwrap_or_default()).is_some(),
        "{after:?}"
    );
    Ok(())
}

fn version(bench: &Bench<'_>) -> Result<()> {
    let pins = bench.lab.pins();
    match TagReader::open(pins) {
        Err(TagError::NotLoaded { .. }) => {}
        other => bail!("an empty directory: {other:?}"),
    }
    let other = ABI_VERSION + 2;
    fs::create_dir(pins.join(format!("v{other}")))?;
    let Err(error) = TagReader::open(pins) else {
        bail!("there are no pins of this version");
    };
    let text = error.to_string();
    ensure!(
        text.contains(&format!("has map ABI {other};"))
            && text.contains(&format!("this reader has map ABI {ABI_VERSION}")),
        "{text}"
    );
    let output = bench
        .gate()
        .output(&["flow", "8.8.8.8:1", "192.0.2.25:587"])?;
    ensure!(
        output.code() == Some(4) && output.stderr.contains(&text),
        "{output:?}"
    );
    fs::remove_dir(pins.join(format!("v{other}")))?;
    Ok(())
}
