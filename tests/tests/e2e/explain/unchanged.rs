//! Asking writes nothing that is in force.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use bytemuck::Pod;
use gate_common::abi::{
    BucketSet, DeviceKey, FlowKey, FlowTag, Judged, Limited, Packets, SourceSet, maps,
};
use gate_tests::{gate::Config, lab::Who};
use gate_user::{
    pins::Pins,
    sys::{Access, Map},
};
use libtest_mimic::Trial;

use super::{Bench, Found, tries};
use crate::{evasion, rehearse::replayed::pcap};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial("explain::asking_changes_no_live_map", unchanged)]
}

/// The content of every live map, by name.
type Content = BTreeMap<&'static str, Vec<u8>>;

fn content(pins: &Path) -> Result<Content> {
    let pins = Pins::new(pins)?;
    maps::STATES
        .into_iter()
        .chain(maps::SLOTTED)
        .map(|name| {
            let map = Map::open(&pins.map(name), Access::Read)?;
            let bytes = match name {
                maps::STATE | maps::TOTAL_BUCKET | maps::EVENT_BUCKET => array::<u64>(&map),
                maps::SOURCES => array::<SourceSet>(&map),
                maps::EXPIRED => array::<Packets>(&map),
                maps::BUCKETS => array::<BucketSet>(&map),
                maps::TOTALS
                | maps::COUNTRIES
                | maps::ANSWERS
                | maps::SHOWN
                | maps::REHEARSED
                | maps::TOLD => per_cpu::<u64>(&map),
                maps::JUDGED => per_cpu::<Judged>(&map),
                maps::COUNTERS => per_cpu::<Packets>(&map),
                maps::LIMITED => per_cpu::<Limited>(&map),
                maps::FLOWS => hash::<FlowKey, FlowTag>(&map),
                maps::UNSENT => hash::<DeviceKey, u64>(&map),
                // The numbers of inner maps; slots that are free have none.
                _ => (0..map.spec().max_entries)
                    .map(|place| Ok(map.lookup::<u32, u32>(&place)?.unwrap_or(0).to_ne_bytes()))
                    .collect::<Result<Vec<_>>>()
                    .map(|it| it.concat()),
            };
            Ok((name, bytes.with_context(|| format!("cannot read {name}"))?))
        })
        .collect()
}

fn array<V: Pod>(map: &Map) -> Result<Vec<u8>> {
    Ok(bytemuck::cast_slice(&map.read_all::<V>()?).to_vec())
}

fn per_cpu<V: Pod>(map: &Map) -> Result<Vec<u8>> {
    Ok(bytemuck::cast_slice(&map.read_all_per_cpu::<V>()?.concat()).to_vec())
}

fn hash<K: Pod + Eq + std::hash::Hash, V: Pod>(map: &Map) -> Result<Vec<u8>> {
    let entries = map.entries::<K, V>()?;
    let mut entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| [bytemuck::bytes_of(key), bytemuck::bytes_of(value)].concat())
        .collect();
    entries.sort();
    Ok(entries.concat())
}

/// The names of maps whose content differs.
fn differing(before: &Content, after: &Content) -> Vec<&'static str> {
    let differs = |(name, bytes): &(&&'static str, &Vec<u8>)| after.get(**name) != Some(bytes);
    before
        .iter()
        .filter(differs)
        .map(|(name, _)| *name)
        .collect()
}

/// `gate replay` in the kernel, of every frame that might get past the rule, beside the gate in force.
fn replays(bench: &Bench<'_>, config: &Config) -> Result<()> {
    let frames = evasion::frames(bench)?;
    let capture = bench.lab.scratch().join("frames.pcap");
    fs::write(&capture, pcap(&frames)?)?;
    let config = config.write(&bench.lab, "replayed.toml")?;
    let [capture, config] = [&capture, &config].map(|it| it.to_str().context("a path"));
    let interface = Who::Subscriber.interface();
    let arguments = ["--engine", "kernel", "--interface", interface];
    let replay = ["replay", capture?, "--config", config?, "--format", "json"];
    let text = bench.gate().text(&[&replay[..], &arguments].concat())?;
    let refused = text.lines().filter(|it| it.contains("\"refused\""));
    ensure!(
        text.lines().count() == frames.len() && refused.count() > 3,
        "nothing was replayed: {text}"
    );
    Ok(())
}

fn unchanged(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.answer = gate_tests::gate::Answer::Reset;
    config.class_keys(
        "foreign",
        "connections = { limit = 1, per = \"day\", burst = 3, over = \"reset\" }",
    )?;
    let daemon = bench.run(&config)?;
    let connections = || {
        let submission = tries(Who::Foreign, Who::OwnMail, 587);
        tries(Who::Subscriber, Who::OtherMail, 25).chain(submission)
    };
    // There is something in the maps, so that changes of what is there would show too.
    for each in connections() {
        bench
            .lab
            .connect(each.from, each.to, each.family, each.port)?;
    }
    // A daemon deletes the buckets of limits that are whole again.
    daemon.terminate()?;
    let before = content(bench.lab.pins())?;
    for each in connections() {
        for _ in 0..3 {
            each.explained(bench, &[])?;
        }
    }
    let asked = differing(&before, &content(bench.lab.pins())?);
    ensure!(asked.is_empty(), "asking changed {asked:?}");
    replays(bench, &config)?;
    let replayed = differing(&before, &content(bench.lab.pins())?);
    ensure!(replayed.is_empty(), "replaying changed {replayed:?}");
    // The control: one connection of each kind, and it shows.
    for each in connections() {
        bench
            .lab
            .connect(each.from, each.to, each.family, each.port)?;
    }
    let connected = differing(&before, &content(bench.lab.pins())?);
    for name in [
        maps::TOTALS,
        maps::COUNTERS,
        maps::COUNTRIES,
        maps::SOURCES,
        maps::FLOWS,
        maps::ANSWERS,
        maps::LIMITED,
        maps::BUCKETS,
        maps::TOTAL_BUCKET,
    ] {
        ensure!(
            connected.contains(&name),
            "connecting changed {connected:?} only"
        );
    }
    Ok(())
}
