//! Ethernet and VLAN tags.

use super::{Frame, MAX_TAGS, Network};
use crate::Shape;

/// Where the EtherType of an untagged frame is.
const ETHER_TYPE: usize = 12;
const ETHERNET_HEADER: usize = 14;
const TAG: usize = 4;

/// Finds the network layer and where it starts.
#[inline(always)]
pub(super) fn walk<F: Frame + ?Sized>(frame: &F) -> Result<(Network, usize), Shape> {
    let mut ether_type = read_u16(frame, ETHER_TYPE)?;
    let mut offset = ETHERNET_HEADER;
    for _ in 0..MAX_TAGS {
        if !is_tag(ether_type) {
            break;
        }
        ether_type = read_u16(frame, offset + 2)?;
        offset += TAG;
    }
    match ether_type {
        0x0800 => Ok((Network::V4, offset)),
        0x86dd => Ok((Network::V6, offset)),
        0x8864 => Err(Shape::PppoeSession),
        0x8847 | 0x8848 => Err(Shape::Mpls),
        _ if is_tag(ether_type) => Err(Shape::TooManyTags),
        _ => Err(Shape::Unrelated),
    }
}

/// IEEE 802.1Q, IEEE 802.1ad, and the value that stacked tags had before 802.1ad.
#[inline(always)]
const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100)
}

#[inline(always)]
fn read_u16<F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<u16, Shape> {
    match frame.read::<2>(offset) {
        Some(bytes) => Ok(u16::from_be_bytes(bytes)),
        None => Err(Shape::TruncatedLink),
    }
}
