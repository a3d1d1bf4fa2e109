//! The configuration: one TOML file and the list files that it names.
//!
//! [`load`] gives a [`Config`] in which every value is valid and every reference resolved, or a [`ConfigError`] with
//! everything that is wrong, each problem with its place, its cause and what to do. `docs/config.md` describes the keys.
//!
//! Invariants, as absences: no I/O but through the reader that the caller passes in, no default that is not documented,
//! no key that is ignored.
//!
//! From text to values: `load` parses, `section` hands out the values of a table, `values` and `words` read them, a
//! module for each table puts them together (`interface` with `vlans` and `ports`, `port25` with `treatment`, `access`,
//! `submission`, `geoip` with `update`, `class` with `class_rule`, `answers`, `shapes`, `lists`, `exemptions`, `counters`, `metrics`, `tags` with `marks` and `dscp`), and `assemble` checks what concerns several of them (`needs`, `overlaps`, `classes`).

mod access;
mod answers;
mod assemble;
mod class;
mod class_rule;
mod classes;
mod counters;
mod country;
mod dscp;
mod effective;
pub(crate) mod exemptions;
mod fault;
mod files;
mod geoip;
mod guard;
mod interface;
mod limit;
mod lists;
mod load;
mod marks;
pub(crate) mod metrics;
mod names;
mod nearest;
mod needs;
mod origin;
mod overlaps;
mod port25;
mod ports;
pub(crate) mod prefix;
mod problem;
mod repeats;
mod schema;
mod section;
mod shapes;
mod source_prefix;
mod submission;
mod tags;
#[cfg(test)]
mod tests;
mod treatment;
mod trust;
mod update;
mod values;
mod vlans;
mod words;

use std::{
    collections::HashSet,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use gate_common::{Action, Answer, Country, Identity, Over, Policy, Role, Scope, Shape, abi};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use self::{fault::Fault, origin::count};
pub use self::{
    load::{GeoipFiles, load, load_at, load_geoip},
    origin::{Listed, Origin},
    problem::{ConfigError, Problem},
    update::Update,
    vlans::Vlans,
    words::{CountryField, Missing, Mode, Per, Stripped},
};
use crate::attach::Wanted;
pub use country::country_code;

/// Reads a text file; `std::fs::read_to_string`, or something in memory.
pub type Reader<'a> = dyn Fn(&Path) -> io::Result<String> + 'a;

/// A configuration that can be put in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file that it was read from.
    pub file: PathBuf,
    /// The SHA-256 of that file's text, in hexadecimal. List files are not part of it.
    pub sha256: String,
    /// What the gate is attached to; at least one. Those of the same name have `vlans` each, which do not overlap, and the
    /// same mode.
    pub interfaces: Vec<InterfaceConfig>,
    /// The rule for port 25.
    pub port25: Port25,
    /// The pools of subscriber prefixes; names differ. The last one holds the exemptions, if there is a file of them: its prefixes may be in
    /// another one too, and win. No other prefix is in two of them.
    pub pools: Vec<Pool>,
    /// The file of exemptions, which `gate exempt` writes; relative names are resolved.
    pub exemptions: Option<PathBuf>,
    /// Which connections get a class.
    pub submission: Submission,
    /// Where countries come from; always there if an interface is an uplink.
    pub geoip: Option<Geoip>,
    /// The classes; always there if an interface is an uplink.
    pub classes: Option<Classes>,
    /// How many answers refused clients get.
    pub answers: Answers,
    /// Shapes that hide a port, and are treated as if it were one that is judged, in the order of their numbers.
    pub dropped_shapes: Vec<Shape>,
    /// The list files that it names, each once. Paths are relative to its directory; these are resolved.
    pub list_files: Vec<ListFile>,
    /// How much data may change from one generation to the next.
    pub guards: Guards,
    /// What is counted one by one.
    pub counters: Counters,
    /// Where the daemon tells how it is.
    pub metrics: Metrics,
    /// Who may read tags, and how classes show to those behind the gate.
    pub tags: Tags,
    /// What the operator should know about it.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// The devices that the gate is attached to: the first interface of each name.
    pub fn devices(&self) -> impl Iterator<Item = &InterfaceConfig> + Clone {
        let mut seen = HashSet::new();
        self.interfaces
            .iter()
            .filter(move |it| seen.insert(it.name.as_str()))
    }

    /// The devices, as what attaches the gate wants to know them.
    pub fn wanted(&self) -> impl Iterator<Item = Wanted<'_>> {
        self.devices().map(|it| Wanted {
            name: &it.name,
            mode: it.mode,
            missing: it.missing,
        })
    }
}

