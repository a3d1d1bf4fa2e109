//! Deleting what is known of single addresses.
//!
//! Programs write to these tables meanwhile, and nobody waits for anybody: a way is claimed as a program claims one, by a compare-and-swap of its tag
//! ([`sets`](gate_common::sets)). While it is busy no program finds it, and a packet that comes in just then makes a way of its own. What is deleted is
//! overwritten, not only unlinked.
//!
//! Whoever is killed while a way is busy leaves it so. A way that is busy at two looks in a row, seconds apart, is nobody's, and is deleted too.

use std::{
    collections::BTreeSet,
    slice,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
};

use bytemuck::Pod;
use gate_common::{
    abi::{
        BucketKey, BucketSet, FlowKey, FlowTag, Packets, Settings, Source, SourceBucket, SourceKey,
        SourceSet, maps,
    },
    limit,
    sets::Tag,
};

use super::Maps;
use crate::kernel::KernelError;

/// What was deleted of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// How many entries.
    pub entries: u64,
    /// Ways that were busy, by number.
    pub busy: BTreeSet<usize>,
}

impl Maps {
    /// Deletes the sources of which `is_over` says so, and counts their packets as expired; and the ways that are busy as they were `before`.
    pub fn delete_sources(
        &self,
        before: &BTreeSet<usize>,
        is_over: impl Fn(&SourceKey, &Source) -> bool,
    ) -> Result<Deleted, KernelError> {
        let shared = self.sources.shared::<SourceSet>();
        let sources = shared.map_err(KernelError::map(maps::SOURCES, "written"))?;
        let shared = self.expired.shared::<Packets>();
        let expired = shared.map_err(KernelError::map(maps::EXPIRED, "written"))?;
        let is_over = |it: &Source| is_over(&SourceKey::of(it.tag, it.address), it);
        Ok(delete(sources.words(), before, is_over, |source| {
            let packets: [u64; WORDS_OF_PACKETS] = bytemuck::cast(source.by_verdict());
            for (sum, count) in expired.words().iter().zip(packets) {
                sum.fetch_add(count, Relaxed);
            }
        }))
    }

    /// Deletes the token buckets of sources that are as good as none under these settings; and the ways that are busy as they were `before`.
    pub fn delete_spent_buckets(
        &self,
        before: &BTreeSet<usize>,
        settings: &Settings,
        now_ns: u64,
    ) -> Result<Deleted, KernelError> {
        let shared = self.buckets.shared::<BucketSet>();
        let buckets = shared.map_err(KernelError::map(maps::BUCKETS, "written"))?;
        let is_over = |it: &SourceBucket| is_spent(it, settings, now_ns);
        Ok(delete(buckets.words(), before, is_over, |_| ()))
    }

    /// Of each token bucket of a source, whether it is as good as none under these settings.
    pub fn spent_buckets(
        &self,
        settings: &Settings,
        now_ns: u64,
    ) -> Result<Vec<bool>, KernelError> {
        let read = self.buckets.read_all();
        let sets: Vec<BucketSet> = read.map_err(KernelError::map(maps::BUCKETS, "read"))?;
        let live = sets
            .iter()
            .flat_map(|it| it.ways)
            .filter(|it| it.tag.is_live());
        Ok(live.map(|it| is_spent(&it, settings, now_ns)).collect())
    }

    /// When each connection that has a tag was opened, by `CLOCK_MONOTONIC`.
    pub fn flow_times(&self) -> Result<Vec<u64>, KernelError> {
        let read = self.flows.entries::<FlowKey, FlowTag>();
        let flows = read.map_err(KernelError::map(maps::FLOWS, "read"))?;
        Ok(flows.values().map(|it| it.time_ns).collect())
    }

    /// Packets of sources that were deleted.
    pub fn expired(&self) -> Result<Packets, KernelError> {
        let expired = self
            .expired
            .lookup(&0u32)
            .map_err(KernelError::map(maps::EXPIRED, "read"))?;
        Ok(expired.unwrap_or_default())
    }
}

fn is_spent(bucket: &SourceBucket, settings: &Settings, now_ns: u64) -> bool {
    BucketKey::of(bucket.tag, bucket.address)
        .is_none_or(|key| limit::is_spent(bucket.word, now_ns, settings.limit(&key)))
}

const WORDS_OF_PACKETS: usize = size_of::<Packets>() / size_of::<u64>();

/// A way of a table, which begins with its tag.
trait Way: Pod {
    fn tag(&mut self) -> &mut Tag;
}

impl Way for Source {
    fn tag(&mut self) -> &mut Tag {
        &mut self.tag
    }
}

impl Way for SourceBucket {
    fn tag(&mut self) -> &mut Tag {
        &mut self.tag
    }
}

/// Deletes the ways of the table `words` of which `is_over` says so, and hands each to `gone` before it can be used again.
fn delete<W: Way>(
    words: &[AtomicU64],
    before: &BTreeSet<usize>,
    is_over: impl Fn(&W) -> bool,
    gone: impl Fn(&W),
) -> Deleted {
    let mut deleted = Deleted::default();
    for (number, way) in words.chunks_exact(words_of::<W>()).enumerate() {
        let Some(tag) = way.first() else { continue };
        let seen = Tag(tag.load(Acquire));
        if seen == Tag::BUSY {
            if before.contains(&number) {
                // What it held is in no count: it is `other`'s.
                let _: W = copy(way, seen, |word| word.swap(0, AcqRel));
                tag.store(Tag::FREE.0, Release);
            } else {
                deleted.busy.insert(number);
            }
            continue;
        }
        // Before it is claimed: most ways are to stay, and are not written to.
        if !seen.is_live() || !is_over(&copy(way, seen, |word| word.load(Relaxed))) {
            continue;
        }
        let claimed = tag.compare_exchange(seen.0, Tag::BUSY.0, AcqRel, Relaxed);
        if claimed.is_err() {
            // It was seen once more, or is another address's. The next look finds it, if there is still reason to.
            continue;
        }
        // It may have become another one's of the same tag between the look and the claim.
        if is_over(&copy(way, seen, |word| word.load(Relaxed))) {
            // An event that is counted meanwhile is in what is found here, or in no entry.
            gone(&copy(way, seen, |word| word.swap(0, AcqRel)));
            deleted.entries += 1;
            tag.store(Tag::FREE.0, Release);
        } else {
            tag.store(seen.0, Release);
        }
    }
    deleted
}

