//! IPv4 (RFC 791).

use super::{Flow, Frame, TCP, Transport, end};
use crate::{Addr, Shape};

const HEADER: usize = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Reads the header at `offset`, options skipped.
#[inline(always)]
pub(super) fn walk<F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    #[rustfmt::skip] // One line a row of the RFC's picture.
    let Some([
        first, _, l0, l1,
        _, _, f0, f1,
        _, protocol, _, _,
        s0, s1, s2, s3,
        d0, d1, d2, d3,
    ]) = frame.read::<HEADER>(offset) else {
        return Err(Shape::TruncatedIp);
    };
    let header = usize::from(first & 0x0f) << 2;
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 4 || header < HEADER || (total != 0 && total < header) {
        return Err(Shape::BadIpHeader);
    }
    flow.src = Addr::v4(u32::from_be_bytes([s0, s1, s2, s3]));
    flow.dst = Addr::v4(u32::from_be_bytes([d0, d1, d2, d3]));
    let fragment = u16::from_be_bytes([f0, f1]);
    match fragment & FRAGMENT_OFFSET {
        0 => flow.more_fragments = u8::from(fragment & MORE_FRAGMENTS != 0),
        _ if protocol != TCP => return Err(Shape::Unrelated),
        1 => return Err(Shape::OverlappingFragment),
        _ => return Err(Shape::LaterFragment),
    }
    Ok(Transport {
        protocol,
        offset: offset + header,
        end: end(offset, total),
    })
}
