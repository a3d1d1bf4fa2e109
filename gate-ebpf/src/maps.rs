//! Every map of the program. Names and types are those of [`gate_common::abi::maps`].
//!
//! BTF definitions only, so that bpftool and libbpf read the object too. The inner maps named here are templates: the
//! loader makes each generation's own, sized to its content.

use aya_ebpf::{
    bindings::{BPF_F_INNER_MAP, BPF_F_MMAPABLE},
    btf_maps::{Array, ArrayOfMaps, HashMap, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use gate_common::{
    Country,
    abi::{
        self, BucketSet, DeviceKey, Difference, DifferenceKey, Differences, FlowKey, FlowTag,
        Interface, InterfaceKey, Judged, Limited, List, NoMetadata, Packets, PlacedInterface, Rule,
        Settings, SourceSet, State,
    },
    table::{Line, ROOT_LINES},
};

/// Inner arrays of one outer map may differ in length.
const INNER: usize = BPF_F_INNER_MAP as usize;
const SLOTS: usize = abi::SLOTS as usize;
/// Values that begin at a page: that is what makes a line of a table a cache line.
const ALIGNED: usize = BPF_F_MMAPABLE as usize;
const PLACES: usize = SLOTS * List::ALL.len();

/// A structure as the value of an inner map. Kernel 6.1 takes a map into a slot only if it knows as much of the map's
/// value as it does of the template's, and the loader's maps come without BTF: of an array it learns nothing.
type Plain<T> = [T; 1];

/// Its length is known when the program is loaded, and so the kernel puts look-ups inline.
pub(crate) type Root = Array<Line, ROOT_LINES, ALIGNED>;
pub(crate) type Nodes = Array<Line, 1, { ALIGNED | INNER }>;

#[btf_map]
static STATE: Array<u64, { State::COUNT as usize }> = Array::new();
#[btf_map]
pub(crate) static TOTALS: PerCpuArray<u64, { abi::TOTALS as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<Packets, { abi::COUNTERS as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static COUNTRIES: PerCpuArray<u64, { Country::COUNT }> = PerCpuArray::new();
#[btf_map]
pub(crate) static SOURCES: Array<SourceSet, { abi::SOURCE_SETS as usize }, ALIGNED> = Array::new();
/// For those who delete sources: the program never looks at it.
#[btf_map]
static EXPIRED: Array<Packets, 1, ALIGNED> = Array::new();
#[btf_map]
pub(crate) static FLOWS: LruHashMap<FlowKey, FlowTag, { abi::FLOWS as usize }> = LruHashMap::new();
#[btf_map]
pub(crate) static ANSWERS: PerCpuArray<u64, { abi::ANSWERS as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static SHOWN: PerCpuArray<u64, { abi::SHOWN as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static LIMITED: PerCpuArray<Limited, { abi::LIMITED as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static BUCKETS: Array<BucketSet, { abi::BUCKET_SETS as usize }, ALIGNED> = Array::new();
#[btf_map]
pub(crate) static TOTAL_BUCKET: Array<u64, 1> = Array::new();
#[btf_map]
pub(crate) static UNSENT: HashMap<DeviceKey, u64, { abi::DEVICES as usize }> = HashMap::new();

#[btf_map]
pub(crate) static REHEARSED: PerCpuArray<u64, { abi::REHEARSED as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static JUDGED: PerCpuArray<Judged, 1> = PerCpuArray::new();
#[btf_map]
pub(crate) static DIFFERENCES: ArrayOfMaps<
    HashMap<DifferenceKey, Plain<Difference>, 1>,
    { Differences::COUNT as usize },
> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static REHEARSED_BUCKETS: ArrayOfMaps<
    Array<Plain<BucketSet>, { abi::BUCKET_SETS as usize }, ALIGNED>,
    1,
> = ArrayOfMaps::new();

/// The least that a ring can be: who listens brings a larger one. Of nothing, since libbpf takes no ring whose values have a size.
#[btf_map]
pub(crate) static EVENTS: ArrayOfMaps<RingBuf<(), 4096>, 1> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static EVENT_BUCKET: Array<u64, 1> = Array::new();
#[btf_map]
pub(crate) static TOLD: PerCpuArray<u64, { abi::TOLD as usize }> = PerCpuArray::new();

#[btf_map]
pub(crate) static SETTINGS: ArrayOfMaps<Array<Plain<Settings>, 1>, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static INTERFACES: ArrayOfMaps<
    Array<Plain<PlacedInterface>, { abi::INTERFACE_PLACES as usize }>,
    SLOTS,
> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static DISPLACED: ArrayOfMaps<HashMap<InterfaceKey, Plain<Interface>, 1>, SLOTS> =
    ArrayOfMaps::new();
#[btf_map]
pub(crate) static RULES: ArrayOfMaps<Array<Plain<Rule>, 1, INNER>, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static ROOTS: ArrayOfMaps<Root, PLACES> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static NODES: ArrayOfMaps<Nodes, PLACES> = ArrayOfMaps::new();

/// A word of [`STATE`]; 0 until the loader has written it.
#[inline(always)]
pub(crate) fn state(word: State) -> u64 {
    match STATE.get_ptr(word as u32) {
        // SAFETY: the map holds aligned words for as long as the program runs; the loader stores them whole.
        Some(pointer) => unsafe { pointer.read_volatile() },
        None => 0,
    }
}

/// Notes that there was a frame without room for metadata; once, since all CPUs read the word.
#[inline(always)]
pub(crate) fn note_no_metadata() {
    if state(State::NoMetadata) != 0 {
        return;
    }
    if let Some(pointer) = STATE.get_ptr_mut(State::NoMetadata as u32) {
        // SAFETY: an aligned word of the map, stored whole.
        unsafe { pointer.write_volatile(NoMetadata::NoRoom as u64) };
    }
}
