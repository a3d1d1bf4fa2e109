//! What frames turn out to be, octet by octet as the standards draw them: each row is one frame, and the edges beside it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up may panic"
)]

mod frames;

use frames::{
    MACS, V4, V6, ethernet, extension, fragment, labels, length, read, session, shape, syn, v4,
    v4_of, v6,
};
use gate_common::{Addr, Flow, Shape};

const MARKS: [u8; 6] = [
    Flow::FRAGMENT,
    Flow::TUNNEL,
    Flow::LABELS,
    Flow::LLC,
    Flow::SOURCE_ROUTE,
    Flow::MAPPED,
];

/// It is the SYN, with the IP header at `network`, TCP at `transport`, and these marks; and without its last octet it is not.
fn is_syn(frame: &[u8], network: u16, transport: u16, marks: u8) -> Flow {
    let (shape, flow) = read(frame);
    assert_eq!(shape, Shape::Tcp, "{flow:?}");
    assert_eq!((flow.sport, flow.dport, flow.flags), (40000, 25, 2));
    assert_eq!((flow.network, flow.transport), (network, transport));
    let missing = MARKS.iter().filter(|mark| flow.marks & *mark != 0);
    assert_eq!(missing.fold(0, |set, mark| set | mark), marks);
    let (cut, _) = read(&frame[..frame.len() - 1]);
    assert!(cut.is_unparsed(), "{cut:?}");
    flow
}

#[test]
fn plain_packets_have_addresses() {
    let flow = is_syn(&ethernet(&[&V4, &v4(6, &syn())]), 14, 34, 0);
    assert_eq!(flow.src, Addr::v4(0x6440_0002));
    assert_eq!(flow.dst, Addr::v4(0xc633_6401));
    let flow = is_syn(&ethernet(&[&V6, &v6(6, &syn())]), 14, 54, 0);
    let host = |lo| Addr {
        hi: 0x2001_0db8_0000_0000,
        lo,
    };
    assert_eq!((flow.src, flow.dst), (host(2), host(0x25)));
    assert_eq!(
        (flow.vlan, flow.pppoe, flow.outer),
        (0, 0, Addr::UNSPECIFIED)
    );
    assert_eq!(shape(&ethernet(&[&V4, &v4(17, &syn())])), Shape::Unrelated);
    assert_eq!(shape(&ethernet(&[&V6, &v6(17, &syn())])), Shape::Unrelated);
    assert_eq!(
        shape(&ethernet(&[&[0x08, 0x06], &[0; 28]])),
        Shape::Unrelated
    );
    assert_eq!(shape(&MACS), Shape::TruncatedLink);
}

#[test]
fn up_to_four_tags() {
    let types = [[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00], [0x81, 0x00]];
    let packet = v4(6, &syn());
    for count in 1..=4 {
        let tags: Vec<u8> = types[..count]
            .iter()
            .zip(0u8..)
            .flat_map(|([t0, t1], id)| [*t0, *t1, 0xe1, 0x23 + id])
            .collect();
        let network = u16::try_from(14 + 4 * count).unwrap();
        let flow = is_syn(&ethernet(&[&tags, &V4, &packet]), network, network + 20, 0);
        assert_eq!(flow.vlan, 0x123);
    }
    let tag = [0x81, 0x00, 0, 5];
    let frame = ethernet(&[&tag.repeat(5), &V4, &packet]);
    assert_eq!(shape(&frame), Shape::TooManyTags);
    assert_eq!(shape(&frame[..16]), Shape::TruncatedLink);
    // Priority tags name no VLAN.
    let frame = ethernet(&[&[0x81, 0, 0xe0, 0], &[0x81, 0, 0xf0, 9], &V4, &packet]);
    assert_eq!(is_syn(&frame, 22, 42, 0).vlan, 9);
}

#[test]
fn llc_with_snap() {
    let packet = v4(6, &syn());
    let of = |length: u16, header: [u8; 8]| ethernet(&[&length.to_be_bytes(), &header, &packet]);
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    is_syn(&of(100, snap), 22, 42, Flow::LLC);
    is_syn(&of(0x5ff, snap), 22, 42, Flow::LLC);
    assert_eq!(shape(&of(0x600, snap)), Shape::Unrelated);
    let bridged = [0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0];
    is_syn(&of(100, bridged), 22, 42, Flow::LLC);
    let six = [0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd];
    is_syn(
        &ethernet(&[&[0, 80], &six, &v6(6, &syn())]),
        22,
        62,
        Flow::LLC,
    );
    for (place, octet) in [(0, 0x42), (1, 0x42), (2, 1), (3, 1), (4, 1), (5, 1), (6, 9)] {
        let mut other = snap;
        other[place] = octet;
        assert_eq!(shape(&of(100, other)), Shape::Unrelated, "{other:x?}");
    }
}