const fn words_of<W>() -> usize {
    size_of::<W>() / size_of::<AtomicU64>()
}

/// The way under this tag, each of its other words by `take`.
fn copy<W: Way>(way: &[AtomicU64], tag: Tag, take: impl Fn(&AtomicU64) -> u64) -> W {
    let mut copied = W::zeroed();
    let words = bytemuck::cast_slice_mut::<W, u64>(slice::from_mut(&mut copied));
    for (copied, word) in words.iter_mut().zip(way).skip(1) {
        *copied = take(word);
    }
    *copied.tag() = tag;
    copied
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use gate_common::Addr;

    use super::*;

    /// Tags as programs make them: two marks, and two bits of heat above the rest.
    const LIVE: u64 = 1 << 63;
    const WARM: u64 = 1 << 48;

    fn source(tag: u64, lo: u64, packets: [u64; 4]) -> Source {
        Source {
            tag: Tag(tag),
            address: Addr { hi: 7, lo },
            packets,
            first: 1,
            last: 2,
        }
    }

    fn table(ways: &[Source]) -> Vec<AtomicU64> {
        let words: &[u64] = bytemuck::cast_slice(ways);
        words.iter().copied().map(AtomicU64::new).collect()
    }

    fn ways(table: &[AtomicU64]) -> Vec<Source> {
        let words: Vec<u64> = table.iter().map(|it| it.load(Relaxed)).collect();
        bytemuck::cast_slice(&words).to_vec()
    }

    #[test]
    fn what_is_over_is_overwritten_and_all_else_stays() {
        let stays = source(LIVE | WARM | 1, 1, [1, 2, 3, 4]);
        let goes = source(LIVE | (3 * WARM) | 2, 2, [10, 20, 30, 40]);
        let free = source(0, 0, [0; 4]);
        let busy = source(Tag::BUSY.0, 2, [5; 4]);
        let words = table(&[stays, goes, free, busy]);
        let told = AtomicU64::new(0);
        let none = BTreeSet::new();
        let found = delete::<Source>(
            &words,
            &none,
            |it| it.address.lo == 2,
            |it| {
                assert_eq!(*it, goes);
                told.fetch_add(1, Relaxed);
            },
        );
        assert_eq!(told.into_inner(), 1);
        assert_eq!((found.entries, &found.busy), (1, &BTreeSet::from([3])));
        assert_eq!(ways(&words), [stays, Source::default(), free, busy]);
        // At the second look it is nobody's.
        let again = delete::<Source>(&words, &found.busy, |_| false, |_| ());
        assert_eq!(again, Deleted::default());
        assert_eq!(
            ways(&words),
            [stays, Source::default(), free, Source::default()]
        );
    }

    /// A program counts in the way, and makes it anew where it is gone, as fast as it can: each packet is in an entry, or was deleted, or fell between
    /// the two while the way was not its own; none is counted twice.
    #[test]
    fn no_packet_is_counted_twice_while_programs_count() {
        let words = table(&[source(LIVE, 2, [0; 4])]);
        let done = AtomicBool::new(false);
        let deleted = AtomicU64::new(0);
        let (counted, between) = thread::scope(|scope| {
            let program = scope.spawn(|| {
                let [tag, _, _, count, ..] = words.as_slice() else {
                    unreachable!("eight words");
                };
                let (mut counted, mut between) = (0u64, 0u64);
                while !done.load(Relaxed) {
                    counted += 1;
                    if tag.load(Acquire) & LIVE != 0 {
                        count.fetch_add(1, Relaxed);
                    } else if tag
                        .compare_exchange(0, Tag::BUSY.0, AcqRel, Relaxed)
                        .is_ok()
                    {
                        // What came to the way while it was nobody's is lost to it, as in the program.
                        between += count.swap(1, AcqRel);
                        tag.store(LIVE, Release);
                    } else {
                        between += 1;
                    }
                }
                (counted, between)
            });
            for _ in 0..200_000 {
                delete::<Source>(
                    &words,
                    &BTreeSet::new(),
                    |_| true,
                    |it| {
                        let [packets, ..] = it.packets;
                        deleted.fetch_add(packets, Relaxed);
                    },
                );
            }
            done.store(true, Relaxed);
            program.join().unwrap()
        });
        let [left] = ways(&words)[..] else {
            unreachable!("one way");
        };
        let kept = left.packets[0] + deleted.load(Relaxed);
        assert_eq!(kept + between, counted);
        assert!(deleted.load(Relaxed) > 0);
    }

    #[test]
    fn a_bucket_is_deleted_once_it_is_as_good_as_none() {
        let limit = gate_common::abi::Limit {
            interval_ns: 10,
            burst_ns: 100,
        };
        for (word, spent) in [(0, true), (1_000, true), (1_001, false), (1_100, false)] {
            assert_eq!(limit::is_spent(word, 1_000, &limit), spent, "{word}");
        }
        assert!(limit::is_spent(1_101 + limit::SKEW_NS, 1_000, &limit));
    }
}
