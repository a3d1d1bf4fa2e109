//! Classes of submission connections.

use gate_tests::packets::{self, Ethernet, Extension, flag::*, protocol};

use super::{Expected, Row, Side, tagged, unjudged, words::*};
use crate::configurations::Configuration::{AnyServer, EverythingV6, NoSources};

const SERVER: &str = "192.0.2.1";
const SERVER_6: &str = "2001:db8:587::1";
const US: &str = "198.51.100.7";
const US_6: &str = "2001:db8:8000::7";

pub(super) fn rows() -> Vec<Row> {
    [ports(), countries(), prefixes(), servers(), not_tagged()].into_iter().flatten().collect()
}

/// A connection that gets a class: what it counts for follows from its addresses, its port and its class.
fn classed(reason: &str, class: &str, source: &str, country: &str, server: &str, port: u16) -> Expected {
    // The sources of an uplink are counted by /32 and /64.
    let one = if source.contains(':') {
        let network: std::net::Ipv6Addr = source.parse().expect("an IPv6 address");
        format!("source uplink {}/64", std::net::Ipv6Addr::from_bits(network.to_bits() >> 64 << 64))
    } else {
        format!("source uplink {source}/32")
    };
    let counts = ["interface uplink", &format!("class {class}"), &one];
    tagged(reason, &counts, country, &format!("{source} {PORT} {server} {port} {class}"))
}

fn us(port: u16) -> Expected {
    classed("class_country", "foreign", US, "US", SERVER, port)
}

fn us_6(port: u16) -> Expected {
    classed("class_country", "foreign", US_6, "US", SERVER_6, port)
}

fn ports() -> Vec<Row> {
    const WHY: &str = "a new connection to submission (587, RFC 6409; 465, RFC 8314) gets a class, and passes";
    const LIVE: &str = "a fragment of a connection that is open opens none (RFC 9293 section 3.10.7.4)";
    let any = (AnyServer, Side::Uplink);
    vec![
        Row::new("587 v4", WHY, UPLINK, open(US, SERVER, 587), us(587)),
        Row::new("465 v4", WHY, UPLINK, open(US, SERVER, 465), us(465)),
        Row::new("587 v6", WHY, UPLINK, open(US_6, SERVER_6, 587), us_6(587)),
        Row::new("465 v6", WHY, UPLINK, open(US_6, SERVER_6, 465), us_6(465)),
        Row::new("tagged twice v4", WHY, UPLINK, Ethernet::tags(2).carry(&v4(US, SERVER).tcp(&syn(587))), us(587)),
        Row::new("behind IPv4 options", WHY, UPLINK, frame(&v4(US, SERVER).options(10).tcp(&syn(587))), us(587)),
        Row::new("behind destination options", WHY, UPLINK, frame(&v6(US_6, SERVER_6).with(Extension::DESTINATION).tcp(&syn(587))), us_6(587)),
        Row::new("SYN, ECE and CWR", WHY, UPLINK, segment(US, SERVER, &packets::tcp(PORT, 587, SYN | ECE | CWR)), us(587)),
        Row::new("a first fragment with SYN v4", WHY, UPLINK, frame(&v4(US, SERVER).fragment(0, true).tcp(&syn(587))), us(587)),
        Row::new("a first fragment without SYN v4", LIVE, UPLINK, frame(&v4(US, SERVER).fragment(0, true).tcp(&packets::tcp(PORT, 587, ACK))), unjudged()),
        Row::new("465 where it is the only port", "submission.ports = [465]", any, open(US, SERVER, 465), classed("class_country", "foreign", US, "US", SERVER, 465)),
        Row::new("587 where 465 is the only port", "submission.ports = [465]", any, open(US, SERVER, 587), unjudged()),
    ]
}