#[test]
fn pppoe_sessions() {
    let packet = v4(6, &syn());
    let flow = is_syn(&session(&[0, 0x21], &packet), 22, 42, 0);
    assert_eq!(flow.pppoe, 14);
    is_syn(&session(&[0x21], &packet), 21, 41, 0);
    is_syn(&session(&[0, 0x57], &v6(6, &syn())), 22, 62, 0);
    is_syn(&session(&[0x57], &v6(6, &syn())), 21, 61, 0);
    let labelled = labels(1, &packet);
    is_syn(&session(&[2, 0x81], &labelled), 26, 46, Flow::LABELS);
    is_syn(&session(&[2, 0x83], &labelled), 26, 46, Flow::LABELS);
    assert_eq!(shape(&session(&[0xc0, 0x21], &packet)), Shape::Unrelated);
    assert_eq!(shape(&session(&[0x40, 0x00], &packet)), Shape::Unrelated);
    assert_eq!(shape(&session(&[0x3e, 0xff], &packet)), Shape::UnreadPpp);
    assert_eq!(shape(&session(&[0, 0x2d][..1], &[0x2d])), Shape::UnreadPpp);
    // The session's length is one short of the packet.
    let mut short = session(&[0, 0x21], &packet);
    short[19] -= 1;
    assert_eq!(shape(&short), Shape::BadLength);
    short[19] = 2 + 19;
    assert_eq!(shape(&short), Shape::TruncatedIp);
}

#[test]
fn up_to_eight_labels() {
    let packet = v4(6, &syn());
    for kind in [[0x88, 0x47], [0x88, 0x48]] {
        for count in 1..=8 {
            let network = u16::try_from(14 + 4 * count).unwrap();
            let frame = ethernet(&[&kind, &labels(count, &packet)]);
            is_syn(&frame, network, network + 20, Flow::LABELS);
        }
        let frame = ethernet(&[&kind, &labels(9, &packet)]);
        assert_eq!(shape(&frame), Shape::TooManyLabels);
    }
    let six = ethernet(&[&[0x88, 0x47], &labels(2, &v6(6, &syn()))]);
    is_syn(&six, 22, 62, Flow::LABELS);
    let pseudowire = ethernet(&[&[0x88, 0x47], &labels(1, &[0; 40])]);
    assert_eq!(shape(&pseudowire), Shape::UnreadMpls);
    assert_eq!(shape(&pseudowire[..21]), Shape::TruncatedLink);
}

#[test]
fn ipv4_headers_are_right_or_none() {
    let good = ethernet(&[&V4, &v4(6, &syn())]);
    let with = |place: usize, octets: &[u8]| {
        let mut frame = good.clone();
        frame[14 + place..14 + place + octets.len()].copy_from_slice(octets);
        frame
    };
    assert_eq!(shape(&with(0, &[0x55])), Shape::BadIpHeader);
    assert_eq!(shape(&with(0, &[0x44])), Shape::BadIpHeader);
    assert_eq!(shape(&with(2, &[0, 19])), Shape::BadIpHeader);
    assert_eq!(shape(&with(2, &[0, 20])), Shape::TruncatedTcp);
    assert_eq!(shape(&with(2, &[0, 39])), Shape::TruncatedTcp);
    assert_eq!(shape(&with(2, &[0, 41])), Shape::Tcp);
    // Merged by the kernel: its length is in no header.
    assert_eq!(shape(&with(2, &[0, 0])), Shape::Tcp);
    assert_eq!(shape(&good[..33]), Shape::TruncatedIp);
    assert_eq!(
        shape(&ethernet(&[&V6, &v4(6, &[0; 40])])),
        Shape::BadIpHeader
    );
    let six = ethernet(&[&V6, &v6(6, &syn())]);
    assert_eq!(shape(&six[..53]), Shape::TruncatedIp);
    let mut jumbo = six.clone();
    (jumbo[18], jumbo[19]) = (0, 0);
    assert_eq!(shape(&jumbo), Shape::Tcp);
    (jumbo[18], jumbo[19]) = (0, 19);
    assert_eq!(shape(&jumbo), Shape::TruncatedTcp);
}

