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
    Addr, Flow, Verdict,
    abi::{
        FlowKey, FlowTag, Packets, SOURCE_SETS, SOURCE_VERDICTS, SPENT, Source, SourceKey, State,
        moment, total_index,
    },
    decide::Decision,
};

use crate::{maps, sets, words};

/// Counts a judged packet, and tags its connection if it got a class.
#[inline(always)]
pub(crate) fn count(
    flow: &Flow,
    decision: &Decision,
    generation: u32,
    count_sources: bool,
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
        count_object(counter, decision.verdict);
    }
    if let Verdict::Tagged = decision.verdict {
        bump(&maps::COUNTRIES, u32::from(decision.country.number()));
        tag(flow, decision, generation, monotonic_ns);
    }
    if count_sources && has_source(flow, decision) {
        count_source(decision, monotonic_ns);
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
fn count_object(counter: u32, verdict: Verdict) {
    if counter == 0 {
        return;
    }
    if let Some(packets) = maps::COUNTERS.get_ptr_mut(counter) {
        // SAFETY: as in `bump`.
        let packets: &mut Packets = unsafe { &mut *packets };
        *packets.of(verdict) += 1;
    }
}

#[inline(always)]
fn count_source(decision: &Decision, monotonic_ns: u64) {
    let Some(role) = decision.role else {
        return;
    };
    let lengths = (decision.source_v4, decision.source_v6);
    let SourceKey {
        address: Addr { hi, lo },
        v4_length,
        v6_length,
        role,
    } = SourceKey::new(decision.source, lengths, role);
    let what = u64::from(v4_length)
        | u64::from(v6_length) << 8
        | u64::from(role) << 16
        | (decision.verdict as u64) << 24;
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
/// verdict, from the lowest octet up. Returns whether the source has an entry now; a packet of one without shows as `other`, which is computed
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
    let verdict = (what >> 24) as usize % SOURCE_VERDICTS;
    let Some(place) = place(&key) else {
        return 0;
    };
    if let Some(source) = place.find() {
        // SAFETY: a way of the map. Other CPUs write it too: the count is added to atomically, and the time is stored whole.
        let source = unsafe { &mut *source };
        if let Some(count) = source.packets.get_mut(verdict) {
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
            if let Some(count) = source.packets.get_mut(verdict) {
                *count = 1;
            }
            source.first = now;
            source.last = now;
        },
    );
    made.is_some().into()
}

#[inline(always)]
fn tag(flow: &Flow, decision: &Decision, generation: u32, monotonic_ns: u64) {
    let tag = FlowTag {
        time_ns: monotonic_ns,
        generation,
        country: decision.country.number(),
        class: decision.class,
        flags: 0,
    };
    // A connection without a tag is still found by its address; there is nothing else to do about a full map here.
    let _ = maps::FLOWS.insert(&FlowKey::of(flow), &tag, u64::from(BPF_ANY));
}
