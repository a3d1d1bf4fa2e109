//! IPv6 and its extension headers (RFC 8200, RFC 4302 for AH, RFC 6564 for the uniform format).

use super::{Flow, Frame, MAX_EXTENSIONS, TCP, Transport, end, read};
use crate::{Addr, Shape};

const HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;

/// Next Header values.
mod next {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Reads the header at `offset` and walks the extension headers behind it.
#[inline(always)]
pub(super) fn walk<F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    let Some(header) = frame.read::<HEADER>(offset) else {
        return Err(Shape::TruncatedIp);
    };
    let [first, _, _, _, l0, l1, next_header, _, addresses @ ..] = header;
    if first >> 4 != 6 {
        return Err(Shape::BadIpHeader);
    }
    let [source_hi, source_lo, destination_hi, destination_lo] = words(addresses);
    flow.src = Addr {
        hi: source_hi,
        lo: source_lo,
    };
    flow.dst = Addr {
        hi: destination_hi,
        lo: destination_lo,
    };
    let payload = usize::from(u16::from_be_bytes([l0, l1]));
    let end = match payload {
        0 => end(offset, 0),
        _ => end(offset, HEADER + payload),
    };
    extensions(frame, next_header, offset + HEADER, end, flow)
}

#[inline(always)]
fn extensions<F: Frame + ?Sized>(
    frame: &F,
    mut next_header: u8,
    mut offset: usize,
    end: usize,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    for _ in 0..MAX_EXTENSIONS {
        match next_header {
            next::HOP_BY_HOP
            | next::ROUTING
            | next::DESTINATION_OPTIONS
            | next::MOBILITY
            | next::HIP
            | next::SHIM6 => {
                let [following, length] = start(frame, offset, end, flow)?;
                next_header = following;
                offset += (usize::from(length) + 1) << 3;
            }
            next::AUTHENTICATION => {
                let [following, length] = start(frame, offset, end, flow)?;
                next_header = following;
                offset += (usize::from(length) + 2) << 2;
            }
            next::FRAGMENT => {
                let [following, _, f0, f1, ..]: [u8; FRAGMENT_HEADER] =
                    start(frame, offset, end, flow)?;
                let fragment = u16::from_be_bytes([f0, f1]);
                match fragment >> 3 {
                    // Offset 0 and no more to come is an atomic fragment (RFC 6946): an ordinary packet.
                    0 => flow.more_fragments |= u8::from(fragment & 1 != 0),
                    1 if following == TCP => return Err(Shape::OverlappingFragment),
                    _ if carries_transport(following) => return Err(Shape::LaterFragment),
                    _ => return Err(Shape::Unrelated),
                }
                next_header = following;
                offset += FRAGMENT_HEADER;
            }
            protocol => {
                return Ok(Transport {
                    protocol,
                    offset,
                    end,
                });
            }
        }
    }
    match next_header {
        protocol if !is_extension(protocol) => Ok(Transport {
            protocol,
            offset,
            end,
        }),
        _ => Err(Shape::TooManyExtensions),
    }
}

/// Whether a later fragment whose fragmented part starts with this header can belong to a TCP segment.
#[inline(always)]
const fn carries_transport(next_header: u8) -> bool {
    next_header == TCP || is_extension(next_header)
}

#[inline(always)]
const fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        next::HOP_BY_HOP
            | next::ROUTING
            | next::FRAGMENT
            | next::AUTHENTICATION
            | next::DESTINATION_OPTIONS
            | next::MOBILITY
            | next::HIP
            | next::SHIM6
    )
}

/// The first `N` bytes of an extension header.
#[inline(always)]
fn start<const N: usize, F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    end: usize,
    flow: &Flow,
) -> Result<[u8; N], Shape> {
    if let Some(bytes) = read::<N, F>(frame, offset, end)? {
        return Ok(bytes);
    }
    // A first fragment must hold the whole header chain (RFC 7112).
    Err(if flow.more_fragments == 0 {
        Shape::TruncatedExtension
    } else {
        Shape::TinyFragment
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
