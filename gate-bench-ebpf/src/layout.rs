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

/// What the frames get that are sent live: the only element of the map `SENDER`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Sender {
    /// As in [`Control`].
    pub(crate) base: u32,
    pub(crate) mask: u32,
    pub(crate) cursor: u32,
    /// The sum of the words of an IPv4 header without its source and its checksum.
    pub(crate) header: u32,
}

/// What became of the frames that arrived: the only element of the map `JUDGED`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Judged {
    /// As in [`Control`].
    pub(crate) place: u32,
    /// The right answer, where all frames have the same.
    pub(crate) expected: u32,
    /// How many frames were judged, and how many of them with the right answer.
    pub(crate) frames: u64,
    pub(crate) right: u64,
    /// The sum of all answers.
    pub(crate) sum: u64,
}

/// Where live frames go to. Whatever else is on the link is not judged.
pub(crate) const PORT: u16 = 587;

/// How many look-ups a warm program does in one run.
pub(crate) const BATCH: u32 = 1024;
/// How many places there are for tables and tries: two, as in a swap.
pub(crate) const PLACES: u32 = 2;
/// How many lines are swept through before a rare look-up: 8 MiB.
pub(crate) const SWEPT_LINES: u32 = 1 << 17;
/// How many rare look-ups are remembered one by one.
pub(crate) const ELAPSED: u32 = 1 << 10;

/// Which sources packets have, and where in their row a CPU is: the element of the map `SOURCES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Sources {
    /// How many packets this CPU has made.
    pub(crate) cursor: u64,
    /// How many sources there are. Not a multiple of [`STRIDE`].
    pub(crate) count: u64,
    /// How far one is from the next.
    pub(crate) apart: u64,
    /// The first address, as a number.
    pub(crate) first: u32,
    /// Always 0.
    pub(crate) reserved: u32,
}

/// A prime: from one packet's source to the next it is so many sources, so that each comes up once before one comes up again, and memory
/// is not read in the order in which it lies.
pub(crate) const STRIDE: u64 = 2_654_435_761;

/// What a frame is made again: the only element of the map `TEMPLATE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(crate) struct Template {
    /// How many octets it has, an even number.
    pub(crate) length: u32,
    /// Its octets, two by two.
    pub(crate) words: [u16; TEMPLATE_WORDS],
}

/// The longest frame that is made again, in words: a TCP segment of IPv6 without options or extension headers.
pub(crate) const TEMPLATE_WORDS: usize = 38;

/// The two halves of the source address that a random number stands for: one of 4096, the upper half of each of 64 addresses in one of
/// 64 networks.
pub(crate) const fn source(random: u32) -> [u16; 2] {
    let [network, host, ..] = (random & 0x3f3f).to_le_bytes();
    [0x6440 | network as u16, 0x1080 | host as u16]
}
