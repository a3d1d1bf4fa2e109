//! What is measured: ways from an address to a number.

#![expect(
    clippy::cast_possible_truncation,
    reason = "keys are cut out of wider words on purpose"
)]

use aya_ebpf::btf_maps::lpm_trie::Key;
use gate_common::{
    Addr,
    table::{self, Line, Lines},
};

use crate::maps;

/// A way from an address to a number.
pub(crate) trait Subject {
    /// The number of `addr`, in what is at `place`.
    ///
    /// `None` ends the run: only addresses that have a number are looked up, and with one path through the loop instead
    /// of two the verifier is done in no time.
    fn number(place: u32, addr: Addr) -> Option<u32>;
}

/// No look-up: what the loop itself takes. The answer takes both words, so that both are loaded.
pub(crate) struct Floor;

impl Subject for Floor {
    #[inline(always)]
    fn number(_: u32, Addr { hi, lo }: Addr) -> Option<u32> {
        Some((hi ^ lo) as u32)
    }
}

/// The gate's table, behind a call and two maps of maps, as in the gate.
pub(crate) struct Table;

impl Subject for Table {
    #[inline(always)]
    fn number(place: u32, addr: Addr) -> Option<u32> {
        Some(bench_table(place, addr.hi, addr.lo))
    }
}

/// The kernel's tries at their best: one map a family, known when the program is loaded, no call of ours.
pub(crate) struct Lpm4;
pub(crate) struct Lpm6;

impl Subject for Lpm4 {
    #[inline(always)]
    fn number(_: u32, addr: Addr) -> Option<u32> {
        maps::LPM4.get(&key4(addr)).copied()
    }
}

impl Subject for Lpm6 {
    #[inline(always)]
    fn number(_: u32, addr: Addr) -> Option<u32> {
        maps::LPM6.get(&key6(addr)).copied()
    }
}

/// The same, fed the fewest prefixes that give the same answers.
pub(crate) struct Ortc4;
pub(crate) struct Ortc6;

impl Subject for Ortc4 {
    #[inline(always)]
    fn number(_: u32, addr: Addr) -> Option<u32> {
        maps::ORTC4.get(&key4(addr)).copied()
    }
}

impl Subject for Ortc6 {
    #[inline(always)]
    fn number(_: u32, addr: Addr) -> Option<u32> {
        maps::ORTC6.get(&key6(addr)).copied()
    }
}

/// The tries of the file's networks in a map of maps, without which they could not be swapped in one store.
pub(crate) struct Slotted4;
pub(crate) struct Slotted6;

impl Subject for Slotted4 {
    #[inline(always)]
    fn number(place: u32, addr: Addr) -> Option<u32> {
        maps::LPM4_SLOTS.get(place)?.get(&key4(addr)).copied()
    }
}

impl Subject for Slotted6 {
    #[inline(always)]
    fn number(place: u32, addr: Addr) -> Option<u32> {
        maps::LPM6_SLOTS.get(place)?.get(&key6(addr)).copied()
    }
}

#[inline(always)]
fn key4(addr: Addr) -> Key<u32> {
    Key::new(32, (addr.lo as u32).to_be())
}

#[inline(always)]
fn key6(addr: Addr) -> Key<[u32; 2]> {
    Key::new(
        64,
        [((addr.hi >> 32) as u32).to_be(), (addr.hi as u32).to_be()],
    )
}

/// A table at its place in the maps.
struct Placed {
    place: u32,
    nodes: &'static maps::Nodes,
}

impl Lines for Placed {
    type Line = &'static Line;

    #[inline(always)]
    fn root(&self, index: u32) -> Option<&'static Line> {
        maps::ROOTS.get_value(self.place, &index)
    }

    #[inline(always)]
    fn node(&self, index: u32) -> Option<&'static Line> {
        self.nodes.get(index)
    }
}

/// The number of the address `hi`, `lo` in the table at `place`: the gate's own global function, word for word.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_table(place: u32, hi: u64, lo: u64) -> u32 {
    let Some(nodes) = maps::NODES.get(place) else {
        return 0;
    };
    table::lookup(&Placed { place, nodes }, Addr { hi, lo }).into()
}
