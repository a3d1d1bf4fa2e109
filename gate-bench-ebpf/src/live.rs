//! Frames over a link: the end that sends them, and the end that judges and drops them.

#![expect(
    clippy::cast_possible_truncation,
    reason = "the lower words are what is meant"
)]

use aya_ebpf::{bindings::xdp_action, programs::XdpContext};
use gate_common::Addr;

use crate::{layout::PORT, maps, subjects::Subject};

const ETHER_TYPE_AT: usize = 12;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const CHECKSUM_AT_V4: usize = 24;
const SOURCE_AT_V4: usize = 26;
const SOURCE_AT_V6: usize = 22;
/// Behind the shortest IP header.
const PORT_AT_V4: usize = 36;
const PORT_AT_V6: usize = 56;

/// Gives the frame the next source address. What does not fit is dropped, and missed at the other end.
#[inline(always)]
pub(crate) fn send(ctx: &XdpContext) -> u32 {
    match sent(ctx) {
        Some(()) => xdp_action::XDP_TX,
        None => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn sent(ctx: &XdpContext) -> Option<()> {
    let sender = maps::SENDER.get_ptr_mut(0)?;
    // SAFETY: the map holds aligned values, and one thread sends at a time.
    let mut state = unsafe { sender.read_volatile() };
    let addr = maps::ADDRESSES.get(state.base.wrapping_add(state.cursor & state.mask))?;
    if u16::from_be_bytes(*at(ctx, ETHER_TYPE_AT)?) == IPV4 {
        let source = addr.lo as u32;
        let mut sum = state.header + (source >> 16) + (source & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        *at_mut(ctx, SOURCE_AT_V4)? = source.to_be_bytes();
        *at_mut(ctx, CHECKSUM_AT_V4)? = (!sum as u16).to_be_bytes();
    } else {
        *at_mut(ctx, SOURCE_AT_V6)? = addr.hi.to_be_bytes();
        *at_mut(ctx, SOURCE_AT_V6 + 8)? = addr.lo.to_be_bytes();
    }
    state.cursor = state.cursor.wrapping_add(1);
    // SAFETY: as above.
    unsafe { sender.write_volatile(state) };
    Some(())
}

/// Looks the source up, counts, and drops. What was not sent by [`send`] goes its way.
#[inline(always)]
pub(crate) fn judge<S: Subject>(ctx: &XdpContext) -> u32 {
    match judged::<S>(ctx) {
        Some(()) => xdp_action::XDP_DROP,
        None => xdp_action::XDP_PASS,
    }
}

#[inline(always)]
fn judged<S: Subject>(ctx: &XdpContext) -> Option<()> {
    let addr = source(ctx)?;
    let judged = maps::JUDGED.get_ptr_mut(0)?;
    // SAFETY: the map holds aligned values, and all frames come from one processor.
    let mut state = unsafe { judged.read_volatile() };
    let number = S::number(state.place, addr).unwrap_or(0);
    state.frames += 1;
    state.right += u64::from(number == state.expected);
    state.sum = state.sum.wrapping_add(number.into());
    // SAFETY: as above.
    unsafe { judged.write_volatile(state) };
    Some(())
}

#[inline(always)]
fn source(ctx: &XdpContext) -> Option<Addr> {
    let (addr, port) = match u16::from_be_bytes(*at(ctx, ETHER_TYPE_AT)?) {
        IPV4 => {
            let source = u32::from_be_bytes(*at(ctx, SOURCE_AT_V4)?);
            (Addr::v4(source), at(ctx, PORT_AT_V4)?)
        }
        IPV6 => {
            let addr = Addr {
                hi: u64::from_be_bytes(*at(ctx, SOURCE_AT_V6)?),
                lo: u64::from_be_bytes(*at(ctx, SOURCE_AT_V6 + 8)?),
            };
            (addr, at(ctx, PORT_AT_V6)?)
        }
        _ => return None,
    };
    (u16::from_be_bytes(*port) == PORT).then_some(addr)
}

/// The bytes at `offset` of the frame.
#[inline(always)]
fn at<const N: usize>(ctx: &XdpContext, offset: usize) -> Option<&[u8; N]> {
    at_mut(ctx, offset).map(|bytes| &*bytes)
}

#[inline(always)]
#[expect(
    clippy::mut_from_ref,
    reason = "the frame is the context's, and nobody else has it"
)]
fn at_mut<const N: usize>(ctx: &XdpContext, offset: usize) -> Option<&mut [u8; N]> {
    let start = ctx.data() + offset;
    if start + N > ctx.data_end() {
        return None;
    }
    // SAFETY: the bytes are within the frame, and no reference to them outlives the expression it is made in.
    Some(unsafe { &mut *(start as *mut [u8; N]) })
}
