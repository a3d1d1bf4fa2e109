//! The parser finds what was put in, and of a part of a packet nothing else.

use gate_common::{Flow, Shape, parse::parse};
use proptest::prelude::*;

use crate::sent::sent;

/// The bit of the seventh octet of an IPv4 header that says that more fragments come (RFC 791 section 3.1).
const MORE_FRAGMENTS: u8 = 0x20;

fn read(frame: &[u8]) -> (Shape, Flow) {
    let mut flow = Flow::default();
    let shape = parse(frame, &mut flow);
    (shape, flow)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_was_put_in_comes_out(sent in sent()) {
        prop_assert_eq!(read(&sent.frame), (Shape::Tcp, sent.flow));
    }

    /// Whatever is missing at the end: the same ports or none, and none as soon as an octet of the TCP header is missing.
    #[test]
    fn a_part_has_the_same_ports_or_none(sent in sent()) {
        for length in 0..sent.frame.len() {
            let (shape, flow) = read(&sent.frame[..length]);
            if length >= sent.tcp + 20 {
                prop_assert_eq!((shape, flow), (Shape::Tcp, sent.flow), "{} octets", length);
            } else {
                prop_assert!(shape.is_unparsed(), "{:?} in {} octets", shape, length);
                prop_assert_eq!((flow.sport, flow.dport, flow.flags), (0, 0, 0), "{} octets", length);
            }
        }
    }

    /// A packet ends where its own length says, whatever the frame has behind it.
    #[test]
    fn a_length_inside_the_header_hides_the_ports(sent in sent(), part in 0..20usize) {
        let is_v4 = sent.flow.src.is_v4();
        let (field, length) = if is_v4 {
            (sent.ip + 2, sent.tcp - sent.ip + part)
        } else {
            (sent.ip + 4, sent.tcp - sent.ip - 40 + part)
        };
        // Payload length 0 says nothing: it is a jumbogram's (RFC 2675).
        prop_assume!(length != 0);
        let mut frame = sent.frame;
        frame[field..field + 2].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        let (shape, flow) = read(&frame);
        prop_assert_eq!((shape, flow.sport, flow.dport, flow.flags), (Shape::TruncatedTcp, 0, 0, 0));
    }

    /// As a first fragment, an IPv4 packet opens a connection whatever its flags say, or hides its flags, and its ports if
    /// they are not there.
    #[test]
    fn a_first_fragment_opens_or_hides(sent in sent().prop_filter("IPv4", |it| it.flow.src.is_v4())) {
        let mut frame = sent.frame;
        frame[sent.ip + 6] |= MORE_FRAGMENTS;
        for length in sent.tcp..frame.len() {
            let (shape, flow) = read(&frame[..length]);
            if length >= sent.tcp + 20 {
                prop_assert_eq!((shape, flow.dport), (Shape::Tcp, sent.flow.dport));
                prop_assert!(flow.may_open());
            } else {
                let port = if length >= sent.tcp + 4 { sent.flow.dport } else { 0 };
                prop_assert_eq!((shape, flow.dport), (Shape::TinyFragment, port), "{} octets", length);
            }
        }
    }
}
