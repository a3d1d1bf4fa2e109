//! One generation's tables, as [`decide`](gate_common::decide) asks for them.

use gate_common::{
    Addr,
    abi::{
        BucketKey, CANDIDATE, FlowKey, FlowTag, GenerationWord, Interface, InterfaceKey, List,
        Rule, Settings, State,
    },
    carry::Tags,
    decide::Tables,
    table::{self, Line, Lines},
};

use crate::{account::Lengths, limits, maps};

/// The generation in one slot of the maps.
pub(crate) struct Generation {
    slot: u32,
    number: u32,
    settings: Option<&'static Settings>,
}

impl Generation {
    #[inline(always)]
    pub(crate) fn new(word: GenerationWord) -> Self {
        let slot = word.slot();
        Self {
            slot,
            number: word.number(),
            settings: if word.number() == 0 {
                None
            } else {
                maps::SETTINGS.get_value(slot, &0).map(|[it]| it)
            },
        }
    }

    /// The candidate of a rehearsal; none if there is nothing in its slot.
    #[inline(always)]
    pub(crate) fn candidate() -> Option<Self> {
        let [settings] = maps::SETTINGS.get_value(CANDIDATE, &0)?;
        Some(Self {
            slot: CANDIDATE,
            number: 0,
            settings: Some(settings),
        })
    }

    /// The number that the list has for `addr`; 0 is nothing.
    #[inline(always)]
    fn number(&self, list: List, addr: Addr) -> Option<u32> {
        match gate_lookup(list.place(self.slot), addr.hi, addr.lo) {
            0 => None,
            number => Some(number),
        }
    }

    /// The slot.
    #[inline(always)]
    pub(crate) const fn slot(&self) -> u32 {
        self.slot
    }

    /// The settings, by which a class shows.
    #[inline(always)]
    pub(crate) const fn shown(&self) -> Option<&'static Settings> {
        self.settings
    }

    /// Whether any class shows.
    #[inline(always)]
    pub(crate) fn shows(&self) -> bool {
        self.settings.is_some_and(|settings| settings.shows != 0)
    }

    /// Whether submission servers are listed.
    #[inline(always)]
    pub(crate) fn lists_servers(&self) -> bool {
        self.settings
            .is_some_and(|settings| settings.any_server == 0)
    }

    /// How much of a source's address its entry has at most; none if the operator does not want sources counted one by one.
    #[inline(always)]
    pub(crate) fn kept(&self) -> Option<Lengths> {
        self.settings
            .filter(|settings| settings.count_sources != 0)
            .map(|settings| (settings.kept_v4, settings.kept_v6))
    }
}

impl Tables for Generation {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        self.settings
    }

    #[inline(always)]
    fn interface(&self, key: InterfaceKey) -> Option<Interface> {
        let [placed] = maps::INTERFACES.get_value(self.slot, &key.place())?;
        if placed.key == key {
            return Some(placed.interface);
        }
        if placed.key.index == 0 {
            return None;
        }
        let displaced = maps::DISPLACED.get(self.slot)?;
        // SAFETY: a generation's maps are not written while programs can see them.
        unsafe { displaced.get(key) }.map(|[it]| *it)
    }

    #[inline(always)]
    fn access(&self, source: Addr) -> Option<u32> {
        self.number(List::Access, source)
    }

    #[inline(always)]
    fn rule(&self, number: u32) -> Option<Rule> {
        maps::RULES.get_value(self.slot, &number).map(|[it]| *it)
    }

    #[inline(always)]
    fn relay(&self, destination: Addr) -> Option<u32> {
        self.number(List::Relays, destination)
    }

    #[inline(always)]
    fn server(&self, destination: Addr) -> bool {
        self.number(List::Servers, destination).is_some()
    }

    #[inline(always)]
    fn class_prefix(&self, source: Addr) -> Option<u32> {
        // The list has one more than the number, since 0 is nothing.
        self.number(List::Classes, source)?.checked_sub(1)
    }

    #[inline(always)]
    fn country(&self, source: Addr) -> Option<u32> {
        self.number(List::Countries, source)
    }

    #[inline(always)]
    fn bypass_until_ns(&self) -> u64 {
        maps::state(State::Bypass)
    }

    #[inline(always)]
    fn take(&self, key: BucketKey, monotonic_ns: u64) -> bool {
        limits::take(self.slot, &key, monotonic_ns)
    }
}

impl Tags for Generation {
    #[inline(always)]
    fn tag(&self, key: &FlowKey) -> Option<FlowTag> {
        // SAFETY: an entry that another CPU replaces meanwhile is this connection's again, or is another connection's of this instant.
        let tag = unsafe { maps::FLOWS.get(key) }?;
        (tag.generation == self.number).then_some(*tag)
    }
}

/// A table at its place in the maps.
struct Pinned {
    place: u32,
    nodes: &'static maps::Nodes,
}

impl Lines for Pinned {
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

/// The number of the address `hi`, `lo` in the table at `place`.
///
/// A global function, so that the verifier proves the walk once and not for every list of every path of its caller; such
/// functions take scalars only, which is why a place is handed over and not a map.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn gate_lookup(place: u32, hi: u64, lo: u64) -> u32 {
    let Some(nodes) = maps::NODES.get(place) else {
        return 0;
    };
    table::lookup(&Pinned { place, nodes }, Addr { hi, lo }).into()
}
