//! The pins of one generation, opened for reading.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use gate_common::{
    Addr,
    abi::{BucketKey, FlowKey, FlowTag, Interface, InterfaceKey, List, Rule, Settings, maps},
    decide::Tables,
};

use super::TagError;
use crate::{
    generation::Legend,
    kernel::{self, KernelError},
    pins::Pins,
    sys::{Access, Map},
    table::Table,
};

/// How often opening is begun anew when a reload comes in between: one takes longer than this does.
const TRIES: u32 = 10;

/// Which generation it is: the inode of its legend. Numbers begin anew after `gate detach`, inodes do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of the generation in force.
    pub(super) fn current(pins: &Pins) -> Result<Self, TagError> {
        let path = pins.current().join(kernel::LEGEND);
        Self::of(&path).map_err(|error| TagError::of(pins, path, error))
    }

    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

/// A generation, and the tags of connections.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) identity: Identity,
    pub(super) legend: Legend,
    settings: Box<Settings>,
    classes: OpenTable,
    countries: OpenTable,
    flows: Map,
}

impl Open {
    /// Opens the generation in force; tables that `before` has too are shared with it.
    pub(super) fn current(pins: &Pins, before: Option<&Self>) -> Result<Self, TagError> {
        for _ in 0..TRIES {
            // It may be retired while its pins are opened; then there is another one.
            let identity = Identity::current(pins)?;
            let opened = Self::named(pins, identity, before);
            if Identity::current(pins)? == identity {
                return opened;
            }
        }
        Err(TagError::Open {
            path: pins.current(),
            error: io::Error::other("generations change faster than they can be read"),
        })
    }

    fn named(pins: &Pins, identity: Identity, before: Option<&Self>) -> Result<Self, TagError> {
        let current = pins.current();
        // By its own name: `current` can come to be another one between two pins.
        let target =
            fs::read_link(&current).map_err(|error| TagError::of(pins, current.clone(), error))?;
        let directory = current.with_file_name("").join(target);
        let open = |path: PathBuf| {
            Map::open(&path, Access::Read).map_err(|error| TagError::of(pins, path, error))
        };
        let settings = open(directory.join(maps::SETTINGS))?
            .lookup::<_, Settings>(&0u32)
            .map_err(TagError::read(maps::SETTINGS))?;
        Ok(Self {
            identity,
            legend: kernel::legend(&directory)?,
            settings: Box::new(settings.ok_or_else(|| TagError::NotLoaded {
                pins: pins.root().to_owned(),
            })?),
            classes: OpenTable::new(&directory, List::Classes, before.map(|it| &it.classes))?,
            countries: OpenTable::new(&directory, List::Countries, before.map(|it| &it.countries))?,
            flows: open(pins.map(maps::FLOWS))?,
        })
    }

    /// The tag of a connection, however old.
    pub(super) fn flow(&self, key: &FlowKey) -> Result<Option<FlowTag>, TagError> {
        self.flows.lookup(key).map_err(TagError::read(maps::FLOWS))
    }
}

/// A table, and the maps that it was read from.
#[derive(Clone, Debug)]
struct OpenTable {
    ids: [u32; 2],
    table: Arc<Table>,
}

impl OpenTable {
    /// Reads the table, unless `known` was read from the same maps. (As memory the kernel maps it only for who may write, too.)
    fn new(directory: &Path, list: List, known: Option<&Self>) -> Result<Self, KernelError> {
        let ids = kernel::list_ids(directory, list)?;
        match known {
            Some(known) if known.ids == ids => Ok(known.clone()),
            _ => Ok(Self {
                ids,
                table: Arc::new(kernel::list(directory, list)?),
            }),
        }
    }

    fn number(&self, addr: Addr) -> Option<u32> {
        match self.table.get(addr) {
            0 => None,
            number => Some(number.into()),
        }
    }
}

/// Readers look sources up on an uplink, and nothing else.
impl Tables for Open {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }

    fn interface(&self, _: InterfaceKey) -> Option<Interface> {
        None
    }

    fn access(&self, _: Addr) -> Option<u32> {
        None
    }

    fn rule(&self, _: u32) -> Option<Rule> {
        None
    }

    fn relay(&self, _: Addr) -> Option<u32> {
        None
    }

    fn server(&self, _: Addr) -> bool {
        false
    }

    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.classes
            .number(source)
            .and_then(|number| number.checked_sub(1))
    }

    fn country(&self, source: Addr) -> Option<u32> {
        self.countries.number(source)
    }

    fn bypass_until_ns(&self) -> u64 {
        0
    }

    fn take(&self, _: BucketKey, _: u64) -> bool {
        false
    }
}
