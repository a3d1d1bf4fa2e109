//! What is measured: every subject in every regime.

use std::fmt;

use gate_user::table::Family;

/// A way from an address to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// The loop alone, or the clock alone: taken off the others.
    Floor,
    /// The gate's table, as the gate has it: behind a call and two maps of maps.
    Table,
    /// The kernel's LPM trie at its best: a map a family, known when the program is loaded.
    Lpm,
    /// The same, fed the fewest prefixes that give the same answers.
    LpmOrtc,
    /// The trie of the file's networks behind a map of maps, as a swap in one store needs it.
    LpmSlotted,
}

impl Subject {
    pub(crate) const ALL: [Self; 5] = [
        Self::Floor,
        Self::Table,
        Self::Lpm,
        Self::LpmOrtc,
        Self::LpmSlotted,
    ];
    pub(crate) const TRIES: [Self; 3] = [Self::Lpm, Self::LpmOrtc, Self::LpmSlotted];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Table => "table",
            Self::Lpm => "lpm",
            Self::LpmOrtc => "lpm-ortc",
            Self::LpmSlotted => "lpm-slotted",
        }
    }

    /// What its programs' names begin with.
    pub(crate) const fn program(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Floor, _) => "floor",
            (Self::Table, _) => "table",
            (Self::Lpm, Family::V4) => "lpm4",
            (Self::Lpm, Family::V6) => "lpm6",
            (Self::LpmOrtc, Family::V4) => "ortc4",
            (Self::LpmOrtc, Family::V6) => "ortc6",
            (Self::LpmSlotted, Family::V4) => "slotted4",
            (Self::LpmSlotted, Family::V6) => "slotted6",
        }
    }
}

/// What the caches hold, and what look-ups wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regime {
    /// Warm; each look-up waits for the answer before.
    Latency,
    /// Warm; look-ups overlap as far as the processor can.
    Throughput,
    /// Other data was swept through the caches before each look-up: a gate that sees few connections.
    Rare,
}

impl Regime {
    pub(crate) const WARM: [Self; 2] = [Self::Latency, Self::Throughput];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Rare => "rare",
        }
    }
}

/// What the addresses are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Draw {
    /// Every covered address is as likely as any other: most are in a few large networks.
    Addresses,
    /// Every run is as likely as any other, and then every address in it: most are where the table is deep.
    Runs,
    /// Every prefix of the list is as likely as any other.
    Prefixes,
}

impl Draw {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Addresses => "addr",
            Self::Runs => "run",
            Self::Prefixes => "prefix",
        }
    }
}

pub(crate) const fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// One line of the report.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Which of the loaded lists.
    pub(crate) list: usize,
    /// Which of its sets of addresses.
    pub(crate) set: usize,
    /// How many addresses of the set are used, a power of two.
    pub(crate) size: u32,
    pub(crate) regime: Regime,
    /// By which the figures name it.
    pub(crate) name: String,
    pub(crate) subjects: &'static [Subject],
}

/// `1m`, `4k`, `1000`.
pub(crate) struct Size(pub(crate) u32);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            size if size % (1 << 20) == 0 => write!(f, "{}m", size >> 20),
            size if size % (1 << 10) == 0 => write!(f, "{}k", size >> 10),
            size => write!(f, "{size}"),
        }
    }
}
