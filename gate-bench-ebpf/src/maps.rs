//! Every map of the benchmark. The loader finds them by these names.

use aya_ebpf::{
    bindings::{BPF_F_INNER_MAP, BPF_F_MMAPABLE},
    btf_maps::{Array, ArrayOfMaps, LpmTrie, ProgramArray},
    macros::btf_map,
};
use gate_common::{
    Addr,
    table::{Line, ROOT_LINES},
};

use crate::layout::{self, Control, ELAPSED, Judged, SWEPT_LINES, Sender, Template};

/// Values that begin at a page: that is what makes a line a cache line.
const ALIGNED: usize = BPF_F_MMAPABLE as usize;
/// Inner arrays of one outer map may differ in length.
const INNER: usize = BPF_F_INNER_MAP as usize;
const PLACES: usize = layout::PLACES as usize;
/// More than any set of prefixes here has. A trie takes memory for what is in it only.
const TRIE_ENTRIES: usize = 1 << 22;

/// The table's maps, as the gate has them.
pub(crate) type Root = Array<Line, ROOT_LINES, ALIGNED>;
pub(crate) type Nodes = Array<Line, 1, { ALIGNED | INNER }>;
/// Tries with the shortest keys that each family can have, in network byte order. IPv6 stops at /64.
pub(crate) type Trie4 = LpmTrie<u32, u32, TRIE_ENTRIES>;
pub(crate) type Trie6 = LpmTrie<[u32; 2], u32, TRIE_ENTRIES>;

#[btf_map]
pub(crate) static CONTROL: Array<Control, 1> = Array::new();
/// The loader says how many there are.
#[btf_map]
pub(crate) static ADDRESSES: Array<Addr, 1, ALIGNED> = Array::new();
#[btf_map]
pub(crate) static SWEPT: Array<Line, { SWEPT_LINES as usize }, ALIGNED> = Array::new();
#[btf_map]
pub(crate) static ELAPSED_NS: Array<u64, { ELAPSED as usize }> = Array::new();
#[btf_map]
pub(crate) static SENDER: Array<Sender, 1> = Array::new();
#[btf_map]
pub(crate) static JUDGED: Array<Judged, 1> = Array::new();

#[btf_map]
pub(crate) static ROOTS: ArrayOfMaps<Root, PLACES> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static NODES: ArrayOfMaps<Nodes, PLACES> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static LPM4: Trie4 = Trie4::new();
#[btf_map]
pub(crate) static LPM6: Trie6 = Trie6::new();
/// The same with the fewest prefixes that give the same answers.
#[btf_map]
pub(crate) static ORTC4: Trie4 = Trie4::new();
#[btf_map]
pub(crate) static ORTC6: Trie6 = Trie6::new();
#[btf_map]
pub(crate) static LPM4_SLOTS: ArrayOfMaps<Trie4, PLACES> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static LPM6_SLOTS: ArrayOfMaps<Trie6, PLACES> = ArrayOfMaps::new();

#[btf_map]
pub(crate) static TEMPLATE: Array<Template, 1> = Array::new();
/// The program that a frame goes to once it is made again.
#[btf_map]
pub(crate) static NEXT: ProgramArray<1> = ProgramArray::new();
