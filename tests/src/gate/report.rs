//! What `--format json` prints, as its users may rely on it: fields may be added, none may go or change its meaning.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::Deserialize;

/// Packets by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Packets {
    /// The port 25 rule let them through.
    pub passed: u64,
    /// The port 25 rule refused them.
    pub refused: u64,
    /// It would have, if enforced.
    pub observed: u64,
    /// They got a country class.
    pub tagged: u64,
    /// They could not be read.
    pub unparsed: u64,
    /// Of all of these, those over a limit; of what is counted by itself.
    #[serde(default)]
    pub over_limit: u64,
}

impl Packets {
    /// What has been added since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            passed: self.passed - before.passed,
            refused: self.refused - before.refused,
            observed: self.observed - before.observed,
            tagged: self.tagged - before.tagged,
            unparsed: self.unparsed - before.unparsed,
            over_limit: self.over_limit - before.over_limit,
        }
    }
}

/// `gate counters`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Counters {
    /// The generation in force.
    pub generation: Option<u64>,
    /// Exact totals.
    pub verdicts: Packets,
    /// The same by reason; those that are not zero.
    pub reasons: Vec<ReasonPackets>,
    /// What came of showing tags; what came up.
    pub shown: Vec<ShownPackets>,
    /// What came of answers to refused clients; what came up.
    pub answers: Vec<AnswerPackets>,
    /// What limits said; those that were asked.
    pub limits: Vec<LimitEvents>,
    /// Answers that failed to leave, by interface.
    pub unsent: Vec<UnsentPackets>,
    /// The same by interface.
    pub interfaces: Vec<InterfacePackets>,
    /// The same by pool.
    pub pools: Vec<PoolPackets>,
    /// The same by class.
    pub classes: Vec<ClassPackets>,
    /// Tagged packets by country; those that are not zero.
    pub countries: Vec<CountryPackets>,
    /// The same by source.
    pub sources: Sources,
}

/// An element of the tags that were shown.
#[derive(Clone, Debug, Deserialize)]
pub struct ShownPackets {
    /// What came of it.
    pub shown: String,
    /// How often.
    pub packets: u64,
}

impl Counters {
    /// How many packets showed the tag of their connection in this way.
    #[must_use]
    pub fn shown(&self, shown: &str) -> u64 {
        let of_word = |it: &&ShownPackets| it.shown == shown;
        self.shown.iter().find(of_word).map_or(0, |it| it.packets)
    }

    /// How many answers came out as `answered`.
    #[must_use]
    pub fn answered(&self, answered: &str) -> u64 {
        let of_word = |it: &&AnswerPackets| it.answered == answered;
        self.answers.iter().find(of_word).map_or(0, |it| it.packets)
    }

    /// How many packets got `verdict` for `reason`.
    #[must_use]
    pub fn judged(&self, verdict: &str, reason: &str) -> u64 {
        let of_words = |it: &&ReasonPackets| it.verdict == verdict && it.reason == reason;
        self.reasons
            .iter()
            .find(of_words)
            .map_or(0, |it| it.packets)
    }
}

/// Answers that failed to leave by one interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UnsentPackets {
    /// The interface.
    pub interface: String,
    /// How many.
    pub packets: u64,
}

/// One reason's share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct ReasonPackets {
    /// The verdict.
    pub verdict: String,
    /// The reason for it.
    pub reason: String,
    /// How many.
    pub packets: u64,
}

/// Answers that came out in one way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AnswerPackets {
    /// In which.
    pub answered: String,
    /// How many.
    pub packets: u64,
}

/// What one kind of limit said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LimitEvents {
    /// The kind.
    pub limit: String,
    /// Events within it.
    pub within: u64,
    /// Events over it.
    pub over: u64,
    /// Events that found it busy.
    pub contended: u64,
}

/// One interface's share.
#[derive(Clone, Debug, Deserialize)]
pub struct InterfacePackets {
    /// Its name.
    pub name: String,
    /// Whether it is about the frames that carry no VLAN ID.
    #[serde(default)]
    pub stripped: bool,
    /// What arrived there.
    pub packets: Packets,
}

/// One pool's share.
#[derive(Clone, Debug, Deserialize)]
pub struct PoolPackets {
    /// Its name.
    pub name: String,
    /// What its subscribers sent.
    pub packets: Packets,
}

/// One class's share.
#[derive(Clone, Debug, Deserialize)]
pub struct ClassPackets {
    /// Its name.
    pub name: String,
    /// What got it.
    pub packets: Packets,
}

/// One country's share.
#[derive(Clone, Debug, Deserialize)]
pub struct CountryPackets {
    /// Its code; `None` for addresses in no database.
    pub country: Option<String>,
    /// How many packets came from there.
    pub packets: u64,
}

/// Shares of sources.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Sources {
    /// Whether they are counted at all.
    pub counted: bool,
    /// Those that are known one by one.
    pub entries: Vec<SourcePackets>,
    /// For how long each is kept, in seconds.
    pub retention_seconds: u64,
    /// Those that are kept no more.
    pub expired: Packets,
    /// All the rest.
    pub other: Packets,
}

/// One source's share.
#[derive(Clone, Debug, Deserialize)]
pub struct SourcePackets {
    /// A prefix.
    pub source: String,
    /// What it sent.
    pub packets: Packets,
    /// How much of that was over a limit, of what came in by an uplink.
    pub over_limit: Option<u64>,
}

