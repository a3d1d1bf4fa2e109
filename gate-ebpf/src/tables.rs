//! One generation's tables, as [`decide`](gate_common::decide) asks for them.

use aya_ebpf::btf_maps::{ArrayOfMaps, lpm_trie::Key};
use gate_common::{
    Addr,
    abi::{GenerationWord, Interface, Rule, Settings, prefix_address},
    decide::Tables,
};

use crate::maps;

/// The generation in one slot of the maps.
pub(crate) struct Generation {
    slot: u32,
    settings: Option<&'static Settings>,
}

impl Generation {
    #[inline(always)]
    pub(crate) fn new(word: GenerationWord) -> Self {
        let slot = word.slot();
        Self {
            slot,
            settings: if word.number() == 0 {
                None
            } else {
                maps::SETTINGS.get_value(slot, &0).map(|[it]| it)
            },
        }
    }

    /// Whether the operator wants sources counted one by one.
    #[inline(always)]
    pub(crate) fn counts_sources(&self) -> bool {
        self.settings
            .is_some_and(|settings| settings.count_sources != 0)
    }
}

impl Tables for Generation {
    #[inline(always)]
    fn settings(&self) -> Option<&Settings> {
        self.settings
    }

    #[inline(always)]
    fn interface(&self, index: u32) -> Option<Interface> {
        let inner = maps::INTERFACES.get(self.slot)?;
        // SAFETY: a generation's maps are not written while programs can see them.
        unsafe { inner.get(index) }.map(|[it]| *it)
    }

    #[inline(always)]
    fn access(&self, source: Addr) -> Option<u32> {
        longest(&maps::ACCESS, self.slot, source)
    }

    #[inline(always)]
    fn rule(&self, number: u32) -> Option<Rule> {
        maps::RULES.get_value(self.slot, &number).map(|[it]| *it)
    }

    #[inline(always)]
    fn relay(&self, destination: Addr) -> Option<u32> {
        longest(&maps::RELAYS, self.slot, destination)
    }

    #[inline(always)]
    fn server(&self, destination: Addr) -> bool {
        longest(&maps::SERVERS, self.slot, destination).is_some()
    }

    #[inline(always)]
    fn class_prefix(&self, source: Addr) -> Option<u32> {
        // The table has one more than the number, since 0 is nothing.
        longest(&maps::CLASS_PREFIXES, self.slot, source)?.checked_sub(1)
    }

    #[inline(always)]
    fn country(&self, source: Addr) -> Option<u32> {
        longest(&maps::COUNTRY_PREFIXES, self.slot, source)
    }
}

/// What the longest prefix that has `addr` stands for; 0 is nothing, and shields from shorter prefixes.
#[inline(always)]
fn longest<const N: usize>(
    tables: &ArrayOfMaps<maps::Prefixes, N>,
    slot: u32,
    addr: Addr,
) -> Option<u32> {
    tables
        .get(slot)?
        .get(&Key::new(128, prefix_address(addr)))
        .copied()
        .filter(|number| *number != 0)
}
