//! A generation as a reader sees it: the one that is loaded, or one that a configuration would make.
//!
//! Both answer through [`Tables`], so that a look-up is the kernel program's own decision about an address.

use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use gate_common::{
    Addr,
    abi::{Interface, PrefixKey, Rule, Settings, maps},
    decide::Tables,
};

use crate::{
    error::Error,
    generation::{Manifest, NOTHING, Plan, Prefix, PrefixTable},
    kernel::{self, KernelError, Maps},
    pins::Pins,
    sys::{Access, Map},
};

/// How often reading is begun anew when the generation is retired under it.
const TRIES: u32 = 5;

/// A prefix table, wherever it is.
trait Longest {
    /// Every prefix that has `addr`, and its number, the longest first.
    fn covering(&self, addr: Addr) -> io::Result<Vec<(Prefix, u32)>>;
}

impl Longest for PrefixTable {
    fn covering(&self, addr: Addr) -> io::Result<Vec<(Prefix, u32)>> {
        let prefixes = (0..=128).rev().map(|length| Prefix::of(addr, length));
        Ok(prefixes
            .filter_map(|it| Some((it, self.exactly(it)?)))
            .collect())
    }
}

/// The country table, which several generations can share.
impl Longest for Arc<PrefixTable> {
    fn covering(&self, addr: Addr) -> io::Result<Vec<(Prefix, u32)>> {
        self.as_ref().covering(addr)
    }
}

/// A table in the kernel.
struct Trie {
    map: Map,
    /// The first of its keys, in the kernel's order.
    first: Option<PrefixKey>,
}

impl Trie {
    fn new(map: Map) -> io::Result<Self> {
        let first = map.next_key(None)?;
        Ok(Self { map, first })
    }

    /// Whether this very prefix is in the table. A look-up would also find a shorter one; asked for the key after one that
    /// is not there, the kernel begins with the first, which comes after no key that is.
    fn has(&self, key: &PrefixKey) -> io::Result<bool> {
        Ok(self.first.is_some() && self.map.next_key(Some(key))? != self.first)
    }
}

impl Longest for Trie {
    fn covering(&self, addr: Addr) -> io::Result<Vec<(Prefix, u32)>> {
        let mut found = Vec::new();
        for prefix in (0..=128).rev().map(|length| Prefix::of(addr, length)) {
            if self.has(&prefix.key())?
                && let Some(number) = self.map.lookup(&prefix.key())?
            {
                found.push((prefix, number));
            }
        }
        Ok(found)
    }
}

/// A generation's tables and what their numbers mean.
pub struct View {
    /// What the numbers mean.
    pub manifest: Manifest,
    /// Whether it is the one in force.
    pub loaded: bool,
    settings: Settings,
    rules: Vec<Rule>,
    access: Box<dyn Longest>,
    relays: Box<dyn Longest>,
    servers: Box<dyn Longest>,
    class_prefixes: Box<dyn Longest>,
    country_prefixes: Box<dyn Longest>,
    /// The first look-up that the kernel refused; [`Tables`] has no room for errors.
    failed: RefCell<Option<io::Error>>,
}

impl View {
    /// The generation in force.
    pub fn loaded(pins: &Pins) -> Result<Self, Error> {
        with_current(pins, Self::pinned)
    }

    fn pinned(directory: &Path) -> Result<Self, Error> {
        let open = |name: &str| {
            let path = directory.join(name);
            Map::open(&path, Access::Read).map_err(|error| KernelError::Open { path, error })
        };
        let trie = |name: &str| -> Result<Box<dyn Longest>, KernelError> {
            let trie = Trie::new(open(name)?).map_err(|error| KernelError::Table {
                table: name.to_owned(),
                entries: 0,
                error,
            })?;
            Ok(Box::new(trie))
        };
        let read = |error| Error::System {
            action: "read a table of the loaded generation",
            error,
        };
        let rules = open(maps::RULES)?;
        let rules = (0..rules.spec().max_entries)
            .map(|number| rules.lookup(&number).map(Option::unwrap_or_default))
            .collect::<Result<_, _>>()
            .map_err(read)?;
        Ok(Self {
            manifest: kernel::manifest(directory)?,
            loaded: true,
            settings: settings(directory)?,
            rules,
            access: trie(maps::ACCESS)?,
            relays: trie(maps::RELAYS)?,
            servers: trie(maps::SERVERS)?,
            class_prefixes: trie(maps::CLASS_PREFIXES)?,
            country_prefixes: trie(maps::COUNTRY_PREFIXES)?,
            failed: RefCell::default(),
        })
    }

