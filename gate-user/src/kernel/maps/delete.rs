//! Deleting what is known of single addresses.
//!
//! Programs write to these tables meanwhile, and nobody waits for anybody: a way is claimed as a program claims one, by a compare-and-swap of its tag
//! ([`sets`](gate_common::sets)). While it is busy no program finds it, and a packet that comes in just then makes a way of its own. What is deleted is
//! overwritten, not only unlinked.
//!
//! Whoever is killed while a way is busy leaves it so. A way that is busy with the same tag at two looks in a row, seconds apart, is nobody's, and is
//! deleted too. Who was only stopped may still go on: a busy tag of ours says who claimed the way, which programs do not ask, and whoever lost it
//! leaves it alone.

use std::{
    collections::BTreeMap,
    process, slice,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
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
    /// Ways that were busy, by number, and with which tag.
    pub busy: BTreeMap<usize, u64>,
    /// How many ways were to be deleted, and were changed by packets each time that it was tried.
    pub missed: u64,
}

impl Maps {
    /// Deletes the sources of which `is_over` says so, and counts their packets as expired; and the ways that are busy as they were `before`.
    pub fn delete_sources(
        &self,
        before: &BTreeMap<usize, u64>,
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
        before: &BTreeMap<usize, u64>,
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

/// How often a way is claimed whose tag packets change meanwhile: by each that it gets warmer, three times at most, or cooler.
const CLAIMS: usize = 32;

/// A busy tag that nobody else has, which is how whoever claimed a way knows that it still has it.
fn own_tag() -> u64 {
    static CLAIMED: AtomicU64 = AtomicU64::new(0);
    let number = CLAIMED.fetch_add(1, Relaxed) & 0xff_ffff;
    let process = u64::from(process::id()) & 0xff_ffff;
    Tag::BUSY.0 | (process << 24) | number
}

fn is_busy(tag: Tag) -> bool {
    !tag.is_live() && tag.0 & Tag::BUSY.0 != 0
}

/// Deletes the ways of the table `words` of which `is_over` says so, and hands each to `gone` before it can be used again.
fn delete<W: Way>(
    words: &[AtomicU64],
    before: &BTreeMap<usize, u64>,
    is_over: impl Fn(&W) -> bool,
    gone: impl Fn(&W),
) -> Deleted {
    let mut deleted = Deleted::default();
    for (number, way) in words.chunks_exact(words_of::<W>()).enumerate() {
        let Some(tag) = way.first() else { continue };
        let seen = Tag(tag.load(Acquire));
        if is_busy(seen) {
            if before.get(&number) != Some(&seen.0) {
                deleted.busy.insert(number, seen.0);
            } else if let Some(own) = claim(tag, seen) {
                // What it held is in no count: it is `other`'s.
                let _: Option<W> = empty(way, own, seen);
                leave(tag, own, Tag::FREE);
            }
            continue;
        }
        // Before it is claimed: most ways are to stay, and are not written to.
        if !seen.is_live() || !is_over(&copy(way, seen, |word| word.load(Relaxed))) {
            continue;
        }
        let Some((seen, own)) = claim_live(tag, seen) else {
            let now = Tag(tag.load(Acquire));
            deleted.missed += u64::from(now.is(seen));
            // Somebody else has it now, who may hand it back.
            deleted.busy.extend(is_busy(now).then_some((number, now.0)));
            continue;
        };
        // It may have become another one's of the same tag between the look and the claim.
        if !is_over(&copy(way, seen, |word| word.load(Relaxed))) {
            leave(tag, own, seen);
        } else if let Some(way) = empty(way, own, seen) {
            // An event that is counted meanwhile is in what was found there, or in no entry.
            gone(&way);
            deleted.entries += 1;
            leave(tag, own, Tag::FREE);
        }
    }
    deleted
}

/// Claims the way with this tag, which must be `seen` still; the tag that it has then.
fn claim(tag: &AtomicU64, seen: Tag) -> Option<Tag> {
    let own = Tag(own_tag());
    let claimed = tag.compare_exchange(seen.0, own.0, AcqRel, Relaxed);
    claimed.is_ok().then_some(own)
}

/// The same of one that packets make warmer and cooler; also the tag that it had.
fn claim_live(tag: &AtomicU64, seen: Tag) -> Option<(Tag, Tag)> {
    let mut now = seen;
    for _ in 0..CLAIMS {
        if let Some(own) = claim(tag, now) {
            return Some((now, own));
        }
        now = Tag(tag.load(Acquire));
        if !now.is(seen) {
            return None;
        }
    }
    None
}

/// Overwrites a way that has the tag `own`; what it held, under the tag `was`. Nothing where somebody took it over.
fn empty<W: Way>(way: &[AtomicU64], own: Tag, was: Tag) -> Option<W> {
    let is_own = way.first().is_some_and(|tag| tag.load(Acquire) == own.0);
    is_own.then(|| copy(way, was, |word| word.swap(0, AcqRel)))
}

/// Hands a way on that has the tag `own`. Where somebody took it over, it is theirs.
fn leave(tag: &AtomicU64, own: Tag, next: Tag) {
    let _taken_over = tag.compare_exchange(own.0, next.0, AcqRel, Relaxed);
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
    use std::{
        sync::atomic::{AtomicBool, Ordering::Release},
        thread,
    };

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
        let none = BTreeMap::new();
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
        assert_eq!(
            (found.entries, &found.busy),
            (1, &BTreeMap::from([(3, Tag::BUSY.0)]))
        );
        assert_eq!(ways(&words), [stays, Source::default(), free, busy]);
        // At the second look it is nobody's.
        let again = delete::<Source>(&words, &found.busy, |_| false, |_| ());
        assert_eq!(again, Deleted::default());
        assert_eq!(
            ways(&words),
            [stays, Source::default(), free, Source::default()]
        );
    }

    /// Packets make it warmer under the hands of whoever deletes it.
    #[test]
    fn a_way_that_gets_warmer_meanwhile_is_deleted_nevertheless() {
        let words = table(&[source(LIVE | 1, 2, [9; 4])]);
        let warmer = |it: &Source| {
            if it.tag.heat() == 0 {
                words[0].store(LIVE | WARM | 1, Release);
            }
            true
        };
        let found = delete::<Source>(&words, &BTreeMap::new(), warmer, |_| ());
        assert_eq!((found.entries, found.missed), (1, 0));
        assert_eq!(ways(&words), [Source::default()]);
    }

    /// Whoever deletes a way is stopped while it has it: somebody else takes it over, a program makes an entry of it, and it goes on.
    #[test]
    fn who_lost_a_way_leaves_it_alone() {
        let lost = source(LIVE | 1, 2, [9; 4]);
        let new = source(LIVE | WARM | 5, 3, [1, 0, 0, 0]);
        let none = BTreeMap::new();
        for over in [true, false] {
            let words = table(&[lost]);
            let stopped = |_: &Source| {
                if Tag(words[0].load(Relaxed)).is_live() {
                    return true;
                }
                let first = delete::<Source>(&words, &none, |_| false, |_| ());
                assert_eq!(first.busy.len(), 1);
                // Other hands have a tag of their own.
                let others = BTreeMap::from([(0, Tag::BUSY.0)]);
                let second = delete::<Source>(&words, &others, |_| false, |_| ());
                assert_eq!(second.busy, first.busy);
                delete::<Source>(&words, &first.busy, |_| false, |_| ());
                assert_eq!(ways(&words), [Source::default()]);
                for (word, value) in words.iter().zip(table(&[new])) {
                    word.store(value.into_inner(), Release);
                }
                over
            };
            let found = delete::<Source>(&words, &none, stopped, |it| panic!("{it:?}"));
            assert_eq!(found.entries, 0);
            assert_eq!(ways(&words), [new]);
        }
        // Later still: when it was counted.
        let words = table(&[lost]);
        let stopped = |it: &Source| {
            assert_eq!(*it, lost);
            let busy = delete::<Source>(&words, &none, |_| false, |_| ()).busy;
            delete::<Source>(&words, &busy, |_| false, |_| ());
            words[0].store(new.tag.0, Release);
        };
        delete::<Source>(&words, &none, |_| true, stopped);
        assert_eq!(ways(&words)[0].tag, new.tag);
    }

    /// A program counts in the way, and makes it anew where it is gone, as fast as it can: each packet is in an entry, or was deleted, or fell between
    /// the two while the way was not its own; none is counted twice.
    #[test]
    fn no_packet_is_counted_twice_while_programs_count() {
        let words = table(&[source(LIVE, 2, [0; 4])]);
        let done = AtomicBool::new(false);
        let (began, deleted) = (AtomicBool::new(false), AtomicU64::new(0));
        let (counted, between) = thread::scope(|scope| {
            let program = scope.spawn(|| {
                let [tag, _, _, count, ..] = words.as_slice() else {
                    unreachable!("eight words");
                };
                let (mut counted, mut between) = (0u64, 0u64);
                while !done.load(Relaxed) {
                    counted += 1;
                    began.store(counted > 1, Relaxed);
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
            while !began.load(Relaxed) {
                thread::yield_now();
            }
            // However the two are scheduled: until there was something to be counted twice.
            for turn in 0u64.. {
                delete::<Source>(
                    &words,
                    &BTreeMap::new(),
                    |_| true,
                    |it| {
                        let [packets, ..] = it.packets;
                        deleted.fetch_add(packets, Relaxed);
                    },
                );
                if turn >= 200_000 && deleted.load(Relaxed) > 0 {
                    break;
                }
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
