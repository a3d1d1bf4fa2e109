//! IPv6 headers and extension headers, good and bad.

use gate_tests::packets::{self, Extension, cut, protocol, put, trail};

use super::{Row, Side, observed, passed, refused, unjudged, unparsed, words::*};
use crate::configurations::Configuration::Observe;

/// Where fields of the IPv6 header are in an untagged frame (RFC 8200 section 3).
mod at {
    pub(super) const VERSION: usize = 14;
    pub(super) const LENGTH: usize = 18;
    pub(super) const FIRST_EXTENSION: usize = 14 + 40;
}

const HIP: Extension = Extension::Uniform(protocol::HIP, 0);
const SHIM6: Extension = Extension::Uniform(protocol::SHIM6, 0);

pub(super) fn rows() -> Vec<Row> {
    [extensions(), chains(), cut_short(), headers()].into_iter().flatten().collect()
}

fn with(extensions: &[Extension]) -> Vec<u8> {
    frame(&v6(DYNAMIC_6, MX_6).with_all(extensions).tcp(&syn(25)))
}

fn extensions() -> Vec<Row> {
    const WHY: &str = "extension headers are walked to the TCP header (RFC 8200 section 4)";
    let row = |name, extension| Row::new(name, WHY, ACCESS, with(&[extension]), refused("restricted", &DYNAMIC_6_COUNTS));
    vec![
        row("hop-by-hop options", Extension::HOP_BY_HOP),
        row("destination options", Extension::DESTINATION),
        row("routing", Extension::ROUTING),
        row("mobility (RFC 6275)", Extension::MOBILITY),
        row("HIP (RFC 7401)", HIP),
        row("Shim6 (RFC 5533)", SHIM6),
        row("authentication, no check value (RFC 4302)", Extension::Authentication(0)),
        row("authentication, three words of it", Extension::Authentication(3)),
        row("authentication, 20 words of it", Extension::Authentication(20)),
        row("destination options of 264 octets", Extension::Uniform(protocol::DESTINATION, 32)),
        row("destination options of 1440 octets, a full Ethernet frame", Extension::Uniform(protocol::DESTINATION, 179)),
        row("destination options of 2048 octets, the longest there are", Extension::Uniform(protocol::DESTINATION, 255)),
        row("destination options of 1984 octets, the TCP header just within what is read directly", Extension::Uniform(protocol::DESTINATION, 247)),
        Row::new(
            "options that imitate a SYN to port 25", WHY, ACCESS,
            put(frame(&v6(DYNAMIC_6, MX_6).with(Extension::Uniform(protocol::DESTINATION, 4)).tcp(&syn(80))), at::FIRST_EXTENSION + 2, &syn(25)),
            unjudged(),
        ),
        Row::new(
            "to a relay, behind options", WHY, ACCESS, frame(&v6(DYNAMIC_6, "2001:db8:25::1").with(Extension::DESTINATION).tcp(&syn(25))),
            passed("relay", &[&DYNAMIC_6_COUNTS[..], &["relay 2001:db8:25::/64"]].concat()),
        ),
        Row::new(
            "two of 2048 octets each", WHY, ACCESS,
            with(&[Extension::Uniform(protocol::DESTINATION, 255), Extension::Uniform(protocol::HOP_BY_HOP, 255)]), refused("restricted", &DYNAMIC_6_COUNTS),
        ),
        Row::new(
            "two of 2048 octets each, to another port", WHY, ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with_all(&[Extension::Uniform(protocol::DESTINATION, 255); 2]).tcp(&syn(80))), unjudged(),
        ),
        Row::new(
            "routing header with segments left, to a relay", "it leads on from the relay (RFC 8200 section 4.4), and so the relay is no exemption", ACCESS,
            put(frame(&v6(DYNAMIC_6, "2001:db8:25::1").with(Extension::ROUTING).tcp(&syn(25))), at::FIRST_EXTENSION + 3, &[1]),
            refused("source_routed", &DYNAMIC_6_COUNTS),
        ),
        Row::new(
            "routing header without segments left, to a relay", "it ends there", ACCESS,
            frame(&v6(DYNAMIC_6, "2001:db8:25::1").with(Extension::ROUTING).tcp(&syn(25))),
            passed("relay", &[&DYNAMIC_6_COUNTS[..], &["relay 2001:db8:25::/64"]].concat()),
        ),
        Row::new(
            "UDP behind options", "another protocol: not judged", ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with(Extension::DESTINATION).carry(protocol::UDP, &packets::udp(PORT, 25, 20))), unjudged(),
        ),
        Row::new(
            "no next header", "there is nothing behind 59 (RFC 8200 section 4.7), whatever the octets look like", ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).carry(protocol::NONE, &syn(25))), unjudged(),
        ),
        Row::new(
            "no next header behind options", "there is nothing behind 59 (RFC 8200 section 4.7)", ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with(Extension::DESTINATION).carry(protocol::NONE, &syn(25))), unjudged(),
        ),
        Row::new(
            "ESP behind options", "what ESP (RFC 4303) carries nobody on the way can read", ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with(Extension::DESTINATION).carry(protocol::ESP, &syn(25))), unjudged(),
        ),
    ]
}

