//! The clocks of the kernel program and of people.

use std::time::Duration;

use jiff::Timestamp;
use nix::{
    sys::time::TimeValLike as _,
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

/// The least difference between the clocks that means that somebody set one of them, in nanoseconds: reading both takes
/// some microseconds, and slewing (adjtime(3)) moves both.
pub(crate) const SET_NS: u64 = 10_000_000;

/// The end of a length of time that somebody asked for. It comes when that time is over, whatever becomes of the clock of people; it means something until
/// the machine starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When it is, by the clock of people as it was set then.
    at: Timestamp,
    /// The same by `CLOCK_MONOTONIC`.
    monotonic_ns: u64,
}

impl Deadline {
    /// So much later than now.
    pub fn after(length: Duration) -> nix::Result<Self> {
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        let monotonic_ns = monotonic_ns()?.saturating_add(length_ns);
        Ok(Self {
            at: timestamp(monotonic_ns, wall_offset_ns()?),
            monotonic_ns,
        })
    }

    /// When it is, by the clock of people as it is set now.
    pub fn until(self) -> nix::Result<Timestamp> {
        let until = timestamp(self.monotonic_ns, wall_offset_ns()?);
        let moved = until.duration_since(self.at).unsigned_abs();
        let is_set = moved.as_nanos() >= u128::from(SET_NS);
        Ok(if is_set { until } else { self.at })
    }

    /// Whether it has come.
    pub fn is_over(self) -> nix::Result<bool> {
        Ok(self.monotonic_ns <= monotonic_ns()?)
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
pub fn monotonic_ns() -> nix::Result<u64> {
    nanoseconds(ClockId::CLOCK_MONOTONIC)
}

/// `CLOCK_MONOTONIC` as of the last timer interrupt, which is what the program goes by, in nanoseconds.
pub fn monotonic_coarse_ns() -> nix::Result<u64> {
    nanoseconds(ClockId::CLOCK_MONOTONIC_COARSE)
}

/// What to add to `CLOCK_MONOTONIC` for UNIX time, in nanoseconds, wrapping.
pub fn wall_offset_ns() -> nix::Result<u64> {
    Ok(nanoseconds(ClockId::CLOCK_REALTIME)?.wrapping_sub(monotonic_ns()?))
}

fn nanoseconds(clock: ClockId) -> nix::Result<u64> {
    Ok(u64::try_from(clock_gettime(clock)?.num_nanoseconds()).unwrap_or(0))
}

/// The time of day at which `CLOCK_MONOTONIC` was `monotonic_ns`.
#[must_use]
pub fn timestamp(monotonic_ns: u64, wall_offset_ns: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(monotonic_ns.wrapping_add(wall_offset_ns)))
        .unwrap_or_default()
}
