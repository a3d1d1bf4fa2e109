//! A second opinion on every shape a packet can take: written from the RFCs and the configuration's reference, sharing no code with the gate.
//!
//! | module | what it is |
//! |---|---|
//! | `reading` | what a frame is, by a reading of the RFCs that consumes slices |
//! | `library` | what a packet library makes of the same frame, wherever it has an opinion |
//! | `rules` | what becomes of it: lists that are scanned from end to end |
//! | `world`, `packets`, `compose`, `random` | configurations and packets at random, from one seed |
//! | `host`, `device` | the gate's own answers: its decision in this process, and its program in the kernel |
//! | `census` | how many packets of each kind there were, and what became of them |
//!
//! The seed is printed; `GATE_SEED=N` repeats a run. Trials with the kernel need root and are reported as ignored without.

#[path = "oracle/census.rs"]
mod census;
#[path = "oracle/compose.rs"]
mod compose;
#[path = "oracle/device.rs"]
mod device;
#[path = "oracle/host.rs"]
mod host;
#[path = "prog_run/kernel/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "each of the two suites uses a part"
)]
mod kernel;
#[path = "oracle/library.rs"]
mod library;
#[path = "oracle/packets.rs"]
mod packets;
#[path = "oracle/random.rs"]
mod random;
#[path = "oracle/reading.rs"]
mod reading;
#[path = "oracle/rules.rs"]
mod rules;
#[path = "oracle/world.rs"]
mod world;

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use gate_tests::privilege;
use libtest_mimic::{Arguments, Failed, Trial};

/// The variable that repeats a run.
const SEED: &str = "GATE_SEED";

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // What is printed belongs to one trial at a time.
    arguments.test_threads = Some(1);
    let seed = env::var(SEED).ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    });
    let unprivileged = privilege::privileged().err();
    if let Some(reason) = &unprivileged {
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(
            io::stderr(),
            "the trial with the kernel is ignored: {reason}"
        );
    }
    let trials = vec![
        trial(
            "the gate in this process agrees with the oracle",
            seed,
            host::agrees,
        ),
        trial(
            "the gate in the kernel agrees with the gate in this process",
            seed,
            device::agrees,
        )
        .with_ignored_flag(unprivileged.is_some()),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, seed: u64, body: fn(u64) -> Result<()>) -> Trial {
    Trial::test(name, move || {
        // Where standard output is closed there is nobody to tell.
        let _ = writeln!(io::stdout(), "seed {seed}");
        body(seed).map_err(|error| Failed::from(format!("{SEED}={seed}: {error:#}")))
    })
}