fn chains() -> Vec<Row> {
    const WHY: &str = "headers in any order and number up to eight (RFC 8200 section 4.1: nodes must accept any order)";
    const DEEP: &str = "more headers than eight hide the ports; no honest host sends them (RFC 9098), and to a restricted source it is as port 25";
    let all = [
        Extension::HOP_BY_HOP, Extension::DESTINATION, Extension::ROUTING, Extension::Fragment(0, false),
        Extension::Authentication(3), Extension::DESTINATION, Extension::MOBILITY, SHIM6,
    ];
    let nine = [&all[..], &[Extension::DESTINATION]].concat();
    let many = |count| vec![Extension::DESTINATION; count];
    let from = |source, destination, extensions: &[Extension]| frame(&v6(source, destination).with_all(extensions).tcp(&syn(25)));
    let yes = || refused("restricted", &DYNAMIC_6_COUNTS);
    vec![
        Row::new("two", WHY, ACCESS, with(&all[..2]), yes()),
        Row::new("four", WHY, ACCESS, with(&all[..4]), yes()),
        Row::new("seven", WHY, ACCESS, with(&all[..7]), yes()),
        Row::new("eight", WHY, ACCESS, with(&all), yes()),
        Row::new("eight of a kind", WHY, ACCESS, with(&many(8)), yes()),
        Row::new("eight authentication headers", WHY, ACCESS, with(&[Extension::Authentication(1); 8]), yes()),
        Row::new("hop-by-hop options not first", WHY, ACCESS, with(&[Extension::DESTINATION, Extension::HOP_BY_HOP]), yes()),
        Row::new("eight, then UDP", "another protocol: not judged", ACCESS,
            frame(&v6(DYNAMIC_6, MX_6).with_all(&all).carry(protocol::UDP, &packets::udp(PORT, 25, 20))), unjudged()),
        Row::new("nine", DEEP, ACCESS, with(&nine), refused("too_many_extensions", &DYNAMIC_6_COUNTS)),
        Row::new("nine of a kind", DEEP, ACCESS, with(&many(9)), refused("too_many_extensions", &DYNAMIC_6_COUNTS)),
        Row::new("twenty of a kind", DEEP, ACCESS, with(&many(20)), refused("too_many_extensions", &DYNAMIC_6_COUNTS)),
        Row::new(
            "nine, the ninth not there", DEEP, ACCESS, cut(with(&many(9)), at::FIRST_EXTENSION + 64), refused("too_many_extensions", &DYNAMIC_6_COUNTS),
        ),
        Row::new(
            "nine, observed", "the pool's action holds for hidden ports too", (Observe, Side::Access), from("2001:db8:100::2", MX_6, &nine),
            observed("too_many_extensions", &[
                "interface access", "pool dynamic", "prefix dynamic 2001:db8:100::/40", "source access 2001:db8:100::/64",
            ]),
        ),
        Row::new(
            "nine, exempt", "an exempt source may hide its ports: nothing is known of the packet but its shape", ACCESS,
            from("2001:db8:300:8::9", MX_6, &nine),
            unparsed("too_many_extensions", &["interface access", "pool campus", "prefix campus 2001:db8:300::/40"]),
        ),
        Row::new(
            "nine, to a relay", "what is hidden is open to nobody: no honest sender makes it", ACCESS, from(DYNAMIC_6, "2001:db8:25::1", &nine),
            refused("too_many_extensions", &DYNAMIC_6_COUNTS),
        ),
        Row::new(
            "nine, unlisted", "who is in no pool is open", ACCESS, from("2001:db8:7::7", MX_6, &nine),
            unparsed("too_many_extensions", &["interface access"]),
        ),
    ]
}

