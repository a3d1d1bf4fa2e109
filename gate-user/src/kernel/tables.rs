//! What a generation is made of as maps of their own, read-only once they are filled.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    path::Path,
    sync::Arc,
};

use bytemuck::Zeroable as _;
use gate_common::{
    abi::{INTERFACE_PLACES, Interface, InterfaceKey, List, PlacedInterface, Rule, Settings, maps},
    table::Line,
};

use super::KernelError;
use crate::{
    generation::{
        Legend, Lists, Manifest, NamedInterface, Plan, SourceMap, manifest::ManifestError,
    },
    sys::{Access, Map, MapKind},
    table::Table,
};

/// The name of the map that holds the manifest, beside the tables of its generation.
const MANIFEST: &str = "MANIFEST";
/// The name of the map that holds the legend, likewise.
pub(crate) const LEGEND: &str = "LEGEND";
/// The pins of a generation that say what a tag means, and what tag an address has.
pub(crate) const READABLE: [&str; 6] = [
    LEGEND,
    maps::SETTINGS,
    "CLASSES_ROOT",
    "CLASSES_NODES",
    "COUNTRIES_ROOT",
    "COUNTRIES_NODES",
];
/// The name of the map that holds the source map, likewise.
const SOURCE_MAP: &str = "SOURCE_MAP";
/// The name of the map that holds the interfaces by name, likewise.
const NAMED: &str = "NAMED";
/// How many bytes one element of a map of text holds.
const CHUNK: usize = 4096;
/// `BPF_F_MMAPABLE`: elements begin at a page, so that a line of a table is a cache line.
const MMAPABLE: u32 = 1 << 10;
/// `BPF_F_INNER_MAP`: arrays of different lengths may take turns in a map of maps.
const INNER_MAP: u32 = 1 << 12;

/// A map of a generation.
#[derive(Debug)]
pub(super) struct Part {
    /// The name of its pin.
    pub(super) pin: String,
    /// The map of maps that it goes into, and as which list there; readers' maps go into none.
    pub(super) outer: Option<(&'static str, Option<List>)>,
    /// The map.
    pub(super) map: Map,
}

impl Part {
    /// Its place in the map of maps, for a generation in `slot`.
    pub(super) fn place(&self, slot: u32) -> u32 {
        match self.outer {
            Some((_, Some(list))) => list.place(slot),
            _ => slot,
        }
    }
}

/// The generation whose tables a new one may share: where it is pinned, and what it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'a> {
    /// Its directory.
    pub directory: &'a Path,
    /// What it is made of.
    pub manifest: &'a Manifest,
}

/// Reads the manifest pinned in the directory of a generation.
pub fn manifest(directory: &Path) -> Result<Manifest, KernelError> {
    Ok(Manifest::from_bytes(&text(directory, MANIFEST)?)?)
}

/// Reads a manifest that a gate of another version of the map ABI pinned in the directory of a generation. New versions only add to it.
pub fn manifest_of_another(directory: &Path) -> Result<Manifest, KernelError> {
    Ok(Manifest::from_any(&text(directory, MANIFEST)?)?)
}

/// Reads the legend pinned in the directory of a generation.
pub fn legend(directory: &Path) -> Result<Legend, KernelError> {
    Ok(Legend::from_bytes(&text(directory, LEGEND)?)?)
}

/// Reads the source map pinned in the directory of a generation.
pub fn source_map(directory: &Path) -> Result<SourceMap, KernelError> {
    Ok(SourceMap::from_bytes(&text(directory, SOURCE_MAP)?)?)
}

/// Reads the interfaces by name, pinned in the directory of a generation.
pub fn named_interfaces(directory: &Path) -> Result<Vec<NamedInterface>, KernelError> {
    let bytes = text(directory, NAMED)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(serde_json::from_slice(text).map_err(ManifestError::Unreadable)?)
}

/// Reads the prefix lists pinned in the directory of a generation.
pub fn lists(directory: &Path) -> Result<Lists, KernelError> {
    Lists::try_new(|list| Ok(Arc::new(self::list(directory, list)?)))
}

/// Reads one of the prefix lists pinned in the directory of a generation.
pub fn list(directory: &Path, list: List) -> Result<Table, KernelError> {
    let [root, nodes] = list_pins(list).map(|pin| {
        let path = directory.join(pin);
        let lines = Map::open(&path, Access::Read).and_then(|map| map.read_all::<Line>());
        lines.map_err(|error| KernelError::Open { path, error })
    });
    Ok(Table::from_lines(root?, nodes?))
}

