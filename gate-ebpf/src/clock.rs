//! What time it is.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use gate_common::{abi::State, decide::Now};

use crate::maps;

/// `CLOCK_MONOTONIC` as of the last timer interrupt, some milliseconds ago: no deadline and no limit is finer, and reading the hardware's clock would
/// take a fifth of all the time that a refused packet takes.
#[inline(always)]
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: the helper takes no arguments.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// What a decision is to go by at `monotonic_ns`.
#[inline(always)]
pub(crate) fn now(monotonic_ns: u64) -> Now {
    match maps::state(State::Now) {
        0 => Now {
            unix_ns: monotonic_ns.wrapping_add(maps::state(State::WallOffset)),
            monotonic_ns,
        },
        now_ns => Now::both(now_ns),
    }
}