fn cut_short() -> Vec<Row> {
    const WHY: &str = "the packet ends inside an extension header, which no host accepts";
    let options = || with(&[Extension::DESTINATION]);
    let row = |name, frame, reason| Row::new(name, WHY, ACCESS, frame, unparsed(reason, &INTERFACE));
    vec![
        row("announced and not there", cut(options(), at::FIRST_EXTENSION), "truncated_extension"),
        row("one octet of it", cut(options(), at::FIRST_EXTENSION + 1), "truncated_extension"),
        row("a fragment header of seven octets", cut(with(&[Extension::Fragment(0, false)]), at::FIRST_EXTENSION + 7), "truncated_extension"),
        row("an authentication header of one octet", cut(with(&[Extension::Authentication(3)]), at::FIRST_EXTENSION + 1), "truncated_extension"),
        row("the second of two", cut(with(&[Extension::HOP_BY_HOP, Extension::DESTINATION]), at::FIRST_EXTENSION + 8), "truncated_extension"),
        row(
            "a length that leads past the frame, to another header",
            put(with(&[Extension::HOP_BY_HOP, Extension::DESTINATION]), at::FIRST_EXTENSION + 1, &[200]), "truncated_extension",
        ),
        row("a length that leads past the frame, to TCP", put(options(), at::FIRST_EXTENSION + 1, &[200]), "truncated_tcp"),
        row(
            "a payload length that ends before it", put(options(), at::LENGTH, &1u16.to_be_bytes()), "truncated_extension",
        ),
        row(
            "a payload length that ends inside a fragment header",
            put(with(&[Extension::Fragment(0, false)]), at::LENGTH, &7u16.to_be_bytes()), "truncated_extension",
        ),
        row("a payload length that ends before TCP", put(options(), at::LENGTH, &8u16.to_be_bytes()), "truncated_tcp"),
        row("a payload length that ends inside TCP", put(options(), at::LENGTH, &27u16.to_be_bytes()), "truncated_tcp"),
        Row::new(
            "a payload length that is exact", "the header is all there", ACCESS, put(options(), at::LENGTH, &28u16.to_be_bytes()),
            refused("restricted", &DYNAMIC_6_COUNTS),
        ),
    ]
}

fn headers() -> Vec<Row> {
    const WHY: &str = "a version that IPv6 has not";
    const PADDING: &str = "behind the payload length is padding, which is no TCP header";
    const JUMBO: &str = "payload length 0 with something behind it is a jumbogram (RFC 2675): the frame's end is the packet's";
    let yes = || refused("restricted", &DYNAMIC_6_COUNTS);
    let length = |length: u16| put(smtp(DYNAMIC_6, MX_6), at::LENGTH, &length.to_be_bytes());
    vec![
        Row::new("version 4 announced as IPv6", WHY, ACCESS, put(smtp(DYNAMIC_6, MX_6), at::VERSION, &[0x45]), unparsed("bad_ip_header", &INTERFACE)),
        Row::new("version 0", WHY, ACCESS, put(smtp(DYNAMIC_6, MX_6), at::VERSION, &[0]), unparsed("bad_ip_header", &INTERFACE)),
        Row::new("version 7", WHY, ACCESS, put(smtp(DYNAMIC_6, MX_6), at::VERSION, &[0x70]), unparsed("bad_ip_header", &INTERFACE)),
        Row::new(
            "traffic class and flow label", "they share octets with the version and say nothing of the ports", ACCESS,
            put(smtp(DYNAMIC_6, MX_6), at::VERSION, &[0x6f, 0xff, 0xff, 0xff]), yes(),
        ),
        Row::new("payload length 1", PADDING, ACCESS, length(1), unparsed("truncated_tcp", &INTERFACE)),
        Row::new("payload length 19", PADDING, ACCESS, length(19), unparsed("truncated_tcp", &INTERFACE)),
        Row::new("payload length 20", "the header is all there", ACCESS, length(20), yes()),
        Row::new("payload length 21, one octet more than the frame", "the header is all there", ACCESS, length(21), yes()),
        Row::new("payload length 0", JUMBO, ACCESS, length(0), yes()),
        Row::new(
            "padding that imitates a SYN", PADDING, ACCESS,
            trail(frame(&v6(DYNAMIC_6, MX_6).tcp(&[0; 4])), &syn(25)), unparsed("truncated_tcp", &INTERFACE),
        ),
        Row::new(
            "padding that completes a TCP header", PADDING, ACCESS,
            trail(frame(&v6(DYNAMIC_6, MX_6).tcp(&head(25, 14))), &[0; 40]), unparsed("truncated_tcp", &INTERFACE),
        ),
    ]
}
