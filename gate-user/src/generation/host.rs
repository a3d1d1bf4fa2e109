//! A generation in memory, for whatever decides about packets without the kernel.

use std::{cell::RefCell, collections::HashMap};

use gate_common::{
    Addr,
    abi::{BucketKey, Interface, InterfaceKey, List, Rule, Settings},
    decide::Tables,
    limit,
};

use super::plan::Plan;

/// The tables of a plan, with interfaces under indices of the caller's choice.
#[derive(Clone, Debug)]
pub struct HostTables<'a> {
    plan: &'a Plan,
    interfaces: HashMap<InterfaceKey, Interface>,
    buckets: RefCell<HashMap<BucketKey, u64>>,
}

impl<'a> HostTables<'a> {
    /// `index` gives the index of an interface by its name.
    pub fn new(plan: &'a Plan, index: impl Fn(&str) -> Option<u32>) -> Self {
        let interfaces = plan.interfaces_by_key(index).collect();
        Self {
            plan,
            interfaces,
            buckets: RefCell::default(),
        }
    }
}

impl Tables for HostTables<'_> {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.plan.settings)
    }

    fn interface(&self, key: InterfaceKey) -> Option<Interface> {
        self.interfaces.get(&key).copied()
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

    /// What a configuration says, and not what a person asked of a gate in force.
    fn bypass_until_ns(&self) -> u64 {
        0
    }

    fn take(&self, key: BucketKey, monotonic_ns: u64) -> bool {
        let limit = self.plan.settings.limit(&key);
        let mut buckets = self.buckets.borrow_mut();
        let word = buckets.entry(key).or_default();
        match limit::take(*word, monotonic_ns, limit) {
            Some(next) => {
                *word = next;
                true
            }
            None => false,
        }
    }
}
