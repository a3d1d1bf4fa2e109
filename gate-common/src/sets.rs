//! Set-associative tables: what is known of many addresses, in bounded memory, without a lock.
//!
//! An address has one set that it can be in, and one of its [`WAYS`] ways that is tried first, by a hash. A way is a tag and what is kept, and the
//! ways of a source are a cache line each, so that one line is all that is read of most addresses that are there. There is nothing to allocate, no list to
//! keep in order and no lock to wait for: a flood of addresses that never come again costs little more than one of those that are known.
//!
//! Who makes room is who was seen least. A tag counts up to three packets beyond the first ([`Tag::heat`]). A new address takes a free way or a cold
//! one; where all are warm, all of them cool down, and the new address gets in a few packets later, if it goes on. So it is each other that addresses
//! drive out that come once, as forged ones do, and not those that were at work before. Warmth does not fade with time: the owner of a table says what is
//! *spent*, which is what makes room before anything that still counts. (The idea is that of the clock with a count, GCLOCK; A. J. Smith,
//! "Sequentiality and prefetching in database systems", 1978.)
//!
//! CPUs work on a set at the same time. A tag is replaced by compare-and-swap only, and a way is filled while its tag says
//! [`Tag::BUSY`]. What can go wrong, and is accepted: two CPUs that meet a new address at once can make two ways of it, of which the first is
//! used from then on; and an event that was on its way to a way that became another address's meanwhile counts for that one, or for none.

use bytemuck::{Pod, Zeroable};

use crate::Addr;

/// How many addresses a set has room for; a power of two.
pub const WAYS: usize = 4;

/// What three octets the owner of a table has to tell apart for one address: what the entry is for, prefix lengths.
pub type Kind = [u8; 3];

/// A word that says what a way holds; 0 is a free way.
///
/// From the lowest bit up: 24 bits of the address's hash, 24 of its [`Kind`], 2 of heat, two marks.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Tag(pub u64);

impl Tag {
    /// A way that nobody has.
    pub const FREE: Self = Self(0);
    /// A way that somebody is filling.
    pub const BUSY: Self = Self(1 << 62);
    const LIVE: u64 = 1 << 63;
    const WARMTH: u64 = 1 << 48;
    const HEAT: u64 = 3 * Self::WARMTH;

    /// Of an address that was just seen for the first time.
    #[inline(always)]
    #[must_use]
    pub const fn new(hash: Hash, kind: Kind) -> Self {
        let [a, b, c] = kind;
        let kind = (a as u64) | (b as u64) << 8 | (c as u64) << 16;
        Self(Self::LIVE | kind << 24 | (hash.0 >> 40))
    }

    /// Whether it is `other`, however warm.
    #[inline(always)]
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
        (self.0 ^ other.0) & !Self::HEAT == 0
    }

    /// Whether the way holds something.
    #[inline(always)]
    #[must_use]
    pub const fn is_live(self) -> bool {
        self.0 & Self::LIVE != 0
    }

    /// How often the address was seen since the first time, and since it last cooled down: from 0 to 3.
    #[inline(always)]
    #[must_use]
    pub const fn heat(self) -> u64 {
        (self.0 & Self::HEAT) / Self::WARMTH
    }

    /// What the entry is for.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "octets are cut out of a word"
    )]
    pub const fn kind(self) -> Kind {
        [
            (self.0 >> 24) as u8,
            (self.0 >> 32) as u8,
            (self.0 >> 40) as u8,
        ]
    }
}

/// The hash of an address and a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash(u64);

impl Hash {
    /// With a `seed` that nobody outside knows, nobody outside can choose addresses that share a set. (Multiply and fold, as in `MurmurHash3`'s finaliser.)
    #[inline(always)]
    #[must_use]
    pub const fn new(seed: u64, Addr { hi, lo }: Addr, kind: Kind) -> Self {
        let [a, b, c] = kind;
        let kind = (a as u64) | (b as u64) << 8 | (c as u64) << 16;
        let hash = mixed(seed ^ kind ^ hi);
        Self(mixed(hash ^ lo))
    }

    /// The set, out of `sets`, a power of two.
    #[inline(always)]
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the lower bits are what is wanted"
    )]
    pub const fn set(self, sets: u32) -> u32 {
        self.0 as u32 & (sets - 1)
    }

    /// The way that is tried in this turn.
    #[inline(always)]
    const fn way(self, turn: usize) -> usize {
        ((self.0 >> 32) as usize + turn) % WAYS
    }
}

