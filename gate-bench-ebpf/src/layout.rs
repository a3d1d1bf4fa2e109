//! What the benchmark's programs and their loader agree on. Both compile this file; it knows neither of them.

use bytemuck::{Pod, Zeroable};

/// What a run starts from, and what it leaves behind: the only element of the map `CONTROL`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Control {
    /// The first address of the set in the map `ADDRESSES`.
    pub(crate) base: u32,
    /// One less than how many addresses the set has, a power of two.
    pub(crate) mask: u32,
    /// The next address, counted from `base` and wrapped by `mask`.
    pub(crate) cursor: u32,
    /// Where the table is in `ROOTS` and `NODES`, and the trie in `LPM4_SLOTS` and `LPM6_SLOTS`.
    pub(crate) place: u32,
    /// 0, which the compiler does not know: what an address takes from the answer before.
    pub(crate) zero: u32,
    /// Always 0.
    pub(crate) reserved: u32,
    /// The sum of all answers.
    pub(crate) sum: u64,
    /// Something of every line that was swept through.
    pub(crate) swept: u64,
}

/// How many look-ups a warm program does in one run.
pub(crate) const BATCH: u32 = 1024;
/// How many places there are for tables and tries: two, as in a swap.
pub(crate) const PLACES: u32 = 2;
/// How many lines are swept through before a rare look-up: 8 MiB.
pub(crate) const SWEPT_LINES: u32 = 1 << 17;
/// How many rare look-ups are remembered one by one.
pub(crate) const ELAPSED: u32 = 1 << 10;
