//! The parser reads nothing that is not there, and nothing that does not matter.

use std::cell::Cell;

use gate_common::{
    Addr, Flow, Shape,
    parse::{Frame, MAX_EXTENSIONS, MAX_LABELS, MAX_TAGS, parse},
};
use proptest::{collection::vec, prelude::*};

use crate::sent::sent;

/// A frame that remembers how far it was read, and how often.
struct Watched<'f> {
    bytes: &'f [u8],
    furthest: Cell<usize>,
    reads: Cell<usize>,
}

impl Frame for Watched<'_> {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.reads.set(self.reads.get() + 1);
        let found = self.bytes.read(offset)?;
        self.furthest.set(self.furthest.get().max(offset + N));
        Some(found)
    }
}

/// The shape, the flow, how far the frame was read, and how often.
fn watch(bytes: &[u8]) -> (Shape, Flow, usize, usize) {
    let frame = Watched {
        bytes,
        furthest: Cell::new(0),
        reads: Cell::new(0),
    };
    let mut flow = Flow::default();
    let shape = parse(&frame, &mut flow);
    (shape, flow, frame.furthest.get(), frame.reads.get())
}

/// Frames that begin like something that is read, and frames that were something before a few octets changed.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let noise = vec(any::<u8>(), 0..200);
    let start = prop_oneof![
        Just(vec![0x08, 0x00, 0x45]),
        Just(vec![0x08, 0x00, 0x4f]),
        Just(vec![0x86, 0xdd, 0x60]),
        Just(vec![0x81, 0x00, 0, 1, 0x86, 0xdd, 0x60]),
        Just(vec![0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 1, 0x08, 0x00, 0x45]),
        Just(vec![0x88, 0x64, 0x11, 0, 0, 1, 0, 120, 0, 0x21, 0x45]),
        Just(vec![0x88, 0x64, 0x11, 0, 0, 1, 0, 120, 0x57, 0x60]),
        Just(vec![0x88, 0x47, 0, 1, 0, 64, 0, 1, 1, 64, 0x45]),
        Just(vec![0, 100, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00, 0x45]),
        Just(vec![
            0x08, 0x00, 0x45, 0, 0, 120, 0, 0, 0, 0, 64, 4, 0, 0, 100, 64, 0, 2, 192, 0, 2, 1, 0x45
        ]),
        Just(vec![
            0x08, 0x00, 0x45, 0, 0, 120, 0, 0, 0, 0, 64, 47, 0, 0, 100, 64, 0, 2, 192, 0, 2, 1,
            0x30, 0, 0x86, 0xdd
        ]),
    ];
    let started = (
        start,
        vec(
            prop_oneof![Just(0), Just(6), Just(44), Just(60), any::<u8>()],
            0..200,
        ),
    )
        .prop_map(|(start, rest)| [&[2; 12], start.as_slice(), &rest].concat());
    let spoilt = (
        sent(),
        vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    )
        .prop_map(|(sent, edits)| {
            let mut frame = sent.frame;
            for (index, octet) in edits {
                let index = index.index(frame.len());
                frame[index] = octet;
            }
            frame
        });
    prop_oneof![noise, started, spoilt]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// One read for the EtherType and one for each tag; one for PPPoE, one for each label and one for what is under them; twice,
    /// because of a tunnel, one for the IP header, one for each octet of IPv4 options, one for each extension header; one for GRE;
    /// two for TCP, of which a tiny fragment may have no more than the ports.
    #[test]
    fn the_work_is_bounded(frame in frames()) {
        let (_, _, furthest, reads) = watch(&frame);
        prop_assert!(furthest <= frame.len());
        let link = 1 + MAX_TAGS + 1 + MAX_LABELS + 1;
        let packets = 2 * (1 + 40 + MAX_EXTENSIONS);
        prop_assert!(reads <= link + packets + 1 + 2, "{} reads", reads);
    }

    /// What was not read could as well not be there, or be something else.
    #[test]
    fn only_what_was_read_matters(frame in frames(), other in vec(any::<u8>(), 0..100)) {
        let (shape, flow, furthest, _) = watch(&frame);
        let read = &frame[..furthest];
        // A read that failed for want of octets may succeed when there are some.
        if shape == Shape::Tcp {
            let replaced = [read, &other].concat();
            let (again, flow_again, ..) = watch(&replaced);
            prop_assert_eq!((shape, flow), (again, flow_again));
        }
        let (again, flow_again, ..) = watch(read);
        prop_assert_eq!((shape, flow), (again, flow_again));
    }

    /// Octets behind the packet, by its own length, are padding.
    #[test]
    fn padding_changes_nothing(sent in sent(), padding in vec(any::<u8>(), 0..100)) {
        let padded = [sent.frame.as_slice(), &padding].concat();
        prop_assert_eq!(watch(&padded), watch(&sent.frame));
    }

    /// Ports belong to segments and to tiny fragments that have them, flags to segments, addresses to whatever has an IP header.
    #[test]
    fn hidden_ports_stay_zero(frame in frames()) {
        let (shape, flow, ..) = watch(&frame);
        if !matches!(shape, Shape::Tcp | Shape::TinyFragment) {
            prop_assert_eq!((flow.sport, flow.dport), (0, 0), "{:?}", shape);
        }
        if shape != Shape::Tcp {
            prop_assert_eq!(flow.flags, 0);
        }
        prop_assert_eq!(flow.reserved, [0; 2]);
        prop_assert!(flow.is_tunnelled() || flow.outer == Addr::UNSPECIFIED);
    }
}
