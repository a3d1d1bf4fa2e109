//! One packet in another.

use gate_tests::packets::{self, Extension, Packet, cut, gre, protocol, put};

use super::{Expected, Row, passed, refused, tagged, unjudged, unparsed, words::*};

/// A customer's own network behind DS-Lite: everybody has these addresses (RFC 6333 section 5.4).
const HOME: &str = "192.168.1.2";
/// The ISP's end of the tunnel.
const AFTR: &str = "2001:db8:ffff::1";
const FAR_END: &str = "198.51.100.99";

pub(super) fn rows() -> Vec<Row> {
    [over_v6(), over_v4(), over_gre(), unread(), pieces()].into_iter().flatten().collect()
}

/// The subscriber is who the ISP's network says: the source of the packet outside.
fn yes() -> Expected {
    refused("restricted", &DYNAMIC_COUNTS)
}

fn yes_6() -> Expected {
    refused("restricted", &DYNAMIC_6_COUNTS)
}

fn inner(destination: &str, port: u16) -> Packet {
    v4(HOME, destination).tcp(&syn(port))
}

fn inner_6(port: u16) -> Packet {
    v6("2001:db8:77::1", MX_6).tcp(&syn(port))
}

fn over_v6() -> Vec<Row> {
    const WHY: &str = "DS-Lite (RFC 6333), MAP-E (RFC 7597) and IPv6 in IPv6 (RFC 2473) hide nothing";
    let four = |packet: &Packet| frame(&v6(DYNAMIC_6, AFTR).carry(protocol::IPV4, &packet.bytes));
    let row = |name, frame, expected| Row::new(name, WHY, ACCESS, frame, expected);
    vec![
        row("4in6", four(&inner(MX, 25)), yes_6()),
        row("4in6 to another port", four(&inner(MX, 80)), unjudged()),
        row("4in6 to 587", four(&inner(MX, 587)), unjudged()),
        row(
            "4in6 to a relay", four(&inner("192.0.2.25", 25)),
            passed("relay", &[&DYNAMIC_6_COUNTS[..], &["relay 192.0.2.25/32"]].concat()),
        ),
        row("4in6, UDP", four(&v4(HOME, MX).carry(protocol::UDP, &packets::udp(PORT, 25, 20))), unjudged()),
        row("4in6, an ACK", four(&v4(HOME, MX).tcp(&packets::tcp(PORT, 25, packets::flag::ACK))), unjudged()),
        row("4in6, inner options", four(&v4(HOME, MX).options(10).tcp(&syn(25))), yes_6()),
        row("6in6", frame(&v6(DYNAMIC_6, AFTR).carry(protocol::IPV6, &inner_6(25).bytes)), yes_6()),
        row(
            "6in6, extension headers inside and outside",
            frame(&v6(DYNAMIC_6, AFTR).with(Extension::DESTINATION).carry(
                protocol::IPV6, &v6("2001:db8:77::1", MX_6).with_all(&[Extension::HOP_BY_HOP, Extension::Authentication(3)]).tcp(&syn(25)).bytes,
            )),
            yes_6(),
        ),
        row(
            "4in6 behind the encapsulation limit (RFC 2473 section 4.1.1)",
            frame(&v6(DYNAMIC_6, AFTR).with(Extension::DESTINATION).carry(protocol::IPV4, &inner(MX, 25).bytes)), yes_6(),
        ),
        row("4in6 in a PPPoE session", packets::PppoeSession::new().frame(&v6(DYNAMIC_6, AFTR).carry(protocol::IPV4, &inner(MX, 25).bytes)), yes_6()),
        row("4in6 from who is in no pool", frame(&v6("2001:db8:f00::1", AFTR).carry(protocol::IPV4, &v4(DYNAMIC, MX).tcp(&syn(25)).bytes)),
            passed("unlisted", &["interface access", "source access 2001:db8:f00::/64"])),
        row("4in6 from an exempt line, whatever is inside", frame(&v6("2001:db8:300::1", AFTR).carry(protocol::IPV4, &v4(DYNAMIC, MX).tcp(&syn(25)).bytes)),
            passed("exempt", &["interface access", "pool campus", "prefix campus 2001:db8:300::/40", "source access 2001:db8:300::/64"])),
    ]
}

