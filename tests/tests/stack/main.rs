//! The gate on a stack of devices: bonds and their ports, VLAN devices and what is below them, with real packets.
//!
//! It needs the kernel's modules for bonds and VLAN devices, and an `ip` that makes such devices: `cargo xtask vm` runs it in its guests. Where there are none
//! all trials are reported as ignored. The devices are veth pairs in this process's network namespace, made and removed by each trial.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod bench;
#[path = "../nic/frame.rs"]
mod frame;
mod lacp;
mod trials;
mod upgrade;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::bench::Found;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The devices have the same names in every trial. And a daemon is tied to the thread that starts it.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials::all(&Found::new())).exit_code()
}
