//! Prefix tables: from an address to a small number, longest prefix wins, in a bounded number of plain loads.
//!
//! Every prefix list of a generation is such a table. The loader has worked out which addresses have which number, so
//! that no prefix is left to compare with: a table is a multibit trie over *runs* of addresses with one number each, cut
//! into lines of one cache line.
//!
//! ```text
//! root       IPv4: bits 0 to 16 of the address    IPv6 in 2000::/3: bits 3 to 16    other IPv6: one entry, from bit 0
//!            -> u32: kind in the upper two bits; a number, or a line of the nodes, in the others
//! shortcuts  IPv6 in 2000::/3: the /40s with several numbers, hashed into lines of eight
//!            -> u64: bits 3 to 40 of the address, and a line of the nodes that goes on from there
//! nodes      Node     bits: bit b is set where a run of the next byte b begins; ranks: runs before each word of bits;
//!                     answers: numbers, or CHILD and which of the consecutive lines from `children` goes on
//!            Runs     where each of up to seven runs begins, whatever its length: upper halves of addresses
//!            Runs128  the same for up to four runs: whole addresses
//!            Chunk    five lines: an answer of one byte for each value of the next byte; ESCAPE: ask the fifth line, which
//!                     ranks like a node, and whose children are nodes
//!            Fan      256 lines, one for each value of the next byte
//! ```
//!
//! A node with at most [`INLINE`] runs has its answers in its own line. A number too large for a chunk's byte goes
//! through [`ESCAPE`] to a node. A /40 for which its line of shortcuts had no room is found by the root like any other.
//! Look-ups end: each step takes a byte of the address, which has sixteen.
//!
//! # Why this
//!
//! A look-up costs the lines that it must load one after another: some nanoseconds each where they are cached, a hundred and
//! more where they are not, as for a gate that sees a SYN now and then. Instructions hardly count. The kernel's own trie
//! (`kernel/bpf/lpm_trie.c`) loads a node for every bit in which prefixes differ.
//!
//! Compressed nodes come from Poptrie (Asai and Ohara, SIGCOMM 2015), with cumulative counts, so that a node takes eight
//! bits, from CP-Trie (Islam and Khan, HPSR 2021). What differs here saves loads: answers in the node's own line; lines of
//! runs, which end a chain of nodes with one child each; chunks, because a /16 of IPv4 that countries split has dozens of
//! runs, for which a node needs a second line; fans, because the /16s of IPv6 that registries allocate from are split
//! nearly everywhere below; shortcuts, because most runs of IPv6 lie three and more levels down.
//!
//! Measured in the kernel on a country database of 1.4 million networks, addresses uniform over runs. The kernel's trie takes
//! 15 to 30 times as long warm, and 5 to 8 times as long with cold caches (`cargo xtask bench` measures that again). Of
//! prototypes of other structures:
//!
//! * DIR-24-8 takes 34 MB for IPv4 and waits for the TLB: 1.4 times as long, and 5 times where addresses are uniform over
//!   the space.
//! * DXR (Zec, Rizzo and Mikuc, 2012) searches ranges by halves, each a branch that cannot be foretold: twice as long.
//!   The verifier does not follow all its states: a /16 can hold 7,540 ranges.
//! * Nodes alone, without chunks: as long with a million addresses in use, half as long again with cold caches.
//! * Without shortcuts, IPv6 takes 1.2 to 1.7 times as long.
//! * One large value in place of lines spares bounds checks, but cannot be sized to its content.

#![expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "every index is a constant or was reduced to the length of its array, which spares the kernel a panic; what is \
              cut off is never part of the value"
)]

use core::hint::black_box;

use bytemuck::must_cast_ref;

use crate::Addr;

/// 64 bytes: a cache line, and the value of the tables' maps. Fields are in host byte order.
pub type Line = [u64; 8];

/// How many lines the root of every table has, shortcuts included.
pub const ROOT_LINES: usize = (SHORTCUTS + (1 << SHORTCUT_BITS)) as usize;
/// How many entries of the root are in a line.
pub const ENTRIES: usize = 16;
/// The root entry of the first /16 of `2000::/3`; those of IPv4 come before.
pub const V6: u32 = 1 << 16;
/// The root entry of IPv6 outside of `2000::/3`.
pub const ELSEWHERE: u32 = V6 + (1 << 13);

