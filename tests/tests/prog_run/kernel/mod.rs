//! The program in the kernel, fed by hand: `BPF_PROG_TEST_RUN` (`Documentation/bpf/bpf_prog_run.rst`).
//!
//! | module | what it is |
//! |---|---|
//! | [`device`] | a loaded program with maps that nobody else sees, and one packet through it |
//! | [`tally`] | everything its maps say, read without the gate's own reader, and what a packet changed |
//!
//! Frames arrive at the loopback device: the kernel wants a device of the caller's namespace that has a receive queue, and every
//! machine has that one.

mod device;
mod sources;
mod tally;

pub(crate) use gate_user::kernel::{Action, LOOPBACK, SHORTEST, test_run as run};

pub(crate) use self::{
    device::{Device, map_of, object},
    tally::{Change, Tally, names},
};
