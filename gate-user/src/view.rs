//! A generation as a reader sees it: the one that is loaded, or one that a configuration would make.
//!
//! Both answer through [`Tables`], so that a look-up is the kernel program's own decision about an address.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

use gate_common::{
    Addr,
    abi::{BucketKey, Interface, InterfaceKey, List, Rule, Settings, maps},
    decide::Tables,
};

use crate::{
    error::Error,
    generation::{Lists, Manifest, Plan, Prefix, Source, SourceMap},
    kernel::{self, KernelError, Maps},
    pins::Pins,
    sys::{Access, Map},
    table::Runs,
};

/// How often reading is begun anew when the generation is retired under it.
const TRIES: u32 = 5;

/// A generation's tables and what their numbers mean.
#[derive(Debug)]
pub struct View {
    /// What the numbers mean.
    pub manifest: Manifest,
    /// Whether it is the one in force.
    pub loaded: bool,
    settings: Settings,
    rules: Vec<Rule>,
    lists: Lists,
    source_map: SourceMap,
    /// The countries' runs, worked out when they are asked for.
    countries: OnceCell<Runs>,
}

impl View {
    /// The generation in force.
    pub fn loaded(pins: &Pins) -> Result<Self, Error> {
        with_current(pins, Self::pinned)
    }

    /// The generation pinned in `directory`.
    pub fn pinned(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            manifest: kernel::manifest(directory)?,
            loaded: true,
            settings: settings(directory)?,
            rules: rules(directory)?,
            lists: kernel::lists(directory)?,
            source_map: kernel::source_map(directory)?,
            countries: OnceCell::new(),
        })
    }

    /// The generation that a plan would make.
    #[must_use]
    pub fn planned(plan: Plan) -> Self {
        let Plan {
            settings,
            interfaces: _,
            rules,
            lists,
            source_map,
            manifest,
            fresh_counters: _,
        } = plan;
        Self {
            manifest,
            loaded: false,
            settings,
            rules,
            lists,
            source_map,
            countries: OnceCell::new(),
        }
    }

    /// The longest prefix of a pool that has `addr` and stands for this rule. Where deadlines have passed that is not the
    /// longest of all.
    #[must_use]
    pub fn access_source(&self, addr: Addr, rule: Rule) -> Option<Source<'_>> {
        let mut covering = self.source_map.covering(List::Access, addr).into_iter();
        covering.find(|source| self.rule(source.number.into()) == Some(rule))
    }

    /// The longest prefix of a list, other than the pools and the countries, that has `addr`.
    #[must_use]
    pub fn source(&self, list: List, addr: Addr) -> Option<Source<'_>> {
        self.source_map.covering(list, addr).into_iter().next()
    }

    /// Every run of a list.
    #[must_use]
    pub fn runs(&self, list: List) -> Runs {
        self.lists.table(list).runs()
    }

    /// The largest network around `addr` that has the same country everywhere; nothing where no database knows one.
    #[must_use]
    pub fn network(&self, addr: Addr) -> Option<Prefix> {
        self.country(addr)?;
        let runs = || self.lists.table(List::Countries).runs();
        Some(self.countries.get_or_init(runs).network(addr))
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

/// The rules of the generation whose tables are pinned in `directory`.
pub fn rules(directory: &Path) -> Result<Vec<Rule>, Error> {
    let path = directory.join(maps::RULES);
    let rules =
        Map::open(&path, Access::Read).map_err(|error| KernelError::Open { path, error })?;
    (0..rules.spec().max_entries)
        .map(|number| rules.lookup(&number).map(Option::unwrap_or_default))
        .collect::<Result<_, _>>()
        .map_err(Error::system("read the rules of the loaded generation"))
}

/// The directory of the generation in force: of the one that the program runs, whatever `current` points to.
pub fn current(pins: &Pins) -> Result<PathBuf, Error> {
    match Maps::pinned_generation(pins)?.number() {
        0 => Err(not_loaded(pins)),
        number => Ok(pins.generation(number)),
    }
}

/// What there is to say where no generation of this version of the map ABI is in force: one of another version may be.
pub(crate) fn not_loaded(pins: &Pins) -> Error {
    match pins.check_no_other() {
        Ok(()) => Error::NotLoaded {
            pins: pins.root().to_owned(),
        },
        Err(error) => error.into(),
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
    fn interface(&self, _: InterfaceKey) -> Option<Interface> {
        None
    }

    fn access(&self, source: Addr) -> Option<u32> {
        self.lists.number(List::Access, source)
    }

    fn rule(&self, number: u32) -> Option<Rule> {
        self.rules.get(number as usize).copied()
    }

    fn relay(&self, destination: Addr) -> Option<u32> {
        self.lists.number(List::Relays, destination)
    }

    fn server(&self, destination: Addr) -> bool {
        self.lists.number(List::Servers, destination).is_some()
    }

    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.lists
            .number(List::Classes, source)
            .and_then(|it| it.checked_sub(1))
    }

    fn country(&self, source: Addr) -> Option<u32> {
        self.lists.number(List::Countries, source)
    }

    /// Addresses are looked up, not packets judged.
    fn bypass_until_ns(&self) -> u64 {
        0
    }

    /// Addresses are looked up, not packets judged.
    fn take(&self, _: BucketKey, _: u64) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir;

    use tempfile::tempdir;

    use super::*;
    use crate::pins::PinsError;

    #[test]
    fn a_gate_with_another_map_abi_is_no_gate_that_is_not_loaded() {
        let directory = tempdir().unwrap();
        let pins = Pins::new(&directory.path().join("gate")).unwrap();
        assert!(matches!(not_loaded(&pins), Error::NotLoaded { .. }));
        create_dir(pins.root()).unwrap();
        create_dir(pins.directory()).unwrap();
        create_dir(pins.root().join("theirs")).unwrap();
        assert!(matches!(not_loaded(&pins), Error::NotLoaded { .. }));
        let other = pins.root().join("v3");
        create_dir(&other).unwrap();
        let found = not_loaded(&pins);
        assert!(
            matches!(&found, Error::Pins(PinsError::OtherVersion { path }) if *path == other),
            "{found:?}"
        );
    }
}