/// `gate status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// In one word.
    pub state: String,
    /// What keeps it from being `ok`.
    pub problems: Vec<String>,
    /// The daemon.
    pub daemon: DaemonState,
    /// The generation in force.
    pub generation: Option<Generation>,
    /// What is rehearsed beside it.
    pub rehearsal: Option<super::Underway>,
    /// Why nothing is refused for now.
    pub bypass: Option<Bypass>,
    /// What started from zero at an upgrade.
    pub from_zero: Vec<FromZero>,
    /// What is only observed.
    pub observed: Vec<Observed>,
    /// The memory of each generation's tables.
    pub memory: Vec<Memory>,
    /// The interfaces of the configuration.
    pub interfaces: Vec<InterfaceState>,
    /// Whose data the countries are.
    pub attribution: Vec<String>,
    /// The group whose members may read tags.
    pub readers: Option<String>,
}

/// Something that a gate with another map ABI laid out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FromZero {
    /// The map, as in metrics.
    pub map: String,
    /// What is in it.
    pub what: String,
    /// Since when it is counted.
    pub since: Timestamp,
    /// The map ABI before.
    pub from_abi: u32,
    /// The map ABI since then.
    pub to_abi: u32,
}

/// Why nothing is refused for now, in `gate status` and `gate bypass`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Bypass {
    /// When it ends.
    pub until: Timestamp,
    /// When it began, if that was noted.
    pub since: Option<Timestamp>,
    /// Why, likewise.
    pub reason: Option<String>,
    /// Who asked for it, if known.
    pub by: Option<String>,
}

/// `gate bypass`: what was in force before, and what is now.
#[derive(Clone, Debug, Deserialize)]
pub struct Switched {
    /// Before.
    pub before: Option<Bypass>,
    /// Now.
    pub now: Option<Bypass>,
}

/// The daemon, in `gate status`.
#[derive(Clone, Debug, Deserialize)]
pub struct DaemonState {
    /// Whether it runs.
    pub alive: bool,
    /// How it is, in one word.
    pub state: String,
    /// When it last looked at its data files.
    pub looked_at: Option<String>,
    /// What became of the last reload.
    pub last_reload: Option<Reload>,
    /// Reloads that were refused, and not made good since.
    pub refused: Vec<Reload>,
}

/// The generation in force, in `gate status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Generation {
    /// Its number.
    pub number: u64,
    /// What `--force` overrode.
    pub forced: Vec<String>,
    /// The generation that `gate rollback` goes back to.
    pub previous: Option<u64>,
    /// When it is taken back, unless somebody confirms it.
    pub confirm_until: Option<Timestamp>,
}

/// What is only observed, in `gate status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Observed {
    /// `pool`, `class` or `unlisted`.
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// Until when, where it is not its action that says so.
    pub until: Option<Timestamp>,
}

/// The memory of a generation, in `gate status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Memory {
    /// Its number.
    pub generation: u64,
    /// How much.
    pub bytes: u64,
}

/// `gate reload`, and a reload in `gate status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Reload {
    /// When it was over.
    pub at: String,
    /// Who asked.
    pub by: String,
    /// What became of it, in one word.
    pub outcome: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
    /// What it changed.
    pub change: Option<Change>,
}

/// What a reload changed.
#[derive(Clone, Debug, Deserialize)]
pub struct Change {
    /// The number of the generation.
    pub generation: Step<u64>,
    /// How many prefixes list files have.
    pub list_files: BTreeMap<PathBuf, Step<u64>>,
    /// Interfaces on which packets are judged now.
    pub attached: Vec<String>,
    /// Interfaces on which nothing is judged any more.
    pub detached: Vec<String>,
    /// The memory of the generations.
    pub memory: Option<Swap>,
    /// What `--force` overrode.
    pub forced: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// How much of it is in the log only.
    pub left_out: usize,
}

/// A value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Step<T> {
    /// Before.
    pub before: Option<T>,
    /// After.
    pub after: Option<T>,
}

/// The memory of two generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Swap {
    /// Of that before.
    pub before: u64,
    /// Of that in force.
    pub after: u64,
    /// Of both, while both were loaded.
    pub both: u64,
}

/// An interface, in `gate status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// Its index now.
    pub index: Option<u32>,
    /// Its role.
    pub role: String,
    /// The mode in force.
    pub mode: Option<String>,
    /// Whether the gate is there.
    pub state: String,
    /// How the skb mark is set.
    pub mark: Option<String>,
}

/// `gate flow`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Flow {
    /// The class.
    pub class: String,
    /// The country; `None` for an address in no database.
    pub country: Option<String>,
    /// Whether it was over the limit of its class.
    pub over_limit: bool,
    /// Whether the class was only observed.
    pub observed: bool,
    /// The generation that said so.
    pub generation: u64,
}

/// An element of `gate lookup`.
#[derive(Clone, Debug, Deserialize)]
pub struct Lookup {
    /// The address.
    pub address: String,
    /// Its country.
    pub country: Option<String>,
    /// Its class.
    pub class: Option<String>,
    /// Its pool.
    pub pool: Option<String>,
    /// The pool's prefix that matched.
    pub prefix: Option<Listed>,
}

/// A prefix in `gate lookup`, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// The prefix.
    pub prefix: String,
    /// The file.
    pub file: Option<PathBuf>,
    /// The line.
    pub line: Option<usize>,
    /// The operator's note.
    pub ticket: Option<String>,
    /// Since when it has been in force.
    pub since: Option<String>,
}
