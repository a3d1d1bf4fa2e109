//! What stands between Ethernet and IP beside tags: PPPoE sessions, MPLS labels, IEEE 802.2 LLC.

use gate_tests::packets::{Ethernet, PppoeSession, cut, labels, llc, put, trail};

use super::{Expected, Row, observed, passed, refused, tagged, unjudged, unparsed, words::*};
use crate::configurations::Configuration::AllObserve;
use super::Side;

pub(super) fn rows() -> Vec<Row> {
    [pppoe(), ppp(), mpls(), snap()].into_iter().flatten().collect()
}

fn yes() -> Expected {
    refused("restricted", &DYNAMIC_COUNTS)
}

fn yes_6() -> Expected {
    refused("restricted", &DYNAMIC_6_COUNTS)
}

fn pppoe() -> Vec<Row> {
    const WHY: &str = "a PPPoE session (RFC 2516) with IPv4 or IPv6 (RFC 5072) in it is a subscriber's line like any other";
    const SHORT: &str = "a packet longer than the session frame that carries it: no host accepts it, and no honest sender makes it";
    let packet = v4(DYNAMIC, MX).tcp(&syn(25));
    let packet_6 = v6(DYNAMIC_6, MX_6).tcp(&syn(25));
    let session = PppoeSession::new();
    let row = |name, frame, expected| Row::new(name, WHY, ACCESS, frame, expected);
    let tags = |count| Ethernet::tags(count);
    vec![
        row("PPPoE v4", session.frame(&packet), yes()),
        row("PPPoE v6", session.frame(&packet_6), yes_6()),
        row("PPPoE behind one tag v4", session.within(&tags(1), &packet), yes()),
        row("PPPoE behind two tags v6", session.within(&tags(2), &packet_6), yes_6()),
        row("PPPoE behind four tags v4", session.within(&tags(4), &packet), yes()),
        row("PPPoE to another port", session.frame(&v4(DYNAMIC, MX).tcp(&syn(80))), unjudged()),
        row("PPPoE to 587", session.frame(&v4(DYNAMIC, MX).tcp(&syn(587))), unjudged()),
        row(
            "PPPoE to a relay", session.frame(&v4(DYNAMIC, "192.0.2.25").tcp(&syn(25))),
            passed("relay", &[&DYNAMIC_COUNTS[..], &["relay 192.0.2.25/32"]].concat()),
        ),
        row("PPPoE, UDP", session.frame(&v4(DYNAMIC, MX).carry(17, &[0; 20])), unjudged()),
        row("PPPoE with IPv4 options", session.frame(&v4(DYNAMIC, MX).options(10).tcp(&syn(25))), yes()),
        row("PPPoE, padded", trail(session.frame(&packet), &[0; 6]), yes()),
        row("PPPoE, a code that is not session data", put(session.frame(&packet), 15, &[0x42]), yes()),
        row("PPPoE, version 3", put(session.frame(&packet), 14, &[0x31]), yes()),
        row("PPPoE, protocol field of one octet v4 (RFC 1661 section 6.5)", session.compressed().frame(&packet), yes()),
        row("PPPoE, protocol field of one octet v6", session.compressed().frame(&packet_6), yes_6()),
        Row::new(
            "PPPoE on an uplink", WHY, UPLINK, session.frame(&v4("198.51.100.7", "192.0.2.9").tcp(&syn(587))),
            tagged("class_country", &["interface uplink", "class foreign", "source uplink 198.51.100.7/32"], "US", "198.51.100.7 40000 192.0.2.9 587 foreign"),
        ),
        Row::new("PPPoE length one short", SHORT, ACCESS, put(session.frame(&packet), 18, &[0, 41]), refused("bad_length", &DYNAMIC_COUNTS)),
        Row::new("PPPoE length 0", "not even IP's header is in the session frame", ACCESS, put(session.frame(&packet), 18, &[0, 0]), unparsed("truncated_ip", &INTERFACE)),
        Row::new("PPPoE length one short v6", SHORT, ACCESS, put(session.frame(&packet_6), 18, &[0, 61]), refused("bad_length", &DYNAMIC_6_COUNTS)),
        Row::new("PPPoE length too long", "the packet says where it ends", ACCESS, put(session.frame(&packet), 18, &[1, 0]), yes()),
        Row::new("PPPoE without an octet", "the frame ends inside its link-layer headers", ACCESS, cut(session.frame(&packet), 14), unparsed("truncated_link", &INTERFACE)),
        Row::new("PPPoE cut inside its protocol", "the frame ends inside its link-layer headers", ACCESS, cut(session.frame(&packet), 21), unparsed("truncated_link", &INTERFACE)),
        Row::new("PPPoE cut inside IP", "the frame ends inside an IP header", ACCESS, cut(session.frame(&packet), 22 + 19), unparsed("truncated_ip", &INTERFACE)),
        Row::new("PPPoE cut inside TCP", "the frame ends inside the TCP header", ACCESS, cut(session.frame(&packet), 22 + 39), unparsed("truncated_tcp", &INTERFACE)),
        Row::new("PPPoE, a tiny fragment", "as outside a session", ACCESS, session.frame(&v4(DYNAMIC, MX).fragment(0, true).tcp(&head(25, 8))), refused("tiny_fragment", &DYNAMIC_COUNTS)),
    ]
}

