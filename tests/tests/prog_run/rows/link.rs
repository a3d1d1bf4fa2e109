//! Tags, short frames, and what is no IP.

use gate_tests::packets::{DOT1AD, DOT1Q, Ethernet, QINQ_9100, cut, put, trail};

use super::{Expected, Row, Side, observed, passed, refused, unjudged, unparsed, words::*};
use crate::configurations::Configuration::{AllObserve, Limits, Observe, Refuse};

pub(super) fn rows() -> Vec<Row> {
    [tags(), short(), other()].into_iter().flatten().collect()
}

fn tags() -> Vec<Row> {
    const WHY: &str = "tags (IEEE 802.1Q, 802.1ad) hide nothing: the role is the interface's";
    const DEEP: &str = "the parser looks behind four tags; no network stacks more, but Linux takes any number off whose VLAN is 0";
    let packet = v4(DYNAMIC, MX).tcp(&syn(25));
    let packet_6 = v6(DYNAMIC_6, MX_6).tcp(&syn(25));
    let yes = || refused("restricted", &DYNAMIC_COUNTS);
    let yes_6 = || refused("restricted", &DYNAMIC_6_COUNTS);
    let one = |tag| Ethernet::new().tag(tag, 100);
    let priority = |count| (0..count).fold(Ethernet::new(), |link, _| link.tag(DOT1Q, 0));
    let qinq = Ethernet::new().tag(DOT1AD, 200).tag(DOT1Q, 100);
    let mixed = Ethernet::new().tag(DOT1AD, 1).tag(QINQ_9100, 2).tag(DOT1Q, 3).tag(DOT1AD, 4);
    vec![
        Row::new("802.1Q v4", WHY, ACCESS, one(DOT1Q).carry(&packet), yes()),
        Row::new("802.1Q v6", WHY, ACCESS, one(DOT1Q).carry(&packet_6), yes_6()),
        Row::new("802.1ad v4", WHY, ACCESS, one(DOT1AD).carry(&packet), yes()),
        Row::new("0x9100 v4", WHY, ACCESS, one(QINQ_9100).carry(&packet), yes()),
        Row::new("QinQ v4", WHY, ACCESS, qinq.carry(&packet), yes()),
        Row::new("QinQ v6", WHY, ACCESS, qinq.carry(&packet_6), yes_6()),
        Row::new("priority tag, VLAN 0", WHY, ACCESS, Ethernet::new().tag(DOT1Q, 0).carry(&packet), yes()),
        Row::new("three tags v4", WHY, ACCESS, Ethernet::tags(3).carry(&packet), yes()),
        Row::new("four tags v4", WHY, ACCESS, mixed.carry(&packet), yes()),
        Row::new("four tags v6", WHY, ACCESS, mixed.carry(&packet_6), yes_6()),
        Row::new("five tags v4", DEEP, ACCESS, Ethernet::tags(5).carry(&packet), refused("too_many_tags", &INTERFACE)),
        Row::new("five tags v6", DEEP, ACCESS, mixed.clone().tag(DOT1Q, 5).carry(&packet_6), refused("too_many_tags", &INTERFACE)),
        Row::new("five priority tags", DEEP, ACCESS, priority(5).carry(&packet), refused("too_many_tags", &INTERFACE)),
        Row::new("nine tags", DEEP, ACCESS, Ethernet::tags(9).carry(&packet), refused("too_many_tags", &INTERFACE)),
        Row::new("five tags, observed", DEEP, (AllObserve, Side::Access), Ethernet::tags(5).carry(&packet), observed("too_many_tags", &INTERFACE)),
        Row::new("five tags, where one pool enforces", DEEP, (Observe, Side::Access), Ethernet::tags(5).carry(&packet), refused("too_many_tags", &INTERFACE)),
        Row::new("five tags, where all are throttled", DEEP, (Limits, Side::Access), Ethernet::tags(5).carry(&packet), refused("too_many_tags", &INTERFACE)),
        Row::new("0x9200 v4", WHY, ACCESS, one(0x9200).carry(&packet), yes()),
        Row::new("0x9300 v6", WHY, ACCESS, one(0x9300).carry(&packet_6), yes_6()),
        Row::new("four priority tags", WHY, ACCESS, priority(4).carry(&packet), yes()),
        Row::new("five tags on an uplink", DEEP, UPLINK, Ethernet::tags(5).carry(&packet), unparsed("too_many_tags", &["interface uplink"])),
        Row::new("five tags without a role", DEEP, (Refuse, Side::Neither), Ethernet::tags(5).carry(&packet), passed("no_role", &[])),
    ]
}