fn over_v4() -> Vec<Row> {
    const WHY: &str = "4in4 (RFC 2003) and 6in4 (RFC 4213, 6rd RFC 5969) hide nothing";
    let row = |name, frame, expected| Row::new(name, WHY, ACCESS, frame, expected);
    let six = |packet: &Packet| frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV6, &packet.bytes));
    vec![
        row("4in4", frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &inner(MX, 25).bytes)), yes()),
        row("4in4, outer options", frame(&v4(DYNAMIC, FAR_END).options(3).carry(protocol::IPV4, &inner(MX, 25).bytes)), yes()),
        row("4in4 to 465", frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &inner(MX, 465).bytes)), unjudged()),
        row("6in4", six(&inner_6(25)), yes()),
        row("6in4 to another port", six(&inner_6(2525)), unjudged()),
        row("6in4 behind an authentication header", frame(&v4(DYNAMIC, FAR_END).carry(protocol::AUTHENTICATION, &authenticated(protocol::IPV6, &inner_6(25).bytes))), yes()),
        row("TCP behind an authentication header v4 (RFC 4302)", frame(&v4(DYNAMIC, MX).carry(protocol::AUTHENTICATION, &authenticated(protocol::TCP, &syn(25)))), yes()),
        row("UDP behind an authentication header v4", frame(&v4(DYNAMIC, MX).carry(protocol::AUTHENTICATION, &authenticated(protocol::UDP, &syn(25)))), unjudged()),
        Row::new(
            "6in4 on an uplink", "the class is that of who opens the connection", UPLINK,
            frame(&v4("203.0.113.9", "192.0.2.9").carry(protocol::IPV4, &v4("198.51.100.7", "192.0.2.9").tcp(&syn(587)).bytes)),
            tagged("class_country", &["interface uplink", "class foreign", "source uplink 198.51.100.7/32"], "US", "198.51.100.7 40000 192.0.2.9 587 foreign"),
        ),
    ]
}

/// An authentication header (RFC 4302 section 2) without a check value, and what is behind it.
fn authenticated(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], payload].concat()
}

fn over_gre() -> Vec<Row> {
    const WHY: &str = "GRE (RFC 2784, RFC 2890) with IP in it hides nothing";
    let over = |flags, ether_type, packet: &Packet| frame(&v4(DYNAMIC, FAR_END).carry(protocol::GRE, &gre(flags, ether_type, &packet.bytes)));
    let row = |name, frame, expected| Row::new(name, WHY, ACCESS, frame, expected);
    vec![
        row("GRE v4", over(0, 0x0800, &inner(MX, 25)), yes()),
        row("GRE v6", over(0, 0x86dd, &inner_6(25)), yes()),
        row("GRE with a checksum", over(0x8000, 0x0800, &inner(MX, 25)), yes()),
        row("GRE with a key", over(0x2000, 0x0800, &inner(MX, 25)), yes()),
        row("GRE with a sequence number", over(0x1000, 0x86dd, &inner_6(25)), yes()),
        row("GRE with all three", over(0xb000, 0x0800, &inner(MX, 25)), yes()),
        row("GRE with flags that RFC 2784 wants ignored", over(0x03f8, 0x0800, &inner(MX, 25)), yes()),
        row("GRE with flags that Linux ignores", over(0x0c00, 0x0800, &inner(MX, 25)), yes()),
        row("GRE of WCCP", over(0, 0x883e, &inner(MX, 25)), yes()),
        row(
            "GRE of WCCP version 2, with a word before the packet",
            frame(&v4(DYNAMIC, FAR_END).carry(protocol::GRE, &gre(0, 0x883e, &[&[0, 0, 0, 0], &inner(MX, 25).bytes[..]].concat()))), yes(),
        ),
        row("GRE to another port", over(0xb000, 0x0800, &inner(MX, 80)), unjudged()),
        row("GRE over IPv6", frame(&v6(DYNAMIC_6, AFTR).carry(protocol::GRE, &gre(0, 0x0800, &inner(MX, 25).bytes))), yes_6()),
        row("GRE cut short", cut(over(0, 0x0800, &inner(MX, 25)), 14 + 20 + 3), unparsed("truncated_ip", &INTERFACE)),
    ]
}

fn unread() -> Vec<Row> {
    const WHY: &str = "what is not read passes, and says so";
    const NESTED: &str = "a tunnel in a tunnel is not read: it passes, and says so";
    let carry = |number, payload: &[u8]| frame(&v4(DYNAMIC, FAR_END).carry(number, payload));
    let packet = inner(MX, 25).bytes;
    let nested = v4(HOME, FAR_END).carry(protocol::IPV4, &packet).bytes;
    let row = |name, frame| Row::new(name, WHY, ACCESS, frame, unparsed("unread_tunnel", &INTERFACE));
    let deep = |name, frame| Row::new(name, NESTED, ACCESS, frame, unparsed("nested_tunnel", &INTERFACE));
    vec![
        row("GRE with routing (RFC 1701)", carry(protocol::GRE, &gre(0x4000, 0x0800, &packet))),
        row("GRE version 1, PPTP (RFC 2637)", carry(protocol::GRE, &gre(0x3001, 0x880b, &packet))),
        row("GRE with Ethernet in it", carry(protocol::GRE, &gre(0, 0x6558, &smtp(DYNAMIC, MX)))),
        row("GRE with MPLS in it", carry(protocol::GRE, &gre(0, 0x8847, &packets::labels(1, &packet)))),
        deep("4in4in4", carry(protocol::IPV4, &nested)),
        deep("4in4in6", frame(&v6(DYNAMIC_6, AFTR).carry(protocol::IPV4, &nested))),
        deep("GRE in GRE", carry(protocol::GRE, &gre(0, 0x0800, &v4(HOME, FAR_END).carry(protocol::GRE, &gre(0, 0x0800, &packet)).bytes))),
        Row::new("4in4 on an uplink, nested", NESTED, UPLINK, carry(protocol::IPV4, &nested), unparsed("nested_tunnel", &["interface uplink"])),
    ]
}

