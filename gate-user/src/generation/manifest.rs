//! What the numbers of a generation mean.
//!
//! The manifest travels with its generation, in a map pinned beside the tables, so that every answer about what is
//! loaded comes from what is loaded and not from today's files.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    path::PathBuf,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use gate_common::abi;

use super::lines::Line;
use crate::{
    clock::Deadline,
    config::{Counters, Limit, ListFile, Metrics},
};

/// Everything that a reader needs to put words to a generation's numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`abi::ABI_VERSION`].
    pub abi: u32,
    /// The number of the generation.
    pub number: u32,
    /// When it was made.
    pub loaded_at: Timestamp,
    /// The configuration file that it was made from.
    pub config: PathBuf,
    /// The SHA-256 of that file, in hexadecimal digits.
    pub config_sha256: String,
    /// The interfaces, in the order of the configuration.
    pub interfaces: Vec<Interface>,
    /// The devices on which the skb mark is set.
    #[serde(default)]
    pub marked: Vec<String>,
    /// The pools, in the order of the configuration.
    pub pools: Vec<Pool>,
    /// What sources hear of port 25 that no pool names; nothing if it is open to them.
    pub unlisted: Option<Unlisted>,
    /// The prefixes that are counted one by one.
    pub prefixes: Vec<CountedPrefix>,
    /// The relays.
    pub relays: Vec<Relay>,
    /// The classes, by number.
    pub classes: Vec<Class>,
    /// The first of the generations that have had these classes without a break.
    pub classes_since: u32,
    /// What is kept of sources, and for how long.
    #[serde(default)]
    pub counters: Counters,
    /// Where the daemon tells how it is.
    #[serde(default)]
    pub metrics: Metrics,
    /// The group of the system whose members may read tags.
    #[serde(default)]
    pub readers: Option<String>,
    /// The databases.
    pub databases: Vec<Database>,
    /// The list files.
    #[serde(default)]
    pub list_files: Vec<ListFile>,
    /// The file of exemptions, if the configuration names one; it is one of `list_files`.
    #[serde(default)]
    pub exemptions: Option<PathBuf>,
    /// What the guards had against it, overridden by `--force`.
    #[serde(default)]
    pub forced: Vec<String>,
    /// The generation that `gate rollback` goes back to: the last one that was made of something else.
    #[serde(default)]
    pub previous: Option<u32>,
    /// How it came to be in force again; nothing if it was made of files.
    #[serde(default)]
    pub rolled_back: Option<RolledBack>,
    /// When the gate goes back to `previous`, unless a person confirms this one.
    #[serde(default)]
    pub confirm_until: Option<Deadline>,
    /// What decides about who is in no list.
    #[serde(default)]
    pub lines: Vec<Line>,
    /// The words that the databases' licences ask for wherever results are shown.
    pub attribution: Vec<String>,
    /// The prefix lists, by [`abi::List::name`].
    pub lists: BTreeMap<String, ListSize>,
}

/// A return to an earlier generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// When.
    pub at: Timestamp,
    /// The generation that was in force.
    pub from: u32,
    /// The one that it is a copy of.
    pub to: u32,
    /// Who asked, if known.
    pub by: Option<String>,
    /// Whether nobody asked: a reload was not confirmed in time.
    pub unconfirmed: bool,
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            at,
            from,
            to,
            by,
            unconfirmed,
        } = self;
        write!(f, "rolled back from generation {from} to {to}, {at:.0}")?;
        match by {
            Some(by) => write!(f, ", by {by}"),
            None if *unconfirmed => f.write_str(", since nobody confirmed it in time"),
            None => Ok(()),
        }
    }
}

/// How large a prefix list is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSize {
    /// How many prefixes it has; of countries, how many networks.
    pub prefixes: usize,
    /// How many bytes its table takes.
    pub bytes: usize,
    /// The SHA-256 of the table's lines, in hexadecimal digits.
    pub sha256: String,
}

/// An interface of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The VLANs that it is about; nothing if it is about every frame, or about `stripped` ones.
    #[serde(default)]
    pub vlans: Option<String>,
    /// Whether it is about the frames that carry no VLAN ID, on a device whose VLANs have roles.
    #[serde(default)]
    pub stripped: bool,
    /// Its role.
    pub role: String,
    /// Whose address names a tunnelled subscriber; nothing on an uplink.
    #[serde(default)]
    pub identity: Option<String>,
    /// Where the program is to run: `native`, `generic` or `auto`.
    pub mode: String,
    /// What is done while it does not exist: `refuse` or `wait`.
    pub missing: String,
    /// Its counter.
    pub counter: u32,
}

