//! Captures that other people made, read by the gate and by tshark, packet by packet.
//!
//! | module | what it is |
//! |---|---|
//! | `capture` | pcap and pcapng files: the Ethernet frames in them |
//! | `tshark` | tshark, started on frames |
//! | `layers` | what it makes of them: layers, with the fields that matter |
//! | `reading` | those layers, as far as the gate promises to look, and what lies beyond |
//! | `row` | the rows of the threat model that explain why the gate and tshark differ |
//! | `compare` | the gate's view of a packet beside that reading |
//! | `census` | how many packets of which shape there were |
//! | `report`, `page` | the outcome: for a person and as JSON, as a page of the documentation |
//!
//! The gate's parser comes in as a function ([`Gate`]), so that the tests can also hold up parsers that are wrong on purpose.

mod capture;
mod census;
mod compare;
mod layers;
mod page;
mod reading;
mod report;
mod row;
mod tshark;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

pub use self::{
    capture::{Capture, Frame},
    census::{Census, Kind},
    compare::{Outcome, compare},
    layers::read as decode,
    page::VERSION,
    reading::Reading,
    report::{Difference, Report},
    row::Row,
    tshark::Tshark,
};

/// What is compared of a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Source address of the innermost IP header read.
    pub source: IpAddr,
    /// Destination address of the same header.
    pub destination: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Whether the flag SYN is set.
    pub syn: bool,
}

impl Segment {
    const fn ports(&self) -> (u16, u16) {
        (self.source_port, self.destination_port)
    }
}

/// What the gate makes of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The gate's word for it.
    pub shape: &'static str,
    /// Source and destination of the innermost IP header read, if any was.
    pub between: Option<(IpAddr, IpAddr)>,
    /// The TCP segment, if it is one whose header is all there.
    pub segment: Option<Segment>,
}

/// A parser under test.
pub type Gate = dyn Fn(&[u8]) -> Seen + Sync;

/// How many octets of frames one tshark is given: a bound on this process's memory.
const BATCH: usize = 128 << 20;

/// Compares every Ethernet frame of `files`, which are named in the report as they are relative to `root`.
pub fn compare_files(
    tshark: &Tshark,
    root: &Path,
    files: &[PathBuf],
    gate: &Gate,
) -> Result<Report> {
    let mut report = Report::default();
    let mut batch = Vec::new();
    for path in files {
        let name = path
            .strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string();
        let capture = Capture::read(path).with_context(|| format!("cannot read {name}"))?;
        report.add_file(&name, &capture);
        batch.push((name, capture.frames));
        if batch
            .iter()
            .map(|(_, frames)| octets(frames))
            .sum::<usize>()
            > BATCH
        {
            compare_batch(tshark, &batch, gate, &mut report)?;
            batch.clear();
        }
    }
    compare_batch(tshark, &batch, gate, &mut report)?;
    Ok(report)
}

fn octets(frames: &[Frame]) -> usize {
    frames.iter().map(|frame| frame.octets.len()).sum()
}

fn compare_batch(
    tshark: &Tshark,
    batch: &[(String, Vec<Frame>)],
    gate: &Gate,
    report: &mut Report,
) -> Result<()> {
    let frames = || {
        let files = batch.iter();
        files.flat_map(|(file, frames)| frames.iter().map(move |frame| (file, frame)))
    };
    let decoded = tshark.decode(frames().map(|(_, frame)| frame))?;
    for ((file, frame), layers) in frames().zip(decoded) {
        let reading = Reading::of(&layers);
        let seen = gate(&frame.octets);
        report.census.add(file, frame, &reading);
        report.compared += 1;
        match compare(&seen, &reading) {
            Outcome::Agreed => report.agreed += 1,
            Outcome::Differs(row) => {
                report
                    .differences
                    .push(Difference::new(file, frame, &seen, &reading, row));
            }
        }
    }
    Ok(())
}

/// The capture files below `directory`, by the folder they are in (its name relative to `directory`), both in order of their names.
pub fn captures(directory: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(folder) = pending.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("cannot list {}", folder.display()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if capture::is_capture(&path)? {
                files.push(path);
            }
        }
        files.sort();
        if !files.is_empty() {
            let name = folder.strip_prefix(directory).unwrap_or(&folder);
            found.insert(name.display().to_string(), files);
        }
    }
    Ok(found)
}
