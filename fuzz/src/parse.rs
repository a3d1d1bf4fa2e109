//! The parser: its work is bounded, it reads nothing that is not there and nothing that does not matter, and where etherparse reads a
//! frame too, both find the same.

use std::net::IpAddr;

use etherparse::{
    LaxNetSlice, LaxSlicedPacket, LinkExtSlice, NetSlice, SlicedPacket, TransportSlice,
};
use gate_common::{
    Addr, Flow, Shape, decide,
    parse::{MAX_EXTENSIONS, MAX_LABELS, MAX_TAGS, glance},
};

use crate::watched::{Watch, watch};

/// Checks everything, for one frame.
pub fn check(frame: &[u8]) {
    let seen = watch(frame);
    work_is_bounded(frame, &seen);
    only_what_was_read_matters(frame, &seen);
    fields_belong_to_shapes(&seen);
    a_glance_sees_the_same(frame, &seen);
    etherparse_finds_the_same(frame, &seen);
}

/// One read for the EtherType and one for each tag; one for PPPoE, one for each label and one for what is under them; twice,
/// because of a tunnel, one for the IP header, one for each octet of IPv4 options, one for each extension header; one for GRE;
/// two for TCP, of which a tiny fragment may have no more than the ports.
pub(crate) fn work_is_bounded(frame: &[u8], seen: &Watch) {
    assert!(seen.furthest <= frame.len());
    let link = 1 + MAX_TAGS + 1 + MAX_LABELS + 1;
    let packets = 2 * (1 + 40 + MAX_EXTENSIONS);
    assert!(seen.reads <= link + packets + 1 + 2, "{} reads", seen.reads);
}

/// What was not read could as well not be there, or be something else. And what was read is needed: without its last octet, no other
/// ports are found.
pub(crate) fn only_what_was_read_matters(frame: &[u8], seen: &Watch) {
    let (read, rest) = frame.split_at(seen.furthest);
    let found = |seen: &Watch| (seen.shape, seen.flow);
    assert_eq!(found(&watch(read)), found(seen), "without the rest");
    // A read that failed for want of octets may succeed when there are other ones.
    if seen.shape == Shape::Tcp {
        let inverted: Vec<u8> = rest.iter().map(|octet| !octet).collect();
        let other = watch(&[read, &inverted].concat());
        assert_eq!(found(&other), found(seen), "with another rest");
        let cut = watch(&read[..read.len() - 1]);
        assert!(
            cut.shape != Shape::Tcp || found(&cut) == found(seen),
            "{cut:?} without the last octet"
        );
    }
}

/// Where a glance finds anything, it is what the parser finds.
pub(crate) fn a_glance_sees_the_same(frame: &[u8], seen: &Watch) {
    let mut flow = Flow::default();
    let found = glance(frame, &mut flow);
    if let Some(shape) = found {
        assert_eq!((shape, flow), (seen.shape, seen.flow));
    }
    assert!(
        !decide::leaves(frame) || !decide::concerns(seen.shape, &seen.flow),
        "{seen:?}"
    );
    // An untagged IPv4 segment without options is what glances are for.
    let Watch { shape, flow, .. } = seen;
    let untagged = frame.get(12..15) == Some(&[0x08, 0x00, 0x45]);
    if *shape == Shape::Tcp && untagged && flow.transport == 34 {
        assert_eq!(found, Some(Shape::Tcp), "{seen:?}");
    }
}

/// Ports belong to segments and to tiny fragments that have them, flags to segments, addresses to whatever has an IP header.
pub(crate) fn fields_belong_to_shapes(seen: &Watch) {
    let Watch { shape, flow, .. } = seen;
    if !matches!(shape, Shape::Tcp | Shape::TinyFragment) {
        assert_eq!((flow.sport, flow.dport), (0, 0), "{shape:?}");
    }
    if *shape != Shape::Tcp {
        assert_eq!((flow.flags, flow.transport), (0, 0), "{shape:?}");
    }
    assert_eq!(flow.reserved, [0; 2]);
    assert!(flow.vlan < 0x1000);
    assert!(flow.is_tunnelled() || flow.outer == Addr::UNSPECIFIED);
    if !flow.has_source() {
        let addresses = (flow.src, flow.dst);
        assert_eq!(addresses, (Addr::UNSPECIFIED, Addr::UNSPECIFIED));
    }
}

/// etherparse knows fewer encapsulations, and is stricter: where it finds a TCP header, it is that one.
fn etherparse_finds_the_same(frame: &[u8], seen: &Watch) {
    let Watch { shape, flow, .. } = seen;
    if let Ok(theirs) = SlicedPacket::from_ethernet(frame)
        && let Some(TransportSlice::Tcp(tcp)) = &theirs.transport
        && let Some(net) = &theirs.net
        && let Some((source, destination)) = addresses(net)
        // MACsec (IEEE 802.1AE) is a link of its own, which ends before there are packets: nothing looks behind it here, even if it is in the clear.
        && !theirs.link_exts.iter().any(|it| matches!(it, LinkExtSlice::Macsec(_)))
        // A tunnel has no transport for etherparse, which leaves one thing: more tags or headers than the parser looks behind.
        && !matches!(shape, Shape::TooManyTags | Shape::TooManyExtensions)
    {
        let ours = (*shape, flow.src, flow.dst, flow.sport, flow.dport);
        let (sport, dport) = (tcp.source_port(), tcp.destination_port());
        assert_eq!(
            ours,
            (Shape::Tcp, source.into(), destination.into(), sport, dport)
        );
        assert_eq!(flow.flags, tcp.slice()[13]);
        let place = tcp.slice().as_ptr() as usize - frame.as_ptr() as usize;
        assert_eq!(usize::from(flow.transport), place);
    }
    plain_segments_are_seen_by_etherparse(frame, *shape, flow);
}

/// What the parser takes for a segment without any encapsulation has these addresses and ports for etherparse too, unless that stops
/// before the segment.
fn plain_segments_are_seen_by_etherparse(frame: &[u8], shape: Shape, flow: &Flow) {
    if shape != Shape::Tcp || flow.is_encapsulated() || flow.pppoe != 0 {
        return;
    }
    let Ok(theirs) = LaxSlicedPacket::from_ethernet(frame) else {
        panic!("etherparse finds no Ethernet header");
    };
    let (source, destination): (IpAddr, IpAddr) = match &theirs.net {
        Some(LaxNetSlice::Ipv4(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        Some(LaxNetSlice::Ipv6(ip)) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        // More tags than etherparse looks behind.
        _ => return,
    };
    assert_eq!((flow.src, flow.dst), (source.into(), destination.into()));
    match &theirs.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(flow.sport, tcp.source_port());
            assert_eq!(flow.dport, tcp.destination_port());
            assert_eq!(flow.flags, tcp.slice()[13]);
        }
        None => {}
        Some(other) => panic!("etherparse finds {other:?}"),
    }
}

fn addresses(net: &NetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
            ))
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
            ))
        }
        NetSlice::Arp(_) => None,
    }
}
