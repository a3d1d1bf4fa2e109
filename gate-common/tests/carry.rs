//! What packets show of their class, by a table that is written down here; and how a DSCP gets into a header, held against a library that
//! works every checksum out anew.

#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot be set up may panic; a module of another crate"
)]

#[path = "../../gate-user/src/answer.rs"]
#[allow(dead_code, reason = "the frame is used, and not what decides")]
mod answer;

use std::{collections::HashMap, net::IpAddr};

use answer::Buffer;
use bytemuck::Zeroable as _;
use etherparse::{Ipv4Header, PacketBuilder};
use gate_common::{
    Action, Addr, Flow, Policy, Role, Shape,
    abi::{
        BucketKey, ClassSettings, ClassedCountry, FlowKey, FlowTag, Interface, InterfaceKey,
        Metadata, Rule, Settings,
    },
    carry::{Carried, Dscp, Recalled, Tags, carried, follows, leaves, recall, set_dscp},
    decide::{self, Tables},
    parse::parse,
};
use proptest::prelude::*;

/// When packets come, UNIX time in nanoseconds.
const NOW: u64 = 1_800_000_000_000_000_000;
const OVER: u8 = FlowTag::OVER_LIMIT;
const OBSERVED: u8 = FlowTag::OBSERVED;
const NO_DSCP: u8 = ClassSettings::NO_DSCP;

/// Class 0 has both, 1 a mark, 2 a code point, 3 neither; what is over a limit shows otherwise.
fn settings() -> Settings {
    let mut settings = Settings::zeroed();
    settings.mark_mask = 0xff;
    for (class, (mark, over_mark, dscp, over_dscp)) in settings.classes.iter_mut().zip([
        (0x10, 0x90, 10, 1),
        (0x20, 0xa0, NO_DSCP, 1),
        (0, 0x80, 12, 1),
        (0, 0x80, NO_DSCP, NO_DSCP),
    ]) {
        class.mark = mark;
        class.over_mark = over_mark;
        class.dscp = dscp;
        class.over_dscp = over_dscp;
    }
    settings
}

#[test]
fn what_shows_follows_from_class_flags_and_place() {
    use Dscp::{Bleached, Kept, Written};
    // Class, flags; mark of the packet that opens the connection, its code point, and that of later ones where all have it.
    for (class, flags, mark, dscp) in [
        (0, 0, 0x10, Some(10)),
        (0, OVER, 0x90, Some(1)),
        (0, OBSERVED, 0, None),
        (0, OBSERVED | OVER, 0, None),
        (1, 0, 0x20, None),
        (1, OVER, 0xa0, Some(1)),
        (2, 0, 0, Some(12)),
        (2, OVER, 0x80, Some(1)),
        (3, 0, 0, None),
        (3, OVER, 0x80, None),
        (3, OBSERVED, 0, None),
    ] {
        for (all, bleach, opens) in [
            (false, false, true),
            (false, false, false),
            (true, false, true),
            (true, false, false),
            (false, true, true),
            (false, true, false),
            (true, true, false),
        ] {
            let settings = Settings {
                dscp_all: all.into(),
                bleach: bleach.into(),
                ..settings()
            };
            let otherwise = if bleach { Bleached } else { Kept };
            let written = dscp.filter(|_| opens || all).map_or(otherwise, Written);
            let expected = Carried {
                mark: if opens { mark } else { 0 },
                dscp: written,
            };
            let found = carried(&settings, class, flags, opens);
            assert_eq!(
                found, expected,
                "class {class}, flags {flags}, all {all}, bleach {bleach}, opens {opens}"
            );
            assert_eq!(found.is_nothing(), expected == Carried::NOTHING);
        }
    }
}

#[test]
fn without_a_mask_nothing_is_marked_and_no_mark_goes_beyond_it() {
    let mut settings = settings();
    settings.mark_mask = 0;
    assert_eq!(carried(&settings, 1, OVER, true).mark, 0);
    settings.mark_mask = 0x8f;
    assert_eq!(carried(&settings, 1, OVER, true).mark, 0x80);
}

#[test]
fn metadata_changes_the_bits_of_its_mask_and_is_the_gates_own() {
    let metadata = Metadata::new(0x0021, 0x00ff);
    for (mark, expected) in [
        (0, 0x21),
        (0xffff_ffff, 0xffff_ff21),
        (0xabcd_0100, 0xabcd_0121),
        (0x21, 0x21),
    ] {
        assert_eq!(metadata.apply(mark), Some(expected));
    }
    let beyond = Metadata::new(0xff21, 0x00ff);
    assert_eq!(beyond.apply(0x4400), Some(0x4421));
    let other = Metadata {
        magic: Metadata::MAGIC ^ 1,
        ..metadata
    };
    assert_eq!(other.apply(7), None);
}

