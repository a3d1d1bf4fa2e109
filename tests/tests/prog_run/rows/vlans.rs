//! A role per VLAN, the inner address as the subscriber's, and shapes that are treated as the configuration says.

use gate_tests::packets::{self, DOT1AD, DOT1Q, Ethernet, protocol};

use super::{Row, Side, passed, refused, tagged, unparsed, words::*};
use crate::configurations::Configuration::{self, Vlans, VlansOnly};

const PORT: (Configuration, Side) = (Vlans, Side::Access);
const SUBSCRIBERS: &str = "interface access vlans 100-199,300";
const INTERNET: &str = "interface access vlans 200";

pub(super) fn rows() -> Vec<Row> {
    [roles(), identity(), shapes()].into_iter().flatten().collect()
}

fn dynamic(interface: &'static str, source: &'static str) -> Vec<&'static str> {
    vec![interface, "pool dynamic", "prefix dynamic 100.64.0.0/10", source]
}

fn roles() -> Vec<Row> {
    const WHY: &str = "the outermost VLAN ID that is not 0 says what faces the port (IEEE 802.1Q clause 9.6)";
    const NONE: &str = "a VLAN that the configuration does not name has no role";
    const HIDDEN: &str = "Linux takes tags of VLAN 0 off until it finds another: the VLAN may be a subscriber's";
    const STRIPPED: &str = "without a VLAN ID, what `stripped` says";
    let packet = v4(DYNAMIC, MX).tcp(&syn(25));
    let submission = v4("198.51.100.7", "192.0.2.9").tcp(&syn(587));
    let vlan = |id| Ethernet::new().tag(DOT1Q, id);
    let yes = || refused("restricted", &dynamic(SUBSCRIBERS, "source access 100.64.0.2/32"));
    let row = |name, frame, expected| Row::new(name, WHY, PORT, frame, expected);
    vec![
        row("the first VLAN of a range", vlan(100).carry(&packet), yes().answered("reset")),
        row("the last VLAN of a range", vlan(199).carry(&packet), yes().answered("reset")),
        row("a VLAN by itself", vlan(300).carry(&packet), yes().answered("reset")),
        row("a service tag outside", Ethernet::new().tag(DOT1AD, 150).tag(DOT1Q, 200).carry(&packet), yes().answered("reset")),
        row("a priority tag outside", Ethernet::new().tag(DOT1Q, 0).tag(DOT1Q, 150).carry(&packet), yes().answered("reset")),
        row("the Internet's VLAN, port 25", vlan(200).carry(&packet), super::unjudged()),
        row(
            "the Internet's VLAN, port 587", vlan(200).carry(&submission),
            tagged("class_country", &[INTERNET, "class foreign", "source uplink 198.51.100.7/32"], "US", "198.51.100.7 40000 192.0.2.9 587 foreign"),
        ),
        row("a subscriber's VLAN inside the Internet's", vlan(200).tag(DOT1Q, 100).carry(&packet), super::unjudged()),
        Row::new("one VLAN below", NONE, PORT, vlan(99).carry(&packet), passed("no_role", &[])),
        Row::new("one VLAN above", NONE, PORT, vlan(201).carry(&packet), passed("no_role", &[])),
        Row::new("the last VLAN", NONE, PORT, vlan(4094).carry(&packet), passed("no_role", &[])),
        Row::new(
            "untagged", STRIPPED, PORT, Ethernet::new().carry(&packet),
            refused("restricted", &dynamic("interface access stripped", "source access 100.64.0.2/32")).unanswered("stripped"),
        ),
        Row::new(
            "five priority tags, the VLAN behind them", HIDDEN, (VlansOnly, Side::Access),
            (0..5).fold(Ethernet::new(), |link, _| link.tag(DOT1Q, 0)).tag(DOT1Q, 100).carry(&packet), refused("too_many_tags", &[]),
        ),
        Row::new(
            "four priority tags, the VLAN behind them", HIDDEN, (VlansOnly, Side::Access),
            (0..4).fold(Ethernet::new(), |link, _| link.tag(DOT1Q, 0)).tag(DOT1Q, 100).carry(&packet), refused("too_many_tags", &[]),
        ),
        Row::new(
            "three priority tags, and the VLAN", WHY, (VlansOnly, Side::Access),
            (0..3).fold(Ethernet::new(), |link, _| link.tag(DOT1Q, 0)).tag(DOT1Q, 100).carry(&packet), yes().answered("reset"),
        ),
        Row::new("untagged, without `stripped`", NONE, (VlansOnly, Side::Access), Ethernet::new().carry(&packet), passed("no_role", &[])),
        Row::new(
            "a priority tag alone", STRIPPED, PORT, vlan(0).carry(&packet),
            refused("restricted", &dynamic("interface access stripped", "source access 100.64.0.2/32")).unanswered("stripped"),
        ),
    ]
}

fn identity() -> Vec<Row> {
    const WHY: &str = "`identity = \"inner\"`: the subscriber is who the packet in the tunnel comes from";
    let vlan = Ethernet::new().tag(DOT1Q, 100);
    let inside = |source, destination: &str| v4(source, destination).tcp(&syn(25)).bytes;
    let over = |source, payload: &[u8]| vlan.carry(&v6(source, "2001:db8:ffff::1").carry(protocol::IPV4, payload));
    vec![
        Row::new(
            "4in6 from a restricted address inside", WHY, PORT, over("2001:db8:f00::1", &inside(DYNAMIC, MX)),
            refused("restricted", &dynamic(SUBSCRIBERS, "source access 100.64.0.2/32")).unanswered("encapsulated"),
        ),
        Row::new(
            "4in6 from a restricted address outside alone", WHY, PORT, over(DYNAMIC_6, &inside("203.0.113.9", MX)),
            passed("unlisted", &[SUBSCRIBERS, "source access 203.0.113.9/32"]),
        ),
        Row::new(
            "a tiny fragment of a tunnel", "what is inside cannot be read, and the outer address is all there is", PORT,
            vlan.carry(&v4(DYNAMIC, "198.51.100.99").fragment(0, true).carry(protocol::IPV4, &packets::cut(inside("203.0.113.9", MX), 8))),
            refused("tiny_fragment", &dynamic(SUBSCRIBERS, "source access 100.64.0.2/32")).unanswered("fragment"),
        ),
    ]
}

fn shapes() -> Vec<Row> {
    const WHY: &str = "`[shapes]` says what becomes of each shape";
    let vlan = Ethernet::new().tag(DOT1Q, 100);
    let later = v4(DYNAMIC, MX).fragment(185, false).tcp(&syn(25));
    vec![
        Row::new(
            "a later fragment, dropped", WHY, PORT, vlan.carry(&later),
            refused("later_fragment", &dynamic(SUBSCRIBERS, "source access 100.64.0.2/32")).unanswered("shape"),
        ),
        Row::new(
            "five tags, passed", WHY, PORT, (0..5).fold(Ethernet::new(), |link, _| link.tag(DOT1Q, 100)).carry(&v4(DYNAMIC, MX).tcp(&syn(25))),
            unparsed("too_many_tags", &[SUBSCRIBERS]),
        ),
        Row::new(
            "a tiny fragment to another port", "its port can be read, and is not 25", PORT,
            vlan.carry(&v4(DYNAMIC, MX).fragment(0, true).tcp(&packets::cut(syn(80), 8))), unparsed("tiny_fragment", &[SUBSCRIBERS]),
        ),
    ]
}
