//! The class of a submission connection, shown to those behind the gate: a DSCP in the frame, and before it the mark for the program that
//! sets it ([`mark`](crate::mark)).

use aya_ebpf::{bindings::xdp_md, helpers, programs::XdpContext};
use gate_common::{
    Flow, Shape, Shown,
    abi::{GenerationWord, Metadata, Settings, State},
    carry::{self, Carried, Dscp},
    decide::Decision,
};

use crate::{PASS, answer::Editable, clock, interface, maps, tables::Generation};

/// The lowest octet of an order for [`gate_show`]; those for `gate_answer` have 0 there.
const ORDER: u32 = 2;

/// Whether this is an order for [`gate_show`].
#[inline(always)]
pub(crate) const fn is_order(order: u32) -> bool {
    order & 0xff == ORDER
}

/// What is to be done about a packet that opens a connection with a class: [`PASS`], or an order for [`gate_show`].
#[inline(always)]
pub(crate) fn order(decision: &Decision, tables: &Generation) -> u32 {
    let Decision { class, flags, .. } = *decision;
    if !tables.shows() {
        return PASS;
    }
    ORDER | u32::from(class) << 8 | tables.slot() << 16 | u32::from(flags) << 24
}

/// Shows the class of a connection on the packet that opens it, as `order` says. A global function for the sake of its stack frame.
///
/// # Safety
///
/// `ctx` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "octets are cut out of a word"
)]
pub(crate) unsafe extern "C" fn gate_show(ctx: *mut xdp_md, flow: *mut Flow, order: u32) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return 0;
    };
    let slot = order >> 16 & 0xff;
    let Some([settings]) = maps::SETTINGS.get_value(slot, &0) else {
        return 0;
    };
    let Carried { mark, dscp } =
        carry::carried(settings, (order >> 8) as u8, (order >> 24) as u8, true);
    show_dscp(ctx, flow, dscp);
    if mark != 0 {
        show_mark(ctx, mark, settings);
    }
    0
}

/// Shows the class of a connection on a later packet of it.
///
/// # Safety
///
/// As of [`gate_show`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) unsafe extern "C" fn gate_follow(ctx: *mut xdp_md, flow: *mut Flow) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_ref() }) else {
        return 0;
    };
    let tables = Generation::new(GenerationWord(maps::state(State::Generation)));
    let Some(settings) = tables.shown() else {
        return 0;
    };
    let now = clock::now(clock::monotonic_ns());
    let recalled = carry::recall(
        Shape::Tcp,
        flow,
        interface(ctx),
        settings,
        &tables,
        now.unix_ns,
    );
    let Some(it) = recalled else {
        return 0;
    };
    let Carried { dscp, .. } = carry::carried(settings, it.class, it.flags, false);
    show_dscp(ctx, flow, dscp);
    0
}

/// Counts what came of it.
#[inline(always)]
pub(crate) fn count(shown: Shown) {
    if let Some(count) = maps::SHOWN.get_ptr_mut(shown as u32) {
        // SAFETY: this CPU's own word; neither XDP programs nor those of traffic control interrupt one another on a CPU.
        unsafe { *count += 1 };
    }
}

#[inline(always)]
fn show_dscp(ctx: *mut xdp_md, flow: &Flow, dscp: Dscp) {
    let (code_point, shown) = match dscp {
        Dscp::Kept => return,
        Dscp::Written(code_point) => (code_point, Shown::Dscp),
        Dscp::Bleached => (0, Shown::Bleached),
    };
    if flow.is_tunnelled() {
        // Routers look at the header outside, and the one that was read is inside.
        count(Shown::Tunnelled);
        return;
    }
    match carry::set_dscp(&mut Editable::new(ctx), flow, code_point) {
        Some(changed) if changed || shown == Shown::Dscp => count(shown),
        Some(_) => {}
        None => count(Shown::Unwritten),
    }
}

/// Puts the mark before the frame. Nothing may point into the frame any more.
#[inline(always)]
fn show_mark(ctx: *mut xdp_md, mark: u32, settings: &Settings) {
    const LENGTH: usize = size_of::<Metadata>();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "some octets"
    )]
    const BEFORE: i32 = -(LENGTH as i32);
    // SAFETY: the helper moves the beginning of the metadata, or fails.
    let moved = unsafe { helpers::generated::bpf_xdp_adjust_meta(ctx, BEFORE) };
    let context = XdpContext::new(ctx);
    let start = context.metadata();
    if moved != 0 || start + LENGTH > context.data() {
        maps::note_no_metadata();
        count(Shown::NoMetadata);
        return;
    }
    // SAFETY: the metadata has as many octets, as was just checked; the verifier repeats the proof.
    unsafe { (start as *mut Metadata).write_unaligned(Metadata::new(mark, settings.mark_mask)) };
    count(Shown::Metadata);
}