fn flow(source: &str, dport: u16, flags: u8) -> Flow {
    Flow {
        src: source.parse::<IpAddr>().unwrap().into(),
        dst: "192.0.2.1".parse::<IpAddr>().unwrap().into(),
        sport: 40_000,
        dport,
        flags,
        network: 14,
        transport: 34,
        ..Flow::default()
    }
}

/// One interface of each role, one server; a source is of class 2 by prefix, the rest of class 1.
struct World {
    settings: Settings,
    tags: HashMap<FlowKey, FlowTag>,
    bypass_until_ns: u64,
}

impl Tables for World {
    fn settings(&self) -> Option<&Settings> {
        Some(&self.settings)
    }
    fn interface(&self, key: InterfaceKey) -> Option<Interface> {
        let role = match key.index {
            1 => Role::Access,
            2 => Role::Uplink,
            _ => return None,
        };
        Some(Interface {
            role: role as u8,
            ..Interface::default()
        })
    }
    fn access(&self, _: Addr) -> Option<u32> {
        None
    }
    fn rule(&self, _: u32) -> Option<Rule> {
        None
    }
    fn relay(&self, _: Addr) -> Option<u32> {
        None
    }
    fn server(&self, destination: Addr) -> bool {
        destination == flow("::", 0, 0).dst
    }
    fn class_prefix(&self, source: Addr) -> Option<u32> {
        (source == flow("198.51.100.2", 0, 0).src).then_some(2)
    }
    fn country(&self, _: Addr) -> Option<u32> {
        Some(0)
    }
    fn bypass_until_ns(&self) -> u64 {
        self.bypass_until_ns
    }
    fn take(&self, _: BucketKey, _: u64) -> bool {
        panic!("a connection counts once, when it opens")
    }
}

impl Tags for World {
    fn tag(&self, key: &FlowKey) -> Option<FlowTag> {
        self.tags.get(key).copied()
    }
}

#[test]
fn a_connection_is_recalled_by_its_tag_and_else_by_its_address() {
    let mut settings = settings();
    for class in &mut settings.classes {
        class.action = Action::Enforce as u8;
    }
    settings.submission = 1;
    settings.countries[0] = ClassedCountry {
        class: 1,
        ..ClassedCountry::default()
    };
    let tagged = flow("198.51.100.1", 587, 16);
    let tag = FlowTag {
        class: 3,
        flags: OVER,
        ..FlowTag::zeroed()
    };
    let mut world = World {
        settings,
        tags: HashMap::from([(FlowKey::of(&tagged), tag)]),
        bypass_until_ns: 0,
    };
    let recalled = |world: &World, flow: &Flow, interface| {
        recall(Shape::Tcp, flow, interface, &world.settings, world, NOW)
            .map(|it| (it.class, it.flags))
    };
    let other = Flow {
        sport: 40_001,
        ..tagged
    };
    assert_eq!(recalled(&world, &tagged, 2), Some((3, OVER)));
    assert_eq!(recalled(&world, &other, 2), Some((1, 0)));
    assert_eq!(
        recalled(&world, &flow("198.51.100.2", 587, 16), 2),
        Some((2, 0))
    );
    assert_eq!(
        recall(Shape::Tcp, &other, 2, &world.settings, &world, NOW),
        Some(Recalled { class: 1, flags: 0 })
    );
    // Another role, no role, another port, a port that is not watched, another server.
    assert_eq!(recalled(&world, &tagged, 1), None);
    assert_eq!(recalled(&world, &tagged, 3), None);
    assert_eq!(recalled(&world, &flow("198.51.100.1", 25, 16), 2), None);
    assert_eq!(recalled(&world, &flow("198.51.100.1", 465, 16), 2), None);
    let elsewhere = Flow {
        dst: tagged.src,
        ..tagged
    };
    assert_eq!(recalled(&world, &elsewhere, 2), None);
    world.settings.any_server = 1;
    assert_eq!(recalled(&world, &elsewhere, 2), Some((1, 0)));
    // By the address it is known that the class is only observed, and since when it is not.
    let class = &mut world.settings.classes[1];
    class.effective_from_ns = NOW + 1;
    assert_eq!(recalled(&world, &other, 2), Some((1, FlowTag::OBSERVED)));
    world.settings.classes[1].effective_from_ns = NOW;
    assert_eq!(recalled(&world, &other, 2), Some((1, 0)));
    // So is every class during a bypass.
    world.bypass_until_ns = NOW + 1;
    assert_eq!(recalled(&world, &other, 2), Some((1, FlowTag::OBSERVED)));
    world.bypass_until_ns = NOW;
    assert_eq!(recalled(&world, &other, 2), Some((1, 0)));
    world.settings.classes[1].action = Action::Observe as u8;
    assert_eq!(recalled(&world, &other, 2), Some((1, FlowTag::OBSERVED)));
    world.settings.classes[1].policy = Policy::Exempt as u8;
    assert_eq!(recalled(&world, &other, 2), Some((1, 0)));
}

