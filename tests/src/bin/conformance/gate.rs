//! The gate's view of a frame, through the parser that the kernel program compiles too.

use gate_common::{Addr, Flow, Shape, parse::parse};
use gate_tests::conformance::{Seen, Segment};

/// Parses a frame.
pub(crate) fn view(frame: &[u8]) -> Seen {
    let mut flow = Flow::default();
    let shape = parse(frame, &mut flow);
    let (source, destination) = (flow.src.to_ip(), flow.dst.to_ip());
    let read = flow.src != Addr::default() || flow.dst != Addr::default();
    Seen {
        shape: shape.name(),
        between: read.then_some((source, destination)),
        segment: (shape == Shape::Tcp).then_some(Segment {
            source,
            destination,
            source_port: flow.sport,
            destination_port: flow.dport,
            syn: flow.flags & 0x02 != 0,
        }),
    }
}
