//! Counting, and the tags of submission connections.
//!
//! Totals and counters are per CPU: no lock, no shared cache line, nothing lost. Sources and flows are bounded, and one
//! entry for all CPUs, since a copy a CPU would cost a large router hundreds of megabytes.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a value instead of a reference would be copied to the stack once more"
)]

use aya_ebpf::{bindings::BPF_ANY, btf_maps::PerCpuArray};
use gate_common::{
    Addr, Flow, Reason, Verdict,
    abi::{
        FlowKey, FlowTag, Packets, SOURCE_SETS, SOURCE_WORDS, SPENT, Source, SourceKey, State,
        moment, total_index,
    },
    decide::Decision,
};

use crate::{events, maps, sets, tables::Generation, words};

/// How many bits of an address a source has, of IPv4 and of IPv6.
pub(crate) type Lengths = (u8, u8);

/// Counts a judged packet, tags its connection if it got a class and does not hide its ports, and tells of it to who listens.
#[inline(always)]
pub(crate) fn count(
    flow: &mut Flow,
    decision: &Decision,
    generation: u32,
    tables: &Generation,
    monotonic_ns: u64,
) {
    bump(
        &maps::TOTALS,
        total_index(decision.verdict, decision.reason),
    );
    for counter in [
        decision.interface,
        decision.group,
        decision.prefix,
        decision.relay,
    ] {
        count_object(counter, decision);
    }
    if decision.is_classed() {
        bump(&maps::COUNTRIES, u32::from(decision.country.number()));
        if flow.is_segment() {
            tag(&raw mut *flow, decision, generation, monotonic_ns);
        }
    }
    if let Some(kept) = tables.kept() {
        if has_source(flow, decision) {
            count_source(decision, kept, monotonic_ns);
        }
        events::tell(flow, decision, generation, kept, tables, monotonic_ns);
    }
}

/// Whether the packet is one that the per-source map is about: a connection, or what was taken for one, of somebody.
#[inline(always)]
fn has_source(flow: &Flow, decision: &Decision) -> bool {
    decision.role.is_some() && flow.has_source() && !matches!(decision.verdict, Verdict::Unparsed)
}

#[inline(always)]
fn bump<const N: usize>(map: &PerCpuArray<u64, N>, index: u32) {
    if let Some(count) = map.get_ptr_mut(index) {
        // SAFETY: this CPU's own word, and XDP programs do not interrupt one another on a CPU.
        unsafe { *count += 1 };
    }
}

#[inline(always)]
fn count_object(counter: u32, decision: &Decision) {
    if counter == 0 {
        return;
    }
    if let Some(packets) = maps::COUNTERS.get_ptr_mut(counter) {
        // SAFETY: as in `bump`.
        let packets: &mut Packets = unsafe { &mut *packets };
        *packets.of(decision.verdict) += 1;
        if let Reason::OverLimit = decision.reason {
            packets.over_limit += 1;
        }
    }
}

#[inline(always)]
fn count_source(decision: &Decision, kept: Lengths, monotonic_ns: u64) {
    let Some(role) = decision.role else {
        return;
    };
    // What is longer never gets into the map: limits go by the length of the pool, and know nothing of this one.
    let lengths = (
        decision.source_v4.min(kept.0),
        decision.source_v6.min(kept.1),
    );
    let SourceKey {
        address: Addr { hi, lo },
        v4_length,
        v6_length,
        role,
    } = SourceKey::new(decision.source, lengths, role);
    let what = u64::from(v4_length)
        | u64::from(v6_length) << 8
        | u64::from(role) << 16
        | (Source::word(decision.verdict, decision.reason) as u64) << 24;
    gate_source(what, hi, lo, monotonic_ns);
}

/// Where a source is.
#[inline(always)]
fn place(key: &SourceKey) -> Option<sets::Place<Source>> {
    sets::place(
        maps::state(State::Seed),
        key.address,
        key.kind(),
        SOURCE_SETS,
        |set| maps::SOURCES.get_ptr_mut(set),
    )
}

/// Counts a packet of the source `hi`, `lo`. A global function, so that the verifier proves it once; `what` is the two lengths, the role and the
/// [word](Source::word) that counts it, from the lowest octet up. Returns whether the source has an entry now; a packet of one without shows as `other`, which is computed
/// from the totals.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "octets are cut out of a word"
)]
extern "C" fn gate_source(what: u64, hi: u64, lo: u64, monotonic_ns: u64) -> u32 {
    let key = SourceKey {
        address: Addr { hi, lo },
        v4_length: what as u8,
        v6_length: (what >> 8) as u8,
        role: (what >> 16) as u8,
    };
    // A mask, which proves to the verifier what a comparison would not: that is of another register in the end.
    let word = (what >> 24) as usize % SOURCE_WORDS;
    let Some(place) = place(&key) else {
        return 0;
    };
    if let Some(source) = place.find() {
        // SAFETY: a way of the map. Other CPUs write it too: the count is added to atomically, and the time is stored whole.
        let source = unsafe { &mut *source };
        if let Some(count) = source.packets.get_mut(word) {
            words::add(count, 1);
        }
        source.last = moment(monotonic_ns);
        return 1;
    }
    let now = moment(monotonic_ns);
    let made = place.make(
        |source| now.wrapping_sub(source.last) > SPENT,
        |source| {
            source.address = key.address;
            words::clear(&mut source.packets);
            if let Some(count) = source.packets.get_mut(word) {
                *count = 1;
            }
            source.first = now;
            source.last = now;
        },
    );
    made.is_some().into()
}

#[inline(always)]
fn tag(flow: *mut Flow, decision: &Decision, generation: u32, monotonic_ns: u64) {
    let what = u64::from(generation)
        | u64::from(decision.country.number()) << 32
        | u64::from(decision.class) << 48
        | u64::from(decision.flags) << 56;
    // SAFETY: a flow.
    unsafe { gate_tag(flow, what, monotonic_ns) };
}

/// Tags the connection that `flow` opens; `what` is the generation, the country, the class and the flags, from the lowest octet up. A global
/// function for the sake of its stack frame, which has key and value of the map.
///
/// # Safety
///
/// `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers are cut out of a word"
)]
unsafe extern "C" fn gate_tag(flow: *mut Flow, what: u64, monotonic_ns: u64) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return 0;
    };
    let tag = FlowTag {
        time_ns: monotonic_ns,
        generation: what as u32,
        country: (what >> 32) as u16,
        class: (what >> 48) as u8,
        flags: (what >> 56) as u8,
    };
    // A connection without a tag is still found by its address; there is nothing else to do about a full map here.
    let _ = maps::FLOWS.insert(&FlowKey::of(flow), &tag, u64::from(BPF_ANY));
    0
}
