//! The committed captures.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::conformance::{self, Kind, Report, Row, VERSION};
use libtest_mimic::Trial;

use crate::{Setup, gate, trial};

/// What is asked of the captures that ship with other software, and of all.
const FILES: usize = 100;
const PACKETS: u64 = 200_000;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");

/// The folders, and what came of each that was compared already.
const FOLDERS: [&str; 9] = [
    "bittwist",
    "dpkt",
    "generated",
    "gopacket",
    "ndpi",
    "packetq",
    "suricata",
    "tcpdump",
    "wireshark",
];

/// Reports by folder; each folder is compared once, by whichever trial needs it first.
type Reports = BTreeMap<&'static str, Mutex<Option<Report>>>;

pub(crate) fn trials(setup: Option<&Arc<Setup>>) -> Vec<Trial> {
    let reports: Arc<Reports> =
        Arc::new(FOLDERS.iter().map(|it| (*it, Mutex::default())).collect());
    let mut trials: Vec<Trial> = FOLDERS
        .iter()
        .map(|folder| {
            let reports = Arc::clone(&reports);
            trial(
                format!("gate and tshark agree: {folder}"),
                setup,
                move |setup| explained(&report(setup, &reports, folder)?),
            )
        })
        .collect();
    let mut whole = |name: &str, body: fn(&Setup, &Report) -> Result<()>| {
        let reports = Arc::clone(&reports);
        trials.push(trial(name.to_owned(), setup, move |setup| {
            let mut sum = Report::default();
            for folder in FOLDERS {
                sum.merge(report(setup, &reports, folder)?);
            }
            body(setup, &sum)
        }));
    };
    whole("every folder is compared", |setup, _| {
        every_folder(&setup.captures)
    });
    whole("capinfos finds the same packets in every file", counts);
    whole(
        "every shape is among the captures, and enough of all",
        |_, sum| enough(sum),
    );
    whole(
        "every row of the threat model explains something",
        |_, sum| rows(sum),
    );
    whole("docs/conformance.md is up to date", |setup, sum| {
        page(&sum.page(&setup.tshark.version))
    });
    trials
}

fn report(setup: &Setup, reports: &Reports, folder: &str) -> Result<Report> {
    let place = reports.get(folder).context("no such folder")?;
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(report) = &*place {
        return Ok(report.clone());
    }
    let files = conformance::captures(&setup.captures.join(folder))?;
    let files: Vec<_> = files.into_values().flatten().collect();
    let report = conformance::compare_files(&setup.tshark, &setup.captures, &files, &gate::view)?;
    *place = Some(report.clone());
    Ok(report)
}

fn explained(report: &Report) -> Result<()> {
    ensure!(report.compared > 0, "nothing was compared");
    ensure!(report.unexplained().next().is_none(), "{}", report.text(""));
    Ok(())
}

/// A folder that is added is compared too.
fn every_folder(captures: &Path) -> Result<()> {
    let found: Vec<String> = conformance::captures(captures)?.into_keys().collect();
    ensure!(
        found == FOLDERS,
        "the folders of captures are {found:?}, those that are compared {FOLDERS:?}"
    );
    Ok(())
}

fn enough(sum: &Report) -> Result<()> {
    let found = || {
        sum.files
            .iter()
            .filter(|(name, _)| !name.starts_with("generated/"))
    };
    let packets: u64 = found().map(|(_, file)| file.frames).sum();
    ensure!(
        found().count() >= FILES && packets >= PACKETS,
        "{} captures with {packets} packets that the project did not make: {FILES} and {PACKETS} are asked for",
        found().count()
    );
    let absent: Vec<&str> = Kind::ALL
        .iter()
        .filter(|kind| sum.census.count(**kind) == 0)
        .map(|kind| kind.text())
        .collect();
    ensure!(absent.is_empty(), "no capture has {}", absent.join(", "));
    Ok(())
}

/// Frames that the reader of captures cuts in the wrong place would be as wrong for both.
fn counts(setup: &Setup, sum: &Report) -> Result<()> {
    let files: Vec<PathBuf> = sum
        .files
        .keys()
        .map(|name| setup.captures.join(name))
        .collect();
    let counts = setup.tshark.count(&files)?;
    for ((name, file), (packets, octets)) in sum.files.iter().zip(counts) {
        ensure!(
            (file.packets, file.octets) == (packets, octets),
            "{name}: {} packets with {} octets were read, capinfos finds {packets} with {octets}",
            file.packets,
            file.octets
        );
    }
    Ok(())
}

/// A row that explains nothing is one that nobody has seen right.
fn rows(sum: &Report) -> Result<()> {
    let explained = sum.explained();
    let idle: Vec<&str> = Row::ALL
        .iter()
        .map(|row| row.name())
        .filter(|row| !explained.contains_key(row))
        .collect();
    ensure!(idle.is_empty(), "no packet needs {}", idle.join(", "));
    Ok(())
}

fn page(written: &str) -> Result<()> {
    let committed = fs::read_to_string(PAGE).context("cannot read docs/conformance.md")?;
    // Another tshark may say the same of all packets.
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with(VERSION));
        lines.map(str::to_owned).collect()
    };
    ensure!(
        lines(&committed) == lines(written),
        "docs/conformance.md is out of date: write it anew with `cargo xtask conformance --report docs/conformance.md`"
    );
    Ok(())
}
