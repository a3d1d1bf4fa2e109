//! The skb mark: a program of traffic control, on the ingress of uplinks, that does what the XDP program cannot, since there is no socket
//! buffer yet when that runs.
//!
//! The XDP program puts the mark before the frame ([`Metadata`]), and this one takes it from there. Where a driver has no room for
//! that, or where what is there is not the gate's, this one reads the frame with the same parser, and recalls what was decided
//! ([`carry::recall`]): the connection's tag was written an instant ago. The latter happens after another XDP program, and in generic
//! mode on kernels that lose track of where a copied frame begins ([`Skb`]). It never ends the chain: other programs of traffic
//! control come after it.

#![expect(
    clippy::cast_possible_truncation,
    reason = "a VLAN ID is cut out of a word"
)]

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use gate_common::{
    Flow, Shape, Shown,
    abi::{GenerationWord, Metadata, State},
    carry, decide,
};

use crate::{
    clock, maps,
    packet::{self, Skb},
    show::count,
    tables::Generation,
    words,
};

/// The program. What it returns hands the packet on, by TCX (as `TCX_NEXT`) and by clsact.
#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn gate_mark(ctx: TcContext) -> i32 {
    let skb = ctx.skb.skb;
    // SAFETY: the kernel hands the program a valid context.
    let mark = unsafe { (*skb).mark };
    let metadata = metadata(&ctx);
    if let Some(mark) = metadata.and_then(|it| it.apply(mark)) {
        ctx.set_mark(mark);
        count(Shown::Marked);
    } else if metadata.is_some() || maps::state(State::NoMetadata) != 0 {
        look_up(skb);
    }
    TC_ACT_UNSPEC
}

/// What is before the frame, if there is room for what the gate puts there.
#[inline(always)]
fn metadata(ctx: &TcContext) -> Option<Metadata> {
    // SAFETY: the kernel hands the program a valid context.
    let start = unsafe { (*ctx.skb.skb).data_meta } as usize;
    if start + size_of::<Metadata>() > ctx.data() {
        return None;
    }
    // SAFETY: there are as many octets, as was just checked; the verifier repeats the proof.
    Some(unsafe { (start as *const Metadata).read_unaligned() })
}

#[inline(always)]
fn look_up(skb: *mut __sk_buff) {
    // SAFETY: the context.
    if unsafe { gate_skb_leaves(skb) } != 0 {
        return;
    }
    let mut flow = MaybeUninit::uninit();
    let flow = words::zero::<Flow>(&mut flow);
    // SAFETY: the context, and a flow on this stack frame.
    let shape = packet::shape(unsafe { gate_skb_parse(skb, &raw mut *flow) });
    if !decide::concerns(shape, flow) {
        return;
    }
    // SAFETY: as above.
    let found = unsafe { gate_skb_recall(skb, &raw mut *flow, shape as u32) };
    if found == 0 {
        return;
    }
    // SAFETY: the context.
    let mark = unsafe { &mut (*skb).mark };
    if let Some(new) = Metadata::new(found as u32, (found >> 32) as u32).apply(*mark) {
        *mark = new;
        count(Shown::MarkedByLookup);
    }
}

/// Whether a glance shows that the frame is of no concern; 0 is no. A global function for the sake of its stack frame.
///
/// # Safety
///
/// `skb` is the context that the kernel handed to the program.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_skb_leaves(skb: *mut __sk_buff) -> u32 {
    decide::leaves(&Skb::new(skb)).into()
}

/// As `gate_parse`, of a socket buffer.
///
/// # Safety
///
/// `skb` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_skb_parse(skb: *mut __sk_buff, flow: *mut Flow) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_mut() }) else {
        return Shape::Unrelated as u32;
    };
    gate_common::parse::parse(&Skb::new(skb), flow) as u32
}

/// The bits of a VLAN tag that are the VLAN ID (IEEE 802.1Q clause 9.6).
const VLAN_ID: u16 = 0xfff;

/// The mark of a packet that opens a connection, or hides that it does, and in the upper half the bits that the gate writes; 0 is none.
///
/// # Safety
///
/// As of [`gate_skb_parse`].
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_skb_recall(skb: *mut __sk_buff, flow: *mut Flow, shape: u32) -> u64 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_mut() }) else {
        return 0;
    };
    // SAFETY: the context.
    let present = unsafe { (*skb).vlan_present };
    // SAFETY: as above.
    let tag = unsafe { (*skb).vlan_tci };
    let vlan = tag as u16 & VLAN_ID;
    // The kernel has taken the outermost tag off, which is the first that counts.
    if present != 0 && vlan != 0 {
        flow.vlan = vlan;
    }
    let tables = Generation::new(GenerationWord(maps::state(State::Generation)));
    let Some(settings) = tables.shown() else {
        return 0;
    };
    // SAFETY: the context.
    let interface = unsafe { (*skb).ifindex };
    let now = clock::now(clock::monotonic_ns());
    let shape = packet::shape(shape);
    let recalled = carry::recall(shape, flow, interface, settings, &tables, now.unix_ns);
    let Some(it) = recalled else {
        return 0;
    };
    match carry::carried(settings, it.class, it.flags, true).mark {
        0 => 0,
        mark => u64::from(settings.mark_mask) << 32 | u64::from(mark),
    }
}
