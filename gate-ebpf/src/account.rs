//! Counting, and the tags of submission connections.
//!
//! Totals and counters are per CPU: no lock, no shared cache line, nothing lost. Sources and flows are bounded, and one
//! entry for all CPUs, since a copy a CPU would cost a large router hundreds of megabytes; what does not fit makes room
//! by age.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a value instead of a reference would be copied to the stack once more"
)]

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::PerCpuArray,
};
use gate_common::{
    Flow, Verdict,
    abi::{FlowKey, FlowTag, Packets, Source, SourceKey, total_index},
    decide::Decision,
};

use crate::{maps, words};

/// Counts a judged packet, and tags its connection if it got a class.
#[inline(always)]
pub(crate) fn count(
    flow: &Flow,
    decision: &Decision,
    generation: u32,
    count_sources: bool,
    boot_ns: u64,
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
        tag(flow, decision, generation, boot_ns);
    }
    if count_sources && has_source(flow, decision) {
        count_source(decision, boot_ns);
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
fn count_source(decision: &Decision, boot_ns: u64) {
    let key = SourceKey {
        address: decision
            .source
            .truncated(decision.source_v4, decision.source_v6),
        v4_length: decision.source_v4,
        v6_length: decision.source_v6,
        role: match decision.role {
            Some(role) => role as u8,
            None => 0,
        },
        reserved: 0,
        spare: 0,
    };
    if bump_source(&key, decision.verdict, boot_ns) {
        return;
    }
    let mut source = MaybeUninit::uninit();
    let source = words::zero::<Source>(&mut source);
    source.first_ns = boot_ns;
    source.last_ns = boot_ns;
    *source.packets.of(decision.verdict) += 1;
    let inserted = maps::SOURCES.insert(&key, &*source, u64::from(BPF_NOEXIST));
    if inserted.is_err() {
        // Another CPU was faster, or there is no entry to be had; what is then missing shows as `other`, which is
        // computed from the totals.
        bump_source(&key, decision.verdict, boot_ns);
    }
}

/// Counts a packet of a source that has an entry; says whether it has one.
#[inline(always)]
fn bump_source(key: &SourceKey, verdict: Verdict, boot_ns: u64) -> bool {
    let Some(source) = maps::SOURCES.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: the entry's memory stays readable and writable until the program ends (RCU), even if the entry is evicted
    // meanwhile, which costs this one count, or gives it to the next source. Other CPUs write it too: the count is added to atomically, and the time is
    // stored whole.
    let source = unsafe { &mut *source };
    words::add(source.packets.of(verdict), 1);
    source.last_ns = boot_ns;
    true
}

#[inline(always)]
fn tag(flow: &Flow, decision: &Decision, generation: u32, boot_ns: u64) {
    let tag = FlowTag {
        time_ns: boot_ns,
        generation,
        country: decision.country.number(),
        class: decision.class,
        flags: 0,
    };
    // A connection without a tag is still found by its address; there is nothing else to do about a full map here.
    let _ = maps::FLOWS.insert(&FlowKey::of(flow), &tag, u64::from(BPF_ANY));
}
