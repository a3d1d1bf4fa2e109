//! Ethernet, and what stands between it and IP: VLAN tags, IEEE 802.2 LLC, PPPoE sessions, MPLS labels.

use super::{Flow, Frame, MAX_LABELS, MAX_TAGS, Packet, Version, place};
use crate::Shape;

/// Where the EtherType of an untagged frame is.
const ETHER_TYPE: usize = 12;
pub(super) const ETHERNET_HEADER: usize = 14;
pub(super) const TAG: usize = 4;
/// LLC and SNAP (IEEE 802.2, IEEE 802 clause 9.2): two SAPs, the control field, the organisation, the EtherType.
const SNAP: usize = 8;
/// PPPoE (RFC 2516 section 4): version and type, code, session, length.
const PPPOE: usize = 6;
const LABEL: usize = 4;

/// Values of the `EtherType` field (IANA, IEEE 802).
mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const MPLS: u16 = 0x8847;
    /// Multicast, once; upstream-assigned labels since RFC 5332.
    pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
    /// Up to here, it is a length to Linux; IEEE 802.3 clause 3.2.6 leaves what is above 1500 undefined.
    pub(super) const MAX_LENGTH: u16 = 0x05ff;
}

/// Protocols of PPP (RFC 1661 section 2, IANA).
mod ppp {
    pub(super) const IPV4: u16 = 0x0021;
    pub(super) const IPV6: u16 = 0x0057;
    pub(super) const MPLS: u16 = 0x0281;
    pub(super) const MPLS_UPSTREAM: u16 = 0x0283;
    /// From here on, protocols carry no packets but look after the link.
    pub(super) const CONTROL: u16 = 0x4000;
}

/// Where the network layer was found.
pub(super) enum Link {
    /// Right behind Ethernet and its tags.
    Plain(Packet),
    /// Behind something else.
    Encapsulated(Packet),
}

/// Finds the network layer.
#[inline(always)]
pub(super) fn walk<F: Frame + ?Sized>(frame: &F, flow: &mut Flow) -> Result<Link, Shape> {
    let mut ether_type = ether_type(frame)?;
    let mut offset = ETHERNET_HEADER;
    for _ in 0..MAX_TAGS {
        if !is_tag(ether_type) {
            break;
        }
        ether_type = tag(frame, offset, flow)?;
        offset += TAG;
    }
    if let Some(version) = version(ether_type) {
        return Ok(Link::Plain(packet(version, offset)));
    }
    match ether_type {
        _ if is_tag(ether_type) => Err(Shape::TooManyTags),
        ether_type::PPPOE_SESSION => pppoe(frame, offset, flow),
        ether_type::MPLS | ether_type::MPLS_UPSTREAM => mpls(frame, offset, usize::MAX, flow),
        0..=ether_type::MAX_LENGTH => llc(frame, offset, flow),
        _ => Err(Shape::Unrelated),
    }
    .map(Link::Encapsulated)
}

/// Reads the tag at `offset`, and returns the `EtherType` behind it.
#[inline(always)]
fn tag<F: Frame + ?Sized>(frame: &F, offset: usize, flow: &mut Flow) -> Result<u16, Shape> {
    let [t0, t1, e0, e1] = read::<TAG, F>(frame, offset)?;
    if flow.vlan == 0 {
        // The upper four bits are priority and drop eligibility (IEEE 802.1Q clause 9.6).
        flow.vlan = u16::from_be_bytes([t0, t1]) & 0x0fff;
    }
    Ok(u16::from_be_bytes([e0, e1]))
}

/// The `EtherType` of the frame, that of a tag included.
#[inline(always)]
pub(super) fn ether_type<F: Frame + ?Sized>(frame: &F) -> Result<u16, Shape> {
    read(frame, ETHER_TYPE).map(u16::from_be_bytes)
}

/// The `EtherType` behind the tag at `offset`, if `ether_type` says that there is one.
#[inline(always)]
pub(super) fn behind_tag<F: Frame + ?Sized>(
    frame: &F,
    ether_type: u16,
    offset: usize,
    flow: &mut Flow,
) -> Option<u16> {
    if !is_tag(ether_type) {
        return None;
    }
    tag(frame, offset, flow).ok()
}

