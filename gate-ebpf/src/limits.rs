//! Token buckets in maps: [`gate_common::limit`] says what a bucket holds, this module where it is, and that no two CPUs take
//! the same token. The candidate of a rehearsal has buckets of its own, and counts nothing.

use gate_common::{
    Addr, Bucket,
    abi::{BUCKET_SETS, BucketKey, CANDIDATE, Limit, Limited, SourceBucket, State},
    limit::{self, TRIES},
};

use crate::{maps, sets, words};

/// Takes one event out of the bucket `key` of the generation in `slot`; whether it was within the limit.
#[inline(always)]
pub(crate) fn take(slot: u32, key: &BucketKey, now_ns: u64) -> bool {
    let what = u64::from(key.bucket as u8)
        | u64::from(key.v4_length) << 8
        | u64::from(key.v6_length) << 16
        | u64::from(slot) << 24
        | u64::from(key.class) << 40;
    let Addr { hi, lo } = key.address;
    match gate_take(what, hi, lo, now_ns) {
        // Another CPU may have made the bucket meanwhile.
        AGAIN => gate_take(what | LAST, hi, lo, now_ns) == WITHIN,
        outcome => outcome == WITHIN,
    }
}

/// What [`gate_take`] returns: over the limit is all else.
const WITHIN: u32 = 1;
const AGAIN: u32 = 2;
/// Has [`gate_take`] not return [`AGAIN`]; beside the slot.
const LAST: u64 = 1 << 32;

/// A global function, so that the verifier proves the loop once; `what` is the kind of bucket, the two lengths, the slot, [`LAST`] and
/// the class, from the lowest octet up. (That the second try is the caller's keeps the stack frame small.)
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "octets are cut out of a word"
)]
extern "C" fn gate_take(what: u64, hi: u64, lo: u64, now_ns: u64) -> u32 {
    let Some(bucket) = Bucket::from_number(what as u8) else {
        return 0;
    };
    let slot = u32::from((what >> 24) as u8);
    let Some([settings]) = maps::SETTINGS.get_value(slot, &0) else {
        return 0;
    };
    let key = BucketKey {
        address: Addr { hi, lo },
        bucket,
        class: (what >> 40) as u8,
        v4_length: (what >> 8) as u8,
        v6_length: (what >> 16) as u8,
    };
    let outcome = match bucket {
        Bucket::AnswerTotal => match maps::TOTAL_BUCKET.get_ptr_mut(0) {
            Some(word) => take_from(word, settings.limit(&key), now_ns),
            None => Outcome::Contended,
        },
        Bucket::Throttle | Bucket::Answer | Bucket::Class => {
            take_of_source(slot, &key, settings.limit(&key), now_ns)
        }
    };
    if matches!(outcome, Outcome::NoBucket) && what & LAST == 0 {
        return AGAIN;
    }
    count(slot, bucket, |limited| match outcome {
        Outcome::Within => &mut limited.within,
        Outcome::Over => &mut limited.over,
        Outcome::Contended | Outcome::NoBucket => &mut limited.contended,
    });
    match outcome {
        Outcome::Within => WITHIN,
        Outcome::Over | Outcome::Contended | Outcome::NoBucket => 0,
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Within,
    Over,
    /// Other CPUs were faster each time.
    Contended,
    /// There was none to be had, or another CPU was faster to have it.
    NoBucket,
}

impl Outcome {
    #[inline(always)]
    pub(crate) const fn is_within(self) -> bool {
        matches!(self, Self::Within)
    }
}

#[inline(always)]
fn take_of_source(slot: u32, key: &BucketKey, limit: &Limit, now_ns: u64) -> Outcome {
    let place = sets::place::<SourceBucket, _>(
        maps::state(State::Seed),
        key.address,
        key.kind(),
        BUCKET_SETS,
        |set| {
            if slot == CANDIDATE {
                let set = maps::REHEARSED_BUCKETS.get_value_ptr_mut(0, &set)?;
                Some(set.cast())
            } else {
                maps::BUCKETS.get_ptr_mut(set)
            }
        },
    );
    let Some(place) = place else {
        return Outcome::Contended;
    };
    if let Some(way) = place.find() {
        // SAFETY: a word of the way.
        return take_from(unsafe { &raw mut (*way).word }, limit, now_ns);
    }
    let Some(word) = limit::take(0, now_ns, limit) else {
        return Outcome::Over;
    };
    // A bucket that is full again is as good as none.
    let made = place.make(
        |way| way.word <= now_ns,
        |way| {
            way.address = key.address;
            way.word = word;
        },
    );
    let Some(evicted) = made else {
        return Outcome::NoBucket;
    };
    count(slot, key.bucket, |limited| &mut limited.made);
    if evicted {
        count(slot, key.bucket, |limited| &mut limited.evicted);
    }
    Outcome::Within
}

/// Takes one event out of the bucket at `word`.
#[inline(always)]
pub(crate) fn take_from(word: *mut u64, limit: &Limit, now_ns: u64) -> Outcome {
    // SAFETY: a word of the map, even if it is another source's by now, which this event then counts for. Other CPUs write it too, but
    // atomically, as this does.
    let word = unsafe { &mut *word };
    let mut seen = words::load(word);
    for _ in 0..TRIES {
        let Some(next) = limit::take(seen, now_ns, limit) else {
            return Outcome::Over;
        };
        let found = words::compare_exchange(word, seen, next);
        if found == seen {
            return Outcome::Within;
        }
        seen = found;
    }
    Outcome::Contended
}

#[inline(always)]
fn count(slot: u32, bucket: Bucket, field: impl FnOnce(&mut Limited) -> &mut u64) {
    if slot == CANDIDATE {
        return;
    }
    if let Some(limited) = maps::LIMITED.get_ptr_mut(bucket as u32) {
        // SAFETY: this CPU's own words, and XDP programs do not interrupt one another on a CPU.
        *field(unsafe { &mut *limited }) += 1;
    }
}
