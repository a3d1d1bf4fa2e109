//! Packets of many sources for a program under measurement: each run writes the next source into the frame, and goes on in that program.
//!
//! `BPF_PROG_TEST_RUN` repeats one frame; this makes each repetition another packet.

#![expect(
    clippy::cast_possible_truncation,
    reason = "fewer than 2^32 sources are asked for"
)]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{PerCpuArray, ProgramArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};

use crate::layout::{STRIDE, Sources};

/// Where the source address of IPv4 behind an Ethernet header is.
const SOURCE_OFFSET: usize = 26;

/// Which sources, and where each CPU is.
#[btf_map]
static SOURCES: PerCpuArray<Sources, 1> = PerCpuArray::new();
/// The program under measurement.
#[btf_map]
static JUDGE: ProgramArray<1> = ProgramArray::new();

/// Writes the next source address into an Ethernet frame with IPv4, and goes on in [`JUDGE`]. Answers `XDP_ABORTED` where there is none.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn next_source(ctx: XdpContext) -> u32 {
    if write(&ctx).is_some() {
        // SAFETY: the context is that of this run.
        unsafe { JUDGE.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// A judge that does nothing: what is left is the cost of [`next_source`] and of getting there.
#[xdp(frags)]
fn no_judge(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[inline(always)]
fn write(ctx: &XdpContext) -> Option<()> {
    let sources = SOURCES.get_ptr_mut(0)?;
    // SAFETY: this CPU's own value, and one run at a time is on a CPU.
    let sources = unsafe { &mut *sources };
    let number = sources.cursor.wrapping_mul(STRIDE) % sources.count.max(1);
    sources.cursor += 1;
    // Fewer than 2^32 sources are asked for.
    let address = sources.first.wrapping_add((number * sources.apart) as u32);
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + SOURCE_OFFSET + size_of::<u32>() > end {
        return None;
    }
    let place = (data + SOURCE_OFFSET) as *mut u32;
    // SAFETY: within the frame, as was just checked. IP addresses behind an Ethernet header are aligned to two octets only.
    unsafe { place.write_unaligned(address.to_be()) };
    Some(())
}
