//! What the parser looks at.

use std::cell::Cell;

use gate_common::{
    Flow, Shape,
    parse::{Frame, parse},
};

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

/// What the parser made of a frame, how far it read, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) shape: Shape,
    pub(crate) flow: Flow,
    pub(crate) furthest: usize,
    pub(crate) reads: usize,
}

/// Parses `bytes`.
pub(crate) fn watch(bytes: &[u8]) -> Watch {
    let frame = Watched {
        bytes,
        furthest: Cell::new(0),
        reads: Cell::new(0),
    };
    let mut flow = Flow::default();
    let shape = parse(&frame, &mut flow);
    Watch {
        shape,
        flow,
        furthest: frame.furthest.get(),
        reads: frame.reads.get(),
    }
}