fn ppp() -> Vec<Row> {
    const CONTROL: &str = "protocols from 0x4000 on look after the link and carry no packets (RFC 1661 section 2)";
    const UNREAD: &str = "a network protocol that is not read (RFC 1661 section 2): it passes, and says so";
    let payload = v4(DYNAMIC, MX).tcp(&syn(25)).bytes;
    let frame = |protocol| PppoeSession::new().carry(protocol, &payload);
    let control = |name, protocol| Row::new(name, CONTROL, ACCESS, frame(protocol), unjudged());
    let unread = |name, protocol| Row::new(name, UNREAD, ACCESS, frame(protocol), unparsed("unread_ppp", &INTERFACE));
    vec![
        control("LCP", 0xc021),
        control("PAP", 0xc023),
        control("IPCP", 0x8021),
        control("the first control protocol", 0x4001),
        unread("multilink (RFC 1990)", 0x003d),
        unread("Van Jacobson compressed TCP (RFC 1144)", 0x002d),
        unread("Van Jacobson uncompressed TCP", 0x002f),
        unread("compressed datagram (RFC 1962)", 0x00fd),
        unread("encrypted (RFC 1968)", 0x0053),
        unread("bridging (RFC 3518)", 0x0031),
        unread("the last network protocol", 0x3fff),
        Row::new("MPLS in PPP (RFC 3032 section 4.1)", "labels hide nothing", ACCESS, PppoeSession::new().carry(0x0281, &labels(1, &payload)), yes()),
        Row::new(
            "MPLS in PPP, the session frame one octet short", "a packet longer than the session frame that carries it", ACCESS,
            put(PppoeSession::new().carry(0x0281, &labels(1, &payload)), 18, &[0, 2 + 4 + 39]), refused("bad_length", &DYNAMIC_COUNTS),
        ),
    ]
}

