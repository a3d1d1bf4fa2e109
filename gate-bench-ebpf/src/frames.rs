//! Programs that make frames for other programs.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "frames are short, and sums are folded"
)]

use aya_ebpf::{bindings::xdp_action, helpers, macros::xdp, programs::XdpContext};

use crate::{
    layout::{Template, source},
    maps,
};

const SOURCE: usize = 14 + 12;
const CHECKSUM: usize = 14 + 10;
const SOURCE_PORT: usize = 14 + 20;

/// Passes everything: where the programs that come before another one end when they are measured alone.
#[xdp(frags)]
fn frame_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Makes the frame what it was before the last run, without metadata, then goes on in the program at `NEXT`. Passes it on to nobody where there is none.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn frame_restore(ctx: XdpContext) -> u32 {
    if restore(&ctx).is_some() {
        // SAFETY: the map holds programs of this kind only. It returns where it finds none.
        unsafe { maps::NEXT.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// Gives an IPv4 frame without options another source, by chance one of [`source`]'s, and another source port, and sends it back.
#[xdp(frags)]
#[expect(clippy::needless_pass_by_value, reason = "what the attribute wants")]
fn frame_send(ctx: XdpContext) -> u32 {
    match send(&ctx) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_ABORTED,
    }
}

#[inline(always)]
fn restore(ctx: &XdpContext) -> Option<()> {
    let template: &Template = maps::TEMPLATE.get(0)?;
    // Without metadata too, so that it costs the same before every program.
    let metadata = (ctx.data() - ctx.metadata()) as i32;
    // SAFETY: the context is the kernel's.
    if unsafe { helpers::generated::bpf_xdp_adjust_meta(ctx.ctx, metadata) } != 0 {
        return None;
    }
    let length = (ctx.data_end() - ctx.data()) as i32;
    let delta = template.length as i32 - length;
    if delta != 0 {
        // SAFETY: the context is the kernel's.
        let moved = unsafe { helpers::bpf_xdp_adjust_tail(ctx.ctx, delta) };
        if moved != 0 {
            return None;
        }
    }
    for (index, word) in template.words.iter().enumerate() {
        let offset = index * size_of::<u16>();
        if offset >= template.length as usize {
            break;
        }
        Word::at(ctx, offset)?.set(*word);
    }
    Some(())
}

#[inline(always)]
fn send(ctx: &XdpContext) -> Option<()> {
    // SAFETY: the helper takes no arguments.
    let random = unsafe { helpers::bpf_get_prandom_u32() };
    // The last octets first: one comparison tells the verifier that all are there.
    let port = Word::at(ctx, SOURCE_PORT)?;
    let [upper, lower] = [Word::at(ctx, SOURCE)?, Word::at(ctx, SOURCE + 2)?];
    let checksum = Word::at(ctx, CHECKSUM)?;
    let [new_upper, new_lower] = source(random).map(u16::to_be);
    // RFC 1624, equation 3. Sums of 16-bit words do not depend on the order of their octets.
    let old = u32::from(!checksum.get()) + u32::from(!upper.get()) + u32::from(!lower.get());
    let sum = old + u32::from(new_upper) + u32::from(new_lower);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    checksum.set(!(sum as u16));
    upper.set(new_upper);
    lower.set(new_lower);
    port.set((random >> 16) as u16);
    Some(())
}

/// Two octets of a frame, in the order of this machine.
struct Word(*mut u16);

impl Word {
    /// Those at `offset`, if the frame is that long.
    #[inline(always)]
    fn at(ctx: &XdpContext, offset: usize) -> Option<Self> {
        let start = ctx.data() + offset;
        (start + size_of::<u16>() <= ctx.data_end()).then_some(Self(start as *mut u16))
    }

    #[inline(always)]
    fn get(&self) -> u16 {
        // SAFETY: they are in the frame, and any two octets are a number.
        unsafe { self.0.read_unaligned() }
    }

    #[inline(always)]
    fn set(&self, value: u16) {
        // SAFETY: as in `get`.
        unsafe { self.0.write_unaligned(value) }
    }
}