#[inline(always)]
const fn mixed(word: u64) -> u64 {
    let word = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ word >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ word >> 33
}

/// A set that several CPUs work on. Ways count below [`WAYS`].
pub trait Set {
    /// The tag of a way, read whole.
    fn tag(&self, way: usize) -> Tag;
    /// Stores `new` in the tag of a way if that is `old`; what it was. Nothing is reordered around it.
    fn replace(&self, way: usize, old: Tag, new: Tag) -> Tag;
    /// The address that a way holds.
    fn address(&self, way: usize) -> Addr;
}

/// The way that holds `address`, under the tag that [`Tag::new`] makes of it. It has been seen once more.
#[inline(always)]
pub fn find(set: &impl Set, hash: Hash, wanted: Tag, address: Addr) -> Option<usize> {
    for turn in 0..WAYS {
        let way = hash.way(turn);
        let tag = set.tag(way);
        if tag.is(wanted) && set.address(way) == address {
            if tag.heat() < 3 {
                // Where another CPU changed the tag first it is warm enough, or gone.
                set.replace(way, tag, Tag(tag.0 + Tag::WARMTH));
            }
            return Some(way);
        }
    }
    None
}

/// A way that was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The way, which is the caller's until it calls [`publish`].
    pub way: usize,
    /// Whether it held something that meant anything still.
    pub evicted: bool,
}

/// A way for an address that has none: one that is free, or `is_spent`, or cold. None where all are in use, or another CPU was faster.
#[inline(always)]
pub fn claim(set: &impl Set, hash: Hash, is_spent: impl Fn(usize) -> bool) -> Option<Claimed> {
    let (mut spent, mut cold) = (None, None);
    for turn in 0..WAYS {
        let way = hash.way(turn);
        let tag = set.tag(way);
        if tag == Tag::FREE && is_taken(set, way, tag) {
            return Some(Claimed {
                way,
                evicted: false,
            });
        }
        if tag.is_live() && is_spent(way) {
            spent = Some((way, tag));
        } else if tag.is_live() && tag.heat() == 0 {
            cold = Some((way, tag));
        }
    }
    if let Some((way, tag)) = spent {
        return is_taken(set, way, tag).then_some(Claimed {
            way,
            evicted: false,
        });
    }
    if let Some((way, tag)) = cold {
        return is_taken(set, way, tag).then_some(Claimed { way, evicted: true });
    }
    // All alike, so that those who are gone are cold first, whichever way the newcomer tries first.
    for turn in 0..WAYS {
        let way = hash.way(turn);
        let tag = set.tag(way);
        if tag.is_live() && tag.heat() > 0 {
            set.replace(way, tag, Tag(tag.0 - Tag::WARMTH));
        }
    }
    None
}

/// Takes the way, if its tag is still `tag`.
#[inline(always)]
fn is_taken(set: &impl Set, way: usize, tag: Tag) -> bool {
    set.replace(way, tag, Tag::BUSY) == tag
}

/// Hands a way that was claimed, and has been filled, to everybody.
#[inline(always)]
pub fn publish(set: &impl Set, way: usize, tag: Tag) {
    set.replace(way, Tag::BUSY, tag);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finaliser_is_that_of_murmurhash3() {
        for (word, mixed_word) in [
            (0, 0),
            (1, 0xb456_bcfc_34c2_cb2c),
            (2, 0x3abf_2a20_6506_83e7),
            (0xdead_beef, 0xd24b_d59f_862a_1dac),
        ] {
            assert_eq!(mixed(word), mixed_word, "{word:x}");
        }
    }

    #[test]
    fn every_way_is_tried_once_and_each_is_somebodys_first() {
        let mut first = [0u32; WAYS];
        for lo in 0..1_000 {
            let hash = Hash::new(0, Addr { hi: 0, lo }, [0; 3]);
            let mut tried = [false; WAYS];
            for turn in 0..WAYS {
                tried[hash.way(turn)] = true;
            }
            assert_eq!(tried, [true; WAYS], "{lo}");
            first[hash.way(0)] += 1;
        }
        assert!(first.iter().all(|it| *it > 200), "{first:?}");
    }
}
