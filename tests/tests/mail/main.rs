//! Tags at a real mail server: Debian's Postfix and Dovecot in the lab's mail host, mail submitted by swaks from at home and abroad.
//!
//! | module | what it tries |
//! |---|---|
//! | `policy` | the policy server of `gate-user/examples` as nobody: the class arrives in a header, whatever becomes of the daemon, and no client can forge it |
//! | `lanes` | the recipe of `examples/lane-split`: customers abroad land on a second, stricter listener |
//!
//! A trial needs root, `GATE_BIN` and `GATE_MMDB` from `cargo xtask test`, and the programs. Where these are missing it is reported as
//! ignored, and why. No trial reads or changes the machine's own configuration of mail.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

#[path = "../e2e/bench.rs"]
#[allow(dead_code, reason = "these trials take a part of what is there")]
mod bench;
#[path = "../e2e/database.rs"]
#[allow(dead_code, reason = "these trials take a part of what is there")]
mod database;
mod host;
mod lanes;
mod policy;
#[path = "../e2e/shares.rs"]
#[allow(dead_code, reason = "these trials take a part of what is there")]
mod shares;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use gate_tests::{exec, mail};
use libtest_mimic::Arguments;

use crate::bench::Found;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(code) = shares::spread(&arguments) {
        return code;
    }
    let found = Found::new();
    let missing: Vec<&str> = mail::NEEDED
        .into_iter()
        .filter(|program| !exec::found(program))
        .collect();
    if !missing.is_empty() {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "all trials are ignored: {} not found; `cargo xtask setup mail` installs what is missing",
            missing.join(", ")
        );
    }
    let trials = [policy::trials(&found), lanes::trials(&found)];
    let trials = trials.into_iter().flatten();
    let trials = trials.map(|trial| {
        let ignored = trial.has_ignored_flag() || !missing.is_empty();
        trial.with_ignored_flag(ignored)
    });
    shares::run(arguments, trials.collect(), Vec::new())
}