#[test]
fn ipv4_options_may_be_a_source_route() {
    let of = |options: &[u8]| {
        let frame = ethernet(&[&V4, &v4_of(6, options, 0, &syn())]);
        let transport = u16::try_from(34 + options.len()).unwrap();
        let routed = read(&frame).1.is_source_routed();
        let marks = if routed { Flow::SOURCE_ROUTE } else { 0 };
        is_syn(&frame, 14, transport, marks);
        routed
    };
    for (options, routed) in [
        (&[1, 1, 1, 1][..], false),
        (&[131, 3, 4, 0], true),
        (&[137, 3, 4, 0], true),
        (&[1, 131, 3, 4], true),
        (&[0, 131, 3, 4], false),
        (&[148, 4, 0, 0], false),
        (&[148, 4, 0, 0, 131, 3, 4, 0], true),
        (&[148, 2, 131, 3], true),
        (&[148, 2, 1, 1], false),
        (&[0, 0, 0, 0], false),
        (&[148, 3, 131, 1], false),
        (&[1, 148, 3, 0], false),
        (&[1, 148, 4, 0], true),
        // A length that leads nowhere hides what follows.
        (&[148, 0, 0, 0], true),
        (&[148, 1, 0, 0], true),
        (&[148, 200, 0, 0], true),
        (&[1, 1, 1, 131], true),
    ] {
        assert_eq!(of(options), routed, "{options:?}");
    }
    let mut last = [1; 40];
    assert!(!of(&last));
    last[39] = 131;
    assert!(of(&last));
}

#[test]
fn ipv4_fragments() {
    const MORE: u16 = 0x2000;
    let of = |protocol, word, payload: &[u8]| {
        let packet = v4_of(protocol, &[], word, payload);
        read(&ethernet(&[&V4, &packet]))
    };
    is_syn(&ethernet(&[&V4, &v4_of(6, &[], 0x4000, &syn())]), 14, 34, 0);
    let whole = ethernet(&[&V4, &v4_of(6, &[], MORE, &syn())]);
    is_syn(&whole, 14, 34, Flow::FRAGMENT);
    for (payload, dport) in [
        (&syn()[..19], 25),
        (&syn()[..4], 25),
        (&syn()[..3], 0),
        (&[], 0),
    ] {
        let (shape, flow) = of(6, MORE, payload);
        assert_eq!((shape, flow.dport), (Shape::TinyFragment, dport));
        let sport = if dport == 25 { 40000 } else { 0 };
        assert_eq!((flow.sport, flow.flags), (sport, 0));
    }
    for word in [1, MORE | 1] {
        assert_eq!(of(6, word, &syn()).0, Shape::OverlappingFragment);
    }
    for word in [2, 7, MORE | 2, 0x1fff] {
        assert_eq!(of(6, word, &syn()).0, Shape::LaterFragment);
    }
    for protocol in [51, 4, 41, 47] {
        for (word, expected) in [
            (1, Shape::OverlappingFragment),
            (15, Shape::OverlappingFragment),
            (16, Shape::LaterFragment),
            (17, Shape::LaterFragment),
        ] {
            assert_eq!(of(protocol, word, &syn()).0, expected, "{protocol} {word}");
        }
    }
    assert_eq!(of(17, 1, &syn()).0, Shape::Unrelated);
    assert_eq!(of(17, 100, &syn()).0, Shape::Unrelated);
    assert_eq!(of(51, MORE, &[6, 4, 0]).0, Shape::TinyFragment);
    assert_eq!(of(47, MORE, &[0, 0, 8]).0, Shape::TinyFragment);
    assert_eq!(of(4, MORE, &[0x45; 19]).0, Shape::TinyFragment);
    assert_eq!(of(41, MORE, &[0x60; 39]).0, Shape::TinyFragment);
    assert_eq!(of(47, 0, &[0, 0, 8]).0, Shape::TruncatedIp);
    // The first fragment ends before the packet in it does.
    let (shape, flow) = of(
        4,
        MORE,
        &v4_of(6, &[], 0, &[syn(), vec![0; 100]].concat())[..60],
    );
    assert_eq!((shape, flow.dport), (Shape::Tcp, 25));
    assert_eq!(
        of(4, 0, &v4(6, &[syn(), vec![0; 100]].concat())[..60]).0,
        Shape::BadLength
    );
}

