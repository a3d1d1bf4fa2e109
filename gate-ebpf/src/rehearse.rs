//! A rehearsal: the candidate generation decides about a packet once more, beside the one in force, and what it would have done is compared and
//! counted. Nothing else comes of it: no verdict, no tag, no answer, no counter and no token of the generation in force.
//!
//! There is none most of the time, which costs one comparison a judged packet ([`compares`]).

use aya_ebpf::{
    bindings::{BPF_NOEXIST, xdp_md},
    helpers,
};
use gate_common::{
    Addr, Flow, Rehearsed, Shape,
    abi::{Difference, DifferenceKey, Differences, Judged, State, Treatment},
    decide::{self, Decision, SOURCE_LENGTHS},
};

use crate::{clock, interface, maps, packet, tables::Generation, words};

/// `-EEXIST`: another CPU was faster.
const EXISTS: i32 = -17;

/// Whether packets that generation `number` judges are compared: a rehearsal is against one generation, and is over once another is in force.
#[inline(always)]
pub(crate) fn compares(number: u32) -> bool {
    let against = maps::state(State::Rehearsal);
    against != 0 && against == u64::from(number)
}

/// What `gate_judge` returns beside the order, if the packet was handed over.
pub(crate) const COMPARED: u64 = 1 << 32;

/// Hands a packet that the generation in force has decided about over to [`gate_rehearse`] on this CPU; returns [`COMPARED`], or 0 where it cannot.
#[inline(always)]
pub(crate) fn hand_over(shape: Shape, decision: Option<&Decision>, monotonic_ns: u64) -> u64 {
    let Some(judged) = maps::JUDGED.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own, and XDP programs do not interrupt one another on a CPU.
    unsafe {
        *judged = Judged {
            monotonic_ns,
            treatment: Treatment::of(decision),
            shape: shape as u32,
        };
    }
    COMPARED
}

/// Has the candidate decide about the packet that was [handed over](hand_over), at the same time, and counts how that differs from what the generation in
/// force made of it. A global function beside `gate_judge`, so that neither pays for the stack frame of the other.
///
/// # Safety
///
/// `ctx` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) unsafe extern "C" fn gate_rehearse(ctx: *mut xdp_md, flow: *mut Flow) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return 0;
    };
    let Some(judged) = maps::JUDGED.get_ptr(0) else {
        return 0;
    };
    // SAFETY: as in `hand_over`.
    let Judged {
        monotonic_ns,
        treatment: from,
        shape,
    } = unsafe { *judged };
    if monotonic_ns >= maps::state(State::RehearsalUntil) {
        return 0;
    }
    let Some(tables) = Generation::candidate() else {
        return 0;
    };
    let shape = packet::shape(shape);
    let now = clock::now(monotonic_ns);
    let decision = decide::decide(shape, flow, interface(ctx), &tables, now);
    let to = Treatment::of(decision.as_ref());
    let treatments = u64::from(from.0) | u64::from(to.0) << 32;
    count(Rehearsed::Compared);
    if gate_treated(treatments) == 0 {
        count(Rehearsed::LostTreatments);
    }
    if !from.differs(to) {
        return 0;
    }
    count(Rehearsed::Different);
    if !flow.has_source() {
        count(Rehearsed::Sourceless);
        return 0;
    }
    let (address, lengths, role) = source(flow, decision.as_ref());
    let Addr { hi, lo } = address.truncated(lengths.0, lengths.1);
    let kind = u64::from(lengths.0) | u64::from(lengths.1) << 8 | u64::from(role) << 16;
    if gate_differs(treatments, hi, lo, kind) == 0 {
        count(Rehearsed::LostSources);
    }
    0
}

/// Whom the candidate counts the packet as: the address, how many bits of one make a source, and the role of the interface.
#[inline(always)]
fn source(flow: &Flow, decision: Option<&Decision>) -> (Addr, (u8, u8), u8) {
    match decision {
        Some(decision) => match decision.role {
            Some(role) => (
                decision.source,
                (decision.source_v4, decision.source_v6),
                role as u8,
            ),
            None => (flow.src, SOURCE_LENGTHS, 0),
        },
        None => (flow.src, SOURCE_LENGTHS, 0),
    }
}

/// Counts a packet that was treated so. A global function for the sake of its stack frame; returns 1 if there was room.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "halves are cut out of a word"
)]
extern "C" fn gate_treated(treatments: u64) -> u32 {
    let key = DifferenceKey {
        address: Addr { hi: 0, lo: 0 },
        from: Treatment(treatments as u32),
        to: Treatment((treatments >> 32) as u32),
        // SAFETY: the helper takes no arguments.
        cpu: unsafe { helpers::generated::bpf_get_smp_processor_id() } as u32,
        v4_length: 0,
        v6_length: 0,
        role: 0,
        reserved: 0,
    };
    u32::from(add(Differences::Treatments, &key))
}

/// Counts a packet of the source `hi`, `lo` that was treated otherwise; `kind` is the two lengths and the role, from the lowest octet up. A
/// global function for the sake of its stack frame; returns 1 if there was room.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers are cut out of a word"
)]
extern "C" fn gate_differs(treatments: u64, hi: u64, lo: u64, kind: u64) -> u32 {
    let key = DifferenceKey {
        address: Addr { hi, lo },
        from: Treatment(treatments as u32),
        to: Treatment((treatments >> 32) as u32),
        cpu: 0,
        v4_length: kind as u8,
        v6_length: (kind >> 8) as u8,
        role: (kind >> 16) as u8,
        reserved: 0,
    };
    u32::from(add(Differences::Sources, &key))
}

/// Adds a packet to an entry, which is made if there is room.
#[inline(always)]
fn add(differences: Differences, key: &DifferenceKey) -> bool {
    let Some(map) = maps::DIFFERENCES.get(differences as u32) else {
        return false;
    };
    if let Some(known) = map.get_ptr_mut(key) {
        return bump(known);
    }
    match map.insert(key, [Difference { packets: 1 }], u64::from(BPF_NOEXIST)) {
        Ok(()) => true,
        Err(EXISTS) => map.get_ptr_mut(key).is_some_and(bump),
        Err(_) => false,
    }
}

#[inline(always)]
fn bump(known: *mut [Difference; 1]) -> bool {
    // SAFETY: an entry of the map, of which none is ever removed. Other CPUs write it too: the count is added to atomically.
    let [known] = unsafe { &mut *known };
    words::add(&mut known.packets, 1);
    true
}

#[inline(always)]
fn count(rehearsed: Rehearsed) {
    if let Some(count) = maps::REHEARSED.get_ptr_mut(rehearsed as u32) {
        // SAFETY: this CPU's own word, and XDP programs do not interrupt one another on a CPU.
        unsafe { *count += 1 };
    }
}