fn countries() -> Vec<Row> {
    const NAMED: &str = "a class that names the source's country";
    const DEFAULT: &str = "no class names the country: the default class";
    const UNKNOWN: &str = "the source is in no database: geoip.unknown";
    let row = |name, why, source, server, expected| Row::new(name, why, UPLINK, open(source, server, 587), expected);
    vec![
        row("named v4", NAMED, "198.51.100.65", SERVER, classed("class_country", "domestic", "198.51.100.65", "JP", SERVER, 587)),
        row("named v6", NAMED, "2001:db8:8100::1", SERVER_6, classed("class_country", "domestic", "2001:db8:8100::1", "JP", SERVER_6, 587)),
        row("one of two names v4", NAMED, "203.0.113.9", SERVER, classed("class_country", "high-spam", "203.0.113.9", "XK", SERVER, 587)),
        row("one of two names v6", NAMED, "2001:db8:8200::1", SERVER_6, classed("class_country", "high-spam", "2001:db8:8200::1", "KP", SERVER_6, 587)),
        row("default v4", DEFAULT, US, SERVER, us(587)),
        row("default v6", DEFAULT, US_6, SERVER_6, us_6(587)),
        row("the last address before another country", "the longest network of the database wins", "198.51.100.63", SERVER,
            classed("class_country", "foreign", "198.51.100.63", "US", SERVER, 587)),
        row("the first address of another country", "the longest network of the database wins", "198.51.100.64", SERVER,
            classed("class_country", "domestic", "198.51.100.64", "JP", SERVER, 587)),
        row("unknown v4", UNKNOWN, "192.88.99.1", SERVER, classed("class_unknown", "domestic", "192.88.99.1", "none", SERVER, 587)),
        row("unknown v6", UNKNOWN, "2a00::1", SERVER_6, classed("class_unknown", "domestic", "2a00::1", "none", SERVER_6, 587)),
        Row::new("unknown with a class of its own", UNKNOWN, (AnyServer, Side::Uplink), open("192.88.99.1", SERVER, 465),
            classed("class_unknown", "unknown", "192.88.99.1", "none", SERVER, 465)),
    ]
}

fn prefixes() -> Vec<Row> {
    const OVERRIDE: &str = "a class's prefix goes before the country, which is counted all the same";
    const TUNNEL: &str = "the address says where a tunnel ends and not where the sender is: geoip.tunnels";
    let row = |name, why, source, server, expected| Row::new(name, why, UPLINK, open(source, server, 587), expected);
    vec![
        row("override v4", OVERRIDE, "198.51.100.129", SERVER, classed("class_prefix", "own-service", "198.51.100.129", "US", SERVER, 587)),
        row("override of a named country v4", OVERRIDE, "198.51.100.200", SERVER, classed("class_prefix", "own-service", "198.51.100.200", "KP", SERVER, 587)),
        row("override v6", OVERRIDE, "2001:db8:8000:1::9", SERVER_6, classed("class_prefix", "own-service", "2001:db8:8000:1::9", "JP", SERVER_6, 587)),
        row("the address before an override", "198.51.100.127 is not in 198.51.100.128/25", "198.51.100.127", SERVER,
            classed("class_country", "domestic", "198.51.100.127", "JP", SERVER, 587)),
        row("6to4 (RFC 3056)", TUNNEL, "2002:c000:204::1", SERVER_6, classed("class_prefix", "tunnel", "2002:c000:204::1", "none", SERVER_6, 587)),
        row("6to4 that the database knows", TUNNEL, "2002:c633:6407::1", SERVER_6, classed("class_prefix", "tunnel", "2002:c633:6407::1", "US", SERVER_6, 587)),
        row("Teredo (RFC 4380)", TUNNEL, "2001:0:4136:e378::1", SERVER_6, classed("class_prefix", "tunnel", "2001:0:4136:e378::1", "none", SERVER_6, 587)),
        row("beside Teredo", "2001:1::/32 is not 2001::/32", "2001:1::1", SERVER_6, classed("class_unknown", "domestic", "2001:1::1", "none", SERVER_6, 587)),
        row("NAT64 (RFC 6052)", TUNNEL, "64:ff9b::c633:6407", SERVER_6, classed("class_prefix", "tunnel", "64:ff9b::c633:6407", "none", SERVER_6, 587)),
        row("beside NAT64", "64:ff9b:1::/48 (RFC 8215) is a network's own", "64:ff9b:1::1", SERVER_6,
            classed("class_unknown", "domestic", "64:ff9b:1::1", "none", SERVER_6, 587)),
        Row::new("::/0 as a class's prefix, v6", "every IPv6 address is in ::/0", (EverythingV6, Side::Uplink), open(US_6, SERVER_6, 587),
            classed("class_prefix", "six", US_6, "US", SERVER_6, 587)),
    ]
}