    /// The generation that a plan would make.
    #[must_use]
    pub fn planned(plan: Plan) -> Self {
        let Plan {
            settings,
            interfaces: _,
            access,
            rules,
            relays,
            servers,
            class_prefixes,
            country_prefixes,
            manifest,
            fresh_counters: _,
        } = plan;
        Self {
            manifest,
            loaded: false,
            settings,
            rules,
            access: Box::new(access),
            relays: Box::new(relays),
            servers: Box::new(servers),
            class_prefixes: Box::new(class_prefixes),
            country_prefixes: Box::new(country_prefixes),
            failed: RefCell::default(),
        }
    }

    /// The longest prefix of a pool that has `addr` and stands for this rule. Where deadlines have passed that is not the
    /// longest of all.
    #[must_use]
    pub fn access_prefix(&self, addr: Addr, rule: Rule) -> Option<Prefix> {
        let covering = self.covering(self.access.as_ref(), addr);
        let stands_for_it = |number: u32| self.rule(number) == Some(rule);
        covering
            .into_iter()
            .find(|(_, number)| stands_for_it(*number))
            .map(|(prefix, _)| prefix)
    }

    /// The relay that has `addr`.
    #[must_use]
    pub fn relay_prefix(&self, addr: Addr) -> Option<Prefix> {
        self.longest(self.relays.as_ref(), addr)
            .map(|(prefix, _)| prefix)
    }

    /// The network of the country database that has `addr`.
    #[must_use]
    pub fn network(&self, addr: Addr) -> Option<Prefix> {
        self.longest(self.country_prefixes.as_ref(), addr)
            .map(|(prefix, _)| prefix)
    }

    /// An error if any look-up since the last call failed.
    pub fn check(&self) -> Result<(), Error> {
        let failed = self.failed.take();
        failed.map_or(Ok(()), |error| {
            Err(Error::system("look up in the loaded generation")(error))
        })
    }

    fn covering(&self, table: &dyn Longest, addr: Addr) -> Vec<(Prefix, u32)> {
        table.covering(addr).unwrap_or_else(|error| {
            self.failed.borrow_mut().get_or_insert(error);
            Vec::new()
        })
    }

    fn longest(&self, table: &dyn Longest, addr: Addr) -> Option<(Prefix, u32)> {
        let longest = self.covering(table, addr).into_iter().next();
        longest.filter(|(_, number)| *number != NOTHING)
    }

    fn number(&self, table: &dyn Longest, addr: Addr) -> Option<u32> {
        self.longest(table, addr).map(|(_, number)| number)
    }
}

/// The settings of the generation whose tables are pinned in `directory`.
pub fn settings(directory: &Path) -> Result<Settings, Error> {
    let path = directory.join(maps::SETTINGS);
    let map = Map::open(&path, Access::Read).map_err(|error| KernelError::Open { path, error })?;
    let found = map
        .lookup(&0u32)
        .map_err(Error::system("read the settings of the loaded generation"))?;
    found.ok_or_else(|| Error::NotLoaded {
        pins: directory.to_owned(),
    })
}

/// The directory of the generation in force: of the one that the program runs, whatever `current` points to.
pub fn current(pins: &Pins) -> Result<PathBuf, Error> {
    match Maps::pinned_generation(pins)?.number() {
        0 => Err(Error::NotLoaded {
            pins: pins.root().to_owned(),
        }),
        number => Ok(pins.generation(number)),
    }
}

/// Reads from the directory of the generation in force; anew if that generation was retired meanwhile.
pub fn with_current<T>(pins: &Pins, read: impl Fn(&Path) -> Result<T, Error>) -> Result<T, Error> {
    for _ in 0..TRIES {
        let directory = current(pins)?;
        match read(&directory) {
            Err(_) if current(pins)? != directory => {}
            result => return result,
        }
    }
    read(&current(pins)?)
}

impl Tables for View {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }

    /// Addresses are looked up, not interfaces.
    fn interface(&self, _: u32) -> Option<Interface> {
        None
    }

    fn access(&self, source: Addr) -> Option<u32> {
        self.number(self.access.as_ref(), source)
    }

    fn rule(&self, number: u32) -> Option<Rule> {
        self.rules.get(number as usize).copied()
    }

    fn relay(&self, destination: Addr) -> Option<u32> {
        self.number(self.relays.as_ref(), destination)
    }

    fn server(&self, destination: Addr) -> bool {
        self.number(self.servers.as_ref(), destination).is_some()
    }

    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.number(self.class_prefixes.as_ref(), source)
            .and_then(|it| it.checked_sub(1))
    }

    fn country(&self, source: Addr) -> Option<u32> {
        self.number(self.country_prefixes.as_ref(), source)
    }
}
