//! The clocks of the kernel program and of people.

use jiff::Timestamp;
use nix::{
    sys::time::TimeValLike as _,
    time::{ClockId, clock_gettime},
};

/// `CLOCK_BOOTTIME` in nanoseconds.
pub fn boot_ns() -> nix::Result<u64> {
    nanoseconds(ClockId::CLOCK_BOOTTIME)
}

/// What to add to `CLOCK_BOOTTIME` for UNIX time, in nanoseconds, wrapping.
pub fn wall_offset_ns() -> nix::Result<u64> {
    Ok(nanoseconds(ClockId::CLOCK_REALTIME)?.wrapping_sub(boot_ns()?))
}

fn nanoseconds(clock: ClockId) -> nix::Result<u64> {
    Ok(u64::try_from(clock_gettime(clock)?.num_nanoseconds()).unwrap_or(0))
}

/// The time of day at which `CLOCK_BOOTTIME` was `boot_ns`.
#[must_use]
pub fn timestamp(boot_ns: u64, wall_offset_ns: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(boot_ns.wrapping_add(wall_offset_ns))).unwrap_or_default()
}