#[test]
fn extension_headers() {
    for kind in [0, 43, 60, 135, 139, 140] {
        for units in [0, 1, 3] {
            let payload = [extension(6, units), syn()].concat();
            let frame = ethernet(&[&V6, &v6(kind, &payload)]);
            is_syn(&frame, 14, 54 + 8 + 8 * u16::from(units), 0);
            assert_eq!(shape(&frame[..57]), Shape::TruncatedExtension);
            let mut routing = frame.clone();
            routing[57] = 1;
            let marks = if kind == 43 { Flow::SOURCE_ROUTE } else { 0 };
            is_syn(&routing, 14, 54 + 8 + 8 * u16::from(units), marks);
        }
    }
    for words in [0u8, 1, 4] {
        let mut header = vec![0; 8 + 4 * usize::from(words)];
        (header[0], header[1]) = (6, words);
        let payload = [header, syn()].concat();
        let transport = 8 + 4 * u16::from(words);
        is_syn(&ethernet(&[&V6, &v6(51, &payload)]), 14, 54 + transport, 0);
        is_syn(&ethernet(&[&V4, &v4(51, &payload)]), 14, 34 + transport, 0);
    }
    let chain =
        |count: usize| [extension(60, 0).repeat(count - 1), extension(6, 0), syn()].concat();
    is_syn(&ethernet(&[&V6, &v6(60, &chain(8))]), 14, 54 + 64, 0);
    let nine = ethernet(&[&V6, &v6(60, &chain(9))]);
    assert_eq!(shape(&nine), Shape::TooManyExtensions);
    let udp = [extension(60, 0).repeat(7), extension(17, 0), syn()].concat();
    assert_eq!(shape(&ethernet(&[&V6, &v6(60, &udp)])), Shape::Unrelated);
}

/// The session ends in the options, and the packet does not say where it ends.
#[test]
fn ipv4_options_that_the_carrier_cuts_off_may_be_a_source_route() {
    for (octets, routed) in [(22, true), (23, true), (24, false), (44, false)] {
        let mut packet = v4_of(6, &[1; 4], 0, &syn());
        packet[2..4].fill(0);
        let mut frame = session(&[0, 0x21], &packet);
        frame[18..20].copy_from_slice(&length(2 + octets));
        let (shape, flow) = read(&frame);
        assert_eq!(flow.is_source_routed(), routed, "{octets}: {shape:?}");
        assert_eq!(shape.is_unparsed(), octets < 44, "{octets}: {shape:?}");
    }
}

#[test]
fn ipv4_addresses_in_ipv6_headers_are_marked() {
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 100, 64, 0, 2];
    let of = |source: bool, destination: bool| {
        let mut packet = v6(6, &syn());
        if source {
            packet[8..24].copy_from_slice(&mapped);
        }
        if destination {
            packet[24..40].copy_from_slice(&mapped);
        }
        ethernet(&[&V6, &packet])
    };
    is_syn(&of(false, false), 14, 54, 0);
    is_syn(&of(true, false), 14, 54, Flow::MAPPED);
    is_syn(&of(false, true), 14, 54, Flow::MAPPED);
    is_syn(&of(true, true), 14, 54, Flow::MAPPED);
}

#[test]
fn ipv6_fragments() {
    let of = |next, word, payload: &[u8]| {
        let payload = [&fragment(next, word), payload].concat();
        ethernet(&[&V6, &v6(44, &payload)])
    };
    is_syn(&of(6, 0, &syn()), 14, 62, 0);
    // Reserved bits say nothing.
    is_syn(&of(6, 6, &syn()), 14, 62, 0);
    is_syn(&of(6, 1, &syn()), 14, 62, Flow::FRAGMENT);
    assert_eq!(shape(&of(6, 1, &syn()[..19])), Shape::TinyFragment);
    assert_eq!(shape(&of(60, 1, &[6, 0, 0])), Shape::TinyFragment);
    // Whatever is said to follow: the first fragment says what it is (RFC 8200 section 4.5).
    for next in [6, 17, 59, 4, 41, 47, 0, 43, 44, 51, 60, 135, 139, 140] {
        for (place, expected) in [
            (1, Shape::OverlappingFragment),
            (15, Shape::OverlappingFragment),
            (16, Shape::LaterFragment),
        ] {
            assert_eq!(
                shape(&of(next, place << 3, &syn())),
                expected,
                "{next} {place}"
            );
        }
    }
    let cut = ethernet(&[&V6, &v6(44, &[6, 0, 0, 0, 0, 0, 0])]);
    assert_eq!(shape(&cut), Shape::TruncatedExtension);
}

