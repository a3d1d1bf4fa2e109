//! The clocks of the kernel program and of people.

use jiff::Timestamp;
use nix::{
    sys::time::TimeValLike as _,
    time::{ClockId, clock_gettime},
};

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
