//! Token buckets in maps: [`gate_common::limit`] says what a bucket holds, this module where it is, and that no two CPUs take
//! the same token.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a value instead of a reference would be copied to the stack once more"
)]

use aya_ebpf::bindings::BPF_NOEXIST;
use gate_common::{
    Addr, Bucket,
    abi::{BucketKey, Limit, Limited},
    limit::{self, TRIES},
};

use crate::{maps, words};

/// Takes one event out of the bucket `key` of the generation in `slot`; whether it was within the limit.
#[inline(always)]
pub(crate) fn take(slot: u32, key: &BucketKey, now_ns: u64) -> bool {
    let what = u64::from(key.bucket)
        | u64::from(key.v4_length) << 8
        | u64::from(key.v6_length) << 16
        | u64::from(slot) << 24;
    gate_take(what, key.address.hi, key.address.lo, now_ns) != 0
}

/// A global function, so that the verifier proves the loop once; `what` is the kind of bucket, the two lengths and the slot, from the
/// lowest octet up.
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
    let Some([settings]) = maps::SETTINGS.get_value((what >> 24) as u32, &0) else {
        return 0;
    };
    let key = BucketKey {
        address: Addr { hi, lo },
        bucket: bucket as u8,
        v4_length: (what >> 8) as u8,
        v6_length: (what >> 16) as u8,
        reserved: 0,
        spare: 0,
    };
    let outcome = match bucket {
        Bucket::AnswerTotal => match maps::TOTAL_BUCKET.get_ptr_mut(0) {
            Some(word) => take_from(word, settings.limit(bucket), now_ns),
            None => Outcome::Contended,
        },
        Bucket::Throttle | Bucket::Answer => {
            take_of_source(&key, bucket, settings.limit(bucket), now_ns)
        }
    };
    count(bucket, |limited| match outcome {
        Outcome::Within => &mut limited.within,
        Outcome::Over => &mut limited.over,
        Outcome::Contended => &mut limited.contended,
    });
    matches!(outcome, Outcome::Within).into()
}

#[derive(Clone, Copy)]
enum Outcome {
    Within,
    Over,
    Contended,
}

#[inline(always)]
fn take_of_source(key: &BucketKey, bucket: Bucket, limit: &Limit, now_ns: u64) -> Outcome {
    if let Some(word) = maps::BUCKETS.get_ptr_mut(key) {
        return take_from(word, limit, now_ns);
    }
    let Some(word) = limit::take(0, now_ns, limit) else {
        return Outcome::Over;
    };
    if maps::BUCKETS
        .insert(key, &word, u64::from(BPF_NOEXIST))
        .is_ok()
    {
        count(bucket, |limited| &mut limited.made);
        return Outcome::Within;
    }
    // Another CPU made it meanwhile, or there is none to be had.
    match maps::BUCKETS.get_ptr_mut(key) {
        Some(word) => take_from(word, limit, now_ns),
        None => Outcome::Contended,
    }
}

#[inline(always)]
fn take_from(word: *mut u64, limit: &Limit, now_ns: u64) -> Outcome {
    // SAFETY: the map's memory stays readable and writable until the program ends (RCU), even if the entry is evicted meanwhile
    // and is another source's by then, which this event then counts for. Other CPUs write it too, but atomically, as this does.
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
fn count(bucket: Bucket, field: impl FnOnce(&mut Limited) -> &mut u64) {
    if let Some(limited) = maps::LIMITED.get_ptr_mut(bucket as u32) {
        // SAFETY: this CPU's own words, and XDP programs do not interrupt one another on a CPU.
        *field(unsafe { &mut *limited }) += 1;
    }
}
