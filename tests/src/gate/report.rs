//! What `--format json` prints, as its users may rely on it: fields may be added, none may go or change its meaning.

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
    /// The same by interface.
    pub interfaces: Vec<InterfacePackets>,
    /// The same by pool.
    pub pools: Vec<PoolPackets>,
    /// The same by source.
    pub sources: Sources,
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

/// One interface's share.
#[derive(Clone, Debug, Deserialize)]
pub struct InterfacePackets {
    /// Its name.
    pub name: String,
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

/// Shares of sources.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Sources {
    /// Whether they are counted at all.
    pub counted: bool,
    /// Those that are known one by one.
    pub entries: Vec<SourcePackets>,
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
    /// The interfaces of the configuration.
    pub interfaces: Vec<InterfaceState>,
    /// Whose data the countries are.
    pub attribution: Vec<String>,
}

/// The daemon, in `gate status`.
#[derive(Clone, Debug, Deserialize)]
pub struct DaemonState {
    /// Whether it runs.
    pub alive: bool,
}

/// An interface, in `gate status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// The mode in force.
    pub mode: Option<String>,
    /// Whether the gate is there.
    pub state: String,
}

/// `gate flow`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Flow {
    /// The class.
    pub class: String,
    /// The country; `None` for an address in no database.
    pub country: Option<String>,
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
    pub prefix: Option<String>,
}
