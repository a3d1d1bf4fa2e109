//! Which segments are judged: flags, scopes, ports, other protocols.

use gate_tests::packets::{self, Packet, flag::*, protocol};

use super::{Row, Side, passed, refused, unjudged, words::*};
use crate::configurations::Configuration::ScopeAll;

pub(super) fn rows() -> Vec<Row> {
    [flags(), ports(), protocols()].into_iter().flatten().collect()
}

/// Each of these with scope syn and with scope all.
fn flags() -> Vec<Row> {
    const OPENS: &str = "SYN without ACK opens a connection (RFC 9293 section 3.5), whatever flags are beside it";
    const ESTABLISHED: &str = "scope syn: a segment that opens nothing is not judged";
    const ALL: &str = "scope all: every segment to port 25 is judged";
    let all = (ScopeAll, Side::Access);
    let to_25 = |flags| segment(DYNAMIC, MX, &packets::tcp(PORT, 25, flags));
    let to_25_v6 = |flags| segment(DYNAMIC_6, MX_6, &packets::tcp(PORT, 25, flags));
    let yes = || refused("restricted", &DYNAMIC_COUNTS);
    let mut rows = Vec::new();
    for (name, in_all, flags) in [
        ("SYN", "SYN, scope all", SYN),
        ("SYN and FIN", "SYN and FIN, scope all", SYN | FIN),
        ("SYN, ECE and CWR (RFC 3168)", "SYN, ECE and CWR, scope all", SYN | ECE | CWR),
        ("SYN and RST", "SYN and RST, scope all", SYN | RST),
        ("SYN, PSH and URG", "SYN, PSH and URG, scope all", SYN | PSH | URG),
        ("every flag but ACK", "every flag but ACK, scope all", !ACK),
    ] {
        rows.push(Row::new(name, OPENS, ACCESS, to_25(flags), yes()));
        rows.push(Row::new(in_all, ALL, all, to_25(flags), yes()));
    }
    for (name, in_all, flags) in [
        ("SYN and ACK", "SYN and ACK, scope all", SYN | ACK),
        ("ACK", "ACK, scope all", ACK),
        ("data", "data, scope all", ACK | PSH),
        ("FIN and ACK", "FIN and ACK, scope all", FIN | ACK),
        ("FIN", "FIN, scope all", FIN),
        ("RST", "RST, scope all", RST),
        ("no flag", "no flag, scope all", 0),
        ("every flag", "every flag, scope all", 0xff),
    ] {
        rows.push(Row::new(name, ESTABLISHED, ACCESS, to_25(flags), unjudged()));
        rows.push(Row::new(in_all, ALL, all, to_25(flags), yes()));
    }
    rows.push(Row::new("ACK v6", ESTABLISHED, ACCESS, to_25_v6(ACK), unjudged()));
    rows.push(Row::new(
        "ACK v6, scope all", ALL, all, to_25_v6(ACK),
        refused("restricted", &["interface access", "pool dynamic", "prefix dynamic 2001:db8:100::/40", "source access 2001:db8:100:aa77::/64"]),
    ));
    rows.push(Row::new(
        "ACK to a relay, scope all", ALL, all, segment(DYNAMIC, "192.0.2.25", &packets::tcp(PORT, 25, ACK)),
        passed("relay", &[&DYNAMIC_COUNTS[..], &["relay 192.0.2.25/32"]].concat()),
    ));
    rows.push(Row::new(
        "SYN with options", "TCP options do not move the ports (RFC 9293 section 3.1)", ACCESS,
        segment(DYNAMIC, MX, &packets::tcp_with_options(PORT, 25, SYN, 10)), yes(),
    ));
    rows.push(Row::new(
        "SYN with data (RFC 7413)", "data on a SYN does not keep it from opening a connection", ACCESS,
        segment(DYNAMIC, MX, &packets::trail(syn(25), b"EHLO example.net\r\n")), yes(),
    ));
    rows.push(Row::new(
        "data on an interface without a role",
        "an interface without a role is open, and every segment to port 25 says so", (ScopeAll, Side::Neither), to_25(ACK), passed("no_role", &[]),
    ));
    rows
}

fn ports() -> Vec<Row> {
    const WHY: &str = "on an access interface only destination port 25 is judged";
    const NEVER: &str = "587 and 465 from a subscriber are never judged (RFC 6409, RFC 8314)";
    let mut rows = Vec::new();
    for (name, port) in [
        ("port 24", 24),
        ("port 26", 26),
        ("port 2525", 2525),
        ("port 0", 0),
        ("port 80", 80),
        // 25 with its octets the other way round, and with others beside it.
        ("port 6400, octets swapped", 0x1900),
        ("port 281, low octet 25", 0x0119),
        ("port 65535", 0xffff),
    ] {
        rows.push(Row::new(name, WHY, ACCESS, open(DYNAMIC, MX, port), unjudged()));
    }
    let all = (ScopeAll, Side::Access);
    rows.extend([
        Row::new("587 v4", NEVER, ACCESS, open(DYNAMIC, MX, 587), unjudged()),
        Row::new("465 v4", NEVER, ACCESS, open(DYNAMIC, MX, 465), unjudged()),
        Row::new("587 v6", NEVER, ACCESS, open(DYNAMIC_6, MX_6, 587), unjudged()),
        Row::new("465 v6", NEVER, ACCESS, open(DYNAMIC_6, MX_6, 465), unjudged()),
        Row::new("587, scope all", NEVER, all, open(DYNAMIC, MX, 587), unjudged()),
        Row::new("465, scope all", NEVER, all, open(DYNAMIC, MX, 465), unjudged()),
        Row::new(
            "a reply of a mail host", "source port 25 is the subscriber's own server answering", ACCESS,
            segment(DYNAMIC, MX, &packets::tcp(25, PORT, SYN | ACK)), unjudged(),
        ),
        Row::new(
            "a reply of a mail host, scope all", "source port 25 is the subscriber's own server answering", all,
            segment(DYNAMIC, MX, &packets::tcp(25, PORT, ACK)), unjudged(),
        ),
        Row::new(
            "from 25 to 25", "the destination port decides", ACCESS, segment(DYNAMIC, MX, &packets::tcp(25, 25, SYN)),
            refused("restricted", &DYNAMIC_COUNTS),
        ),
    ]);
    rows
}

fn protocols() -> Vec<Row> {
    const WHY: &str = "port 25 of another protocol is no mail: not judged";
    let all = (ScopeAll, Side::Access);
    let v4 = |number, payload: &[u8]| v4(DYNAMIC, MX).carry(number, payload);
    let v6 = |number, payload: &[u8]| v6(DYNAMIC_6, MX_6).carry(number, payload);
    let row = |name, packet: &Packet| Row::new(name, WHY, all, frame(packet), unjudged());
    vec![
        row("UDP v4", &v4(protocol::UDP, &packets::udp(PORT, 25, 20))),
        row("UDP v6", &v6(protocol::UDP, &packets::udp(PORT, 25, 20))),
        row("SCTP v4", &v4(protocol::SCTP, &packets::sctp(PORT, 25))),
        row("SCTP v6", &v6(protocol::SCTP, &packets::sctp(PORT, 25))),
        row("ICMP", &v4(protocol::ICMP, &packets::icmp())),
        row("ICMPv6", &v6(protocol::ICMPV6, &packets::icmp())),
        row("ESP v4", &v4(protocol::ESP, &syn(25))),
        row("ESP v6", &v6(protocol::ESP, &syn(25))),
        row("an unknown protocol v4", &v4(253, &syn(25))),
        row("an unknown protocol v6", &v6(253, &syn(25))),
    ]
}