fn pieces() -> Vec<Row> {
    const LONG: &str = "a packet longer than the one that carries it: no host accepts it, and no honest sender makes it";
    const CUT: &str = "the frame ends inside an IP header, which no host accepts";
    const TINY: &str = "a first fragment that ends before the TCP header hides the ports, in a tunnel too";
    const OVERLAP: &str = "a fragment of a tunnel that starts in its first 128 octets would overwrite the headers in it";
    const TO_RELAY: &str = "the relay may be the tunnel's end, and lead on to anybody";
    let packet = inner(MX, 25).bytes;
    let rest = packet.clone().split_off(8);
    let first = |length| frame(&v4(DYNAMIC, FAR_END).fragment(0, true).carry(protocol::IPV4, &cut(packet.clone(), length)));
    let later = |place| frame(&v4(DYNAMIC, FAR_END).fragment(place, true).carry(protocol::IPV4, &[0; 64]));
    let first_6 = |length| frame(&v6(DYNAMIC_6, AFTR).with(Extension::Fragment(0, true)).carry(protocol::IPV4, &cut(packet.clone(), length)));
    let later_6 = |place| frame(&v6(DYNAMIC_6, AFTR).with(Extension::Fragment(place, true)).carry(protocol::IPV4, &[0; 64]));
    let tiny = || refused("tiny_fragment", &DYNAMIC_COUNTS);
    let tiny_6 = || refused("tiny_fragment", &DYNAMIC_6_COUNTS);
    let overlap = || refused("overlapping_fragment", &DYNAMIC_COUNTS);
    // The inner total length is two octets into the inner header.
    let longer = put(frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &packet)), 14 + 20 + 2, &41u16.to_be_bytes());
    vec![
        Row::new("4in4, the inner packet longer than the outer", LONG, ACCESS, longer, refused("bad_length", &DYNAMIC_COUNTS)),
        Row::new("4in4 without an inner packet", CUT, ACCESS, frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &[])), unparsed("truncated_ip", &INTERFACE)),
        Row::new("6in4, version 4 inside", "a version that IPv6 has not", ACCESS, frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV6, &packet)), unparsed("bad_ip_header", &INTERFACE)),
        Row::new("4in4, version 6 inside", "a version that IPv4 has not", ACCESS, frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &inner_6(25).bytes)), unparsed("bad_ip_header", &INTERFACE)),
        Row::new("4in4, a first fragment with all headers", "as a SYN", ACCESS, first(40), yes()),
        Row::new("4in4, a first fragment with an ACK", "as a SYN: a later one could set the flag", ACCESS,
            frame(&v4(DYNAMIC, FAR_END).fragment(0, true).carry(protocol::IPV4, &v4(HOME, MX).tcp(&packets::tcp(PORT, 25, packets::flag::ACK)).bytes)), yes()),
        Row::new("4in4, a first fragment that ends in the TCP header", TINY, ACCESS, first(32), tiny()),
        Row::new("4in4, a first fragment that ends in the inner IP header", TINY, ACCESS, first(8), tiny()),
        Row::new("4in6, a first fragment with all headers", "as a SYN", ACCESS, first_6(40), yes_6()),
        Row::new("4in6, a first fragment that ends in the TCP header", TINY, ACCESS, first_6(32), tiny_6()),
        Row::new("4in6, a first fragment without an octet", TINY, ACCESS, first_6(0), tiny_6()),
        Row::new("4in4, a fragment at 8", OVERLAP, ACCESS, later(1), overlap()),
        Row::new("4in4, a fragment at 120", OVERLAP, ACCESS, later(15), overlap()),
        Row::new("4in4, a fragment at 128", "the headers went by with the first", ACCESS, later(16), unparsed("later_fragment", &INTERFACE)),
        Row::new("4in4 to a relay, a first fragment that hides the rest", TO_RELAY, ACCESS,
            frame(&v4(DYNAMIC, "192.0.2.25").fragment(0, true).carry(protocol::IPV4, &cut(packet.clone(), 8))), tiny()),
        Row::new("4in4 to a relay, the rest", TO_RELAY, ACCESS,
            frame(&v4(DYNAMIC, "192.0.2.25").fragment(1, false).carry(protocol::IPV4, &rest)), overlap()),
        Row::new("4in6, a fragment at 40", OVERLAP, ACCESS, later_6(5), refused("overlapping_fragment", &DYNAMIC_6_COUNTS)),
        Row::new("4in6, a fragment at 1232", "the headers went by with the first", ACCESS, later_6(154), unparsed("later_fragment", &INTERFACE)),
        Row::new("4in4, the inner packet a later fragment", "its ports went by with the first", ACCESS,
            frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &v4(HOME, MX).fragment(185, false).tcp(&syn(25)).bytes)), unparsed("later_fragment", &INTERFACE)),
        Row::new("4in4, the inner packet a tiny fragment", TINY, ACCESS,
            frame(&v4(DYNAMIC, FAR_END).carry(protocol::IPV4, &v4(HOME, MX).fragment(0, true).tcp(&head(25, 8)).bytes)), tiny()),
    ]
}