fn servers() -> Vec<Row> {
    const HIT: &str = "the destination is a listed server";
    const MISS: &str = "the destination is no listed server: not judged";
    const EMPTY: &str = "without a list every destination is a server";
    let any = (AnyServer, Side::Uplink);
    let v6_only = (EverythingV6, Side::Uplink);
    vec![
        Row::new("the first of a network v4", HIT, UPLINK, open(US, "192.0.2.0", 587), classed("class_country", "foreign", US, "US", "192.0.2.0", 587)),
        Row::new("the last of a network v4", HIT, UPLINK, open(US, "192.0.2.255", 587), classed("class_country", "foreign", US, "US", "192.0.2.255", 587)),
        Row::new("beside a network v4", MISS, UPLINK, open(US, "192.0.3.0", 587), unjudged()),
        Row::new("beside a network v6", MISS, UPLINK, open(US_6, "2001:db8:588::1", 587), unjudged()),
        Row::new("the other family", MISS, UPLINK, open(US_6, "2001:db8::c000:201", 587), unjudged()),
        Row::new("any v4", EMPTY, any, open(US, "10.0.0.1", 465), classed("class_country", "foreign", US, "US", "10.0.0.1", 465)),
        Row::new("any v6", EMPTY, any, open(US_6, "2a00::1", 465), classed("class_country", "foreign", US_6, "US", "2a00::1", 465)),
        Row::new("::/0 holds IPv6", "every IPv6 address is in ::/0", v6_only, open(US_6, "2a00::1", 587),
            classed("class_prefix", "six", US_6, "US", "2a00::1", 587)),
        Row::new("::/0 holds no IPv4", "IPv4 addresses are in no IPv6 prefix, however they are stored", v6_only, open(US, SERVER, 587), unjudged()),
        Row::new("sources not counted", "counters.sources = false: everything else is counted", (NoSources, Side::Uplink), open(US, SERVER, 587),
            tagged("class_country", &["interface uplink", "class foreign"], "US", &format!("{US} {PORT} {SERVER} 587 foreign"))),
    ]
}

fn not_tagged() -> Vec<Row> {
    const ESTABLISHED: &str = "a class is given when a connection opens";
    let to = |flags| segment(US, SERVER, &packets::tcp(PORT, 587, flags));
    let row = |name, why, frame| Row::new(name, why, UPLINK, frame, unjudged());
    vec![
        row("SYN and ACK", ESTABLISHED, to(SYN | ACK)),
        row("ACK", ESTABLISHED, to(ACK)),
        row("data", ESTABLISHED, to(ACK | PSH)),
        row("FIN", ESTABLISHED, to(FIN | ACK)),
        row("RST", ESTABLISHED, to(RST)),
        row("from port 587", "the destination port decides", segment(US, SERVER, &packets::tcp(587, PORT, SYN))),
        row("port 25", "inbound mail is no business of the gate", open(US, SERVER, 25)),
        row("port 25 from a subscriber's address", "an uplink refuses nothing, whoever it seems to be from", open(DYNAMIC, MX, 25)),
        row("port 586", "not a submission port", open(US, SERVER, 586)),
        row("port 443", "not a submission port", open(US, SERVER, 443)),
        row("UDP 587", "another protocol", frame(&v4(US, SERVER).carry(protocol::UDP, &packets::udp(PORT, 587, 20)))),
    ]
}