#[test]
fn what_hides_its_port_is_recalled_by_its_address_alone() {
    let tiny = Shape::TinyFragment;
    let mut settings = settings();
    settings.dropped_shapes = tiny.bit();
    settings.submission = 1;
    let hidden = Flow {
        flags: 0,
        transport: 0,
        ..flow("198.51.100.2", 587, 0)
    };
    // A connection that had these ports before says nothing of this packet.
    let tag = FlowTag {
        class: 3,
        flags: OVER,
        ..FlowTag::zeroed()
    };
    let mut world = World {
        bypass_until_ns: 0,
        settings,
        tags: HashMap::from([(FlowKey::of(&hidden), tag)]),
    };
    let by_address = Some(Recalled {
        class: 2,
        flags: OBSERVED,
    });
    let recalled = |world: &World, shape, flow: &Flow, interface| {
        recall(shape, flow, interface, &world.settings, world, NOW)
    };
    assert_eq!(recalled(&world, tiny, &hidden, 2), by_address);
    let unknown = Flow { dport: 0, ..hidden };
    assert_eq!(recalled(&world, tiny, &unknown, 2), by_address);
    let elsewhere = Flow {
        dst: hidden.src,
        ..hidden
    };
    let other_port = Flow {
        dport: 465,
        ..hidden
    };
    for (shape, flow, interface) in [
        (Shape::LaterFragment, hidden, 2),
        (tiny, hidden, 1),
        (tiny, elsewhere, 2),
        (tiny, other_port, 2),
    ] {
        let found = recalled(&world, shape, &flow, interface);
        assert_eq!(found, None, "{shape:?} {flow:?}");
    }
    world.settings.any_server = 1;
    assert_eq!(recalled(&world, tiny, &hidden, 2), None);
}

#[test]
fn later_packets_are_those_of_submission_that_open_nothing() {
    for (port, flags, later) in [
        (587, 16, true),
        (465, 24, true),
        (587, 17, true),
        (587, 4, true),
        (587, 18, true),
        (587, 2, false),
        (465, 0xc2, false),
        (25, 16, false),
        (80, 16, false),
    ] {
        let flow = flow("198.51.100.1", port, flags);
        assert_eq!(follows(Shape::Tcp, &flow), later, "{port} {flags:#x}");
        assert!(!follows(Shape::Unrelated, &flow));
        let mut frame = Vec::new();
        let mut tcp = etherparse::TcpHeader::new(40_000, port, 0, 0);
        tcp.syn = flags & 2 != 0;
        tcp.ack = flags & 0x10 != 0;
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([198, 51, 100, 1], [192, 0, 2, 1], 64)
            .tcp_header(tcp)
            .write(&mut frame, &[])
            .unwrap();
        let frame = frame.as_slice();
        let of_concern = later || port == 25 && flags & 0x12 == 2 || !decide::leaves(frame);
        assert_eq!(leaves(frame), !of_concern, "{port} {flags:#x}");
    }
}

/// The frame with `dscp` in it, and whether that changed it.
fn written(frame: &[u8], dscp: u8) -> (Vec<u8>, bool) {
    let mut flow = Flow::default();
    assert_eq!(parse(frame, &mut flow), Shape::Tcp);
    let mut buffer = Buffer::new(frame.to_vec());
    let changed = set_dscp(&mut buffer, &flow, dscp).unwrap();
    (buffer.into_octets(), changed)
}

const ETHERNET: usize = 14;

/// A frame with this IPv4 header, and a whole TCP header behind it.
fn v4(header: &Ipv4Header) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend(header.to_bytes());
    frame.extend(etherparse::TcpHeader::new(40_000, 587, 1, 1).to_bytes());
    frame
}

