//! The gate end to end: the real program, real sockets, real links, in a lab of network namespaces.
//!
//! | module | what it tries |
//! |---|---|
//! | `lab` | the means of all that follows |
//! | `promises` | the whole matrix of who reaches whom, in native and generic mode, in both profiles, each beside its control |
//! | `restart` | what a daemon that dies, ends or starts again changes: nothing; and what gets through a gate that is detached |
//! | `recovery` | pins and interfaces that somebody changed meanwhile, starts that meet or are cut short, and what no start may open |
//! | `reload` | another configuration, other data, and what is refused of both, while the gate is in force |
//! | `swap` | a swap of generations under a flood, counted packet by packet, and what breaks it |
//! | `rules` | observing, pools, unlisted sources, deadlines, retransmissions |
//! | `reports` | what the commands that only read say, held against other witnesses |
//! | `answers` | what refused clients hear, in every encapsulation, octet by octet; and who hears nothing |
//! | `unsent` | answers that fail to leave, and what counts them |
//! | `throttle` | so many connections of a source pass, and no more |
//! | `evasion` | what somebody with root on an access line could send instead |
//! | `bad_input` | everything that has to be refused, with the kernel left as it was |
//!
//! A trial needs root, and `GATE_BIN` and `GATE_MMDB` from `cargo xtask test`. Where these are missing it is reported
//! as ignored, and why.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod answers;
mod bad_input;
mod bench;
mod database;
mod evasion;
mod lab;
mod promises;
mod recovery;
mod reload;
mod reports;
mod restart;
mod rules;
mod swap;
mod throttle;
mod unsent;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::bench::Found;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Labs are apart, but processors are not: what is timed is timed alone. And a daemon is tied to the thread that
    // starts it.
    arguments.test_threads = Some(1);
    let found = Found::new();
    let trials = [
        lab::trials(&found),
        promises::trials(&found),
        restart::trials(&found),
        recovery::trials(&found),
        reload::trials(&found),
        swap::trials(&found),
        rules::trials(&found),
        reports::trials(&found),
        unsent::trials(&found),
        answers::trials(&found),
        throttle::trials(&found),
        evasion::trials(&found),
        bad_input::trials(&found),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
