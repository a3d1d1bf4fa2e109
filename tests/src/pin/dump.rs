//! What is in a map, octet by octet.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::Path,
};

use anyhow::{Context as _, Result};

use super::{command, get, id};

const MAP_LOOKUP: libc::c_long = 1;
const MAP_NEXT_KEY: libc::c_long = 4;
/// `BPF_MAP_TYPE_*` whose elements have a value for each CPU: hash, array, least recently used.
const PER_CPU: [u32; 3] = [5, 6, 10];

#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    /// Or the next key.
    value: u64,
    flags: u64,
}

/// Every key of the map pinned at `path`, with its values, one after the other. An array has its place as key, which is left out.
pub fn dump(path: &Path) -> Result<Vec<u8>> {
    const ARRAYS: [u32; 3] = [2, 6, 12];
    let map = get(path)?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd()))?;
    let size = |name: &str| id(&info, name).with_context(|| format!("no {name} in {info}"));
    let kind = size("map_type:")?;
    let key_size = size("key_size:")? as usize;
    let mut value_size = size("value_size:")? as usize;
    if PER_CPU.contains(&kind) {
        value_size = value_size.next_multiple_of(8) * possible_cpus()?;
    }
    let mut dumped = Vec::new();
    let mut key: Option<Vec<u8>> = None;
    loop {
        let mut next = vec![0u8; key_size];
        let from = key.as_ref().map_or(0, |it| it.as_ptr() as u64);
        match element(&map, MAP_NEXT_KEY, from, &mut next) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(dumped),
            result => result.with_context(|| format!("cannot list {}", path.display()))?,
        }
        let mut value = vec![0u8; value_size];
        match element(&map, MAP_LOOKUP, next.as_ptr() as u64, &mut value) {
            // It went away meanwhile, or is a place of an array of maps that is free.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            result => {
                result.with_context(|| format!("cannot read {}", path.display()))?;
                if !ARRAYS.contains(&kind) {
                    dumped.extend_from_slice(&next);
                }
                dumped.append(&mut value);
            }
        }
        key = Some(next);
    }
}

/// For how many CPUs the kernel writes a value: one more than the number of the last one, of `0-3` or `0`.
fn possible_cpus() -> Result<usize> {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = possible
        .trim()
        .rsplit(['-', ','])
        .next()
        .unwrap_or_default();
    let last: usize = last
        .parse()
        .with_context(|| format!("which CPUs are {possible}"))?;
    Ok(last + 1)
}

fn element(map: &OwnedFd, number: libc::c_long, key: u64, value: &mut [u8]) -> io::Result<()> {
    let mut element = Element {
        map: u32::try_from(map.as_raw_fd()).map_err(io::Error::other)?,
        padding: 0,
        key,
        value: value.as_mut_ptr() as u64,
        flags: 0,
    };
    command(number, &mut element).map(drop)
}