/// The interfaces and VLANs of the generation pinned in a directory.
pub fn interfaces(directory: &Path) -> Result<HashMap<InterfaceKey, Interface>, KernelError> {
    let open = |name| {
        let path = directory.join(name);
        Map::open(&path, Access::Read).map_err(|error| KernelError::Open { path, error })
    };
    let placed: Vec<PlacedInterface> = open(maps::INTERFACES)?
        .read_all()
        .map_err(KernelError::map(maps::INTERFACES, "read"))?;
    let displaced = open(maps::DISPLACED)?
        .entries()
        .map_err(KernelError::map(maps::DISPLACED, "read"))?;
    let placed = placed.into_iter().filter(|it| it.key.index != 0);
    Ok(placed
        .map(|it| (it.key, it.interface))
        .chain(displaced)
        .collect())
}

/// What the program reads of the generation pinned in a directory.
pub(super) fn pinned_parts(directory: &Path) -> Result<Vec<Part>, KernelError> {
    let whole = [
        maps::SETTINGS,
        maps::INTERFACES,
        maps::DISPLACED,
        maps::RULES,
    ]
    .map(|name| (name.to_owned(), (name, None)));
    let lists = List::ALL.into_iter().flat_map(|list| {
        let outers = [maps::ROOTS, maps::NODES].map(|outer| (outer, Some(list)));
        list_pins(list).into_iter().zip(outers)
    });
    whole
        .into_iter()
        .chain(lists)
        .map(|(pin, outer)| {
            let path = directory.join(&pin);
            match Map::open(&path, Access::Read) {
                Ok(map) => Ok(Part {
                    pin,
                    outer: Some(outer),
                    map,
                }),
                Err(error) => Err(KernelError::Open { path, error }),
            }
        })
        .collect()
}

/// The kernel's numbers for the two maps of a list: generations with the same table share them.
pub fn list_ids(directory: &Path, list: List) -> Result<[u32; 2], KernelError> {
    let [root, nodes] = list_pins(list).map(|pin| {
        let path = directory.join(pin);
        let id = Map::open(&path, Access::Read).map(|map| map.id());
        id.map_err(|error| KernelError::Open { path, error })
    });
    Ok([root?, nodes?])
}

/// The names of a list's two pins: its root and its nodes.
fn list_pins(list: List) -> [String; 2] {
    let name = list.name().to_uppercase();
    [format!("{name}_ROOT"), format!("{name}_NODES")]
}

fn text(directory: &Path, name: &'static str) -> Result<Vec<u8>, KernelError> {
    text_at(&directory.join(name))
}

/// The bytes in a map of text; what follows them is null.
pub(super) fn text_at(path: &Path) -> Result<Vec<u8>, KernelError> {
    let failed = |error| KernelError::Open {
        path: path.to_owned(),
        error,
    };
    let map = Map::open(path, Access::Read).map_err(failed)?;
    let mut bytes = Vec::new();
    for index in 0..map.spec().max_entries {
        let chunk: Option<[u8; CHUNK]> = map.lookup(&index).map_err(failed)?;
        bytes.extend(chunk.into_iter().flatten());
    }
    Ok(bytes)
}

/// The maps of a generation, read-only. Tables that `loaded` has too are shared with it.
pub(super) fn parts(
    plan: &Plan,
    index: &dyn Fn(&str) -> Option<u32>,
    loaded: Option<Loaded<'_>>,
) -> Result<Vec<Part>, KernelError> {
    let (placed, displaced) = places(plan.interfaces_by_key(index));
    let own = |name: &'static str, map| Part {
        pin: name.to_owned(),
        outer: Some((name, None)),
        map,
    };
    let settings = std::slice::from_ref(&plan.settings);
    let mut parts = vec![
        own(
            maps::SETTINGS,
            array::<Settings>(maps::SETTINGS, settings, 0)?,
        ),
        own(
            maps::INTERFACES,
            array::<PlacedInterface>(maps::INTERFACES, &placed, 0)?,
        ),
        own(maps::DISPLACED, hash(maps::DISPLACED, &displaced)?),
        own(
            maps::RULES,
            array::<Rule>(maps::RULES, &plan.rules, INNER_MAP)?,
        ),
    ];
    let mut made: HashMap<String, [Map; 2]> = HashMap::new();
    for (list, table) in plan.lists.iter() {
        let sha256 = table.sha256();
        let loaded = || loaded.and_then(|loaded| loaded_list(loaded, list, &sha256));
        let maps = match made.entry(sha256.clone()) {
            Entry::Occupied(same) => same.into_mut(),
            Entry::Vacant(new) => new.insert(match loaded() {
                Some(maps) => maps,
                None => list_maps(list, table)?,
            }),
        };
        let outers = [maps::ROOTS, maps::NODES].into_iter().zip(maps.iter());
        for (pin, (outer, map)) in list_pins(list).into_iter().zip(outers) {
            parts.push(Part {
                pin,
                outer: Some((outer, Some(list))),
                map: map.share().map_err(KernelError::map(outer, "shared"))?,
            });
        }
    }
    for (name, bytes) in [
        (MANIFEST, plan.manifest.to_bytes()?),
        (LEGEND, Legend::of(&plan.manifest).to_bytes()?),
        (SOURCE_MAP, plan.source_map.to_bytes()?),
        (
            NAMED,
            serde_json::to_vec(&plan.interfaces).map_err(ManifestError::Unreadable)?,
        ),
    ] {
        parts.push(Part {
            pin: name.to_owned(),
            outer: None,
            map: text_map(name, &bytes)?,
        });
    }
    Ok(parts)
}

