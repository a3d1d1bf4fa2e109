//! How much of the kernel's memory generations take, and how much they may.

mod limit;

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
};

pub use self::limit::Limit;
use crate::{
    error::Error,
    sys::{Access, Map},
};

/// The bytes of all maps that are pinned in the directories of generations, each map once: generations share the tables
/// that did not change. A directory that is not there has none.
pub fn of_generations(directories: &[&Path]) -> Result<u64, Error> {
    let maps = directories
        .iter()
        .try_fold(BTreeMap::new(), |mut maps, directory| {
            maps.extend(of_maps(directory)?);
            Ok(maps)
        });
    let maps = maps.map_err(Error::system("ask how much memory a generation takes"))?;
    Ok(maps.values().sum())
}

/// The bytes of each map by its number.
fn of_maps(directory: &Path) -> io::Result<BTreeMap<u32, u64>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut bytes = BTreeMap::new();
    for entry in entries {
        // Another process may be retiring the generation.
        match Map::open(&entry?.path(), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            map => {
                let map = map?;
                bytes.insert(map.id(), of_map(&map)?);
            }
        }
    }
    Ok(bytes)
}

fn of_map(map: &Map) -> io::Result<u64> {
    let page = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd()))?;
    memlock(&page).ok_or_else(|| io::Error::other("no line `memlock:` about a map"))
}

/// The kernel's own account: `memlock` is the memory that a map uses, or would be charged for, since Linux 4.10.
fn memlock(page: &str) -> Option<u64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix("memlock:"))?;
    line.trim().parse().ok()
}

/// So many bytes, as people read them.
#[must_use]
pub fn human(bytes: u64) -> String {
    let tenths = (bytes * 10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernel_s_page_of_a_map() {
        let page = "pos:\t0\nmap_type:\t2\nmap_flags:\t0x0\nmemlock:\t4096\nmap_id:\t7\n";
        assert_eq!(memlock(page), Some(4096));
        assert_eq!(memlock("pos:\t0\n"), None);
    }

    #[test]
    fn mebibytes_have_one_digit_after_the_point() {
        for (bytes, text) in [(0, "0.0 MiB"), (1 << 20, "1.0 MiB"), (3 << 19, "1.5 MiB")] {
            assert_eq!(human(bytes), text);
        }
    }
}
