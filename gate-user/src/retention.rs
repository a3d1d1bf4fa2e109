//! What is kept of sources, and for how long: `[counters]` of the generation in force, as readers and the daemon go by it.
//!
//! A source is kept for its retention from its *first* packet on, however busy it is: no count that is shown or stored has a packet in it that is
//! older. (From the last packet on, who never pauses would be on record for years.) Who goes on has a new entry with the next packet.
//!
//! The daemon deletes; readers leave out what is over whether or not it is deleted yet, and count it as expired. So what they show depends on no
//! daemon, and not on when it last looked.
//!
//! Time is the program's, `CLOCK_MONOTONIC`, which nobody sets. Entries have it in moments, which begin up to a second before the
//! packet: what is over is over up to that much early, and never late.

use std::collections::BTreeMap;

use gate_common::abi::{Settings, Source, SourceKey, began_ns};

use crate::{
    clock,
    config::Counters,
    error::Error,
    kernel::{self, Maps},
    pins::Pins,
    view,
};

impl Counters {
    /// Whether a source is not to be kept, or no more, at `now_ns`.
    #[must_use]
    pub fn is_over(&self, key: &SourceKey, source: &Source, now_ns: u64) -> bool {
        let Self {
            sources,
            retention,
            source_v4,
            source_v6,
        } = *self;
        let too_long = if key.address.is_v4() {
            key.v4_length > source_v4
        } else {
            key.v6_length > source_v6
        };
        let age_ns = now_ns.saturating_sub(began_ns(source.first));
        !sources || too_long || u128::from(age_ns) >= retention.as_nanos()
    }
}

/// What there is to say where they cannot be deleted.
#[must_use]
pub fn unswept(failure: &str) -> String {
    format!(
        "sources are kept beyond their retention, though not shown: they cannot be deleted: {failure}; it is tried again all the time, and `gate run` makes \
         pins anew that are gone"
    )
}

/// The time that sources are aged by.
pub fn now_ns() -> Result<u64, Error> {
    clock::monotonic_coarse_ns().map_err(|errno| Error::system("read the clock")(errno.into()))
}

/// Deletes what is over, again and again.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// What the generation of this number says.
    policy: Option<(u32, Counters, Box<Settings>)>,
    busy_sources: BTreeMap<usize, u64>,
    busy_buckets: BTreeMap<usize, u64>,
}

impl Sweeper {
    /// Deletes sources that are over, and token buckets that are as good as none; how many sources.
    pub(crate) fn sweep(&mut self, pins: &Pins, maps: &Maps) -> Result<u64, Error> {
        let number = maps.generation()?.number();
        if number == 0 {
            return Ok(0);
        }
        let known = self.policy.take().filter(|(of, ..)| *of == number);
        let (_, counters, settings) = if let Some(policy) = known {
            self.policy.insert(policy)
        } else {
            let (of, counters, settings) = view::with_current(pins, |directory| {
                let manifest = kernel::manifest(directory)?;
                Ok((
                    manifest.number,
                    manifest.counters,
                    view::settings(directory)?,
                ))
            })?;
            self.policy.insert((of, counters, Box::new(settings)))
        };
        let now = now_ns()?;
        let sources = maps.delete_sources(&self.busy_sources, |key, source| {
            counters.is_over(key, source, now)
        })?;
        let buckets = maps.delete_spent_buckets(&self.busy_buckets, settings, now)?;
        self.busy_sources = sources.busy;
        self.busy_buckets = buckets.busy;
        Ok(sources.entries)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gate_common::{Addr, Role, abi::moment};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn key(address: Addr, lengths: (u8, u8)) -> SourceKey {
        SourceKey::new(address, lengths, Role::Access)
    }

    fn source(first_s: u64, last_s: u64) -> Source {
        Source {
            first: moment(first_s * SECOND),
            last: moment(last_s * SECOND),
            ..Source::default()
        }
    }

    /// By the words of the documentation: gone when the retention has passed since the first packet, at most 1.08 s early, never late.
    #[test]
    fn a_source_is_over_when_its_retention_has_passed_since_its_first_packet() {
        let counters = Counters {
            retention: Duration::from_mins(90),
            ..Counters::default()
        };
        let key = key(Addr::v4(0x6440_0002), (32, 64));
        for first_s in [1, 7, 3_600, 86_399, 4_000_000_000] {
            // However short ago its last packet is.
            let busy = source(first_s, first_s + 5_400);
            let at = |after_ms: u64| first_s * SECOND + after_ms * 1_000_000;
            assert!(!counters.is_over(&key, &busy, at(0)), "{first_s}");
            assert!(!counters.is_over(&key, &busy, at(5_398_900)), "{first_s}");
            assert!(counters.is_over(&key, &busy, at(5_400_000)), "{first_s}");
            assert!(counters.is_over(&key, &busy, u64::MAX), "{first_s}");
        }
        // A CPU whose clock is ahead of the one that asks.
        assert!(!counters.is_over(&key, &source(100, 100), 50 * SECOND));
    }

    #[test]
    fn what_has_more_of_an_address_than_is_kept_is_over() {
        let v4 = Addr::v4(0x6440_0002);
        let v6 = Addr {
            hi: 0x2001_0db8_0000_0000,
            lo: 1,
        };
        let counters = |source_v4, source_v6| Counters {
            source_v4,
            source_v6,
            ..Counters::default()
        };
        let source = source(10, 10);
        for (kept, address, lengths, over) in [
            ((32, 128), v4, (32, 64), false),
            ((24, 48), v4, (32, 48), true),
            ((24, 48), v4, (24, 64), false),
            ((24, 48), v4, (16, 64), false),
            ((24, 48), v6, (32, 48), false),
            ((24, 48), v6, (24, 49), true),
            ((24, 48), v6, (24, 128), true),
        ] {
            let found =
                counters(kept.0, kept.1).is_over(&key(address, lengths), &source, 11 * SECOND);
            assert_eq!(found, over, "{kept:?} {lengths:?}");
        }
    }

    #[test]
    fn nothing_is_kept_where_sources_are_not_counted() {
        let off = Counters {
            sources: false,
            ..Counters::default()
        };
        let key = key(Addr::v4(0x6440_0002), (32, 64));
        assert!(off.is_over(&key, &source(10, 10), 10 * SECOND));
    }
}