/// The interfaces at their places, and those whose place another one has: ports go first, since each packet asks for its port.
fn places(
    interfaces: impl Iterator<Item = (InterfaceKey, Interface)>,
) -> (Vec<PlacedInterface>, Vec<(InterfaceKey, Interface)>) {
    let mut interfaces: Vec<_> = interfaces.collect();
    interfaces.sort_by_key(|(key, _)| key.vlan != InterfaceKey::PORT);
    let mut placed = vec![PlacedInterface::zeroed(); INTERFACE_PLACES as usize];
    let mut displaced = Vec::new();
    for (key, interface) in interfaces {
        match placed.get_mut(key.place() as usize) {
            Some(place) if place.key.index == 0 => *place = PlacedInterface { key, interface },
            _ => displaced.push((key, interface)),
        }
    }
    (placed, displaced)
}

/// The maps of the loaded generation's list, if it has the same table.
fn loaded_list(loaded: Loaded<'_>, list: List, sha256: &str) -> Option<[Map; 2]> {
    let size = loaded.manifest.lists.get(list.name())?;
    if size.sha256 != sha256 {
        return None;
    }
    // What cannot be opened is made anew, which costs memory and nothing else.
    let [root, nodes] =
        list_pins(list).map(|pin| Map::open(&loaded.directory.join(pin), Access::Read));
    Some([root.ok()?, nodes.ok()?])
}

fn list_maps(list: List, table: &Table) -> Result<[Map; 2], KernelError> {
    let make = |kind: &str, lines: &[Line], flags: u32| -> io::Result<Map> {
        let map = Map::create(
            &format!("{}_{kind}", list.name()),
            MapKind::Array,
            size_of::<u32>(),
            size_of::<Line>(),
            lines.len(),
            MMAPABLE | flags,
        )?;
        map.fill(lines)?;
        map.freeze()?;
        Ok(map)
    };
    let maps = || -> io::Result<[Map; 2]> {
        Ok([
            make("root", table.root(), 0)?,
            make("nodes", table.nodes(), INNER_MAP)?,
        ])
    };
    maps().map_err(|error| KernelError::Table {
        table: list.name().to_owned(),
        size: table.bytes(),
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
        size: size_of_val(values),
        error,
    })
}

fn hash(name: &str, entries: &[(InterfaceKey, Interface)]) -> Result<Map, KernelError> {
    let make = || -> io::Result<Map> {
        let map = Map::create(
            name,
            MapKind::Hash,
            size_of::<InterfaceKey>(),
            size_of::<Interface>(),
            entries.len().max(1),
            0,
        )?;
        for (key, interface) in entries {
            map.update(key, interface)?;
        }
        map.freeze()?;
        Ok(map)
    };
    make().map_err(|error| KernelError::Table {
        table: name.to_owned(),
        size: size_of_val(entries),
        error,
    })
}

/// A map of text with these bytes.
pub(super) fn text_map(name: &str, bytes: &[u8]) -> Result<Map, KernelError> {
    let chunks: Vec<[u8; CHUNK]> = bytes
        .chunks(CHUNK)
        .map(|chunk| {
            let mut filled = [0; CHUNK];
            filled
                .iter_mut()
                .zip(chunk)
                .for_each(|(to, from)| *to = *from);
            filled
        })
        .collect();
    array(name, &chunks, 0)
}
