//! IP in IP (RFC 2003, RFC 4213, RFC 2473), which is also what DS-Lite (RFC 6333) and MAP-E (RFC 7597) send, and IP in GRE
//! (RFC 2784, RFC 2890).

use super::{Flow, Frame, Packet, Transport, Version, cut_short, protocol, read};
use crate::Shape;

/// Flags and version, protocol type.
const GRE: usize = 4;
/// The flags: each of a checksum, a key and a sequence number takes a word behind the header.
const CHECKSUM: u16 = 0x8000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
/// Routing (RFC 1701), which moves the packet further in.
const ROUTING: u16 = 0x4000;
/// The version: 1 is PPTP's (RFC 2637).
const VERSION: u16 = 0x0007;
const WORD: usize = 4;
/// The protocol type of WCCP: IPv4, with a word of its own before it in version 2 (draft-mclaggan-wccp-v2rev1 section 4.12.1). Linux
/// reads both.
const WCCP: u16 = 0x883e;

/// More octets than GRE, an inner IP header and a TCP header have (16, 60 and 20), in the units of fragment offsets. Honest fragments
/// are longer: IPv6 has 1,280 octets at least on every link (RFC 8200 section 5), and nobody tunnels over links of less than 148.
const HEADERS: u16 = 16;

/// Finds the packet in the tunnel that starts at `transport`.
#[inline(always)]
pub(super) fn enter<F: Frame + ?Sized>(
    frame: &F,
    transport: &Transport,
    flow: &mut Flow,
) -> Result<Packet, Shape> {
    let (version, offset) = match transport.protocol {
        protocol::IPV4 => (Version::V4, transport.offset),
        protocol::IPV6 => (Version::V6, transport.offset),
        _ => gre(frame, transport, flow)?,
    };
    flow.outer = flow.src;
    flow.mark(Flow::TUNNEL);
    Ok(Packet {
        version,
        offset,
        limit: transport.end,
    })
}

#[inline(always)]
fn gre<F: Frame + ?Sized>(
    frame: &F,
    transport: &Transport,
    flow: &Flow,
) -> Result<(Version, usize), Shape> {
    let Some([f0, f1, p0, p1]) = read::<GRE, F>(frame, transport.offset, transport.end) else {
        return Err(cut_short(flow, Shape::TruncatedIp));
    };
    let flags = u16::from_be_bytes([f0, f1]);
    // The other flags are reserved; RFC 2784 wants most of them ignored, and Linux ignores all.
    if flags & (ROUTING | VERSION) != 0 {
        return Err(Shape::UnreadTunnel);
    }
    let version = match u16::from_be_bytes([p0, p1]) {
        0x0800 | WCCP => Version::V4,
        0x86dd => Version::V6,
        _ => return Err(Shape::UnreadTunnel),
    };
    let mut offset = transport.offset + GRE;
    for flag in [CHECKSUM, KEY, SEQUENCE] {
        if flags & flag != 0 {
            offset += WORD;
        }
    }
    if u16::from_be_bytes([p0, p1]) == WCCP {
        let Some([first, ..]) = read::<WORD, F>(frame, offset, transport.end) else {
            return Err(cut_short(flow, Shape::TruncatedIp));
        };
        if first >> 4 != 4 {
            offset += WORD;
        }
    }
    Ok((version, offset))
}

/// A fragment that starts `place` times eight octets in, of something whose TCP header is not at its beginning.
#[inline(always)]
pub(super) const fn later_fragment(place: u16) -> Shape {
    if place < HEADERS {
        Shape::OverlappingFragment
    } else {
        Shape::LaterFragment
    }
}
