//! IPv4 headers, good and bad.

use gate_tests::packets::{self, protocol, put, trail};

use super::{Expected, Row, passed, refused, unjudged, unparsed, words::*};

/// Where fields of the IPv4 header are in an untagged frame (RFC 791 section 3.1).
mod at {
    pub(super) const VERSION: usize = 14;
    pub(super) const LENGTH: usize = 16;
}

pub(super) fn rows() -> Vec<Row> {
    [options(), routes(), bad(), lengths()].into_iter().flatten().collect()
}

fn options() -> Vec<Row> {
    const WHY: &str = "the header length says where TCP starts, options or not (RFC 791 section 3.1)";
    let with = |words| frame(&v4(DYNAMIC, MX).options(words).tcp(&syn(25)));
    let yes = || refused("restricted", &DYNAMIC_COUNTS);
    let imitation = frame(&v4(DYNAMIC, MX).options(10).tcp(&syn(80)));
    vec![
        Row::new("one word of options", WHY, ACCESS, with(1), yes()),
        Row::new("five words of options", WHY, ACCESS, with(5), yes()),
        Row::new("nine words of options", WHY, ACCESS, with(9), yes()),
        Row::new("ten words of options, header length 15", WHY, ACCESS, with(10), yes()),
        Row::new(
            "options that imitate a SYN to port 25", WHY, ACCESS, put(imitation, 14 + 20, &syn(25)), unjudged(),
        ),
        Row::new(
            "options cut short", "what is behind a header cannot start before its end", ACCESS,
            packets::cut(with(10), 14 + 20 + 20), unparsed("truncated_tcp", &INTERFACE),
        ),
        Row::new(
            "to a relay, with options", WHY, ACCESS, frame(&v4(DYNAMIC, "192.0.2.25").options(3).tcp(&syn(25))),
            passed("relay", &[&DYNAMIC_COUNTS[..], &["relay 192.0.2.25/32"]].concat()),
        ),
    ]
}

fn routes() -> Vec<Row> {
    const WHY: &str = "a source route leads on from the relay (RFC 791 section 3.1), and so the relay is no exemption";
    const NONE: &str = "options without a source route say nothing of where the packet goes";
    const RELAY: &str = "192.0.2.25";
    let with = |destination, octets: &[u8]| put(frame(&v4(DYNAMIC, destination).options(10).tcp(&syn(25))), 14 + 20, octets);
    let relay = || passed("relay", &[&DYNAMIC_COUNTS[..], &["relay 192.0.2.25/32"]].concat());
    let routed = || refused("source_routed", &DYNAMIC_COUNTS);
    let row = |name, octets: &[u8], expected| Row::new(name, WHY, ACCESS, with(RELAY, octets), expected);
    vec![
        row("loose source route, to a relay", &[131, 7, 4, 192, 0, 2, 1], routed()),
        row("strict source route, to a relay", &[137, 7, 4, 192, 0, 2, 1], routed()),
        row("loose source route behind padding", &[1, 1, 1, 131, 7, 4, 192, 0, 2, 1], routed()),
        row("loose source route behind a record route", &[7, 7, 4, 0, 0, 0, 0, 131, 7, 4, 192, 0, 2, 1], routed()),
        row("loose source route in the last three octets", &[&[1; 37][..], &[131, 3, 4]].concat(), routed()),
        row("an option without a length, to a relay", &[7, 0, 131], routed()),
        row("an option that leads past the header, to a relay", &[7, 41], routed()),
        Row::new(
            "loose source route by way of a stranger", "the route is no exemption either", ACCESS, with(MX, &[131, 7, 4, 192, 0, 2, 25]),
            refused("restricted", &DYNAMIC_COUNTS),
        ),
        Row::new("router alert, to a relay (RFC 2113)", NONE, ACCESS, with(RELAY, &[148, 4, 0, 0]), relay()),
        Row::new("timestamps, to a relay", NONE, ACCESS, with(RELAY, &[68, 12, 5, 0]), relay()),
        Row::new("an address of 131s in a record route", NONE, ACCESS, with(RELAY, &[7, 7, 4, 131, 131, 131, 131]), relay()),
        Row::new("a source route behind the end of options", NONE, ACCESS, with(RELAY, &[0, 131, 7, 4, 192, 0, 2, 1]), relay()),
    ]
}

