//! The elements of a map as memory.

use std::{
    ffi::c_void, io, num::NonZero, os::fd::BorrowedFd, ptr::NonNull, slice, sync::atomic::AtomicU64,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Reading and writing: the kernel maps for both or not at all.
const WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

/// Memory of a map, for as long as this lives.
pub(super) struct Mapping {
    start: NonNull<c_void>,
    length: NonZero<usize>,
}

impl Mapping {
    /// The first `length` bytes of the map's elements; nothing if that is none.
    pub(super) fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Option<Self>> {
        let Some(length) = NonZero::new(length) else {
            return Ok(None);
        };
        // SAFETY: a new mapping, at an address of the kernel's choice, takes no memory away from anybody.
        let start = unsafe { mmap(None, length, WRITE, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Some(Self { start, length }))
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is that long, readable and writable, and this is the only reference to it.
        unsafe { slice::from_raw_parts_mut(self.start.cast().as_ptr(), self.length.get()) }
    }
}

/// The elements of a map as words that programs and other processes write as well.
pub struct Shared(Option<Mapping>);

impl Shared {
    pub(super) fn new(map: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Ok(Self(Mapping::new(map, length)?))
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        let Some(Mapping { start, length }) = &self.0 else {
            return &[];
        };
        // SAFETY: the mapping is that long, readable and writable, begins at a page, and lives as long as `self`; whoever else writes to it does so
        // in words, and atomics may be shared.
        unsafe {
            slice::from_raw_parts(start.cast().as_ptr(), length.get() / size_of::<AtomicU64>())
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no reference to it outlives this.
        let unmapped = unsafe { munmap(self.start, self.length.get()) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}
