//! Captures through `gate replay`, by the program in the kernel and by the decision of the process itself.
//!
//! | module | what it is |
//! |---|---|
//! | `rows` | packets, and what becomes of them, written by hand |
//! | `verdicts` | both engines against the rows, and against one another over packets at random |
//! | `files` | formats, clocks, files that end too early or are of something else, standard input |
//! | `usage` | who may, where packets arrive, what is shown |
//! | `bench` | a directory with a configuration, and the program run in it |
//!
//! Captures are written by a library that the gate does not use. A trial needs `GATE_BIN` from `cargo xtask test`; those with
//! the kernel need root, and are reported as ignored without.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

#[path = "replay/bench.rs"]
mod bench;
#[path = "e2e/database.rs"]
#[allow(dead_code, reason = "each of the two suites uses a part")]
mod database;
#[path = "replay/files.rs"]
mod files;
#[path = "replay/rows.rs"]
mod rows;
#[path = "replay/usage.rs"]
mod usage;
#[path = "replay/verdicts.rs"]
mod verdicts;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::bench::Found;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let found = Found::new();
    let trials = [
        verdicts::trials(&found),
        files::trials(&found),
        usage::trials(&found),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
