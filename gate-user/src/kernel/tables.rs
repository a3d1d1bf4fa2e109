//! The tables of a generation as maps of their own, read-only once they are filled.

use std::{io, path::Path};

use gate_common::abi::{Interface, PrefixKey, Rule, Settings, maps};

use super::KernelError;
use crate::{
    generation::{Manifest, Plan, PrefixTable},
    sys::{Access, Map, MapKind},
};

/// The name of the map that holds the manifest, beside the tables of its generation.
pub(super) const MANIFEST: &str = "MANIFEST";
/// How many bytes of the manifest one element holds.
const MANIFEST_CHUNK: usize = 4096;
/// `BPF_F_NO_PREALLOC`, which the kernel wants of LPM tries.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_INNER_MAP`: arrays of different lengths may take turns in a map of maps.
const INNER_MAP: u32 = 1 << 12;

/// Reads the manifest pinned in the directory of a generation.
pub fn manifest(directory: &Path) -> Result<Manifest, KernelError> {
    let path = directory.join(MANIFEST);
    let map = Map::open(&path, Access::Read).map_err(|error| KernelError::Open { path, error })?;
    let mut bytes = Vec::new();
    for index in 0..map.spec().max_entries {
        let chunk: Option<[u8; MANIFEST_CHUNK]> = map
            .lookup(&index)
            .map_err(KernelError::map(MANIFEST, "read"))?;
        bytes.extend(chunk.into_iter().flatten());
    }
    Ok(Manifest::from_bytes(&bytes)?)
}

/// The tables of a generation as read-only maps, in the order of [`maps::SLOTTED`].
pub(super) fn inner_maps(
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

pub(super) fn manifest_map(plan: &Plan) -> Result<Map, KernelError> {
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
