//! Answers, octet by octet as the standards draw them.

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

use answer::Buffer;
use gate_common::{Addr, Answer, Answered, Flow, Shape, answer::QUOTE, parse::parse};

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const IPV6: usize = 40;
const ICMP: usize = 8;

const CLIENT: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 2];

const CLIENT_V4: [u8; 4] = [100, 64, 0, 2];
const SERVER_V4: [u8; 4] = [198, 51, 100, 1];
const CLIENT_V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SERVER_V6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x25];

/// A SYN with this sequence number from port 40000 to port 25, and data behind it.
fn syn(sequence: u32, data: usize) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0, 25];
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, 2, 0xfd, 0xe8, 0, 0, 0, 0]);
    segment.resize(segment.len() + data, 0xda);
    segment
}

fn v4(options: usize, segment: &[u8]) -> Vec<u8> {
    let header = IPV4 + options;
    let [l0, l1] = length(header + segment.len());
    let first = 0x40 | u8::try_from(header / 4).unwrap();
    let mut packet = vec![first, 0, l0, l1, 0, 0, 0x40, 0, 64, 6, 0, 0];
    packet.extend(CLIENT_V4.into_iter().chain(SERVER_V4));
    // No operation (RFC 791).
    packet.resize(header, 1);
    [packet, segment.to_vec()].concat()
}

fn v6(segment: &[u8]) -> Vec<u8> {
    let [l0, l1] = length(segment.len());
    let mut packet = vec![0x60, 0, 0, 0, l0, l1, 6, 64];
    packet.extend(CLIENT_V6.into_iter().chain(SERVER_V6));
    [packet, segment.to_vec()].concat()
}

fn length(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap().to_be_bytes()
}

/// What the sender of `packet` hears: the whole frame, whose link addresses are right.
fn hears(answer: Answer, packet: &[u8]) -> Vec<u8> {
    let kind = if packet[0] >> 4 == 4 {
        [8, 0]
    } else {
        [0x86, 0xdd]
    };
    let frame = [&ROUTER[..], &CLIENT, &kind, packet].concat();
    let mut flow = Flow::default();
    assert_eq!(parse(frame.as_slice(), &mut flow), Shape::Tcp);
    let mut frame = Buffer::new(frame);
    let made = gate_common::answer::make(&mut frame, &flow, answer, Addr::UNSPECIFIED);
    let expected = match answer {
        Answer::Drop => panic!("silence is not made"),
        Answer::Reset => Answered::Reset,
        Answer::Prohibited => Answered::Prohibited,
    };
    assert_eq!(made, Ok(expected));
    let frame = frame.into_octets();
    assert_eq!(frame[..ETHERNET], [&CLIENT[..], &ROUTER, &kind].concat());
    frame[ETHERNET..].to_vec()
}

/// The same up to the TCP header, which is what it returns.
fn reset(packet: &[u8], header: usize) -> Vec<u8> {
    hears(Answer::Reset, packet)[header..header + 20].to_vec()
}

#[test]
fn a_reset_over_ipv4() {
    let mut expected = vec![
        0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0xac, 0x59, // no fragments, TTL 64, TCP
    ];
    expected.extend(SERVER_V4.into_iter().chain(CLIENT_V4));
    expected.extend([0, 25, 0x9c, 0x40, 0, 0, 0, 0, 1, 2, 3, 5]); // ports, SEQ, ACK
    expected.extend([0x50, 0x14, 0, 0, 0x80, 0xf9, 0, 0]); // RST and ACK
    expected.extend([0; 6]); // up to 60 octets
    let packet = v4(0, &syn(0x0102_0304, 0));
    assert_eq!(hears(Answer::Reset, &packet), expected);
}

#[test]
fn a_reset_over_ipv6() {
    let mut expected = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
    expected.extend(SERVER_V6.into_iter().chain(CLIENT_V6));
    expected.extend([0, 25, 0x9c, 0x40, 0, 0, 0, 0, 1, 2, 3, 5]);
    expected.extend([0x50, 0x14, 0, 0, 0xb3, 0xd7, 0, 0]);
    let packet = v6(&syn(0x0102_0304, 0));
    assert_eq!(hears(Answer::Reset, &packet), expected);
}

#[test]
fn a_checksum_whose_carry_carries() {
    let tail = [0x50, 0x14, 0, 0, 0xff, 0xfe, 0, 0];
    let over_v4 = reset(&v4(0, &syn(0x0102_83fe, 0)), IPV4);
    assert_eq!(over_v4[12..], tail);
    let over_v6 = reset(&v6(&syn(0x0102_b6dc, 0)), IPV6);
    assert_eq!(over_v6[12..], tail);
}

#[test]
fn an_icmp_error_over_ipv4() {
    let packet = v4(0, &syn(0x0102_0304, 0));
    let mut expected = vec![
        0x45, 0xc0, 0, 56, 0, 0, 0x40, 0, 64, 1, 0xab, 0x8e, // internetwork control, ICMP
    ];
    expected.extend(SERVER_V4.into_iter().chain(CLIENT_V4));
    expected.extend([3, 13, 0x08, 0xed, 0, 0, 0, 0]);
    expected.extend(&packet[..IPV4 + 8]);
    assert_eq!(hears(Answer::Prohibited, &packet), expected);
}

#[test]
fn an_icmp_error_over_ipv6() {
    let packet = v6(&syn(0x0102_0304, 0));
    let mut expected = vec![0x60, 0, 0, 0, 0, 56, 58, 64];
    expected.extend(SERVER_V6.into_iter().chain(CLIENT_V6));
    expected.extend([1, 1, 0x40, 0xa6, 0, 0, 0, 0]);
    expected.extend(&packet[..IPV6 + 8]);
    assert_eq!(hears(Answer::Prohibited, &packet), expected);
}

/// Behind the IP header: eight octets at least, 64 at most, and in between as many words as make the answer no longer than the packet.
#[test]
fn how_much_an_icmp_error_quotes() {
    for (behind, over_v4, over_v6) in [
        (20, 8, 8),
        (36, 8, 8),
        (39, 8, 8),
        (40, 12, 8),
        (56, 28, 8),
        (59, 28, 8),
        (60, 32, 12),
        (92, 64, 44),
        (93, 64, 44),
        (112, 64, 64),
        (1400, 64, 64),
    ] {
        let segment = syn(0, behind - 20);
        let quoted = |packet: &[u8], header: usize| {
            let answer = hears(Answer::Prohibited, packet);
            let quote = &answer[header + ICMP..];
            assert_eq!(quote, &packet[..quote.len()]);
            quote.len()
        };
        let found = quoted(&v4(0, &segment), IPV4);
        assert_eq!(found, IPV4 + over_v4, "{behind} over IPv4");
        let found = quoted(&v6(&segment), IPV6);
        assert_eq!(found, IPV6 + over_v6, "{behind} over IPv6");
    }
    let longest = hears(Answer::Prohibited, &v4(40, &syn(0, 1000)));
    assert_eq!(longest.len(), IPV4 + ICMP + QUOTE);
}