/// An interface that the gate is attached to, or some of its VLANs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Its name, as Linux has it.
    pub name: String,
    /// What faces it.
    pub role: Role,
    /// Whose address names a tunnelled subscriber; [`Identity::Outer`] on an uplink.
    pub identity: Identity,
    /// The VLANs that have this role; nothing if every frame has it.
    pub vlans: Option<Vlans>,
    /// What frames of the device are that carry no VLAN ID, if this is the interface that says it.
    pub stripped: Option<Stripped>,
    /// Which kind of XDP it gets.
    pub mode: Mode,
    /// What is to be done while it does not exist.
    pub missing: Missing,
    /// Where it is configured.
    pub origin: Origin,
}

impl InterfaceConfig {
    /// Whether frames can have this role here.
    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        self.role == role || self.stripped.and_then(Stripped::role) == Some(role)
    }
}

impl fmt::Display for InterfaceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.vlans {
            None => f.write_str(&self.name),
            Some(vlans) => write!(f, "{} vlans {vlans}", self.name),
        }
    }
}

/// The rule for what subscribers send to port 25.
#[derive(Clone, Debug)]
pub struct Port25 {
    /// How it bites where nothing more special is said.
    pub action: Action,
    /// Which segments it judges.
    pub scope: Scope,
    /// How sources are treated that no pool names.
    pub unlisted: Treatment,
    /// Where that is written; nothing where it is not.
    pub unlisted_at: Option<Origin>,
    /// Where ICMP answers come from.
    pub answer_from: AnswerFrom,
    /// How many new connections a source has; always there if anything throttles.
    pub throttle: Option<Limit>,
    /// Destinations that stay open; no prefix is listed twice.
    pub relays: Vec<Listed<IpNet>>,
}

/// Where ICMP answers come from; nothing is the refused destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerFrom {
    /// Over IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Over IPv6.
    pub v6: Option<Ipv6Addr>,
}

/// So many events in so much time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// How many events.
    pub limit: u32,
    /// In which time.
    pub per: Per,
    /// How many at once.
    pub burst: u32,
}

impl Limit {
    /// From one event to the next; rounded up, so that there are never more than the limit says.
    const fn interval_ns(self) -> u64 {
        self.per.nanoseconds().div_ceil(self.limit as u64)
    }

    /// Until a whole burst is allowed again.
    const fn burst_ns(self) -> u64 {
        self.interval_ns().saturating_mul(self.burst as u64)
    }

    /// As the tables have it.
    #[must_use]
    pub const fn to_abi(self) -> abi::Limit {
        abi::Limit {
            interval_ns: self.interval_ns(),
            burst_ns: self.burst_ns(),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, per, burst } = self;
        write!(f, "{limit} per {per}, burst {burst}")
    }
}

/// How many answers refused clients get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// Each source.
    pub source: Limit,
    /// All together.
    pub total: Limit,
}

impl Default for Answers {
    fn default() -> Self {
        let a_second = |limit, burst| Limit {
            limit,
            per: Per::Second,
            burst,
        };
        Self {
            source: a_second(10, 20),
            total: a_second(10_000, 10_000),
        }
    }
}

/// How sources are treated on port 25.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// Whether the rule applies to them.
    pub policy: Policy,
    /// How it bites; [`Action::Observe`] where it does not apply.
    pub action: Action,
    /// What a refused client hears; [`Answer::Drop`] where the rule does not apply.
    pub answer: Answer,
    /// Before which moment it only observes.
    pub effective_from: Option<Timestamp>,
}

impl Treatment {
    /// Port 25 is open.
    pub const EXEMPT: Self = Self {
        policy: Policy::Exempt,
        action: Action::Observe,
        answer: Answer::Drop,
        effective_from: None,
    };

    /// Whether port 25 is open.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self.policy, Policy::Exempt)
    }
}

/// A pool of subscriber prefixes.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// How its subscribers are treated.
    pub treatment: Treatment,
    /// How many leading bits of an IPv4 address one subscriber line keeps, 1 to 32.
    pub source_v4: u8,
    /// How many leading bits of an IPv6 address one subscriber line keeps, 1 to 128.
    pub source_v6: u8,
    /// When the whole of it ends: no prefix is in it longer.
    pub until: Option<Timestamp>,
    /// Its prefixes, none twice; at least one, but for the pool of exemptions.
    pub prefixes: Vec<PoolPrefix>,
    /// Where it is configured.
    pub origin: Origin,
}

/// A prefix of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolPrefix {
    /// The prefix.
    pub prefix: IpNet,
    /// When the next covering prefix applies instead: the earlier of the pool's deadline and its own.
    pub until: Option<Timestamp>,
    /// The operator's note.
    pub ticket: Option<String>,
    /// Where it is listed.
    pub origin: Origin,
    /// Whether it stands in the configuration itself, where each prefix is counted by itself, or in a list file.
    pub from_toml: bool,
}

/// Which connections get a class.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Whether those to port 587 do.
    pub submission: bool,
    /// Whether those to port 465 do.
    pub submissions: bool,
    /// The servers that they must go to; none is any. No prefix is listed twice.
    pub servers: Vec<Listed<IpNet>>,
}

