//! The gate in the kernel: its maps, its program, and how a generation gets in.
//!
//! Minimum kernel version: 6.1.

use std::{
    collections::HashMap,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Map as AyaMap, MapData},
    programs::{Program, ProgramError, Xdp},
};
use gate_common::{
    Country, Reason, Verdict,
    abi::{
        self, FlowKey, FlowTag, GenerationWord, Interface, Packets, PrefixKey, Rule, Settings,
        Source, SourceKey, State, maps,
    },
};

use crate::{
    error::whole,
    generation::{Plan, PrefixTable},
    object,
    pins::{Pins, PinsError},
    sys::{Access, Map, MapKind, MapSpec},
};

/// The name of the map that holds the manifest, beside the tables of its generation.
const MANIFEST: &str = "MANIFEST";
/// How many bytes of the manifest one element holds.
const MANIFEST_CHUNK: usize = 4096;
/// `BPF_F_NO_PREALLOC`, which the kernel wants of LPM tries.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_INNER_MAP`: arrays of different lengths may take turns in a map of maps.
const INNER_MAP: u32 = 1 << 12;

/// Something that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The object is damaged.
    #[error("the embedded BPF object cannot be read: {0}")]
    Object(#[from] aya_obj::ParseError),
    /// The object could not be loaded.
    #[error("the kernel does not take the gate's maps: {}", whole(&**.0))]
    Load(Box<EbpfError>),
    /// The program could not be loaded.
    #[error("the kernel does not take the gate's program: {}", whole(&**.0))]
    Program(Box<ProgramError>),
    /// A map is missing or is not what the program needs.
    #[error("{path}: the pinned map has {found}; this program needs {wanted}", path = path.display())]
    Incompatible {
        /// The pin.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: MapSpec,
    },
    /// A map could not be opened.
    #[error("{path}: cannot open the pinned map: {error}", path = path.display())]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// A table could not be made or filled.
    #[error("the table {table} with {entries} entries cannot be made: {error}")]
    Table {
        /// Its map.
        table: String,
        /// How many entries it needs.
        entries: usize,
        /// What the kernel said.
        error: io::Error,
    },
    /// A map could not be read or written.
    #[error("the map {map} cannot be {action}: {error}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Read or written.
        action: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// The log of packets could not be opened.
    #[cfg(feature = "log")]
    #[error("the log of packets cannot be opened: {0}")]
    Log(#[source] aya_log::Error),
    /// A pin could not be made.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The manifest could not be made or read.
    #[error(transparent)]
    Manifest(#[from] crate::generation::manifest::ManifestError),
}

impl KernelError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Object(_) => "the binary is damaged or was built wrongly: build it again with `cargo xtask build`".to_owned(),
            Self::Load(_) | Self::Program(_) => {
                "the gate needs Linux 6.1 or later and CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; the kernel log may say more"
                    .to_owned()
            }
            Self::Incompatible { .. } => {
                "another program or version made this pin: `gate detach` removes the gate's pins, then start again".to_owned()
            }
            Self::Open { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                "no gate is loaded here: start it with `gate run --config FILE`".to_owned()
            }
            Self::Table { error, .. } if error.raw_os_error() == Some(libc::ENOMEM) => {
                "the memory limit of the service is too small for two generations: raise MemoryMax".to_owned()
            }
            Self::Pins(error) => error.hint(),
            #[cfg(feature = "log")]
            Self::Log(_) => "the program in force was not built with `cargo xtask build --log`".to_owned(),
            Self::Open { .. } | Self::Table { .. } | Self::Map { .. } | Self::Manifest(_) => "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; `gate status` shows what is in force".to_owned(),
        }
    }

    fn map(map: &'static str, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Map { map, action, error }
    }
}

/// The maps of a gate, pinned or private.
#[derive(Debug)]
pub struct Maps {
    state: Map,
    totals: Map,
    counters: Map,
    countries: Map,
    sources: Map,
    flows: Map,
    /// In the order of [`maps::SLOTTED`].
    slotted: Vec<Map>,
}