fn header(service: u8, identification: u16, source: [u8; 4]) -> Ipv4Header {
    let mut header =
        Ipv4Header::new(20, 64, etherparse::IpNumber::TCP, source, [192, 0, 2, 1]).unwrap();
    header.identification = identification;
    serviced(header, service)
}

fn serviced(mut header: Ipv4Header, service: u8) -> Ipv4Header {
    header.dscp = (service >> 2).try_into().unwrap();
    header.ecn = etherparse::IpEcn::try_new(service & 3).unwrap();
    header.header_checksum = header.calc_header_checksum();
    header
}

#[test]
fn every_pair_of_services_has_the_checksum_that_a_whole_sum_gives() {
    // Identifications for which the checksum of some service is 0x0000, or next to it: where ones' complement has two zeros.
    let zero = header(0, 0, [198, 51, 100, 1]).header_checksum;
    let mut corners = 0;
    for identification in [
        0,
        1,
        zero - 1,
        zero,
        zero + 1,
        zero.wrapping_sub(0xfc),
        0xffff,
    ] {
        for service in 0..=u8::MAX {
            let before = header(service, identification, [198, 51, 100, 1]);
            for dscp in 0..64 {
                let after = serviced(before.clone(), dscp << 2 | service & 3);
                corners += u32::from(before.header_checksum == 0 || after.header_checksum == 0);
                let (frame, changed) = written(&v4(&before), dscp);
                assert_eq!(frame, v4(&after), "{service:#x} to {dscp}");
                assert_eq!(changed, before != after);
            }
        }
    }
    assert!(corners > 0, "no checksum was 0");
}

#[test]
fn an_ipv6_header_keeps_its_flow_label_and_its_ecn() {
    for service in 0..=u8::MAX {
        for dscp in 0..64 {
            for label in [0, 1, 0x8_0000, 0xf_ffff] {
                let frame = |service: u8| {
                    let mut header = etherparse::Ipv6Header {
                        traffic_class: service,
                        flow_label: label.try_into().unwrap(),
                        payload_length: 20,
                        next_header: etherparse::IpNumber::TCP,
                        hop_limit: 64,
                        ..Default::default()
                    };
                    header.source = [0x20; 16];
                    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd];
                    frame.extend(header.to_bytes());
                    frame.extend(etherparse::TcpHeader::new(40_000, 587, 1, 1).to_bytes());
                    frame
                };
                let expected = dscp << 2 | service & 3;
                assert_eq!(
                    written(&frame(service), dscp),
                    (frame(expected), service != expected)
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn any_header_keeps_its_checksum_right(
        service: u8,
        dscp in 0u8..64,
        identification: u16,
        source: [u8; 4],
        ttl: u8,
        words in 0usize..=10,
    ) {
        let mut before = header(service, identification, source);
        before.time_to_live = ttl;
        before.options = etherparse::Ipv4Options::try_from(vec![1; 4 * words].as_slice()).unwrap();
        before.set_payload_len(20).unwrap();
        let before = serviced(before, service);
        let (frame, _) = written(&v4(&before), dscp);
        let (found, _) = Ipv4Header::from_slice(&frame[ETHERNET..]).unwrap();
        prop_assert_eq!(found.header_checksum, found.calc_header_checksum());
        prop_assert_eq!(found, serviced(before, dscp << 2 | service & 3));
    }

    /// What was wrong before is as wrong afterwards: nobody's damage is repaired.
    #[test]
    fn a_wrong_checksum_stays_wrong(service: u8, dscp in 0u8..64, error in 1u16..0xffff) {
        let mut before = header(service, 7, [198, 51, 100, 1]);
        before.header_checksum ^= error;
        prop_assume!(before.header_checksum != 0xffff);
        let (frame, _) = written(&v4(&before), dscp);
        let (found, _) = Ipv4Header::from_slice(&frame[ETHERNET..]).unwrap();
        prop_assert_ne!(found.header_checksum, found.calc_header_checksum());
    }
}

#[test]
fn a_header_that_is_not_there_is_not_written() {
    let whole = v4(&header(0, 1, [198, 51, 100, 1]));
    let mut flow = Flow::default();
    assert_eq!(parse(whole.as_slice(), &mut flow), Shape::Tcp);
    let mut short = Buffer::new(whole[..ETHERNET + 11].to_vec());
    assert_eq!(set_dscp(&mut short, &flow, 8), None);
    assert_eq!(short.into_octets(), whole[..ETHERNET + 11]);
}