#[test]
fn one_tunnel() {
    let (four, six) = (v4(6, &syn()), v6(6, &syn()));
    for (outer, header, place) in [
        (Addr::v4(0x6440_0002), 20, V4),
        (
            Addr {
                hi: 0x2001_0db8_0000_0000,
                lo: 2,
            },
            40,
            V6,
        ),
    ] {
        let carry = |protocol, payload: &[u8]| {
            let packet = if place == V4 {
                v4(protocol, payload)
            } else {
                v6(protocol, payload)
            };
            ethernet(&[&place, &packet])
        };
        let inner = 14 + header;
        let flow = is_syn(&carry(4, &four), inner, inner + 20, Flow::TUNNEL);
        assert_eq!((flow.outer, flow.src), (outer, Addr::v4(0x6440_0002)));
        is_syn(&carry(41, &six), inner, inner + 40, Flow::TUNNEL);
        for (flags, words) in [
            (0, 0),
            (0x80, 1),
            (0x20, 1),
            (0x10, 1),
            (0xb0, 3),
            (0xa0, 2),
        ] {
            let gre = [&[flags, 0, 8, 0], &vec![0; 4 * words][..], &four].concat();
            let network = inner + 4 + 4 * u16::try_from(words).unwrap();
            is_syn(&carry(47, &gre), network, network + 20, Flow::TUNNEL);
        }
        // Flags that are ignored on receipt (RFC 2784 section 2.3).
        let gre = [&[0x0f, 0xf8, 8, 0], &four[..]].concat();
        is_syn(&carry(47, &gre), inner + 4, inner + 24, Flow::TUNNEL);
        // WCCP, without and with a word of its own.
        let gre = [&[0, 0, 0x88, 0x3e], &four[..]].concat();
        is_syn(&carry(47, &gre), inner + 4, inner + 24, Flow::TUNNEL);
        let gre = [&[0, 0, 0x88, 0x3e, 0, 0, 0, 0], &four[..]].concat();
        is_syn(&carry(47, &gre), inner + 8, inner + 28, Flow::TUNNEL);
        let gre = [&[0, 0, 0x86, 0xdd], &six[..]].concat();
        is_syn(&carry(47, &gre), inner + 4, inner + 44, Flow::TUNNEL);
        for header in [[0x40, 0, 8, 0], [0, 1, 8, 0], [0, 0, 0x65, 0x58]] {
            let gre = [&header, &four[..]].concat();
            assert_eq!(shape(&carry(47, &gre)), Shape::UnreadTunnel, "{header:x?}");
        }
        for protocol in [4, 41, 47] {
            let nested = carry(4, &v4(protocol, &four));
            assert_eq!(shape(&nested), Shape::NestedTunnel);
        }
        assert_eq!(shape(&carry(4, &v4(17, &syn()))), Shape::Unrelated);
        let extended = v6(60, &[extension(6, 0), syn()].concat());
        is_syn(&carry(41, &extended), inner, inner + 48, Flow::TUNNEL);
    }
}

#[test]
fn what_marks_mean() {
    let of = |marks| Flow {
        marks,
        ..Flow::default()
    };
    for mark in MARKS {
        let flow = of(mark);
        assert_eq!(flow.is_fragment(), mark == Flow::FRAGMENT);
        assert_eq!(flow.is_tunnelled(), mark == Flow::TUNNEL);
        assert_eq!(flow.is_source_routed(), mark == Flow::SOURCE_ROUTE);
        assert_eq!(flow.is_mapped(), mark == Flow::MAPPED);
        let encapsulated = [Flow::TUNNEL, Flow::LABELS, Flow::LLC].contains(&mark);
        assert_eq!(flow.is_encapsulated(), encapsulated);
        assert!(!flow.opens());
        assert_eq!(flow.may_open(), mark == Flow::FRAGMENT);
    }
    for (flags, opens) in [
        (2, true),
        (3, true),
        (18, false),
        (16, false),
        (0, false),
        (6, true),
    ] {
        let flow = Flow {
            flags,
            ..Flow::default()
        };
        assert_eq!((flow.opens(), flow.may_open()), (opens, opens), "{flags:x}");
    }
    assert!(!Flow::default().has_source());
}
