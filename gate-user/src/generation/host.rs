//! A generation in memory, for whatever decides about packets without the kernel: today the tests that hold the kernel
//! program against it.

use std::collections::HashMap;

use gate_common::{
    Addr,
    abi::{Interface, List, Rule, Settings},
    decide::Tables,
};

use super::plan::Plan;

/// The tables of a plan, with interfaces under indices of the caller's choice.
#[derive(Clone, Debug)]
pub struct HostTables<'a> {
    plan: &'a Plan,
    interfaces: HashMap<u32, Interface>,
}

impl<'a> HostTables<'a> {
    /// `index` gives the index of an interface by its name.
    pub fn new(plan: &'a Plan, index: impl Fn(&str) -> Option<u32>) -> Self {
        let interfaces = plan
            .interfaces
            .iter()
            .filter_map(|(name, it)| Some((index(name)?, *it)))
            .collect();
        Self { plan, interfaces }
    }
}

impl Tables for HostTables<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.plan.settings)
    }

    fn interface(&self, index: u32) -> Option<Interface> {
        self.interfaces.get(&index).copied()
    }

    fn access(&self, source: Addr) -> Option<u32> {
        self.plan.lists.number(List::Access, source)
    }

    fn rule(&self, rule: u32) -> Option<Rule> {
        self.plan.rules.get(rule as usize).copied()
    }

    fn relay(&self, destination: Addr) -> Option<u32> {
        self.plan.lists.number(List::Relays, destination)
    }

    fn server(&self, destination: Addr) -> bool {
        self.plan.lists.number(List::Servers, destination).is_some()
    }

    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.plan
            .lists
            .number(List::Classes, source)
            .and_then(|it| it.checked_sub(1))
    }

    fn country(&self, source: Addr) -> Option<u32> {
        self.plan.lists.number(List::Countries, source)
    }
}