impl Interface {
    /// What output calls it.
    #[must_use]
    pub fn label(&self) -> String {
        let Self {
            name,
            vlans,
            stripped,
            ..
        } = self;
        match vlans {
            Some(vlans) => format!("{name} vlans {vlans}"),
            None if *stripped => format!("{name} stripped"),
            None => name.clone(),
        }
    }

    /// Whether a generation has its role for the device with this index; `known` is what it has for each.
    pub(crate) fn is_known(
        &self,
        known: &HashMap<abi::InterfaceKey, abi::Interface>,
        index: u32,
    ) -> bool {
        known
            .iter()
            .any(|(key, it)| key.index == index && it.counter == self.counter)
    }
}

/// A pool of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: String,
    /// What a restricted pool's rule does; nothing for an exempt one.
    pub action: Option<String>,
    /// What a refused client hears; nothing where nothing is refused.
    pub answer: Option<String>,
    /// Before which moment it is only observed.
    pub effective_from: Option<Timestamp>,
    /// When the whole of it ends.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Its counter.
    pub counter: u32,
}

/// How sources are treated that no pool names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// What the rule does.
    pub action: String,
    /// Before which moment they are only observed.
    pub effective_from: Option<Timestamp>,
}

/// A prefix that the configuration itself names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountedPrefix {
    /// The index of the pool.
    pub pool: usize,
    /// The prefix.
    pub prefix: String,
    /// Its counter.
    pub counter: u32,
}

/// A relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The prefix.
    pub prefix: String,
    /// Its counter.
    pub counter: u32,
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: String,
    /// Its action; nothing if it is exempt.
    pub action: Option<String>,
    /// Before which moment it is only observed.
    pub effective_from: Option<Timestamp>,
    /// How many new connections a source has.
    pub connections: Option<Connections>,
    /// How many leading bits of an IPv4 address make one source.
    pub source_v4: u8,
    /// How many leading bits of an IPv6 address make one source.
    pub source_v6: u8,
    /// Its counter.
    pub counter: u32,
}

/// The limit of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many.
    #[serde(flatten)]
    pub limit: Limit,
    /// What becomes of those beyond.
    pub over: String,
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, over } = self;
        write!(f, "{limit}, over {over}")
    }
}

/// A country database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// The file.
    pub path: PathBuf,
    /// What it calls itself.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was built.
    pub built: Timestamp,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// How many IPv4 networks have a country.
    pub networks_v4: usize,
    /// How many IPv6 networks have a country.
    pub networks_v6: usize,
    /// How many countries there are.
    pub countries: usize,
}

/// A manifest that is not what this program writes.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON, or lacks something.
    #[error("the manifest of the loaded generation cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// Another version of the program wrote it.
    #[error(
        "the manifest of the loaded generation has ABI version {found}, this program has {}",
        abi::ABI_VERSION
    )]
    Version {
        /// The version found.
        found: u32,
    },
}

impl Manifest {
    /// The bytes that travel with the generation.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ManifestError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads the bytes back; what follows the first null byte is filling.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = Self::from_any(bytes)?;
        if manifest.abi == abi::ABI_VERSION {
            Ok(manifest)
        } else {
            Err(ManifestError::Version {
                found: manifest.abi,
            })
        }
    }

    /// The same, whichever version of the map ABI wrote it.
    pub fn from_any(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(serde_json::from_slice(text)?)
    }

    /// The names of the classes, by number.
    pub fn class_names(&self) -> impl Iterator<Item = &str> {
        self.classes.iter().map(|class| class.name.as_str())
    }

    /// The counter of every object that has one, by the object's name.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<Counted, u32> {
        let interfaces = self
            .interfaces
            .iter()
            .map(|it| (Counted::Interface(it.label()), it.counter));
        let pools = self
            .pools
            .iter()
            .map(|it| (Counted::Pool(it.name.clone()), it.counter));
        let prefixes = self.prefixes.iter().filter_map(|it| {
            let pool = self.pools.get(it.pool)?.name.clone();
            Some((Counted::Prefix(pool, it.prefix.clone()), it.counter))
        });
        let relays = self
            .relays
            .iter()
            .map(|it| (Counted::Relay(it.prefix.clone()), it.counter));
        let classes = self
            .classes
            .iter()
            .map(|it| (Counted::Class(it.name.clone()), it.counter));
        interfaces
            .chain(pools)
            .chain(prefixes)
            .chain(relays)
            .chain(classes)
            .collect()
    }
}

/// An object that is counted one by one, by what makes it the same object in the next generation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counted {
    /// An interface, by [`Interface::label`].
    Interface(String),
    /// A pool, by name.
    Pool(String),
    /// A prefix, by pool and prefix.
    Prefix(String, String),
    /// A relay, by prefix.
    Relay(String),
    /// A class, by name.
    Class(String),
}
