//! The gate on a NIC: a driver with queues, interrupts and offloads of its own, which a veth pair has not.
//!
//! | variable | what it says |
//! |---|---|
//! | `GATE_NIC` | the interface that the gate is put on |
//! | `GATE_NIC_PEER` | an interface on the same wire, which frames are sent from |
//! | `GATE_NIC_MODE` | `native` (the default) or `generic`: how the gate has to be attached there |
//! | `GATE_NIC_SPREAD` | over how many receive queues the NIC has to spread what arrives; 1 by default |
//!
//! `cargo xtask vm` runs it in its guests, on each NIC that qemu has and the kernel has a driver for. It can be run on two ports of a
//! real one, joined by a cable, on a machine that does nothing else with them. Where they are not named all trials are reported as
//! ignored.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod bench;
mod frame;
mod trials;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::bench::Found;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // There is one NIC. And a daemon is tied to the thread that starts it.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials::all(&Found::new())).exit_code()
}