/// The first line of the shortcuts.
const SHORTCUTS: u32 = 1 + ELSEWHERE / ENTRIES as u32;
/// How many bits of the hash choose the line. Databases have some 12,000 split /40s, three to a line.
const SHORTCUT_BITS: u32 = 12;
/// How many bits of a shortcut are the line that it leads to.
const SHORTCUT_LINE: u32 = 27;

/// The largest number that a table can hold. 0 is "nothing".
pub const MAX_NUMBER: u16 = CHILD - 1;
/// In an answer of a node: the rest of it is not a number but the place among the node's children.
pub const CHILD: u16 = 1 << 15;
/// How many answers a node has room for in its own line.
pub const INLINE: usize = 10;
/// How many runs fit a line of [`KIND_RUNS`].
pub const RUNS: usize = 7;
/// How many runs fit a line of [`KIND_RUNS128`].
pub const RUNS128: usize = 4;
/// A byte of a chunk: the answer is in a node.
pub const ESCAPE: u8 = u8::MAX;
/// How many lines of a chunk hold its bytes; the next one ranks the escapes.
pub const CHUNK_LINES: u32 = 4;

/// The first byte of a line that is a node; as the rank of the first word of bits, it is also right.
pub const KIND_NODE: u8 = 0;
/// The first byte of a line of runs, upper halves of addresses.
pub const KIND_RUNS: u8 = 1;
/// The first byte of a line of runs, whole addresses.
pub const KIND_RUNS128: u8 = 2;

/// Where in a node, in units of `u8`, the runs before each word of its bits are.
pub const RANKS_AT: usize = 0;
/// Where in a node, in units of `u32`, the place of its answers is.
pub const ANSWERS_AT: usize = 1;
/// Where in a node, in units of `u64`, its bits are.
pub const BITS_AT: usize = 1;
/// Where in a node, in units of `u32`, its first child is.
pub const CHILDREN_AT: usize = 10;
/// Where in a node, in units of `u16`, the answers in its own line are.
pub const INLINE_AT: usize = 22;
/// Where in a line of runs, in units of `u64`, the first address of each run but the first is.
pub const STARTS_AT: usize = 1;

/// What an entry of the root stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One number for all addresses.
    Number(u16),
    /// A node, or a line of runs.
    Node(u32),
    /// A chunk.
    Chunk(u32),
    /// A fan.
    Fan(u32),
}

const KIND: u32 = 30;
const NODE: u32 = 1;
const CHUNK: u32 = 2;
const FAN: u32 = 3;
const TARGET: u32 = (1 << KIND) - 1;

impl Entry {
    /// The word in the root.
    #[must_use]
    pub const fn word(self) -> u32 {
        match self {
            Self::Number(number) => number as u32,
            Self::Node(line) => (NODE << KIND) | (line & TARGET),
            Self::Chunk(line) => (CHUNK << KIND) | (line & TARGET),
            Self::Fan(line) => (FAN << KIND) | (line & TARGET),
        }
    }

    /// What a word in the root says.
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u32) -> Self {
        let target = word & TARGET;
        match word >> KIND {
            NODE => Self::Node(target),
            CHUNK => Self::Chunk(target),
            FAN => Self::Fan(target),
            _ => Self::Number((target & 0xffff) as u16),
        }
    }
}

/// Wherever the lines of a table are.
pub trait Lines {
    /// How a line is held on to.
    type Line: core::ops::Deref<Target = Line>;
    /// A line of the root, below [`ROOT_LINES`].
    fn root(&self, index: u32) -> Option<Self::Line>;
    /// A line of the nodes.
    fn node(&self, index: u32) -> Option<Self::Line>;
}

/// The number of `addr`; 0 is nothing. Where lines are missing, which no loader leaves out, there is nothing either.
#[inline(always)]
#[must_use]
pub fn lookup<L: Lines>(lines: &L, addr: Addr) -> u16 {
    walk(lines, addr).unwrap_or(0)
}

