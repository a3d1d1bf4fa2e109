//! Which frames a glance settles, and which leave at it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot be set up may panic"
)]

mod frames;

use frames::{V4, V6, ethernet, extension, fragment, read, v4, v4_of, v6};
use gate_common::{Flow, Shape, decide, parse::glance};

/// A TCP header to `port` with these flags.
fn segment(port: u16, flags: u8) -> Vec<u8> {
    let [d0, d1] = port.to_be_bytes();
    let mut segment = vec![0; 20];
    segment[..4].copy_from_slice(&[0x9c, 0x40, d0, d1]);
    (segment[12], segment[13]) = (0x50, flags);
    segment
}

/// Both families of `payload`, behind so many tags.
fn families(tags: usize, protocol: u8, payload: &[u8]) -> [Vec<u8>; 2] {
    const TAG: [u8; 4] = [0x81, 0x00, 0x00, 0x05];
    [(V4, v4(protocol, payload)), (V6, v6(protocol, payload))]
        .map(|(ether_type, packet)| ethernet(&[&TAG.repeat(tags), &ether_type, &packet]))
}

#[test]
fn a_glance_is_enough_behind_two_tags_and_no_more() {
    for tags in 0..=4 {
        for (protocol, payload, shape) in [
            (6, segment(25, 2), Shape::Tcp),
            (6, segment(443, 0x10), Shape::Tcp),
            (17, vec![0; 8], Shape::Unrelated),
        ] {
            for frame in families(tags, protocol, &payload) {
                let found = glance(&frame[..], &mut Flow::default());
                assert_eq!(
                    found,
                    (tags <= 2).then_some(shape),
                    "{tags} tags, {protocol}"
                );
                assert_eq!(read(&frame).0, shape);
            }
        }
    }
}

/// A segment behind so many extension headers.
fn behind_extensions(count: usize, segment: &[u8]) -> Vec<u8> {
    let headers = (1..=count).map(|number| extension(if number == count { 6 } else { 60 }, 1));
    let behind: Vec<u8> = headers.flatten().chain(segment.iter().copied()).collect();
    ethernet(&[&V6, &v6(60, &behind)])
}

#[test]
fn a_glance_is_enough_behind_two_extension_headers_and_no_more() {
    for (port, leaves) in [(443, true), (25, false)] {
        for count in 1..=4 {
            let frame = behind_extensions(count, &segment(port, 2));
            assert_eq!(read(&frame).0, Shape::Tcp);
            let found = glance(&frame[..], &mut Flow::default());
            assert_eq!(found, (count <= 2).then_some(Shape::Tcp), "{count} headers");
            assert_eq!(
                decide::leaves(&frame[..]),
                leaves && count <= 2,
                "{count} headers"
            );
        }
    }
    // The first fragment of a connection to the web is one, and one of a connection to port 25 is not.
    for (port, leaves) in [(443, true), (25, false)] {
        let first = [fragment(6, 1), segment(port, 0x10)].concat();
        let frame = ethernet(&[&V6, &v6(44, &first)]);
        assert_eq!(decide::leaves(&frame[..]), leaves, "port {port}");
    }
}

#[test]
fn what_needs_more_than_a_glance() {
    let seg = segment(443, 2);
    let v4_frame = |packet: &[u8]| ethernet(&[&V4, packet]);
    let mut frames = vec![
        v4_frame(&v4_of(6, &[1; 4], 0, &seg)),
        v4_frame(&v4_of(6, &[], 1, &seg)),
        v4_frame(&v4(6, &seg[..19])),
        v4_frame(&[0x44; 20]),
        behind_extensions(3, &seg),
        ethernet(&[&V6, &v6(44, &[fragment(6, 8), seg.clone()].concat())]),
        ethernet(&[&V6, &v6(60, &extension(6, 0)[..7])]),
        ethernet(&[&V6, &[0x50; 40]]),
        ethernet(&[&[0x88, 0x64], &[0; 40]]),
        ethernet(&[&[0x08]]),
    ];
    for protocol in [4, 41, 47] {
        frames.extend(families(0, protocol, &seg));
    }
    frames.push(v4_frame(&v4(51, &seg)));
    for frame in frames {
        assert_eq!(glance(&frame[..], &mut Flow::default()), None, "{frame:x?}");
        assert!(!decide::leaves(&frame[..]), "{frame:x?}");
    }
    // What no shape is made of is settled, wherever it is in its packet.
    let frame = v4_frame(&v4_of(17, &[], 1, &[0; 8]));
    let found = glance(&frame[..], &mut Flow::default());
    assert_eq!(found, Some(Shape::Unrelated));
}

#[test]
fn who_leaves_at_a_glance() {
    const SYN: u8 = 2;
    const ACK: u8 = 0x10;
    for (protocol, payload, leaves) in [
        (6, segment(443, SYN), true),
        (6, segment(443, ACK), true),
        (6, segment(24, SYN), true),
        (6, segment(25, SYN), false),
        (6, segment(25, ACK), false),
        (6, segment(587, SYN), false),
        (6, segment(587, ACK), true),
        (6, segment(587, SYN | ACK), true),
        (6, segment(465, SYN), false),
        (6, segment(465, ACK), true),
        (17, vec![0; 8], true),
        (58, vec![0; 8], true),
    ] {
        for frame in families(0, protocol, &payload) {
            assert_eq!(
                decide::leaves(&frame[..]),
                leaves,
                "{protocol}, {payload:x?}"
            );
        }
    }
    assert!(decide::leaves(
        &ethernet(&[&V4, &v4_of(17, &[], 1, &[0; 8])])[..]
    ));
    // An ARP frame is nothing of IP: the parser says so.
    assert!(!decide::leaves(&ethernet(&[&[0x08, 0x06], &[0; 28]])[..]));
}
