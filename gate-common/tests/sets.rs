//! Set-associative tables, on atomic words as the kernel has them: what is found, who makes room, and what several threads leave behind.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    unused_crate_dependencies,
    reason = "a test that cannot be set up may panic; the lint looks at each target alone"
)]

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use gate_common::{
    Addr,
    sets::{Claimed, Hash, Kind, Set, Tag, WAYS, claim, find, publish},
};

/// Tags, addresses, and a count a way. What was counted more often than `spent` is spent, if that is not 0.
#[derive(Default)]
struct Words {
    spent: u64,
    tags: [AtomicU64; WAYS],
    addresses: [[AtomicU64; 2]; WAYS],
    counts: [AtomicU64; WAYS],
}

impl Set for Words {
    fn tag(&self, way: usize) -> Tag {
        Tag(self.tags[way].load(Ordering::Relaxed))
    }

    fn replace(&self, way: usize, old: Tag, new: Tag) -> Tag {
        let order = Ordering::SeqCst;
        let found = self.tags[way].compare_exchange(old.0, new.0, order, order);
        Tag(found.unwrap_or_else(|found| found))
    }

    fn address(&self, way: usize) -> Addr {
        let [hi, lo] = self.addresses[way]
            .each_ref()
            .map(|it| it.load(Ordering::Relaxed));
        Addr { hi, lo }
    }
}

const KIND: Kind = [32, 64, 1];