impl Maps {
    /// Opens what is pinned.
    pub fn open(pins: &Pins, access: Access) -> Result<Self, KernelError> {
        Self::from(|name| {
            let path = pins.map(name);
            Map::open(&path, access).map_err(|error| KernelError::Open { path, error })
        })
    }

    fn from(
        mut open: impl FnMut(&'static str) -> Result<Map, KernelError>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            state: open(maps::STATE)?,
            totals: open(maps::TOTALS)?,
            counters: open(maps::COUNTERS)?,
            countries: open(maps::COUNTRIES)?,
            sources: open(maps::SOURCES)?,
            flows: open(maps::FLOWS)?,
            slotted: maps::SLOTTED
                .into_iter()
                .map(open)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The generation that a pinned gate runs; none, if nothing is pinned.
    pub fn pinned_generation(pins: &Pins) -> Result<GenerationWord, KernelError> {
        let path = pins.map(maps::STATE);
        let state = match Map::open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(GenerationWord::default());
            }
            result => result.map_err(|error| KernelError::Open { path, error })?,
        };
        Ok(GenerationWord(word(&state, State::Generation)?))
    }

    /// The generation in force.
    pub fn generation(&self) -> Result<GenerationWord, KernelError> {
        Ok(GenerationWord(word(&self.state, State::Generation)?))
    }

    /// What to add to `CLOCK_BOOTTIME` for UNIX time, as the program sees it.
    pub fn wall_offset(&self) -> Result<u64, KernelError> {
        word(&self.state, State::WallOffset)
    }

    fn set(&self, word: State, value: u64) -> Result<(), KernelError> {
        self.state
            .update(&(word as u32), &value)
            .map_err(KernelError::map(maps::STATE, "written"))
    }

    /// Tells the program how far its clock is from UNIX time.
    pub fn set_wall_offset(&self, offset_ns: u64) -> Result<(), KernelError> {
        self.set(State::WallOffset, offset_ns)
    }

    /// How many packets got this verdict for this reason.
    pub fn total(&self, verdict: Verdict, reason: Reason) -> Result<u64, KernelError> {
        let index = abi::total_index(verdict, reason);
        let values: Option<Vec<u64>> = self
            .totals
            .lookup_per_cpu(&index)
            .map_err(KernelError::map(maps::TOTALS, "read"))?;
        Ok(values.iter().flatten().sum())
    }

    /// How many packets this counter counted, one value a CPU.
    pub fn counter(&self, counter: u32) -> Result<Vec<Packets>, KernelError> {
        let values = self
            .counters
            .lookup_per_cpu(&counter)
            .map_err(KernelError::map(maps::COUNTERS, "read"))?;
        Ok(values.unwrap_or_default())
    }

    /// How many packets from this country were tagged.
    pub fn country(&self, country: Country) -> Result<u64, KernelError> {
        let index = u32::from(country.number());
        let values: Option<Vec<u64>> = self
            .countries
            .lookup_per_cpu(&index)
            .map_err(KernelError::map(maps::COUNTRIES, "read"))?;
        Ok(values.iter().flatten().sum())
    }

    /// Every source that has an entry.
    pub fn sources(&self) -> Result<HashMap<SourceKey, Source>, KernelError> {
        self.sources
            .entries()
            .map_err(KernelError::map(maps::SOURCES, "read"))
    }

    /// The tag of a connection, however old.
    pub fn flow(&self, key: &FlowKey) -> Result<Option<FlowTag>, KernelError> {
        self.flows
            .lookup(key)
            .map_err(KernelError::map(maps::FLOWS, "read"))
    }

    /// Removes the tags of connections that were opened before `boot_ns`.
    pub fn sweep_flows(&self, boot_ns: u64) -> Result<(), KernelError> {
        let failed = |action| KernelError::map(maps::FLOWS, action);
        for (key, tag) in self
            .flows
            .entries::<FlowKey, FlowTag>()
            .map_err(failed("read"))?
        {
            if tag.time_ns < boot_ns {
                self.flows.delete(&key).map_err(failed("written"))?;
            }
        }
        Ok(())
    }

