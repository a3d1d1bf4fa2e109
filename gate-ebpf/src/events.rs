//! Events: packets that are refused or tagged, one by one, for somebody who listens.
//!
//! Nobody does most of the time, which costs one comparison a packet that would be an event, and nothing any other. Who listens brings the ring,
//! and has a lease, which ends by itself: what is left of a listener that was killed is told nothing.

use aya_ebpf::{bindings::BPF_RB_NO_WAKEUP, helpers};
use gate_common::{
    Addr, Flow, Role, Told,
    abi::{Event, Limit, State},
    decide::Decision,
};

use crate::{account::Lengths, limits, maps, tables::Generation};

/// The listener looks for itself: waking it up would be work for the processor that judges packets.
const NO_WAKEUP: u64 = BPF_RB_NO_WAKEUP as u64;
/// In the last argument of [`gate_event`]: the source is that of the packet that carries the tunnel; the destination is told.
const OUTER: u64 = 1 << 16;
const SERVER: u64 = 1 << 17;

/// Tells of a judged packet, if it is an event and somebody listens.
#[inline(always)]
pub(crate) fn tell(
    flow: &mut Flow,
    decision: &Decision,
    generation: u32,
    kept: Lengths,
    tables: &Generation,
    monotonic_ns: u64,
) {
    if !Event::is_of(decision.verdict) || maps::state(State::EventsUntil) == 0 {
        return;
    }
    let what =
        u64::from(generation) | u64::from(decision.group) << 32 | u64::from(decision.prefix) << 48;
    let how = u64::from(decision.interface)
        | u64::from(decision.country.number()) << 16
        | (decision.verdict as u64) << 32
        | u64::from(decision.reason.number()) << 40
        | u64::from(decision.source_v4.min(kept.0)) << 48
        | u64::from(decision.source_v6.min(kept.1)) << 56;
    let (role, server) = match decision.role {
        Some(Role::Access) => (Role::Access as u64, 0),
        Some(Role::Uplink) if tables.lists_servers() => (Role::Uplink as u64, SERVER),
        Some(Role::Uplink) => (Role::Uplink as u64, 0),
        None => (0, 0),
    };
    let outer = if decision.source == flow.src {
        0
    } else {
        OUTER
    };
    let whom = role | u64::from(decision.flags) << 8 | outer | server;
    // SAFETY: a flow.
    unsafe { gate_event(&raw mut *flow, what, how, whom, monotonic_ns) };
}

/// Puts an event into the ring, if it is chosen, within the rate and there is room. A global function, so that the verifier proves it once. From
/// the lowest bit up, `what` is the generation (32) and the counters of pool or class and of the prefix (16 each); `how` the counter of the interface and
/// the country (16 each), verdict, reason and the two lengths (8 each); `whom` the role and the flags (8 each), [`OUTER`] and [`SERVER`].
///
/// # Safety
///
/// `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers are cut out of words"
)]
unsafe extern "C" fn gate_event(
    flow: *mut Flow,
    what: u64,
    how: u64,
    whom: u64,
    monotonic_ns: u64,
) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return 0;
    };
    if let Err(why_not) = is_due(monotonic_ns) {
        return count(why_not);
    }
    let Some(ring) = maps::EVENTS.get(0) else {
        return count(Told::NoRoom);
    };
    let Some(mut entry) = ring.reserve_untyped::<Event>(0) else {
        return count(Told::NoRoom);
    };
    let (v4_length, v6_length) = ((how >> 48) as u8, (how >> 56) as u8);
    let source = if whom & OUTER == 0 {
        flow.src
    } else {
        flow.outer
    };
    let destination = if whom & SERVER == 0 {
        Addr::UNSPECIFIED
    } else {
        flow.dst
    };
    entry.write(Event {
        time_ns: monotonic_ns,
        source: source.truncated(v4_length, v6_length),
        destination,
        generation: what as u32,
        sport: flow.sport,
        dport: flow.dport,
        interface: how as u16,
        group: (what >> 32) as u16,
        prefix: (what >> 48) as u16,
        country: (how >> 16) as u16,
        verdict: (how >> 32) as u8,
        reason: (how >> 40) as u8,
        role: whom as u8,
        flags: (whom >> 8) as u8,
        v4_length,
        v6_length,
        reserved: [0; 2],
    });
    entry.submit(NO_WAKEUP);
    count(Told::Written)
}

/// Whether an event is to be told now.
#[inline(always)]
fn is_due(monotonic_ns: u64) -> Result<(), Told> {
    if monotonic_ns >= maps::state(State::EventsUntil) {
        return Err(Told::Lapsed);
    }
    // By chance and not by turns: clients that try IPv6 and IPv4 in turn would be seen with one of them only.
    // SAFETY: the helper takes no arguments.
    let chance = u64::from(unsafe { helpers::bpf_get_prandom_u32() });
    if chance >= maps::state(State::EventsChance) {
        return Err(Told::Unsampled);
    }
    let limit = Limit {
        interval_ns: maps::state(State::EventsInterval),
        burst_ns: maps::state(State::EventsBurst),
    };
    match maps::EVENT_BUCKET.get_ptr_mut(0) {
        Some(word) if limits::take_from(word, &limit, monotonic_ns).is_within() => Ok(()),
        _ => Err(Told::OverRate),
    }
}

#[inline(always)]
fn count(told: Told) -> u32 {
    if let Some(count) = maps::TOLD.get_ptr_mut(told as u32) {
        // SAFETY: this CPU's own word, and XDP programs do not interrupt one another on a CPU.
        unsafe { *count += 1 };
    }
    0
}
