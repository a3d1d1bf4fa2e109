//! The map of sources as memory: reading all of it by system calls for every row would take longer than all the rest.

use std::{io, ptr::NonNull};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use std::os::fd::{AsFd as _, AsRawFd as _};

/// Words of a set: four ways of eight words.
const SET: usize = 32;
const WAY: usize = 8;

/// What a way says: tag, address (two words), packets by verdict, first and last time (half a word each).
pub(super) type Source = [u64; WAY];

/// All sets.
pub(super) struct Sources {
    words: NonNull<u64>,
    length: usize,
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for Sources {}

impl Sources {
    pub(super) fn new(map: &MapData) -> Result<Self> {
        let info = map.info()?;
        ensure!(
            info.value_size() as usize == SET * 8,
            "a set has another size"
        );
        let length = info.max_entries() as usize * SET;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length * 8,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("cannot map the sources");
        }
        let words = NonNull::new(start.cast()).context("mapped to nowhere")?;
        Ok(Self { words, length })
    }

    /// What each way with a live tag says, with the lengths and the role in its tag.
    pub(super) fn live(&self) -> impl Iterator<Item = ([u8; 3], Source)> {
        (0..self.length).step_by(WAY).filter_map(|start| {
            let tag = self.word(start);
            // The uppermost bit says that the way holds something.
            (tag >> 63 == 1).then(|| {
                let [_, _, _, v4, v6, role, _, _] = tag.to_le_bytes();
                (
                    [v4, v6, role],
                    std::array::from_fn(|it| self.word(start + it)),
                )
            })
        })
    }

    fn word(&self, index: usize) -> u64 {
        assert!(index < self.length);
        // SAFETY: within the mapping.
        let word = unsafe { self.words.add(index) };
        // SAFETY: a word that the kernel writes whole.
        unsafe { word.read_volatile() }
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        let unmapped = unsafe { libc::munmap(self.words.as_ptr().cast(), self.length * 8) };
        debug_assert_eq!(unmapped, 0);
    }
}
