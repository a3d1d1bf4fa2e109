//! Which counter counts what: the same object keeps its counter from one generation to the next.

use std::collections::{BTreeMap, BTreeSet};

use gate_common::abi;

use super::manifest::Counted;

/// More objects than can be counted, which the configuration checks first ([`abi::COUNTED`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {} interfaces, pools, prefixes, relays and classes are to be counted",
    abi::COUNTED
)]
pub struct TooMany;

/// Hands out counters.
#[derive(Debug)]
pub(super) struct Numbers {
    previous: BTreeMap<Counted, u32>,
    taken: BTreeSet<u32>,
    fresh: BTreeSet<u32>,
    next: u32,
}

impl Numbers {
    /// Starts from what the generation before had.
    #[must_use]
    pub(super) fn after(previous: BTreeMap<Counted, u32>) -> Self {
        let taken = previous.values().copied().collect();
        Self {
            previous,
            taken,
            fresh: BTreeSet::new(),
            next: 1,
        }
    }

    /// The counter of `object`.
    ///
    /// What the generation before did not have gets a counter that this one did not use: packets that are on their way
    /// through the old generation then count for nobody else.
    pub(super) fn of(&mut self, object: Counted) -> Result<u32, TooMany> {
        if let Some(number) = self.previous.get(&object) {
            return Ok(*number);
        }
        while self.taken.contains(&self.next) {
            self.next += 1;
        }
        if self.next >= abi::COUNTERS {
            return Err(TooMany);
        }
        let number = self.next;
        self.taken.insert(number);
        self.fresh.insert(number);
        self.previous.insert(object, number);
        Ok(number)
    }

    /// The counters that the generation before did not use, and that may still show what an older one counted.
    #[must_use]
    pub(super) fn fresh(&self) -> &BTreeSet<u32> {
        &self.fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str) -> Counted {
        Counted::Pool(name.to_owned())
    }

    #[test]
    fn an_object_keeps_its_counter() {
        let mut first = Numbers::after(BTreeMap::new());
        let (a, b) = (first.of(pool("a")).unwrap(), first.of(pool("b")).unwrap());
        assert_ne!(a, b);
        assert_eq!(first.of(pool("a")), Ok(a));
        let mut second = Numbers::after([(pool("b"), b)].into());
        let c = second.of(pool("c")).unwrap();
        assert_eq!(second.of(pool("b")), Ok(b));
        assert_ne!(c, b);
        assert!(second.fresh().contains(&c) && !second.fresh().contains(&b));
    }

    #[test]
    fn there_are_counters_for_as_many_others_in_the_next_generation() {
        let name = |n: u32| pool(&n.to_string());
        let mut first = Numbers::after(BTreeMap::new());
        let previous = (0..abi::COUNTED)
            .map(|n| (name(n), first.of(name(n)).unwrap()))
            .collect();
        let mut second = Numbers::after(previous);
        for n in abi::COUNTED..2 * abi::COUNTED {
            assert!(second.of(name(n)).unwrap() < abi::COUNTERS);
        }
    }
}
