//! What a replay comes to.

use std::{collections::BTreeMap, io};

use gate_common::Verdict;
use jiff::Timestamp;

use super::{Engine, Interface, engine::Outcome, line::Line};
use crate::judge::Judgement;

/// How many packets became what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Who decided.
    pub engine: Engine,
    /// Where packets arrived.
    pub interface: Interface,
    /// How many packets were read.
    pub packets: u64,
    /// How many got which verdict.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// How many the gate has no business with.
    pub untouched: u64,
    /// How many the engine was not asked about.
    pub skipped: u64,
    /// How many were captured in part.
    pub cut: u64,
    /// How many have no time of their own, and the time that was taken for the first of them.
    pub untimed: (u64, Option<Timestamp>),
    /// What the databases' licences ask for.
    pub attribution: Vec<String>,
}

impl Summary {
    pub(super) fn new(engine: Engine, interface: Interface, attribution: &[String]) -> Self {
        Self {
            engine,
            interface,
            packets: 0,
            verdicts: BTreeMap::new(),
            untouched: 0,
            skipped: 0,
            cut: 0,
            untimed: (0, None),
            attribution: attribution.to_vec(),
        }
    }

    pub(super) fn count(&mut self, line: &Line, outcome: &Outcome, judged_at: Timestamp) {
        self.packets += 1;
        match outcome {
            Outcome::Untouched => self.untouched += 1,
            Outcome::Skipped(_) => self.skipped += 1,
            Outcome::Judged(Judgement { verdict, .. }) => {
                *self.verdicts.entry(*verdict).or_default() += 1;
            }
        }
        self.cut += u64::from(line.captured.is_some());
        if line.time.is_none() && line.skipped.is_none() {
            let (untimed, first) = self.untimed;
            self.untimed = (untimed + 1, first.or(Some(judged_at)));
        }
    }

    /// Writes it for people.
    pub fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            engine,
            interface,
            packets,
            verdicts,
            untouched,
            skipped,
            cut,
            untimed: (untimed, judged_at),
            attribution,
        } = self;
        let engine = engine.name();
        let Interface { name, role, .. } = interface;
        write!(
            out,
            "{packets} packets as received on {name} ({role}), engine {engine}: "
        )?;
        for (verdict, count) in verdicts {
            write!(out, "{count} {verdict}, ")?;
        }
        writeln!(out, "{untouched} no concern of the gate, {skipped} skipped")?;
        if *cut > 0 {
            writeln!(
                out,
                "{cut} were captured in part, and the verdict on all of it may be another: `tcpdump -s 0` captures all"
            )?;
        }
        if let Some(judged_at) = judged_at {
            writeln!(
                out,
                "{untimed} have no time of their own: judged at that of the packet before, the first at {judged_at:.0}"
            )?;
        }
        attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}
