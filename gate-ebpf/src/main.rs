//! The kernel half of the gate: one XDP program for both roles, since a role is data.
//!
//! It holds no policy. It reads the frame ([`packet`]), asks [`gate_common::decide`], looks up what that asks for
//! ([`tables`]), and counts what came out ([`account`]). Traffic that is no concern of the gate leaves right after the
//! parse, having read nothing but its own headers.
//!
//! Minimum kernel version: 6.1.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod account;
#[cfg(feature = "log")]
mod log;
mod maps;
mod packet;
mod tables;
mod words;

use core::mem::MaybeUninit;

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::bpf_ktime_get_boot_ns,
    macros::xdp,
    programs::XdpContext,
};
use gate_common::{
    Flow, Shape, Verdict,
    abi::{GenerationWord, State},
    decide,
};

use crate::{packet::Packet, tables::Generation};

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
    gate_common::parse::parse(&Packet::new(&XdpContext::new(ctx)), flow) as u32
}

/// The program.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn gate(ctx: XdpContext) -> u32 {
    let mut flow = MaybeUninit::uninit();
    let flow = words::zero::<Flow>(&mut flow);
    // SAFETY: `ctx.ctx` is the context, and `flow` lives on this stack frame.
    let shape = unsafe { gate_parse(ctx.ctx, &raw mut *flow) };
    let Some(shape) = u8::try_from(shape).ok().and_then(Shape::from_number) else {
        return xdp_action::XDP_PASS;
    };
    if !decide::concerns(shape, flow) {
        return xdp_action::XDP_PASS;
    }
    judge(&ctx, shape, flow)
}

#[inline(always)]
fn judge(ctx: &XdpContext, shape: Shape, flow: &Flow) -> u32 {
    // SAFETY: the helper takes no arguments.
    let boot_ns = unsafe { bpf_ktime_get_boot_ns() };
    let now_ns = boot_ns.wrapping_add(maps::state(State::WallOffset));
    // One load for the packet: the slot travels on as a scalar, so that all look-ups are in one generation.
    let word = GenerationWord(maps::state(State::Generation));
    let tables = Generation::new(word);
    let Some(decision) = decide::decide(shape, flow, interface(ctx), &tables, now_ns) else {
        return xdp_action::XDP_PASS;
    };
    #[cfg(feature = "log")]
    log::judged(ctx, flow, &decision);
    account::count(
        flow,
        &decision,
        word.number(),
        tables.counts_sources(),
        boot_ns,
    );
    match decision.verdict {
        Verdict::Refused => xdp_action::XDP_DROP,
        Verdict::Passed | Verdict::Observed | Verdict::Tagged | Verdict::Unparsed => {
            xdp_action::XDP_PASS
        }
    }
}

/// The index of the interface that the packet came in by.
#[inline(always)]
fn interface(ctx: &XdpContext) -> u32 {
    // SAFETY: the kernel hands every XDP program a valid context.
    unsafe { (*ctx.ctx).ingress_ifindex }
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