fn short() -> Vec<Row> {
    const LINK: &str = "the frame ends inside its link-layer headers";
    const IP: &str = "the frame ends inside an IP header, which no host accepts (RFC 1122 section 3.2.1.1)";
    const TCP: &str = "the frame ends inside the TCP header, which no host accepts";
    let v4 = || smtp(DYNAMIC, MX);
    let v6 = || smtp(DYNAMIC_6, MX_6);
    let tagged = |count| Ethernet::tags(count).carry_raw(0x0800, &[]);
    let row = |name, why, frame, reason| Row::new(name, why, ACCESS, frame, unparsed(reason, &INTERFACE));
    vec![
        row("nothing behind one tag's first two octets", LINK, cut(tagged(1), 16), "truncated_link"),
        row("a tag's announcement and no tag", LINK, cut(tagged(1), 14), "truncated_link"),
        row("one octet of a tag's EtherType", LINK, cut(tagged(1), 17), "truncated_link"),
        row("half of the fourth tag", LINK, cut(tagged(4), 14 + 12 + 3), "truncated_link"),
        row("half of the fourth tag's EtherType", LINK, cut(tagged(4), 14 + 15), "truncated_link"),
        row("Ethernet alone v4", IP, cut(v4(), 14), "truncated_ip"),
        row("Ethernet alone v6", IP, cut(v6(), 14), "truncated_ip"),
        row("nineteen octets of an IPv4 header", IP, cut(v4(), 14 + 19), "truncated_ip"),
        row("39 octets of an IPv6 header", IP, cut(v6(), 14 + 39), "truncated_ip"),
        row("tagged, without an IP header", IP, tagged(2), "truncated_ip"),
        row("IP header alone v4", TCP, cut(v4(), 14 + 20), "truncated_tcp"),
        row("IP header alone v6", TCP, cut(v6(), 14 + 40), "truncated_tcp"),
        row("ports and no flags v4", TCP, cut(v4(), 14 + 20 + 13), "truncated_tcp"),
        row("19 octets of a TCP header v4", TCP, cut(v4(), 14 + 20 + 19), "truncated_tcp"),
        row("19 octets of a TCP header v6", TCP, cut(v6(), 14 + 40 + 19), "truncated_tcp"),
        Row::new("all 20 octets of a TCP header v4", "the header is all there", ACCESS, v4(), refused("restricted", &DYNAMIC_COUNTS)),
        Row::new("all 20 octets of a TCP header v6", "the header is all there", ACCESS, v6(), refused("restricted", &DYNAMIC_6_COUNTS)),
        Row::new(
            "padded to Ethernet's minimum", "padding (IEEE 802.3 clause 4.2.3.3) changes nothing", ACCESS,
            trail(v4(), &[0; 6]), refused("restricted", &DYNAMIC_COUNTS),
        ),
    ]
}

fn other() -> Vec<Row> {
    const NO_IP: &str = "what is not IP is no TCP: not judged";
    let packet = v4(DYNAMIC, MX).tcp(&syn(25));
    let carry = |ether_type: u16, payload: &[u8]| Ethernet::new().carry_raw(ether_type, payload);
    let row = |name, frame, expected: Expected| Row::new(name, NO_IP, ACCESS, frame, expected);
    vec![
        row("ARP", carry(0x0806, &[0; 28]), unjudged()),
        row("LLDP", carry(0x88cc, &[0; 46]), unjudged()),
        row("EtherType 0xffff", carry(0xffff, &packet.bytes), unjudged()),
        row("PPPoE discovery", carry(0x8863, &[0x11, 9, 0, 0, 0, 0]), unjudged()),
        row("MACsec (IEEE 802.1AE)", carry(0x88e5, &[0; 46]), unjudged()),
        row("EtherType of IPv4 with its octets swapped", carry(0x0608, &packet.bytes), unjudged()),
        row("fourteen octets that say nothing", cut(carry(0, &[]), 14), unjudged()),
        Row::new(
            "multicast MAC", "the MAC addresses do not matter", ACCESS, put(smtp(DYNAMIC, MX), 0, &[0xff; 12]),
            refused("restricted", &DYNAMIC_COUNTS),
        ),
    ]
}