impl Words {
    /// What the gate does with a packet: whether it was counted.
    fn count(&self, address: Addr) -> bool {
        let hash = Hash::new(0, address, KIND);
        let tag = Tag::new(hash, KIND);
        if let Some(way) = find(self, hash, tag, address) {
            self.counts[way].fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let Some(Claimed { way, .. }) = claim(self, hash, |way| self.is_spent(way)) else {
            return false;
        };
        let Addr { hi, lo } = address;
        self.addresses[way][0].store(hi, Ordering::Relaxed);
        self.addresses[way][1].store(lo, Ordering::Relaxed);
        self.counts[way].store(1, Ordering::Relaxed);
        publish(self, way, tag);
        true
    }

    fn is_spent(&self, way: usize) -> bool {
        self.spent != 0 && self.counts[way].load(Ordering::Relaxed) > self.spent
    }

    fn held(&self) -> HashSet<Addr> {
        let live = (0..WAYS).filter(|way| self.tag(*way).is_live());
        live.map(|way| self.address(way)).collect()
    }

    fn sum(&self) -> u64 {
        self.counts
            .iter()
            .map(|it| it.load(Ordering::Relaxed))
            .sum()
    }
}

fn address(number: u64) -> Addr {
    Addr {
        hi: 0x2001_0db8_0000_0000 | number,
        lo: 0,
    }
}

#[test]
fn as_many_as_there_are_ways_are_all_held() {
    let set = Words::default();
    for round in 1..=10 {
        for number in 0..WAYS as u64 {
            assert!(set.count(address(number)), "{number} in round {round}");
        }
        assert_eq!(set.sum(), round * WAYS as u64);
    }
    assert_eq!(set.held(), (0..WAYS as u64).map(address).collect());
}

#[test]
fn an_address_is_told_apart_by_every_bit_and_by_its_kind() {
    let whole = Addr { hi: 1, lo: 1 };
    let hash = Hash::new(7, whole, KIND);
    let tag = Tag::new(hash, KIND);
    let mut tags = HashSet::from([tag.0]);
    for bit in 0..64 {
        for other in [
            Addr {
                hi: 1 ^ 1 << bit,
                lo: 1,
            },
            Addr {
                hi: 1,
                lo: 1 ^ 1 << bit,
            },
        ] {
            let hash = Hash::new(7, other, KIND);
            assert_ne!(hash, Hash::new(7, whole, KIND), "bit {bit}");
            tags.insert(Tag::new(hash, KIND).0);
        }
    }
    // 24 bits of hash: among 129 addresses two alike are a chance of one in two thousand, and these are not.
    assert_eq!(tags.len(), 129);
    for place in 0..3 {
        let mut kind = KIND;
        kind[place] ^= 0x80;
        assert!(!Tag::new(hash, kind).is(tag), "octet {place}");
        assert_ne!(Hash::new(7, whole, kind), hash, "octet {place}");
    }
    assert_eq!(tag.kind(), KIND);
    assert_ne!(Hash::new(8, whole, KIND), hash, "the seed");
}

#[test]
fn neighbours_are_spread_over_all_sets() {
    const SETS: u32 = 1 << 10;
    let mut load = vec![0u32; SETS as usize];
    let v4 = (0..1u64 << 13).map(|it| Addr {
        hi: 0,
        lo: 0xffff_6440_0000 + it,
    });
    let v6 = (0..1u64 << 13).map(|it| Addr {
        hi: 0x2001_0db8_0000_0000 + (it << 8),
        lo: 0,
    });
    for address in v4.chain(v6) {
        load[Hash::new(1, address, KIND).set(SETS) as usize] += 1;
    }
    // Poisson with a mean of 16: beyond these there is less than one set in a hundred thousand.
    let (least, most) = (load.iter().min().unwrap(), load.iter().max().unwrap());
    assert!(*least >= 2 && *most <= 38, "from {least} to {most}");
}

#[test]
fn who_comes_once_makes_room_for_the_next() {
    let set = Words::default();
    for number in 0..1_000 {
        assert!(set.count(address(number)), "{number}");
    }
    assert!(set.held().contains(&address(999)));
    assert_eq!(set.held().len(), WAYS);
}

#[test]
fn a_flood_drives_out_nobody_who_was_at_work_before() {
    let set = Words::default();
    let working: Vec<Addr> = (0..WAYS as u64 - 1).map(address).collect();
    for _ in 0..2 {
        assert!(working.iter().all(|it| set.count(*it)));
    }
    for number in 0..100_000 {
        assert!(set.count(address(1_000 + number)), "{number}");
    }
    let held = set.held();
    assert!(working.iter().all(|it| held.contains(it)), "{held:x?}");
}

#[test]
fn a_new_one_gets_in_where_all_are_warm() {
    let set = Words::default();
    for _ in 0..10 {
        for number in 0..WAYS as u64 {
            set.count(address(number));
        }
    }
    let new = address(1_000);
    let missed = (0..100).take_while(|_| !set.count(new)).count();
    // Each time all cool down by one of three.
    assert_eq!(missed, 3);
    assert!(set.held().contains(&new));
}

#[test]
fn a_new_one_gets_in_beside_one_that_never_rests() {
    for busy in 0..WAYS as u64 {
        for new in 1_000..1_100 {
            let set = Words::default();
            for _ in 0..10 {
                for number in 0..WAYS as u64 {
                    set.count(address(number));
                }
            }
            let mut tries = 0;
            while !set.count(address(new)) {
                set.count(address(busy));
                tries += 1;
                assert!(tries < 10, "{new} beside {busy}");
            }
            assert!(set.held().contains(&address(busy)));
        }
    }
}

#[test]
fn what_is_spent_makes_room_before_what_is_cold() {
    let set = Words {
        spent: 3,
        ..Words::default()
    };
    // One that is spent, and warm; the others came once.
    for _ in 0..5 {
        assert!(set.count(address(0)));
    }
    for number in 1..WAYS as u64 {
        assert!(set.count(address(number)));
    }
    let hash = Hash::new(0, address(1_000), KIND);
    let claimed = claim(&set, hash, |way| set.is_spent(way)).unwrap();
    assert_eq!(set.address(claimed.way), address(0));
    assert!(!claimed.evicted);
    let claimed = claim(&set, hash, |way| set.is_spent(way)).unwrap();
    assert!(claimed.evicted, "nothing is spent any more");
}

#[test]
fn a_way_that_is_being_filled_is_nobody_elses() {
    let set = Words::default();
    let claimed: Vec<usize> = (0..WAYS as u64)
        .map(|it| {
            claim(&set, Hash::new(0, address(it), KIND), |_| false)
                .unwrap()
                .way
        })
        .collect();
    let different: HashSet<&usize> = claimed.iter().collect();
    assert_eq!(different.len(), WAYS);
    assert_eq!(claim(&set, Hash::new(0, address(99), KIND), |_| true), None);
    assert!(set.held().is_empty());
    let tag = Tag::new(Hash::new(0, address(0), KIND), KIND);
    assert_eq!(
        find(
            &set,
            Hash::new(0, address(0), KIND),
            tag,
            Addr { hi: 0, lo: 0 }
        ),
        None
    );
    publish(&set, claimed[0], tag);
    assert_eq!(set.held().len(), 1);
}

#[test]
fn threads_lose_no_count_of_who_stays() {
    const EACH: u64 = 200_000;
    let set = Words::default();
    // As many as there are ways, all there before: nobody has to make room.
    for number in 0..WAYS as u64 {
        assert!(set.count(address(number)));
    }
    thread::scope(|scope| {
        for start in 0..4 {
            let set = &set;
            scope.spawn(move || {
                for step in 0..EACH {
                    assert!(set.count(address((start + step) % WAYS as u64)));
                }
            });
        }
    });
    assert_eq!(set.sum(), 4 * EACH + WAYS as u64);
}

#[test]
fn threads_that_fight_for_ways_leave_every_way_whole() {
    const EACH: u64 = 100_000;
    let set = Words::default();
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let set = &set;
            scope.spawn(move || {
                for step in 0..EACH {
                    set.count(address((step * 7 + thread * 13) % 40));
                }
            });
        }
    });
    // No way is left claimed, and each tag is that of the address in its way.
    for way in 0..WAYS {
        let (tag, address) = (set.tag(way), set.address(way));
        assert!(
            tag.is(Tag::new(Hash::new(0, address, KIND), KIND)),
            "{way}: {tag:x?}"
        );
    }
    assert!(set.sum() <= 4 * EACH);
}
