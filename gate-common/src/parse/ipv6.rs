//! IPv6 (RFC 8200).

use super::{Flow, Frame, Packet, Transport, cut_short, end, place, read};
use crate::{Addr, Shape};

const HEADER: usize = 40;

/// Reads the header.
#[inline(always)]
pub(super) fn walk<F: Frame + ?Sized>(
    frame: &F,
    packet: Packet,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    let Packet { offset, limit, .. } = packet;
    let Some(header) = read::<HEADER, F>(frame, offset, limit) else {
        return Err(cut_short(flow, Shape::TruncatedIp));
    };
    let [first, _, _, _, l0, l1, protocol, _, addresses @ ..] = header;
    if first >> 4 != 6 {
        return Err(Shape::BadIpHeader);
    }
    let [source_hi, source_lo, destination_hi, destination_lo] = words(addresses);
    flow.network = place(offset);
    flow.src = Addr {
        hi: source_hi,
        lo: source_lo,
    };
    flow.dst = Addr {
        hi: destination_hi,
        lo: destination_lo,
    };
    if flow.src.is_v4() || flow.dst.is_v4() {
        flow.mark(Flow::MAPPED);
    }
    let length = match usize::from(u16::from_be_bytes([l0, l1])) {
        0 => 0,
        payload => HEADER + payload,
    };
    Ok(Transport {
        protocol,
        offset: offset + HEADER,
        end: end(packet, length, flow)?,
    })
}

/// 32 bytes as four words, most significant byte first.
#[inline(always)]
#[rustfmt::skip]
fn words(bytes: [u8; 32]) -> [u64; 4] {
    let [
        a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7,
        c0, c1, c2, c3, c4, c5, c6, c7, d0, d1, d2, d3, d4, d5, d6, d7,
    ] = bytes;
    [
        u64::from_be_bytes([a0, a1, a2, a3, a4, a5, a6, a7]),
        u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
        u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
        u64::from_be_bytes([d0, d1, d2, d3, d4, d5, d6, d7]),
    ]
}
