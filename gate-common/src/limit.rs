//! Token buckets: so many events in so much time, and so many at once.
//!
//! A bucket is one 64-bit word, the time at which it will be full again (GCRA, the virtual scheduling form of ITU-T I.371
//! annex A): it needs no refill, no second word to keep in step, and one compare-and-swap. A word of 0 is a full bucket.
//!
//! Time is that of a clock that nobody sets: `CLOCK_MONOTONIC` in the kernel, that of the capture in a replay.
//!
//! However many CPUs take from one bucket at the same time, all together never get more than the burst, and one event for each interval that goes by.
//! What comes on top has to do with where buckets are kept, and is said there ([`crate::sets`]).

use crate::abi::Limit;

/// How often a bucket is tried that other CPUs take from at the same time; then the event is over the limit.
pub const TRIES: u32 = 8;

/// How far the time that one CPU goes by may lie behind another's. The clock is the same for all, but it is read once a packet: a CPU that
/// was held up since, as those of virtual machines are, comes to the bucket with an older time than those that were there meanwhile.
pub const SKEW_NS: u64 = 1_000_000_000;

/// Whether the bucket `word` is as good as none at `now_ns`.
///
/// It is where it is full again. So it is where the word is further ahead than a bucket can be empty: it is from a limit with a longer burst, or a
/// capture goes back in time. It starts anew rather than stay closed for as long as that limit, or until the old time comes round again.
#[inline(always)]
#[must_use]
pub const fn is_spent(word: u64, now_ns: u64, limit: &Limit) -> bool {
    word <= now_ns || word - now_ns > limit.burst_ns.saturating_add(SKEW_NS)
}

/// Takes one event out of the bucket `word` at `now_ns`: the bucket afterwards, or nothing if the event is over the limit.
#[inline(always)]
#[must_use]
pub const fn take(word: u64, now_ns: u64, limit: &Limit) -> Option<u64> {
    let busy = if is_spent(word, now_ns, limit) {
        now_ns
    } else {
        word
    };
    let next = busy.saturating_add(limit.interval_ns);
    if next - now_ns <= limit.burst_ns {
        Some(next)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 1_800_000_000 * SECOND;

    /// `events` a second, `burst` at once.
    const fn limit(events: u64, burst: u64) -> Limit {
        Limit {
            interval_ns: SECOND / events,
            burst_ns: SECOND / events * burst,
        }
    }

    /// A bucket as textbooks have it: tokens that drip in, in billionths so that whole numbers do.
    struct Tokens {
        billionths: u64,
        last_ns: u64,
    }

    impl Tokens {
        fn take(&mut self, now_ns: u64, events: u64, burst: u64) -> bool {
            let dripped = (now_ns - self.last_ns) * events;
            self.billionths = (self.billionths + dripped).min(burst * SECOND);
            self.last_ns = now_ns;
            let within = self.billionths >= SECOND;
            if within {
                self.billionths -= SECOND;
            }
            within
        }
    }

    #[test]
    fn is_a_textbook_token_bucket() {
        for (events, burst) in [(1, 1), (5, 10), (1000, 1), (10, 100)] {
            let limit = limit(events, burst);
            let mut tokens = Tokens {
                billionths: burst * SECOND,
                last_ns: NOW,
            };
            let (mut word, mut now, mut step) = (0, NOW, 1u64);
            for _ in 0..10_000 {
                // Uneven steps, from nanoseconds to some intervals.
                step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                now += step % (limit.interval_ns * 2);
                let taken = take(word, now, &limit);
                assert_eq!(taken.is_some(), tokens.take(now, events, burst));
                word = taken.unwrap_or(word);
            }
        }
    }

    #[test]
    fn a_cpu_that_was_held_up_gives_nothing_away() {
        let limit = limit(10, 5);
        let mut word = 0;
        for _ in 0..5 {
            word = take(word, NOW, &limit).unwrap();
        }
        for late in [1, SECOND / 250, SKEW_NS] {
            assert_eq!(take(word, NOW - late, &limit), None, "{late} ns late");
        }
        assert!(take(word, NOW - SKEW_NS - 1, &limit).is_some());
    }

    #[test]
    fn a_shorter_burst_than_before_starts_the_bucket_anew() {
        let (mut word, long) = (0, limit(1, 100));
        for _ in 0..100 {
            word = take(word, NOW, &long).unwrap();
        }
        assert_eq!(take(word, NOW, &limit(1, 3)), Some(NOW + SECOND));
    }

    #[test]
    fn a_capture_that_goes_back_in_time_starts_the_bucket_anew() {
        let limit = limit(1, 3);
        let mut word = 0;
        for _ in 0..3 {
            word = take(word, NOW, &limit).unwrap();
        }
        assert_eq!(take(word, NOW, &limit), None);
        assert_eq!(
            take(word, NOW - 60 * SECOND, &limit),
            Some(NOW - 59 * SECOND)
        );
    }
}