#[inline(always)]
fn walk<L: Lines>(lines: &L, addr: Addr) -> Option<u16> {
    let Start { index, key, rest } = start(addr);
    let root = lines.root(index / ENTRIES as u32)?;
    let word = words(&root)[index as usize % ENTRIES];
    // The shortcuts are asked for here, before the entry has said whether they are needed: neither line then waits for
    // the other on its way from memory.
    let shortcuts = if index < V6 || index == ELSEWHERE {
        None
    } else {
        let line = lines.root(shortcut_line(key.hi))?;
        Some((black_box(line[0]), line))
    };
    let entry = Entry::of(word);
    let shortcut = match (entry, shortcuts) {
        (Entry::Number(number), _) => return Some(number),
        (_, Some((first, line))) => shortcut(first, &line, key.hi),
        (_, None) => 0,
    };
    let (mut line, mut rest) = match (shortcut, entry) {
        (0, Entry::Node(line)) => (line, rest),
        (0, Entry::Fan(line)) => {
            let (byte, rest) = rest.next();
            (line.wrapping_add(byte), rest)
        }
        (0, Entry::Chunk(line)) => {
            let (byte, rest) = rest.next();
            let values = lines.node(line.wrapping_add(byte >> 6))?;
            let value = octets(&values)[byte as usize % 64];
            if value != ESCAPE {
                return Some(value.into());
            }
            let node = lines.node(line.wrapping_add(CHUNK_LINES))?;
            (children(&node).wrapping_add(rank(&node, byte)), rest)
        }
        (0, Entry::Number(number)) => return Some(number),
        (line, _) => (line, Rest::after(key, SHORTCUT_LENGTH)),
    };
    for _ in 0..16 {
        let node = lines.node(line)?;
        let answer = match octets(&node)[0] {
            KIND_NODE => {
                let (byte, after) = rest.next();
                rest = after;
                let rank = rank(&node, byte);
                match words(&node)[ANSWERS_AT] {
                    0 => halves(&node)[(INLINE_AT + rank as usize) % 32],
                    answers => {
                        let place = answers.wrapping_add(rank);
                        halves(&*lines.node(place >> 5)?)[place as usize % 32]
                    }
                }
            }
            KIND_RUNS => return Some(among_runs(&node, key.hi)),
            _ => return Some(among_runs128(&node, key)),
        };
        if answer & CHILD == 0 {
            return Some(answer);
        }
        line = children(&node).wrapping_add(u32::from(answer & !CHILD));
    }
    None
}

/// How many bits of an address a shortcut skips.
pub const SHORTCUT_LENGTH: u32 = 40;

