//! The generation in force as the decision of this process reads it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use gate_common::{
    Addr, Bucket,
    abi::{
        BUCKET_SETS, BucketKey, BucketSet, Interface, InterfaceKey, Limit, Rule, Settings,
        SourceBucket,
    },
    decide::Tables,
    limit,
    sets::{self, Hash, Set, Tag},
};

use crate::{kernel::Buckets, view::View};

/// Interfaces and VLANs by what packets are looked up by.
pub(crate) type Interfaces = HashMap<InterfaceKey, Interface>;

/// What of a source is within its limits.
pub(crate) trait Limits {
    /// Whether one more is, of this bucket with this limit.
    fn take(&self, key: &BucketKey, limit: &Limit, monotonic_ns: u64) -> bool;
}

/// The generation, and which limits are kept.
#[derive(Clone, Copy)]
pub(crate) struct InForce<'g, L> {
    pub(crate) view: &'g View,
    pub(crate) interfaces: &'g Interfaces,
    /// Whether there are relays: for what would be without them.
    pub(crate) relays: bool,
    pub(crate) bypass_until_ns: u64,
    pub(crate) limits: L,
}

/// Every limit is kept: for what would be if something were otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Kept;

impl Limits for Kept {
    fn take(&self, _: &BucketKey, _: &Limit, _: u64) -> bool {
        true
    }
}

/// The live token buckets, of which nothing is taken: what is taken here is known here only.
pub(super) struct Live<'g> {
    buckets: &'g Buckets,
    /// The sets of which something was taken.
    taken: RefCell<HashMap<u32, BucketSet>>,
    total: Cell<u64>,
}

impl<'g> Live<'g> {
    pub(super) fn new(buckets: &'g Buckets) -> Self {
        Self {
            buckets,
            taken: RefCell::default(),
            total: Cell::new(buckets.total),
        }
    }
}

impl Limits for Live<'_> {
    fn take(&self, key: &BucketKey, limit: &Limit, monotonic_ns: u64) -> bool {
        if key.bucket == Bucket::AnswerTotal {
            let next = limit::take(self.total.get(), monotonic_ns, limit);
            self.total.set(next.unwrap_or(self.total.get()));
            return next.is_some();
        }
        let hash = Hash::new(self.buckets.seed, key.address, key.kind());
        let place = hash.set(BUCKET_SETS);
        let mut taken = self.taken.borrow_mut();
        let Some(known) = self.buckets.sets.get(place as usize) else {
            return false;
        };
        let set = Ways(RefCell::new(*taken.get(&place).unwrap_or(known)));
        let within = set.take(hash, key, limit, monotonic_ns);
        taken.insert(place, set.0.into_inner());
        within
    }
}

/// The word of a bucket; 0, which is a full one, where there is none.
pub(super) fn word(buckets: &Buckets, key: &BucketKey) -> u64 {
    if key.bucket == Bucket::AnswerTotal {
        return buckets.total;
    }
    let hash = Hash::new(buckets.seed, key.address, key.kind());
    let wanted = Tag::new(hash, key.kind());
    let set = buckets.sets.get(hash.set(BUCKET_SETS) as usize);
    let way = set.and_then(|set| {
        let mut ways = set.ways.iter();
        ways.find(|way| way.tag.is(wanted) && way.address == key.address)
    });
    way.map_or(0, |way| way.word)
}

/// A set that nobody else works on.
struct Ways(RefCell<BucketSet>);

impl Ways {
    fn way(&self, way: usize) -> SourceBucket {
        let set = self.0.borrow();
        set.ways.get(way).copied().unwrap_or_default()
    }

    fn change(&self, way: usize, change: impl FnOnce(&mut SourceBucket)) {
        if let Some(way) = self.0.borrow_mut().ways.get_mut(way) {
            change(way);
        }
    }

