//! The kernel half of the benchmark. Of its look-ups every subject in every regime is a program of its own, most of them run by
//! `BPF_PROG_TEST_RUN` and attached to nothing.
//!
//! | regime | what a run does |
//! |---|---|
//! | `throughput` | [`BATCH`](layout::BATCH) look-ups that do not wait for each other |
//! | `latency` | as many, but the place of each address is known only once the answer before is there |
//! | `rare` | sweeps the caches, then times one look-up |
//! | `live` | drops a frame that came over a link, after one look-up of its source |
//!
//! `live_send` is what sends these frames: a run of `BPF_PROG_TEST_RUN` with live frames. `live` is attached to the other end of the link.
//!
//! Programs that make frames for other programs are in [`frames`], packets of many sources for the gate in [`sources`].
//!
//! A crate of its own: the gate's object does not change with it.

#![no_std]
#![no_main]

mod frames;
mod layout;
mod live;
mod maps;
mod sources;
mod subjects;

use aya_ebpf::{
    bindings::xdp_action, helpers::bpf_ktime_get_ns, macros::xdp, programs::XdpContext,
};
use gate_common::Addr;

use crate::{
    layout::{BATCH, Control, ELAPSED, SWEPT_LINES},
    subjects::{Floor, Lpm4, Lpm6, Ortc4, Ortc6, Slotted4, Slotted6, Subject, Table},
};

/// How many lines one call sweeps: the verifier counts each round of a loop, so that the sweep is a loop over calls.
const SWEEP: u32 = 512;
/// Odd, so that its multiples meet every line once, in an order that the processor does not foresee.
const STRIDE: u32 = 40_503;

macro_rules! programs {
    ($($subject:ident: $throughput:ident $latency:ident $rare:ident $live:ident)+) => { $(
        /// Look-ups that do not wait for each other.
        #[xdp]
        fn $throughput(_: XdpContext) -> u32 {
            answer(warm::<$subject, false>())
        }

        /// Look-ups of which each waits for the one before.
        #[xdp]
        fn $latency(_: XdpContext) -> u32 {
            answer(warm::<$subject, true>())
        }

        /// One look-up that finds nothing in the caches.
        #[xdp]
        fn $rare(_: XdpContext) -> u32 {
            answer(rare::<$subject>())
        }

        /// A frame that came over a link.
        #[xdp]
        fn $live(ctx: XdpContext) -> u32 {
            live::judge::<$subject>(&ctx)
        }
    )+ };
}

programs! {
    Floor: floor_throughput floor_latency floor_rare floor_live
    Table: table_throughput table_latency table_rare table_live
    Lpm4: lpm4_throughput lpm4_latency lpm4_rare lpm4_live
    Lpm6: lpm6_throughput lpm6_latency lpm6_rare lpm6_live
    Ortc4: ortc4_throughput ortc4_latency ortc4_rare ortc4_live
    Ortc6: ortc6_throughput ortc6_latency ortc6_rare ortc6_live
    Slotted4: slotted4_throughput slotted4_latency slotted4_rare slotted4_live
    Slotted6: slotted6_throughput slotted6_latency slotted6_rare slotted6_live
}

/// Gives a frame the next source address and sends it.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn live_send(ctx: XdpContext) -> u32 {
    live::send(&ctx)
}

/// The loader takes any other answer than `XDP_PASS` as a run that came to no end.
#[inline(always)]
fn answer(done: Option<()>) -> u32 {
    match done {
        Some(()) => xdp_action::XDP_PASS,
        None => xdp_action::XDP_ABORTED,
    }
}

#[inline(always)]
fn warm<S: Subject, const LATENCY: bool>() -> Option<()> {
    let control = maps::CONTROL.get_ptr_mut(0)?;
    // SAFETY: the map holds aligned values, and one program runs at a time.
    let mut state: Control = unsafe { control.read_volatile() };
    let mut number = 0;
    for step in 0..BATCH {
        let mut cursor = state.cursor.wrapping_add(step);
        if LATENCY {
            cursor ^= number & state.zero;
        }
        number = S::number(state.place, *address(&state, cursor)?)?;
        state.sum = state.sum.wrapping_add(number.into());
    }
    state.cursor = state.cursor.wrapping_add(BATCH);
    // SAFETY: as above.
    unsafe { control.write_volatile(state) };
    Some(())
}

#[inline(always)]
fn rare<S: Subject>() -> Option<()> {
    let control = maps::CONTROL.get_ptr_mut(0)?;
    // SAFETY: as in `warm`.
    let mut state: Control = unsafe { control.read_volatile() };
    let addr: *const Addr = address(&state, state.cursor)?;
    // SAFETY: a reference is a valid pointer. Volatile, so that the address is here before the clock is read.
    let addr = unsafe { addr.read_volatile() };
    for part in 0..SWEPT_LINES / SWEEP {
        state.swept ^= bench_sweep(part * SWEEP);
    }
    // The clock waits for all loads before it, so that the look-up has ended when it is read again.
    // SAFETY: the helper takes no arguments.
    let start = unsafe { bpf_ktime_get_ns() };
    let number = S::number(state.place, addr)?;
    // SAFETY: the helper takes no arguments.
    let end = unsafe { bpf_ktime_get_ns() };
    state.sum = state.sum.wrapping_add(number.into());
    let elapsed = maps::ELAPSED_NS.get_ptr_mut(state.cursor % ELAPSED)?;
    state.cursor = state.cursor.wrapping_add(1);
    // SAFETY: as in `warm`.
    unsafe { elapsed.write_volatile(end.wrapping_sub(start)) };
    // SAFETY: as in `warm`.
    unsafe { control.write_volatile(state) };
    Some(())
}

#[inline(always)]
fn address(state: &Control, cursor: u32) -> Option<&'static Addr> {
    maps::ADDRESSES.get(state.base.wrapping_add(cursor & state.mask))
}

/// Reads [`SWEEP`] lines of data that nothing else needs.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_sweep(first: u32) -> u64 {
    let mut swept = 0;
    for step in 0..SWEEP {
        let index = first.wrapping_add(step).wrapping_mul(STRIDE) % SWEPT_LINES;
        if let Some([word, ..]) = maps::SWEPT.get(index) {
            swept ^= word;
        }
    }
    swept
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