/// Which IP an `EtherType` announces.
#[inline(always)]
pub(super) const fn version(ether_type: u16) -> Option<Version> {
    match ether_type {
        ether_type::IPV4 => Some(Version::V4),
        ether_type::IPV6 => Some(Version::V6),
        _ => None,
    }
}

/// IP in IEEE 802.2 LLC (RFC 1042), which hosts may send and routers may take (RFC 1122 section 2.3.3).
#[inline(always)]
fn llc<F: Frame + ?Sized>(frame: &F, offset: usize, flow: &mut Flow) -> Result<Packet, Shape> {
    // A frame that ends here has no SNAP header, and no IP.
    let Some([0xaa, 0xaa, 0x03, 0, 0, 0 | 0xf8, e0, e1]) = frame.read::<SNAP>(offset) else {
        return Err(Shape::Unrelated);
    };
    flow.mark(Flow::LLC);
    match version(u16::from_be_bytes([e0, e1])) {
        Some(version) => Ok(packet(version, offset + SNAP)),
        None => Err(Shape::Unrelated),
    }
}

/// The packet in a PPPoE session (RFC 2516). The code is not looked at: Linux does not either.
#[inline(always)]
fn pppoe<F: Frame + ?Sized>(frame: &F, offset: usize, flow: &mut Flow) -> Result<Packet, Shape> {
    let [_, _, _, _, l0, l1, p0, p1] = read::<{ PPPOE + 2 }, F>(frame, offset)?;
    flow.pppoe = place(offset);
    let payload = offset + PPPOE;
    // A protocol field of one octet (RFC 1661 section 6.5), which Linux takes even if it was not negotiated.
    let (protocol, start) = if p0 & 1 == 1 {
        (u16::from(p0), payload + 1)
    } else {
        (u16::from_be_bytes([p0, p1]), payload + 2)
    };
    let limit = payload + usize::from(u16::from_be_bytes([l0, l1]));
    let version = match protocol {
        ppp::IPV4 => Version::V4,
        ppp::IPV6 => Version::V6,
        ppp::MPLS | ppp::MPLS_UPSTREAM => return mpls(frame, start, limit, flow),
        ppp::CONTROL.. => return Err(Shape::Unrelated),
        _ => return Err(Shape::UnreadPpp),
    };
    Ok(Packet {
        version,
        offset: start,
        limit,
    })
}

/// The packet under MPLS labels (RFC 3032), whose kind nothing says: by its first four bits, as routers do that balance load
/// (RFC 4928).
#[inline(always)]
fn mpls<F: Frame + ?Sized>(
    frame: &F,
    mut offset: usize,
    limit: usize,
    flow: &mut Flow,
) -> Result<Packet, Shape> {
    flow.mark(Flow::LABELS);
    for _ in 0..MAX_LABELS {
        let [_, _, bottom, _] = read::<LABEL, F>(frame, offset)?;
        offset += LABEL;
        if bottom & 1 == 1 {
            let [first, ..] = read::<LABEL, F>(frame, offset)?;
            let version = match first >> 4 {
                4 => Version::V4,
                6 => Version::V6,
                _ => return Err(Shape::UnreadMpls),
            };
            return Ok(Packet {
                version,
                offset,
                limit,
            });
        }
    }
    Err(Shape::TooManyLabels)
}

/// A packet that the frame carries.
#[inline(always)]
pub(super) const fn packet(version: Version, offset: usize) -> Packet {
    Packet {
        version,
        offset,
        limit: usize::MAX,
    }
}

/// IEEE 802.1Q, IEEE 802.1ad, and the values that switches offer for stacked tags since before 802.1ad.
#[inline(always)]
const fn is_tag(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300)
}

#[inline(always)]
fn read<const N: usize, F: Frame + ?Sized>(frame: &F, offset: usize) -> Result<[u8; N], Shape> {
    frame.read(offset).ok_or(Shape::TruncatedLink)
}