fn bad() -> Vec<Row> {
    const WHY: &str = "a version or header length that IPv4 has not: hosts discard it (RFC 1122 section 3.2.1.1)";
    let first = |byte: u8| put(smtp(DYNAMIC, MX), at::VERSION, &[byte]);
    let row = |name, byte| Row::new(name, WHY, ACCESS, first(byte), unparsed("bad_ip_header", &INTERFACE));
    vec![
        row("header length 0", 0x40),
        row("header length 1", 0x41),
        row("header length 4", 0x44),
        row("version 6 announced as IPv4", 0x65),
        row("version 0", 0x05),
        row("version 5", 0x55),
        row("version 15", 0xf5),
        Row::new(
            "no version and no length without TCP", "a bad header has no protocol either", ACCESS,
            put(frame(&v4(DYNAMIC, MX).carry(protocol::UDP, &packets::udp(PORT, 25, 20))), at::VERSION, &[0]),
            unparsed("bad_ip_header", &INTERFACE),
        ),
    ]
}

fn lengths() -> Vec<Row> {
    const SHORT: &str = "a total length that ends inside the header is none (RFC 791 section 3.1)";
    const PADDING: &str = "behind the total length is padding (RFC 894), which is no TCP header";
    const MERGED: &str = "total length 0 is what the kernel shows of segments that it merged beyond 64 KiB: the frame's end is the packet's";
    const LONG: &str = "what the length says beyond the frame is not there; the header is";
    let with = |length: u16| put(smtp(DYNAMIC, MX), at::LENGTH, &length.to_be_bytes());
    let yes = || refused("restricted", &DYNAMIC_COUNTS);
    let short = |name, why, length, expected: Expected| Row::new(name, why, ACCESS, with(length), expected);
    // A whole IPv4 packet of another protocol, or of a cut segment, and a SYN to port 25 where its padding is.
    let behind = |number, payload: &[u8]| trail(frame(&v4(DYNAMIC, MX).carry(number, payload)), &syn(25));
    vec![
        short("total length 1", SHORT, 1, unparsed("bad_ip_header", &INTERFACE)),
        short("total length 19", SHORT, 19, unparsed("bad_ip_header", &INTERFACE)),
        short("total length 20, no TCP header", PADDING, 20, unparsed("truncated_tcp", &INTERFACE)),
        short("total length 39, one octet short", PADDING, 39, unparsed("truncated_tcp", &INTERFACE)),
        short("total length 40, exact", LONG, 40, yes()),
        short("total length 41, one octet more than the frame", LONG, 41, yes()),
        short("total length 65535", LONG, 0xffff, yes()),
        short("total length 0", MERGED, 0, yes()),
        Row::new(
            "total length inside the options", SHORT, ACCESS,
            put(frame(&v4(DYNAMIC, MX).options(10).tcp(&syn(25))), at::LENGTH, &59u16.to_be_bytes()),
            unparsed("bad_ip_header", &INTERFACE),
        ),
        Row::new("padding that imitates a SYN behind an empty TCP packet", PADDING, ACCESS, behind(protocol::TCP, &[]), unparsed("truncated_tcp", &INTERFACE)),
        Row::new("padding that imitates a SYN behind an empty UDP packet", PADDING, ACCESS, behind(protocol::UDP, &[]), unjudged()),
        Row::new(
            "padding that completes a TCP header", PADDING, ACCESS,
            put(trail(frame(&v4(DYNAMIC, MX).tcp(&head(25, 12))), &[0; 40]), 14 + 20, &syn(25)), unparsed("truncated_tcp", &INTERFACE),
        ),
        Row::new("trailing octets of any number", PADDING, ACCESS, trail(smtp(DYNAMIC, MX), &[0xff; 1000]), yes()),
    ]
}