    /// Puts a generation into a slot that no program looks at.
    ///
    /// `index` gives the index of an interface by its name; interfaces without one are left out. `progress` hears how
    /// many of how many entries are in.
    pub fn prepare(
        &self,
        plan: &Plan,
        index: &dyn Fn(&str) -> Option<u32>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Prepared, KernelError> {
        let current = self.generation()?;
        let slot = u32::from(current.number() != 0 && current.slot() == 0);
        let tables = inner_maps(plan, index, progress)?;
        let manifest = manifest_map(plan)?;
        let prepared = Prepared {
            word: GenerationWord::new(plan.manifest.number, slot),
            tables,
            manifest,
        };
        match self.fill(&prepared, &plan.fresh_counters) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                self.clear(slot)?;
                Err(error)
            }
        }
    }

    fn fill(&self, prepared: &Prepared, fresh_counters: &[u32]) -> Result<(), KernelError> {
        for (outer, (name, inner)) in self.slotted.iter().zip(&prepared.tables) {
            outer
                .update_inner(prepared.word.slot(), inner)
                .map_err(KernelError::map(name, "written"))?;
        }
        for counter in fresh_counters {
            let zero = Packets::default();
            self.counters
                .update_per_cpu(counter, &zero)
                .map_err(KernelError::map(maps::COUNTERS, "written"))?;
        }
        Ok(())
    }

    /// Puts a prepared generation in force, by one store, and lets go of the one before once no packet is in it.
    pub fn activate(&self, prepared: &Prepared) -> Result<(), KernelError> {
        let before = self.generation()?;
        self.set(State::Generation, prepared.word.0)?;
        if before.number() == 0 || before.slot() == prepared.word.slot() {
            return Ok(());
        }
        // Storing what is there already changes nothing, and returns after a grace period that began after the store
        // of the word: whatever still ran in the old generation is done.
        if let (Some(outer), Some((_, inner))) = (self.slotted.first(), prepared.tables.first()) {
            outer
                .update_inner(prepared.word.slot(), inner)
                .map_err(KernelError::map("of a slot", "written"))?;
        }
        self.clear(before.slot())
    }

    /// Takes back a prepared generation, unless it is in force; says whether it did.
    pub fn discard(&self, prepared: &Prepared) -> Result<bool, KernelError> {
        if self.generation()? == prepared.word {
            return Ok(false);
        }
        self.clear(prepared.word.slot())?;
        Ok(true)
    }

    fn clear(&self, slot: u32) -> Result<(), KernelError> {
        self.slotted
            .iter()
            .try_for_each(|outer| outer.delete(&slot))
            .map_err(KernelError::map("of a slot", "written"))
    }
}

/// A word of the map of state; its elements are always there.
fn word(state: &Map, word: State) -> Result<u64, KernelError> {
    let found = state
        .lookup(&(word as u32))
        .map_err(KernelError::map(maps::STATE, "read"))?;
    found.ok_or_else(|| KernelError::map(maps::STATE, "read")(io::ErrorKind::NotFound.into()))
}

/// A generation in its slot, not yet in force.
#[derive(Debug)]
pub struct Prepared {
    word: GenerationWord,
    tables: Vec<(&'static str, Map)>,
    manifest: Map,
}

impl Prepared {
    /// The number of the generation.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.word.number()
    }

    /// Pins its tables and its manifest in `directory`.
    pub fn pin(&self, directory: &Path) -> Result<(), KernelError> {
        let tables = self.tables.iter().map(|(name, map)| (*name, map));
        for (name, map) in tables.chain([(MANIFEST, &self.manifest)]) {
            let path = directory.join(name);
            map.pin(&path).map_err(|error| PinsError::Io {
                action: "pin",
                path,
                error,
            })?;
        }
        Ok(())
    }
}