    /// As the program takes: a bucket that there is not is made, if there is room for it at the second try.
    fn take(&self, hash: Hash, key: &BucketKey, limit: &Limit, now: u64) -> bool {
        let tag = Tag::new(hash, key.kind());
        for _ in 0..2 {
            let found = sets::find(self, hash, tag, key.address);
            let word = found.map_or(0, |way| self.way(way).word);
            let Some(word) = limit::take(word, now, limit) else {
                return false;
            };
            if let Some(way) = found {
                self.change(way, |it| it.word = word);
                return true;
            }
            if let Some(claimed) = sets::claim(self, hash, |way| self.way(way).word <= now) {
                self.change(claimed.way, |it| {
                    it.address = key.address;
                    it.word = word;
                });
                sets::publish(self, claimed.way, tag);
                return true;
            }
        }
        false
    }
}

impl Set for Ways {
    fn tag(&self, way: usize) -> Tag {
        self.way(way).tag
    }

    fn replace(&self, way: usize, old: Tag, new: Tag) -> Tag {
        let found = self.tag(way);
        if found == old {
            self.change(way, |it| it.tag = new);
        }
        found
    }

    fn address(&self, way: usize) -> Addr {
        self.way(way).address
    }
}

impl<L: Limits> Tables for InForce<'_, L> {
    fn settings(&self) -> Option<&Settings> {
        self.view.settings()
    }

    fn interface(&self, key: InterfaceKey) -> Option<Interface> {
        self.interfaces.get(&key).copied()
    }

    fn access(&self, source: Addr) -> Option<u32> {
        self.view.access(source)
    }

    fn rule(&self, number: u32) -> Option<Rule> {
        self.view.rule(number)
    }

    fn relay(&self, destination: Addr) -> Option<u32> {
        self.view.relay(destination).filter(|_| self.relays)
    }

    fn server(&self, destination: Addr) -> bool {
        self.view.server(destination)
    }

    fn class_prefix(&self, source: Addr) -> Option<u32> {
        self.view.class_prefix(source)
    }

    fn country(&self, source: Addr) -> Option<u32> {
        self.view.country(source)
    }

    fn bypass_until_ns(&self) -> u64 {
        self.bypass_until_ns
    }

    fn take(&self, key: BucketKey, monotonic_ns: u64) -> bool {
        let settings = self.view.settings();
        settings.is_some_and(|it| self.limits.take(&key, it.limit(&key), monotonic_ns))
    }
}

#[cfg(test)]
mod tests {
    use bytemuck::Zeroable as _;

    use super::*;

    const NOW: u64 = 1 << 50;
    const LIMIT: Limit = Limit {
        interval_ns: 1_000_000_000,
        burst_ns: 2_000_000_000,
    };

    fn key(address: u32) -> BucketKey {
        BucketKey::new(Bucket::Throttle, Addr::v4(address), (32, 64))
    }

    #[test]
    fn a_source_has_its_burst_and_a_full_set_has_no_room_at_first() {
        let set = Ways(RefCell::new(BucketSet::zeroed()));
        let take = |address| {
            let key = key(address);
            set.take(Hash::new(7, key.address, key.kind()), &key, &LIMIT, NOW)
        };
        assert_eq!([take(1), take(1), take(1)], [true, true, false]);
        // Three more fill the set; all are warm.
        for address in 2..5 {
            assert_eq!([take(address), take(address)], [true, true]);
        }
        for _ in 0..8 {
            take(1);
            take(2);
            take(3);
            take(4);
        }
        assert!(!take(5), "there was no room, as the program would have it");
    }

    #[test]
    fn the_word_of_a_bucket_is_found_and_another_kind_has_none() {
        let key = key(9);
        let hash = Hash::new(3, key.address, key.kind());
        let mut sets = vec![BucketSet::zeroed(); BUCKET_SETS as usize];
        sets[hash.set(BUCKET_SETS) as usize].ways[2] = SourceBucket {
            tag: Tag::new(hash, key.kind()),
            address: key.address,
            word: 11,
        };
        let buckets = Buckets {
            seed: 3,
            sets,
            total: 5,
        };
        assert_eq!(word(&buckets, &key), 11);
        let answers = BucketKey::new(Bucket::Answer, key.address, (32, 64));
        assert_eq!(word(&buckets, &answers), 0);
        let total = BucketKey::new(Bucket::AnswerTotal, Addr::UNSPECIFIED, (0, 0));
        assert_eq!(word(&buckets, &total), 5);
    }
}
