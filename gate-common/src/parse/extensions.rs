//! What stands between IP and the transport: IPv6 extension headers (RFC 8200, RFC 6564 for the uniform format), and the
//! Authentication Header of both versions (RFC 4302).

use super::{Flow, Frame, Transport, cut_short, protocol, read, tunnel};
use crate::Shape;

const FRAGMENT_HEADER: usize = 8;

/// Next Header values.
mod next {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Walks the headers from `transport` on, at most `MAX` of them.
#[inline(always)]
pub(super) fn walk<const MAX: usize, F: Frame + ?Sized>(
    frame: &F,
    transport: Transport,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    let Transport {
        protocol: mut next_header,
        mut offset,
        end,
    } = transport;
    for _ in 0..MAX {
        match next_header {
            next::HOP_BY_HOP
            | next::ROUTING
            | next::DESTINATION_OPTIONS
            | next::MOBILITY
            | next::HIP
            | next::SHIM6 => {
                let [following, length, _, segments_left] = start(frame, offset, end, flow)?;
                if next_header == next::ROUTING && segments_left != 0 {
                    flow.mark(Flow::SOURCE_ROUTE);
                }
                next_header = following;
                offset += (usize::from(length) + 1) << 3;
            }
            protocol::AUTHENTICATION => {
                let [following, length] = start(frame, offset, end, flow)?;
                next_header = following;
                offset += (usize::from(length) + 2) << 2;
            }
            next::FRAGMENT => {
                let [following, _, f0, f1, ..]: [u8; FRAGMENT_HEADER] =
                    start(frame, offset, end, flow)?;
                let fragment = u16::from_be_bytes([f0, f1]);
                match fragment >> 3 {
                    0 if fragment & 1 != 0 => flow.mark(Flow::FRAGMENT),
                    // Offset 0 and no more to come is an atomic fragment (RFC 6946): an ordinary packet.
                    0 => {}
                    // What its Next Header says does not count: the first fragment's does (RFC 8200 section 4.5).
                    place => return Err(tunnel::later_fragment(place)),
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
        protocol if !are_there(protocol) => Ok(Transport {
            protocol,
            offset,
            end,
        }),
        _ => Err(Shape::TooManyExtensions),
    }
}

/// Whether this is an extension header, and no transport.
#[inline(always)]
pub(super) const fn are_there(next_header: u8) -> bool {
    matches!(
        next_header,
        next::HOP_BY_HOP
            | next::ROUTING
            | next::FRAGMENT
            | protocol::AUTHENTICATION
            | next::DESTINATION_OPTIONS
            | next::MOBILITY
            | next::HIP
            | next::SHIM6
    )
}

/// The first `N` bytes of an extension header. A first fragment must hold the whole header chain (RFC 7112).
#[inline(always)]
fn start<const N: usize, F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    end: usize,
    flow: &Flow,
) -> Result<[u8; N], Shape> {
    read(frame, offset, end).ok_or_else(|| cut_short(flow, Shape::TruncatedExtension))
}
