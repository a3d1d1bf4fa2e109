//! The kernel half of the gate: one XDP program for both roles, since a role is data. Beside it are the program that sets the skb mark
//! ([`mark`]), and those that count answers that failed to leave ([`unsent`]).
//!
//! It holds no policy. It reads the frame ([`packet`]), asks [`gate_common::decide`], looks up what that asks for
//! ([`tables`], [`limits`]), counts what came out ([`account`]), tells of it to who listens ([`events`]), answers who is refused ([`answer`]),
//! and shows the class of a connection to those behind ([`show`]). Traffic that is no concern of the gate leaves right after the
//! parse, having read nothing but its own headers.
//!
//! Minimum kernel version: 6.1.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod account;
mod answer;
mod clock;
mod events;
mod limits;
#[cfg(feature = "log")]
mod log;
mod maps;
mod mark;
mod packet;
mod rehearse;
mod sets;
mod show;
mod tables;
mod unsent;
mod words;

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    macros::xdp,
    programs::XdpContext,
};
use gate_common::{
    Flow, Shape, Verdict,
    abi::{GenerationWord, State},
    carry, decide,
};

use crate::{
    answer::gate_answer,
    packet::{Far, Near},
    rehearse::gate_rehearse,
    show::{gate_follow, gate_show},
    tables::Generation,
};

/// Reads the frame into `flow` and returns the number of its [`Shape`].
///
/// A global function, so that the verifier proves the parser once and not once for every state of its caller. The
/// verifier checks that `flow` is either null or memory of the size of a [`Flow`].
///
/// # Safety
///
/// `ctx` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_parse(ctx: *mut xdp_md, flow: *mut Flow) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_mut() }) else {
        return Shape::Unrelated as u32;
    };
    gate_common::parse::parse(&Near::new(ctx), flow) as u32
}

/// As [`gate_parse`], for frames in several buffers and headers far into the frame.
///
/// # Safety
///
/// As of [`gate_parse`].
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_parse_far(ctx: *mut xdp_md, flow: *mut Flow) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_mut() }) else {
        return Shape::Unrelated as u32;
    };
    words::clear(flow);
    gate_common::parse::parse(&Far::new(ctx), flow) as u32
}

/// The program.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn gate(ctx: XdpContext) -> u32 {
    enter::<false>(ctx.ctx)
}

/// The same, where the DSCP of every packet of a submission connection is of concern.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn gate_every(ctx: XdpContext) -> u32 {
    enter::<true>(ctx.ctx)
}

/// Looks at a frame; at the later packets of submission connections if `EVERY`.
#[inline(always)]
fn enter<const EVERY: bool>(ctx: *mut xdp_md) -> u32 {
    let near = Near::new(ctx);
    let leaves = if EVERY {
        carry::leaves(&near)
    } else {
        decide::leaves(&near)
    };
    if leaves {
        return xdp_action::XDP_PASS;
    }
    let mut flow = MaybeUninit::uninit();
    let flow = words::zero::<Flow>(&mut flow);
    // SAFETY: `ctx` is the context, and `flow` lives on this stack frame.
    let mut shape = packet::shape(unsafe { gate_parse(ctx, &raw mut *flow) });
    if shape.is_cut_short() {
        // The frame may go on in another buffer, or further than is read directly.
        // SAFETY: as above.
        shape = packet::shape(unsafe { gate_parse_far(ctx, &raw mut *flow) });
    }
    if !decide::concerns(shape, flow) {
        if EVERY && carry::follows(shape, flow) {
            // SAFETY: as above.
            unsafe { gate_follow(ctx, &raw mut *flow) };
        }
        return xdp_action::XDP_PASS;
    }
    // SAFETY: as above.
    let judged = unsafe { gate_judge(ctx, &raw mut *flow, shape as u32) };
    if judged & rehearse::COMPARED != 0 {
        // Before anything becomes of the frame, and beside it: nothing that a rehearsal finds can reach the verdict.
        // SAFETY: as above.
        unsafe { gate_rehearse(ctx, &raw mut *flow) };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the upper half is not part of the order"
    )]
    let order = judged as u32;
    match order {
        PASS => xdp_action::XDP_PASS,
        DROP => xdp_action::XDP_DROP,
        order if show::is_order(order) => {
            // SAFETY: as above.
            unsafe { gate_show(ctx, &raw mut *flow, order) };
            xdp_action::XDP_PASS
        }
        // SAFETY: as above.
        order => unsafe { gate_answer(ctx, &raw mut *flow, order) },
    }
}

/// What [`gate_judge`] returns, in the lower half of the word, for a packet that passes.
const PASS: u32 = 0;
/// What it returns for one that is dropped; everything else is what [`gate_show`] or [`gate_answer`] is to do.
const DROP: u32 = 1;

/// Decides about a packet and counts it. A global function for the sake of its stack frame: the kernel has 512 octets for the program
/// and all that it calls, and what parses a packet or answers it does not run at the same time.
///
/// The upper half of what it returns is [`rehearse::COMPARED`] if there is a rehearsal, else 0.
///
/// # Safety
///
/// As of [`gate_parse`].
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_judge(ctx: *mut xdp_md, flow: *mut Flow, shape: u32) -> u64 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_mut() }) else {
        return u64::from(PASS);
    };
    let shape = packet::shape(shape);
    let monotonic_ns = clock::monotonic_ns();
    let now = clock::now(monotonic_ns);
    // One load for the packet: the slot travels on as a scalar, so that all look-ups are in one generation.
    let word = GenerationWord(maps::state(State::Generation));
    let tables = Generation::new(word);
    let decision = decide::decide(shape, flow, interface(ctx), &tables, now);
    let compared = if rehearse::compares(word.number()) {
        rehearse::hand_over(shape, decision.as_ref(), monotonic_ns)
    } else {
        0
    };
    let Some(decision) = decision else {
        return u64::from(PASS) | compared;
    };
    #[cfg(feature = "log")]
    log::judged(&XdpContext::new(ctx), flow, &decision);
    // Before it is counted: what is left of the decision afterwards takes room on the stack.
    let shown = if decision.is_classed() {
        show::order(&decision, &tables)
    } else {
        PASS
    };
    account::count(flow, &decision, word.number(), &tables, monotonic_ns);
    let order = match decision.verdict {
        Verdict::Refused => answer::order(&decision, &tables, now.monotonic_ns),
        Verdict::Passed | Verdict::Observed | Verdict::Tagged | Verdict::Unparsed => shown,
    };
    u64::from(order) | compared
}

/// The index of the interface that the packet came in by.
#[inline(always)]
pub(crate) fn interface(ctx: *mut xdp_md) -> u32 {
    // SAFETY: the kernel hands every XDP program a valid context.
    unsafe { (*ctx).ingress_ifindex }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program in which this could be reached.
    loop {}
}

/// The object's licence, which decides the helpers that the kernel offers it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