/// Reads the manifest pinned in the directory of a generation.
pub fn manifest(directory: &Path) -> Result<crate::generation::Manifest, KernelError> {
    let path = directory.join(MANIFEST);
    let map = Map::open(&path, Access::Read).map_err(|error| KernelError::Open { path, error })?;
    let mut bytes = Vec::new();
    for index in 0..map.spec().max_entries {
        let chunk: Option<[u8; MANIFEST_CHUNK]> = map
            .lookup(&index)
            .map_err(KernelError::map(MANIFEST, "read"))?;
        bytes.extend(chunk.into_iter().flatten());
    }
    Ok(crate::generation::Manifest::from_bytes(&bytes)?)
}

/// The tables of a generation as read-only maps, in the order of [`maps::SLOTTED`].
fn inner_maps(
    plan: &Plan,
    index: &dyn Fn(&str) -> Option<u32>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<(&'static str, Map)>, KernelError> {
    let interfaces: Vec<(u32, Interface)> = plan
        .interfaces
        .iter()
        .filter_map(|(name, it)| Some((index(name)?, *it)))
        .collect();
    let total = plan.country_prefixes.len();
    let mut quiet = |_| {};
    Ok(vec![
        (
            maps::SETTINGS,
            array::<Settings>(maps::SETTINGS, std::slice::from_ref(&plan.settings), 0)?,
        ),
        (maps::INTERFACES, hash(maps::INTERFACES, &interfaces)?),
        (maps::ACCESS, trie(maps::ACCESS, &plan.access, &mut quiet)?),
        (
            maps::RULES,
            array::<Rule>(maps::RULES, &plan.rules, INNER_MAP)?,
        ),
        (maps::RELAYS, trie(maps::RELAYS, &plan.relays, &mut quiet)?),
        (
            maps::SERVERS,
            trie(maps::SERVERS, &plan.servers, &mut quiet)?,
        ),
        (
            maps::CLASS_PREFIXES,
            trie(maps::CLASS_PREFIXES, &plan.class_prefixes, &mut quiet)?,
        ),
        (
            maps::COUNTRY_PREFIXES,
            trie(
                maps::COUNTRY_PREFIXES,
                &plan.country_prefixes,
                &mut |done| progress(done, total),
            )?,
        ),
    ])
}

/// How many entries of a trie are stored between two signs of life.
const STEP: usize = 1 << 16;

fn trie(
    name: &str,
    table: &PrefixTable,
    progress: &mut dyn FnMut(usize),
) -> Result<Map, KernelError> {
    let mut make = || -> io::Result<Map> {
        let entries = table.len().max(1);
        let map = Map::create(
            name,
            MapKind::LpmTrie,
            size_of::<PrefixKey>(),
            size_of::<u32>(),
            entries,
            NO_PREALLOC,
        )?;
        let (keys, values): (Vec<PrefixKey>, Vec<u32>) =
            table.iter().map(|(prefix, it)| (prefix.key(), it)).unzip();
        let mut done = 0;
        for (keys, values) in keys.chunks(STEP).zip(values.chunks(STEP)) {
            map.update_batch(keys, values)?;
            done += keys.len();
            progress(done);
        }
        map.freeze()?;
        Ok(map)
    };
    make().map_err(|error| KernelError::Table {
        table: name.to_owned(),
        entries: table.len(),
        error,
    })
}

fn array<T: bytemuck::Pod>(name: &str, values: &[T], flags: u32) -> Result<Map, KernelError> {
    let make = || -> io::Result<Map> {
        let map = Map::create(
            name,
            MapKind::Array,
            size_of::<u32>(),
            size_of::<T>(),
            values.len().max(1),
            flags,
        )?;
        let keys: Vec<u32> = (0u32..).take(values.len()).collect();
        map.update_batch(&keys, values)?;
        map.freeze()?;
        Ok(map)
    };
    make().map_err(|error| KernelError::Table {
        table: name.to_owned(),
        entries: values.len(),
        error,
    })
}

fn hash(name: &str, entries: &[(u32, Interface)]) -> Result<Map, KernelError> {
    let make = || -> io::Result<Map> {
        let map = Map::create(
            name,
            MapKind::Hash,
            size_of::<u32>(),
            size_of::<Interface>(),
            entries.len().max(1),
            0,
        )?;
        for (index, interface) in entries {
            map.update(index, interface)?;
        }
        map.freeze()?;
        Ok(map)
    };
    make().map_err(|error| KernelError::Table {
        table: name.to_owned(),
        entries: entries.len(),
        error,
    })
}

fn manifest_map(plan: &Plan) -> Result<Map, KernelError> {
    let bytes = plan.manifest.to_bytes()?;
    let chunks: Vec<[u8; MANIFEST_CHUNK]> = bytes
        .chunks(MANIFEST_CHUNK)
        .map(|chunk| {
            let mut filled = [0; MANIFEST_CHUNK];
            filled
                .iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            filled
        })
        .collect();
    array(MANIFEST, &chunks, 0)
}

/// A loaded program and its maps.
#[derive(Debug)]
pub struct Gate {
    ebpf: Ebpf,
    /// The maps.
    pub maps: Maps,
}

impl Gate {
    /// Loads the program with maps of its own, that nobody else sees.
    pub fn private(object: &[u8]) -> Result<Self, KernelError> {
        Self::load(object, &mut EbpfLoader::new())
    }

    /// Loads the program with the pinned maps, pinning those that are not there yet.
    ///
    /// Pins that are there are checked first: aya adopts whatever it finds.
    pub fn pinned(object: &[u8], pins: &Pins) -> Result<Self, KernelError> {
        check_pins(object, pins)?;
        let mut loader = EbpfLoader::new();
        for name in names() {
            loader.map_pin_path(name, pins.map(name));
        }
        Self::load(object, &mut loader)
    }

    fn load(object: &[u8], loader: &mut EbpfLoader<'_>) -> Result<Self, KernelError> {
        let mut ebpf = loader
            .load(object)
            .map_err(|error| KernelError::Load(Box::new(error)))?;
        program(&mut ebpf)
            .and_then(Xdp::load)
            .map_err(|error| KernelError::Program(Box::new(error)))?;
        let maps = Maps::from(|name| {
            let fd = ebpf
                .map(name)
                .and_then(data)
                .map(|data| data.fd().as_fd().try_clone_to_owned());
            fd.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
                .and_then(Map::from_fd)
                .map_err(KernelError::map(name, "read"))
        })?;
        Ok(Self { ebpf, maps })
    }

    /// What aya loaded.
    #[cfg(feature = "log")]
    pub(crate) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// The program.
    pub fn program(&mut self) -> Result<&mut Xdp, KernelError> {
        program(&mut self.ebpf).map_err(|error| KernelError::Program(Box::new(error)))
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramError> {
    let program: &mut Program = ebpf
        .program_mut(abi::PROGRAM)
        .ok_or(ProgramError::NotLoaded)?;
    program.try_into()
}

/// The descriptor behind aya's typed map, for the kinds that the gate has.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the gate has four of the kernel's thirty kinds of maps"
)]
fn data(map: &AyaMap) -> Option<&MapData> {
    match map {
        AyaMap::Array(data)
        | AyaMap::PerCpuArray(data)
        | AyaMap::LruHashMap(data)
        | AyaMap::ArrayOfMaps(data) => Some(data),
        _ => None,
    }
}

/// Every map that is pinned by its name.
fn names() -> impl Iterator<Item = &'static str> {
    maps::STATES.into_iter().chain(maps::SLOTTED)
}

/// Makes sure that each map that is pinned is what the program in `object` needs.
pub fn check_pins(object: &[u8], pins: &Pins) -> Result<(), KernelError> {
    names().try_for_each(|name| check_pin(object, name, &pins.map(name)))
}

fn check_pin(object: &[u8], name: &str, path: &Path) -> Result<(), KernelError> {
    let Some(wanted) = object::map_spec(object, name)? else {
        return Ok(());
    };
    let found = match Map::open(path, Access::Write) {
        Ok(map) if map.spec() == wanted => return Ok(()),
        Ok(map) => map.spec().to_string(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => format!("something that is no map of ours ({error})"),
    };
    Err(KernelError::Incompatible {
        path: path.to_owned(),
        found,
        wanted,
    })
}
