//! What a rehearsal finds of frames is what two replays of them say, one with each configuration, in a process that asks no kernel.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Config, RehearsedOutcome},
    lab::Who,
    matrix::Profile,
};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use serde::Deserialize;

use super::Going;
use crate::{bench::Bench, evasion};

/// What is to be replayed of a line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Line {
    verdict: Option<String>,
    reason: Option<String>,
}

impl Line {
    fn words(self) -> [String; 2] {
        [self.verdict, self.reason].map(Option::unwrap_or_default)
    }
}

/// How often verdict and reason of one configuration meet others of the other.
type Pairs = BTreeMap<[[String; 2]; 2], u64>;

/// Every frame that might get past the rule, with relays that disappear and shapes that are treated otherwise.
pub(super) fn replayed(bench: &Bench<'_>) -> Result<()> {
    let mut live = bench.config()?.profile(&bench.lab, Profile::Listed)?;
    live.action = "observe";
    let mut new = live.clone();
    new.action = "enforce";
    new.relays = Vec::new();
    new.tables = "[shapes]\nlater_fragment = \"drop\"\ntoo_many_tags = \"pass\"\n";
    evasion::widen(bench)?;
    let frames = evasion::frames(bench)?;
    let capture = bench.lab.scratch().join("frames.pcap");
    fs::write(&capture, pcap(&frames)?)?;
    let _daemon = bench.run(&live)?;
    let wire = bench.lab.wire(Who::Subscriber)?;
    let going = Going::begin(bench, &new)?;
    for frame in &frames {
        wire.send(frame)?;
    }
    // On the same link and after them, and itself no concern of the gate.
    bench.open(Who::Subscriber, Who::OtherMail, 80)?;
    let rehearsal = going.end()?;
    let mut found = Pairs::new();
    for difference in &rehearsal.differences {
        let words = |it: &RehearsedOutcome| it.words().map(str::to_owned);
        let pair = [words(&difference.from), words(&difference.to)];
        *found.entry(pair).or_default() += difference.packets;
    }
    let mut expected = Pairs::new();
    let mut judged = 0;
    let lines = [
        replay(bench, &capture, &live, "gate.toml")?,
        replay(bench, &capture, &new, "new.toml")?,
    ];
    ensure!(
        lines.iter().all(|lines| lines.len() == frames.len()),
        "{} frames",
        frames.len()
    );
    let [before, after] = lines;
    for (from, to) in before.into_iter().zip(after) {
        judged += u64::from(from.verdict.is_some() || to.verdict.is_some());
        if from != to {
            *expected.entry([from.words(), to.words()]).or_default() += 1;
        }
    }
    ensure!(
        found == expected,
        "found {found:#?}, replays say {expected:#?}"
    );
    ensure!(
        rehearsal.packets.compared == judged && expected.len() > 3,
        "{judged} are judged: {rehearsal:#?}"
    );
    Ok(())
}

fn replay(bench: &Bench<'_>, capture: &Path, config: &Config, name: &str) -> Result<Vec<Line>> {
    let config = config.write(&bench.lab, name)?;
    let [capture, config] = [capture, &config].map(|it| it.to_str().context("a path"));
    let text = bench.gate().text(&[
        "--format",
        "json",
        "replay",
        capture?,
        "--config",
        config?,
        "--engine",
        "host",
        "--interface",
        Who::Subscriber.interface(),
    ])?;
    let line = |text: &str| serde_json::from_str(text).with_context(|| text.to_owned());
    text.lines().map(line).collect()
}

/// A capture of these frames.
pub(crate) fn pcap(frames: &[Vec<u8>]) -> Result<Vec<u8>> {
    let header = PcapHeader {
        snaplen: 262_144,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header)?;
    for frame in frames {
        let length = u32::try_from(frame.len())?;
        writer.write_packet(&PcapPacket::new(Duration::ZERO, length, frame))?;
    }
    Ok(writer.into_writer())
}
