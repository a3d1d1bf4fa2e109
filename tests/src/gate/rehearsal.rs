//! What `gate rehearse` says, as its JSON has it.

use jiff::Timestamp;
use serde::Deserialize;

use super::Rule;

/// What was found.
#[derive(Clone, Debug, Deserialize)]
pub struct Rehearsal {
    /// Why it ended.
    pub ended: RehearsalEnded,
    /// How many packets it was about.
    pub packets: RehearsedPackets,
    /// What differed.
    pub differences: Vec<RehearsedDifference>,
}

/// Why it ended.
#[derive(Clone, Debug, Deserialize)]
pub struct RehearsalEnded {
    /// In one word.
    pub why: String,
}

/// How many packets it was about.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct RehearsedPackets {
    /// Packets that at least one generation judges.
    pub compared: u64,
    /// Packets with another verdict or class.
    pub otherwise: u64,
    /// Packets with the same for another reason.
    pub other_reason: u64,
    /// Packets of sources that there was no room for.
    pub lost_sources: u64,
}

/// Packets that both generations treat in one way each.
#[derive(Clone, Debug, Deserialize)]
pub struct RehearsedDifference {
    /// What the generation in force makes of them.
    pub from: RehearsedOutcome,
    /// What the configuration would.
    pub to: RehearsedOutcome,
    /// How many.
    pub packets: u64,
    /// Of how many sources.
    pub sources: u64,
    /// Those with most packets.
    pub top: Vec<RehearsedSource>,
}

/// What a generation makes of packets.
#[derive(Clone, Debug, Deserialize)]
pub struct RehearsedOutcome {
    /// The verdict, of what is judged.
    pub verdict: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The pool.
    pub pool: Option<String>,
    /// The class.
    pub class: Option<String>,
}

impl RehearsedOutcome {
    /// Verdict and reason.
    #[must_use]
    pub fn words(&self) -> [&str; 2] {
        [&self.verdict, &self.reason].map(|it| it.as_deref().unwrap_or_default())
    }
}

/// A source of packets.
#[derive(Clone, Debug, Deserialize)]
pub struct RehearsedSource {
    /// The address or prefix.
    pub source: String,
    /// How many packets.
    pub packets: u64,
    /// The line that would decide.
    pub rule: Option<Rule>,
}

/// A rehearsal that goes on, as `gate status` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Underway {
    /// When it ends at the latest.
    pub until: Timestamp,
}
