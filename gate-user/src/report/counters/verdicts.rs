//! Packets by verdict, added up over CPUs.

use gate_common::{Verdict, abi::Packets};
use serde::Serialize;

/// Packets by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// [`Verdict::Passed`].
    pub passed: u64,
    /// [`Verdict::Refused`].
    pub refused: u64,
    /// [`Verdict::Observed`].
    pub observed: u64,
    /// [`Verdict::Tagged`].
    pub tagged: u64,
    /// [`Verdict::Unparsed`].
    pub unparsed: u64,
}

impl Verdicts {
    pub(super) fn add(&mut self, other: &Packets) {
        let Packets {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
            over_limit: _,
        } = other;
        self.passed += passed;
        self.refused += refused;
        self.observed += observed;
        self.tagged += tagged;
        self.unparsed += unparsed;
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.passed += other.passed;
        self.refused += other.refused;
        self.observed += other.observed;
        self.tagged += other.tagged;
        self.unparsed += other.unparsed;
    }

    pub(super) fn sum<'a>(packets: impl IntoIterator<Item = &'a Packets>) -> Self {
        let mut sum = Self::default();
        packets.into_iter().for_each(|it| sum.add(it));
        sum
    }

    pub(super) fn of(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Refused => &mut self.refused,
            Verdict::Observed => &mut self.observed,
            Verdict::Tagged => &mut self.tagged,
            Verdict::Unparsed => &mut self.unparsed,
        }
    }

    /// Each verdict's name and packets.
    pub(crate) fn named(&self) -> [(&'static str, u64); 5] {
        let Self {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
        } = *self;
        [
            (Verdict::Passed.name(), passed),
            (Verdict::Refused.name(), refused),
            (Verdict::Observed.name(), observed),
            (Verdict::Tagged.name(), tagged),
            (Verdict::Unparsed.name(), unparsed),
        ]
    }

    pub(super) fn cells(&self) -> [String; 5] {
        self.named().map(|(_, packets)| packets.to_string())
    }

    /// Adds packets of a verdict by its name.
    pub(crate) fn count(&mut self, verdict: &str, packets: u64) {
        if let Some(verdict) = Verdict::ALL.iter().find(|it| it.name() == verdict) {
            *self.of(*verdict) += packets;
        }
    }

    pub(crate) fn all(&self) -> u64 {
        self.named().iter().map(|(_, packets)| packets).sum()
    }

    /// What of `self` is not in `part`. Sources are read after the totals, so a part can be ahead of its whole.
    pub(crate) fn without(&self, part: &Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(part.passed),
            refused: self.refused.saturating_sub(part.refused),
            observed: self.observed.saturating_sub(part.observed),
            tagged: self.tagged.saturating_sub(part.tagged),
            // Sources are those of connections; what could not be parsed has none.
            unparsed: 0,
        }
    }
}

/// Packets of an object that is counted by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ObjectPackets {
    /// By verdict.
    #[serde(flatten)]
    pub(crate) verdicts: Verdicts,
    /// Of all of these, those for the reason `over_limit`.
    pub(crate) over_limit: u64,
}

impl ObjectPackets {
    pub(super) fn sum(packets: &[Packets]) -> Self {
        Self {
            verdicts: Verdicts::sum(packets),
            over_limit: packets.iter().map(|it| it.over_limit).sum(),
        }
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = String> + use<> {
        let Self {
            verdicts,
            over_limit,
        } = self;
        verdicts.cells().into_iter().chain([over_limit.to_string()])
    }
}
