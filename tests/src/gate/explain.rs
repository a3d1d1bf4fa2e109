//! What `gate explain`, `gate matrix` and `gate diff` say, as their JSON has it.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::Deserialize;

/// What becomes of a connection, and why.
#[derive(Clone, Debug, Deserialize)]
pub struct Explanation {
    /// The interface that it arrives at.
    pub interface: String,
    /// The role there.
    pub role: Option<String>,
    /// The VLAN ID of its packets.
    pub vlan: u16,
    /// What becomes of it.
    pub verdict: Option<String>,
    /// Why, as counters have it.
    pub reason: Option<String>,
    /// Why, in a sentence.
    pub why: String,
    /// What a refused client hears.
    pub heard: Option<String>,
    /// What decided.
    pub rule: Option<Rule>,
    /// The pool.
    pub pool: Option<String>,
    /// The class.
    pub class: Option<String>,
    /// The country.
    pub country: Option<String>,
    /// How full token buckets are.
    pub limits: Vec<Fill>,
    /// What would change it.
    pub would_change: Vec<String>,
    /// The generation.
    pub generation: u64,
}

/// What decided.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// `pool`, `relay`, `class` or `country`.
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// The prefix.
    pub prefix: Option<String>,
    /// The file.
    pub file: Option<PathBuf>,
    /// The line.
    pub line: Option<u32>,
    /// The note.
    pub ticket: Option<String>,
    /// Since when.
    pub since: Option<String>,
}

/// A token bucket.
#[derive(Clone, Debug, Deserialize)]
pub struct Fill {
    /// What it is for.
    pub limit: String,
    /// How many events are left.
    pub left: u64,
}

/// The table of who may connect to what.
#[derive(Clone, Debug, Deserialize)]
pub struct Matrix {
    /// The ports of the columns.
    pub ports: Vec<u16>,
    /// Its rows.
    pub rows: Vec<MatrixRow>,
}

/// A row of it.
#[derive(Clone, Debug, Deserialize)]
pub struct MatrixRow {
    /// The pool; nothing for who is in none.
    pub pool: Option<String>,
    /// `outside`, `relays` or `servers`.
    pub destination: String,
    /// What becomes of connections, by port.
    pub cells: Vec<String>,
    /// What becomes of them by itself, the next first.
    pub changes: Vec<MatrixChange>,
}

/// What a row of it is from a moment on.
#[derive(Clone, Debug, Deserialize)]
pub struct MatrixChange {
    /// The moment.
    pub from: Timestamp,
    /// What becomes of connections then, by port.
    pub cells: Vec<String>,
}

/// What a configuration would change.
#[derive(Clone, Debug, Deserialize)]
pub struct Diff {
    /// What addresses are looked up for.
    pub sections: Vec<DiffSection>,
    /// Keys that differ and belong to no address.
    pub settings: Vec<String>,
}

/// What would change in one respect.
#[derive(Clone, Debug, Deserialize)]
pub struct DiffSection {
    /// In which.
    pub name: String,
    /// How many IPv4 addresses.
    pub v4_addresses: u64,
    /// How many /64s.
    pub v6_64s: u64,
    /// By treatment before and after.
    pub groups: Vec<DiffGroup>,
}

/// Addresses with one treatment before and one after.
#[derive(Clone, Debug, Deserialize)]
pub struct DiffGroup {
    /// Before.
    pub before: Treatment,
    /// After.
    pub after: Treatment,
    /// How many IPv4 addresses.
    pub v4_addresses: u64,
    /// How many /64s.
    pub v6_64s: u64,
    /// The same by country.
    pub countries: Vec<DiffCountries>,
    /// The first prefixes.
    pub prefixes: Vec<String>,
    /// How many more there are.
    pub left_out: u64,
}

/// The addresses of a group with one country before and one after.
#[derive(Clone, Debug, Deserialize)]
pub struct DiffCountries {
    /// Before.
    pub before: Option<String>,
    /// After.
    pub after: Option<String>,
    /// How many IPv4 addresses.
    pub v4_addresses: u64,
    /// How many /64s.
    pub v6_64s: u64,
}

/// How an address is treated.
#[derive(Clone, Debug, Deserialize)]
pub struct Treatment {
    /// The pool.
    pub pool: Option<String>,
    /// The class.
    pub class: Option<String>,
    /// In words.
    pub words: String,
}
