//! What the daemon tells monitoring systems: right, readable for others, and no way to disturb the gate.
//!
//! | module | what it tries |
//! |---|---|
//! | `agree` | metrics say what `gate counters` and `gate status` say, and never less than before |
//! | `listen` | where the daemon listens, what becomes of it when that changes or cannot be had, and who cannot ask |
//! | `faults` | clients that do what clients should not, while packets are judged and the daemon answers |
//! | `page` | the status page, in a Chromium that `browser` drives, says what the commands say, to who may know it |
//! | `others` | Prometheus scrapes a real gate, and every query of dashboard and alerts finds series; promtool and a parser of OpenMetrics agree |
//!
//! A trial needs root, and `GATE_BIN` and `GATE_MMDB` from `cargo xtask test`; those of `others` need Prometheus and Python's client library as
//! well, those of `page` Chromium. Where these are missing it is reported as ignored, and why.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod agree;
#[path = "../e2e/bench.rs"]
#[allow(dead_code, reason = "these trials take a part of what is there")]
mod bench;
mod browser;
#[path = "../e2e/database.rs"]
#[allow(dead_code, reason = "these trials take a part of what is there")]
mod database;
mod faults;
mod http;
mod listen;
mod others;
mod page;
#[path = "../e2e/shares.rs"]
#[allow(dead_code, reason = "these trials take a part of what is there")]
mod shares;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::bench::Found;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Some(code) = shares::spread(&arguments) {
        return code;
    }
    let found = Found::new();
    let among = [
        agree::trials(&found),
        listen::trials(&found),
        others::trials(&found),
        page::trials(&found),
    ];
    // They flood.
    let alone = faults::trials(&found);
    shares::run(arguments, among.into_iter().flatten().collect(), alone)
}