/// Where countries come from.
#[derive(Clone, Debug)]
pub struct Geoip {
    /// The databases, at least one. Relative paths of the file are relative to its directory; these are resolved.
    pub databases: Vec<PathBuf>,
    /// Which country of an entry counts first.
    pub country: CountryField,
    /// The words that the databases' licence asks for wherever results are shown.
    pub attribution: Option<String>,
}

/// The classes, and which of them stand in for others. Indices count in `list`.
#[derive(Clone, Debug)]
pub struct Classes {
    /// The classes, one to [`gate_common::abi::CLASSES`]; names differ, no country and no prefix is in two of them.
    pub list: Vec<Class>,
    /// The class of countries that no class names.
    pub default: usize,
    /// Where it says that it is.
    pub default_at: Origin,
    /// The class of addresses in no database.
    pub unknown: usize,
    /// Where `[geoip]` names it; nothing where the default stands in.
    pub unknown_at: Option<Origin>,
    /// The class of tunnel prefixes, whose addresses say nothing of a country.
    pub tunnels: usize,
}

/// A class of source addresses.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its countries, none twice.
    pub countries: Vec<Listed<Country>>,
    /// Its prefixes, which go before the country; none twice.
    pub prefixes: Vec<Listed<IpNet>>,
    /// What is done with its connections.
    pub rule: ClassRule,
    /// Its bits of the skb mark, within the mask, none of which says that a connection is over the limit; no other class has the same.
    pub mark: Option<u32>,
    /// Its code point, which no other class has.
    pub dscp: Option<u8>,
    /// Where it is configured.
    pub origin: Origin,
}

/// What is done with connections of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRule {
    /// Whether it has a limit at all. One that is exempt has no country, and is the class of nobody who is not listed.
    pub policy: Policy,
    /// [`Action::Observe`] or [`Action::Enforce`]; [`Action::Observe`] where it is exempt.
    pub action: Action,
    /// Before which moment it only observes.
    pub effective_from: Option<Timestamp>,
    /// The limit on new connections.
    pub connections: Option<Connections>,
    /// How many leading bits of an IPv4 address make one source, 1 to 32.
    pub source_v4: u8,
    /// How many leading bits of an IPv6 address make one source, 1 to 128.
    pub source_v6: u8,
}

/// The limit of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// How many new connections a source has.
    pub limit: Limit,
    /// What becomes of those beyond.
    pub over: Over,
    /// Where that is configured.
    pub origin: Origin,
}

/// Who may read tags, and how classes show to those behind the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The group of the system whose members may read them; nothing if only root may.
    pub group: Option<Listed<String>>,
    /// The bits of the skb mark that the gate writes; 0 if nothing is marked.
    pub mark_mask: u32,
    /// The bits that say that a connection is over the limit of its class.
    pub over_mark: u32,
    /// Whether every packet of a connection gets the code point, and not only that which opens it.
    pub dscp_all: bool,
    /// The code point of connections over the limit of their class; nothing for that of the class.
    pub over_dscp: Option<u8>,
    /// Whether connections that get no code point lose the one that they come with.
    pub bleach: bool,
}

/// What is counted one by one, and what of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Sources: one subscriber line or one remote address each.
    pub sources: bool,
    /// For how long a source is kept, from its first packet on.
    pub retention: Duration,
    /// How many bits of an IPv4 address are kept at most.
    pub source_v4: u8,
    /// How many bits of an IPv6 address are kept at most.
    pub source_v6: u8,
}

/// Where the daemon tells how it is, and of how many sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// Where it listens, none twice; nowhere if there is none.
    pub listen: Vec<SocketAddr>,
    /// How many sources have metrics of their own, those with most packets.
    pub sources: u16,
    /// Whether there is a page for people beside them. One of a version that knew none says nothing of it.
    #[serde(default = "Metrics::has_page")]
    pub page: bool,
}

impl Metrics {
    /// Where it listens if nothing else is said: a port that no exporter is known for, after the ports that are judged.
    const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 25587);

    const fn has_page() -> bool {
        true
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            listen: vec![Self::LISTEN],
            sources: 0,
            page: Self::has_page(),
        }
    }
}

/// A list file as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListFile {
    /// The file.
    pub path: PathBuf,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// How many of its lines have a prefix.
    pub prefixes: usize,
}

/// How much data may change before a person has to look at it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Guards {
    /// Country databases.
    pub geoip: Guard,
    /// List files.
    pub lists: Guard,
}

/// By how much a number of entries may change from one generation to the next, as parts of what is in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// The part that may go: with 0.3, at least 70 % are left.
    pub shrink: f64,
    /// The part that may come: with 1.0, there are at most twice as many.
    pub grow: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            shrink: 0.3,
            grow: 1.0,
        }
    }
}