fn mpls() -> Vec<Row> {
    const WHY: &str = "labels (RFC 3032) hide nothing: the first four bits under them say which IP it is (RFC 4928)";
    const DEEP: &str = "the parser looks under eight labels; no network stacks more on an access line";
    const OTHER: &str = "what is not IP under the labels is not read: it passes, and says so";
    let packet = v4(DYNAMIC, MX).tcp(&syn(25)).bytes;
    let packet_6 = v6(DYNAMIC_6, MX_6).tcp(&syn(25)).bytes;
    let carry = |ether_type, payload: &[u8]| Ethernet::new().carry_raw(ether_type, payload);
    let row = |name, frame, expected| Row::new(name, WHY, ACCESS, frame, expected);
    vec![
        row("MPLS v4", carry(0x8847, &labels(1, &packet)), yes()),
        row("MPLS v6", carry(0x8847, &labels(1, &packet_6)), yes_6()),
        row("MPLS with upstream-assigned label (RFC 5332)", carry(0x8848, &labels(1, &packet)), yes()),
        row("MPLS, tagged", Ethernet::tags(1).carry_raw(0x8847, &labels(1, &packet)), yes()),
        row("two labels v4", carry(0x8847, &labels(2, &packet)), yes()),
        row("eight labels v4", carry(0x8847, &labels(8, &packet)), yes()),
        row("eight labels v6", carry(0x8847, &labels(8, &packet_6)), yes_6()),
        row("two labels, to another port", carry(0x8847, &labels(2, &v4(DYNAMIC, MX).tcp(&syn(26)).bytes)), unjudged()),
        Row::new("nine labels", DEEP, ACCESS, carry(0x8847, &labels(9, &packet)), refused("too_many_labels", &INTERFACE)),
        Row::new("nine labels, observed", DEEP, (AllObserve, Side::Access), carry(0x8847, &labels(9, &packet)), observed("too_many_labels", &INTERFACE)),
        Row::new("a pseudowire (RFC 4385)", OTHER, ACCESS, carry(0x8847, &labels(1, &[0; 60])), unparsed("unread_mpls", &INTERFACE)),
        Row::new("a label that is not the last, and no more", "the frame ends inside its link-layer headers", ACCESS, carry(0x8847, &[0, 1, 0, 64]), unparsed("truncated_link", &INTERFACE)),
        Row::new("a label and nothing under it", "the frame ends inside its link-layer headers", ACCESS, carry(0x8847, &[0, 1, 1, 64]), unparsed("truncated_link", &INTERFACE)),
    ]
}

fn snap() -> Vec<Row> {
    const WHY: &str = "IP in IEEE 802.2 LLC (RFC 1042), which routers may take (RFC 1122 section 2.3.3)";
    const NO_IP: &str = "what is not IP is no TCP: not judged";
    let packet = v4(DYNAMIC, MX).tcp(&syn(25)).bytes;
    let packet_6 = v6(DYNAMIC_6, MX_6).tcp(&syn(25)).bytes;
    let snap = |organisation, ether_type, payload: &[u8]| llc(&Ethernet::new(), organisation, ether_type, payload);
    vec![
        Row::new("SNAP and IPv4", WHY, ACCESS, snap(0, 0x0800, &packet), yes()),
        Row::new("SNAP and IPv6", WHY, ACCESS, snap(0, 0x86dd, &packet_6), yes_6()),
        Row::new("SNAP of IEEE 802.1H and IPv4", WHY, ACCESS, snap(0xf8, 0x0800, &packet), yes()),
        Row::new("SNAP and IPv4, tagged", WHY, ACCESS, llc(&Ethernet::tags(2), 0, 0x0800, &packet), yes()),
        Row::new("SNAP and ARP", NO_IP, ACCESS, snap(0, 0x0806, &[0; 28]), unjudged()),
        Row::new("SNAP of another organisation", NO_IP, ACCESS, snap(0x0c, 0x0800, &packet), unjudged()),
        Row::new("802.3 length and LLC", NO_IP, ACCESS, Ethernet::new().carry_raw(46, &[0x42; 46]), unjudged()),
        Row::new("EtherType 0", NO_IP, ACCESS, Ethernet::new().carry_raw(0, &packet), unjudged()),
        Row::new("a length that the standard does not have, and Linux takes", WHY, ACCESS, put(snap(0, 0x0800, &packet), 12, &1535u16.to_be_bytes()), yes()),
        Row::new("the first EtherType", NO_IP, ACCESS, put(snap(0, 0x0800, &packet), 12, &1536u16.to_be_bytes()), unjudged()),
        Row::new("the longest length", WHY, ACCESS, put(snap(0, 0x0800, &packet), 12, &1500u16.to_be_bytes()), yes()),
        Row::new("SNAP cut short", NO_IP, ACCESS, cut(snap(0, 0x0800, &packet), 14 + 7), unjudged()),
    ]
}
