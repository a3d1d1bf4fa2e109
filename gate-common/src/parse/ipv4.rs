//! IPv4 (RFC 791).

use super::{
    Flow, Frame, Options, Packet, Transport, cut_short, end, place, protocol, read, tunnel,
};
use crate::{Addr, Shape};

const HEADER: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Option types (RFC 791 section 3.1). Routes name further stops.
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Reads the header.
#[inline(always)]
pub(super) fn walk<F: Frame + ?Sized>(
    frame: &F,
    packet: Packet,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    let Packet { offset, limit, .. } = packet;
    #[rustfmt::skip] // One line a row of the RFC's picture.
    let Some([
        first, _, l0, l1,
        _, _, f0, f1,
        _, protocol, _, _,
        s0, s1, s2, s3,
        d0, d1, d2, d3,
    ]) = read::<HEADER, F>(frame, offset, limit) else {
        return Err(cut_short(flow, Shape::TruncatedIp));
    };
    let header = usize::from(first & 0x0f) << 2;
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 4 || header < HEADER || (total != 0 && total < header) {
        return Err(Shape::BadIpHeader);
    }
    flow.network = place(offset);
    flow.src = Addr::v4(u32::from_be_bytes([s0, s1, s2, s3]));
    flow.dst = Addr::v4(u32::from_be_bytes([d0, d1, d2, d3]));
    let end = end(packet, total, flow)?;
    let fragment = u16::from_be_bytes([f0, f1]);
    match fragment & FRAGMENT_OFFSET {
        0 if fragment & MORE_FRAGMENTS != 0 => flow.mark(Flow::FRAGMENT),
        0 => {}
        place => return Err(later_fragment(protocol, place)),
    }
    let transport = offset + header;
    // Options that reach beyond the packet cannot be read.
    if header > HEADER
        && (transport > end
            || frame.source_route(Options {
                start: offset + HEADER,
                end: transport,
            }))
    {
        flow.mark(Flow::SOURCE_ROUTE);
    }
    Ok(Transport {
        protocol,
        offset: transport,
        end,
    })
}

/// A fragment that starts `place` times eight octets in.
#[inline(always)]
const fn later_fragment(protocol: u8, place: u16) -> Shape {
    match protocol {
        protocol::TCP if place == 1 => Shape::OverlappingFragment,
        protocol::TCP => Shape::LaterFragment,
        protocol::AUTHENTICATION | protocol::IPV4 | protocol::IPV6 | protocol::GRE => {
            tunnel::later_fragment(place)
        }
        _ => Shape::Unrelated,
    }
}

/// The most octets that options have: the header's length is four bits, which count words.
const MAX_OPTIONS: usize = 40;

/// Whether one of the options is a source route, or they cannot be read.
#[inline(always)]
pub(super) fn have_source_route<F: Frame + ?Sized>(frame: &F, options: Options) -> bool {
    let Options { start: mut at, end } = options;
    for _ in 0..MAX_OPTIONS {
        if at >= end {
            return false;
        }
        // The octet after the last option is one of the TCP header, or there is none to be led anywhere.
        let Some([kind, length]) = frame.read::<2>(at) else {
            return true;
        };
        match kind {
            END_OF_OPTIONS => return false,
            NO_OPERATION => at += 1,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return true,
            _ if length < 2 || at + usize::from(length) > end => return true,
            _ => at += usize::from(length),
        }
    }
    false
}
