//! Who decides about the packets of a capture: the program in the kernel, or the same source in this process.

mod host;
mod kernel;

use gate_common::{Flow, Shape};

pub(super) use self::{host::Host, kernel::Kernel};
use crate::{error::Error, judge::Judgement};

/// A packet as both engines get it.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) frame: &'a [u8],
    pub(super) shape: Shape,
    pub(super) flow: &'a Flow,
    /// UNIX time in nanoseconds.
    pub(super) now_ns: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The gate has no business with it.
    Untouched,
    /// It got a verdict.
    Judged(Judgement),
    /// The engine does not take it, and why.
    Skipped(String),
}

/// Something that decides.
pub(super) trait Judge {
    fn judge(&mut self, arrival: Arrival<'_>) -> Result<Outcome, Error>;
}
