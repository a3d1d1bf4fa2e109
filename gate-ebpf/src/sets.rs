//! Sets of [`gate_common::sets`] in maps: pointers to what all CPUs write.

use bytemuck::Pod;
use gate_common::{
    Addr,
    sets::{Claimed, Hash, Kind, Set, Tag, WAYS, claim, find, publish},
};

use crate::words;

/// A set in a map: ways of type `W`, which begin with a [`Header`].
#[derive(Clone, Copy)]
struct Pointed<W> {
    ways: *mut W,
}

/// What every way begins with.
#[repr(C)]
struct Header {
    tag: Tag,
    address: Addr,
}

/// Where an address is.
pub(crate) struct Place<W> {
    set: Pointed<W>,
    tag: Tag,
    hash: Hash,
    address: Addr,
}

/// The place of `address` in the set of `sets` that `set` gives a pointer to, if that is one.
#[inline(always)]
pub(crate) fn place<W: Pod, S>(
    seed: u64,
    address: Addr,
    kind: Kind,
    sets: u32,
    set: impl FnOnce(u32) -> Option<*mut S>,
) -> Option<Place<W>> {
    const {
        assert!(size_of::<S>() == size_of::<[W; WAYS]>());
        assert!(size_of::<W>() >= size_of::<Header>() && align_of::<W>() == align_of::<Header>());
    }
    let hash = Hash::new(seed, address, kind);
    Some(Place {
        set: Pointed {
            ways: set(hash.set(sets))?.cast(),
        },
        tag: Tag::new(hash, kind),
        hash,
        address,
    })
}

impl<W: Pod> Place<W> {
    /// The way of the address, if it has one. It stays readable and writable until the program ends; other CPUs write it too, and it can become another
    /// address's.
    #[inline(always)]
    pub(crate) fn find(&self) -> Option<*mut W> {
        let way = find(&self.set, self.hash, self.tag, self.address)?;
        // SAFETY: `way` is one of the set's.
        Some(unsafe { self.set.ways.add(way) })
    }

    /// A way for the address, filled by `fill`, which has to write all of it but for the tag. Ways that are `spent` make room first. None where there
    /// was no way to be had; else, whether somebody was evicted.
    #[inline(always)]
    pub(crate) fn make(
        &self,
        spent: impl Fn(&W) -> bool,
        fill: impl FnOnce(&mut W),
    ) -> Option<bool> {
        // SAFETY: ways count below the number of ways.
        let at = |way: usize| unsafe { self.set.ways.add(way) };
        // SAFETY: words of the map, which other CPUs may be writing: then the claim fails.
        let Claimed { way, evicted } =
            claim(&self.set, self.hash, |way| spent(unsafe { &*at(way) }))?;
        // SAFETY: the way is this program's alone until it is handed out.
        fill(unsafe { &mut *at(way) });
        publish(&self.set, way, self.tag);
        Some(evicted)
    }
}

impl<W> Pointed<W> {
    #[inline(always)]
    fn header(&self, way: usize) -> *mut Header {
        // SAFETY: ways count below the number of ways.
        unsafe { self.ways.add(way) }.cast()
    }
}

impl<W: Pod> Set for Pointed<W> {
    #[inline(always)]
    fn tag(&self, way: usize) -> Tag {
        let header = self.header(way);
        // SAFETY: a word of the map.
        let tag = unsafe { &raw const (*header).tag };
        // SAFETY: read whole.
        unsafe { tag.read_volatile() }
    }

    #[inline(always)]
    fn replace(&self, way: usize, old: Tag, new: Tag) -> Tag {
        let header = self.header(way);
        // SAFETY: a word of the map.
        let Tag(tag) = unsafe { &mut (*header).tag };
        Tag(words::compare_exchange(tag, old.0, new.0))
    }

    #[inline(always)]
    fn address(&self, way: usize) -> Addr {
        let header = self.header(way);
        // SAFETY: words of the map.
        let address = unsafe { &raw const (*header).address };
        // SAFETY: another CPU may be writing them, and then says so in the tag.
        unsafe { address.read_volatile() }
    }
}
