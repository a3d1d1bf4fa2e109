//! What etherparse makes of a frame, wherever it has an opinion.
//!
//! It reads fewer tags and kinds of extension headers than the gate, and no fragments; there it has none. And it is content with
//! lengths and versions that do not fit, and with any number of extension headers; there the reading has to say so.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};

use crate::reading::{Reading, Seen, Segment, What};

/// What the library found.
enum Opinion {
    /// A TCP header.
    Tcp(Segment),
    /// Another protocol that it knows.
    Other,
}

/// Holds a reading against the library's; whether there was one.
pub(crate) fn agrees(frame: &[u8], reading: &Reading) -> Result<bool> {
    let Some(opinion) = opinion(frame) else {
        return Ok(false);
    };
    let agreed = match (&opinion, &reading.what) {
        (_, What::Hidden("bad_ip_header" | "too_many_extensions", _)) => true,
        (Opinion::Tcp(theirs), What::Segment(ours)) => {
            // Whether the packet goes on from its destination is none of the library's business.
            let seen = Seen {
                routed: false,
                ..ours.seen
            };
            *theirs
                == Segment {
                    seen,
                    ..ours.clone()
                }
        }
        (Opinion::Other, what) => *what == What::Nothing,
        (Opinion::Tcp(_), _) => false,
    };
    ensure!(agreed, "the library does not agree with {reading:?}");
    Ok(true)
}

fn opinion(frame: &[u8]) -> Option<Opinion> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let only_tags = packet
        .link_exts
        .iter()
        .all(|it| matches!(it, LaxLinkExtSlice::Vlan(_)));
    if !only_tags || packet.stop_err.is_some() {
        return None;
    }
    let (source, destination): (IpAddr, IpAddr) = match packet.net? {
        LaxNetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        LaxNetSlice::Ipv6(ip) => (
            ip.header().source_addr().to_canonical(),
            ip.header().destination_addr().to_canonical(),
        ),
        LaxNetSlice::Arp(_) => return None,
    };
    match packet.transport? {
        TransportSlice::Tcp(tcp) => Some(Opinion::Tcp(Segment {
            seen: Seen {
                source,
                destination,
                carrier: None,
                routed: false,
                first_fragment: false,
                port: None,
            },
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            flags: [
                tcp.fin(),
                tcp.syn(),
                tcp.rst(),
                tcp.psh(),
                tcp.ack(),
                tcp.urg(),
                tcp.ece(),
                tcp.cwr(),
            ]
            .into_iter()
            .rev()
            .fold(0, |flags, flag| 2 * flags + u8::from(flag)),
        })),
        TransportSlice::Udp(_)
        | TransportSlice::Icmpv4(_)
        | TransportSlice::Icmpv6(_)
        | TransportSlice::Igmp(_) => Some(Opinion::Other),
    }
}
