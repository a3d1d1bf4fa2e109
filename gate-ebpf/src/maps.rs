//! Every map of the program. Names and types are those of [`gate_common::abi::maps`].
//!
//! BTF definitions only, so that bpftool and libbpf read the object too. The inner maps named here are templates: the
//! loader makes each generation's own, sized to its content.

use aya_ebpf::{
    bindings::BPF_F_INNER_MAP,
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray},
    macros::btf_map,
};
use gate_common::{
    Country,
    abi::{
        self, FlowKey, FlowTag, Interface, Packets, PrefixAddress, Rule, Settings, Source,
        SourceKey, State,
    },
};

/// Inner arrays of one outer map may differ in length.
const INNER: usize = BPF_F_INNER_MAP as usize;
const SLOTS: usize = abi::SLOTS as usize;

/// A structure as the value of an inner map. Kernel 6.1 takes a map into a slot only if it knows as much of the map's
/// value as it does of the template's, and the loader's maps come without BTF: of an array it learns nothing.
type Plain<T> = [T; 1];

pub(crate) type Prefixes = LpmTrie<PrefixAddress, u32, 1>;

#[btf_map]
static STATE: Array<u64, { State::COUNT as usize }> = Array::new();
#[btf_map]
pub(crate) static TOTALS: PerCpuArray<u64, { abi::TOTALS as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<Packets, { abi::COUNTERS as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static COUNTRIES: PerCpuArray<u64, { Country::COUNT }> = PerCpuArray::new();
#[btf_map]
pub(crate) static SOURCES: LruHashMap<SourceKey, Source, { abi::SOURCES as usize }> =
    LruHashMap::new();
#[btf_map]
pub(crate) static FLOWS: LruHashMap<FlowKey, FlowTag, { abi::FLOWS as usize }> = LruHashMap::new();

#[btf_map]
pub(crate) static SETTINGS: ArrayOfMaps<Array<Plain<Settings>, 1>, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static INTERFACES: ArrayOfMaps<HashMap<u32, Plain<Interface>, 1>, SLOTS> =
    ArrayOfMaps::new();
#[btf_map]
pub(crate) static ACCESS: ArrayOfMaps<Prefixes, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static RULES: ArrayOfMaps<Array<Plain<Rule>, 1, INNER>, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static RELAYS: ArrayOfMaps<Prefixes, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static SERVERS: ArrayOfMaps<Prefixes, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static CLASS_PREFIXES: ArrayOfMaps<Prefixes, SLOTS> = ArrayOfMaps::new();
#[btf_map]
pub(crate) static COUNTRY_PREFIXES: ArrayOfMaps<Prefixes, SLOTS> = ArrayOfMaps::new();

/// A word of [`STATE`]; 0 until the loader has written it.
#[inline(always)]
pub(crate) fn state(word: State) -> u64 {
    match STATE.get_ptr(word as u32) {
        // SAFETY: the map holds aligned words for as long as the program runs; the loader stores them whole.
        Some(pointer) => unsafe { pointer.read_volatile() },
        None => 0,
    }
}