/// The line of the root that has the shortcut for this address, if there is one: by multiplicative hashing with the
/// golden ratio (Knuth, The Art of Computer Programming, volume 3, section 6.4).
#[inline(always)]
#[must_use]
pub const fn shortcut_line(hi: u64) -> u32 {
    let hash = (hi >> (64 - SHORTCUT_LENGTH)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    SHORTCUTS + (hash >> (64 - SHORTCUT_BITS)) as u32
}

/// The shortcut for this address: all but the first three bits before [`SHORTCUT_LENGTH`], and the line.
#[must_use]
pub const fn shortcut_word(hi: u64, line: u32) -> u64 {
    (shortcut_key(hi) << SHORTCUT_LINE) | line as u64
}

#[inline(always)]
const fn shortcut_key(hi: u64) -> u64 {
    (hi << 3) >> (64 - SHORTCUT_LENGTH + 3)
}

/// The line that the shortcut for this address leads to; 0 is none. `first` is the first of the shortcuts in their line.
/// Without a branch, as in [`among_runs`].
#[inline(always)]
fn shortcut(first: u64, shortcuts: &Line, hi: u64) -> u32 {
    let key = shortcut_key(hi);
    let [_, rest @ ..] = shortcuts;
    let found = meant(first, key)
        | meant(rest[0], key)
        | meant(rest[1], key)
        | meant(rest[2], key)
        | meant(rest[3], key)
        | meant(rest[4], key)
        | meant(rest[5], key)
        | meant(rest[6], key);
    (found & ((1 << SHORTCUT_LINE) - 1)) as u32
}

/// The shortcut, if it is for this key; else 0.
#[inline(always)]
const fn meant(shortcut: u64, key: u64) -> u64 {
    shortcut & less((shortcut >> SHORTCUT_LINE) ^ key, 1).wrapping_neg()
}

/// Where a look-up starts.
struct Start {
    /// The entry of the root.
    index: u32,
    /// The address, its first bit in the uppermost place.
    key: Addr,
    /// What of it the entry leaves open.
    rest: Rest,
}

#[inline(always)]
const fn start(addr: Addr) -> Start {
    let Addr { hi, lo } = addr;
    let (index, key, taken) = if addr.is_v4() {
        (
            (lo >> 16) as u32 & 0xffff,
            Addr {
                hi: lo << 32,
                lo: 0,
            },
            16,
        )
    } else if hi >> 61 == 1 {
        (V6 + ((hi >> 48) as u32 & 0x1fff), addr, 16)
    } else {
        (ELSEWHERE, addr, 0)
    };
    let rest = Rest::after(key, taken);
    Start { index, key, rest }
}

/// What is left of an address, its first bit in the uppermost place.
#[derive(Clone, Copy)]
struct Rest {
    hi: u64,
    lo: u64,
}

impl Rest {
    /// What follows the first `taken` bits, of which there are fewer than 64.
    #[inline(always)]
    const fn after(key: Addr, taken: u32) -> Self {
        let Addr { hi, lo } = key;
        if taken == 0 {
            return Self { hi, lo };
        }
        Self {
            hi: (hi << taken) | (lo >> (64 - taken)),
            lo: lo << taken,
        }
    }

    /// The next byte, and what follows it.
    #[inline(always)]
    const fn next(self) -> (u32, Self) {
        let Self { hi, lo } = self;
        ((hi >> 56) as u32, Self::after(Addr { hi, lo }, 8))
    }
}

/// Which run of a node has `byte`, from 0. The first run begins at byte 0.
#[inline(always)]
fn rank(node: &Line, byte: u32) -> u32 {
    let place = byte as usize >> 6 & 3;
    let begun = node[BITS_AT + place] & (u64::MAX >> (63 - (byte & 63)));
    let before = octets(node)[RANKS_AT + place];
    (u32::from(before) + begun.count_ones()).wrapping_sub(1)
}

/// The first of a node's consecutive children.
#[inline(always)]
fn children(node: &Line) -> u32 {
    words(node)[CHILDREN_AT]
}

/// The number of the run that has `key`, in a line of runs.
///
/// Counts without a branch: a processor cannot foretell which of the runs it will be.
#[inline(always)]
fn among_runs(runs: &Line, key: u64) -> u16 {
    let mut rank = 0;
    for start in &runs[STARTS_AT..STARTS_AT + RUNS - 1] {
        rank += 1 - less(key, *start);
    }
    run_number(runs, rank)
}

/// As [`among_runs`], for whole addresses.
#[inline(always)]
fn among_runs128(runs: &Line, key: Addr) -> u16 {
    let mut rank = 0;
    for place in 0..RUNS128 - 1 {
        let (hi, lo) = (runs[STARTS_AT + 2 * place], runs[STARTS_AT + 2 * place + 1]);
        let equal = 1 - (less(key.hi, hi) | less(hi, key.hi));
        rank += 1 - (less(key.hi, hi) | (equal & less(key.lo, lo)));
    }
    run_number(runs, rank)
}

/// The number of a run in a line of runs: three are in the first word, four in the last.
#[inline(always)]
fn run_number(runs: &Line, rank: u64) -> u16 {
    halves(runs)[run_number_at(rank as usize) % 32]
}

/// Where in a line of runs, in units of `u16`, the number of a run is.
#[inline(always)]
#[must_use]
pub const fn run_number_at(rank: usize) -> usize {
    1 + rank + 24 * ((rank + 5) >> 3)
}

/// 1 if `a < b`, else 0: the borrow of `a - b` (Hacker's Delight, section 2-13).
#[inline(always)]
const fn less(a: u64, b: u64) -> u64 {
    ((!a & b) | ((!a | b) & a.wrapping_sub(b))) >> 63
}

#[inline(always)]
fn words(line: &Line) -> &[u32; 16] {
    must_cast_ref(line)
}

#[inline(always)]
fn halves(line: &Line) -> &[u16; 32] {
    must_cast_ref(line)
}

#[inline(always)]
fn octets(line: &Line) -> &[u8; 64] {
    must_cast_ref(line)
}
