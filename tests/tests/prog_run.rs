//! The program in the kernel, one packet at a time: what it does with it, and what it counts.
//!
//! | module | what it is |
//! |---|---|
//! | `rows` | the table: packets, and verdicts written by hand from the RFCs that each row names |
//! | `generations` | one generation after another, and while packets run |
//! | `swap` | several look-ups of one packet, while its tables change |
//! | `limits` | answers, and token buckets over several packets |
//! | `class_limits` | limits of classes: over one, over time, by the clock, on two processors |
//! | `hidden` | what hides its port on its way in from an uplink: limits, and what shows of its class |
//! | `bypass` | the whole table during a bypass, and at its end |
//! | `rehearsal` | rows of the table with candidates beside them, their limits, and when a rehearsal is over |
//! | `events` | which packets are told of to who listens, and what became of the others |
//! | `lpm` | prefix tables against the kernel's own longest-prefix match |
//! | `places` | more VLANs with a role than there are places for interfaces |
//! | `threat_model` | the table of shapes in `docs/threat-model.md`, which is made from the code and from `rows` |
//! | `show` | how classes show: DSCP, metadata, skb mark |
//! | `unsent` | the programs that count answers that failed to leave, fed by hand |
//! | `budget` | how many instructions the verifier goes through |
//! | `configurations` | the configurations of the table, from `tests/fixtures` |
//! | `bench`, `kernel` | the loaded program, its maps, and a trial for each row |
//!
//! Nothing here computes a verdict: the suite `oracle` does that, with code that the gate does not share. The suite needs root and a
//! kernel and nothing else, no file of the source tree either: it also runs in a virtual machine that has only this program. Where a
//! privilege is missing all trials are reported as ignored, and why.

#[path = "prog_run/bench.rs"]
mod bench;
#[path = "prog_run/budget.rs"]
mod budget;
#[path = "prog_run/bypass.rs"]
mod bypass;
#[path = "prog_run/class_limits.rs"]
mod class_limits;
#[path = "prog_run/configurations.rs"]
mod configurations;
#[path = "prog_run/events.rs"]
mod events;
#[path = "prog_run/generations.rs"]
mod generations;
#[path = "prog_run/hidden.rs"]
mod hidden;
#[path = "prog_run/kernel/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "each of the two suites uses a part"
)]
mod kernel;
#[path = "prog_run/limits.rs"]
mod limits;
#[path = "prog_run/lpm.rs"]
mod lpm;
#[path = "prog_run/places.rs"]
mod places;
#[path = "prog_run/rehearsal.rs"]
mod rehearsal;
#[path = "prog_run/rows/mod.rs"]
#[expect(
    clippy::wildcard_imports,
    reason = "the words of the table and the flags of TCP are what its rows are made of"
)]
mod rows;
#[path = "prog_run/show.rs"]
mod show;
#[path = "prog_run/swap.rs"]
mod swap;
#[path = "prog_run/threat_model.rs"]
mod threat_model;
#[path = "prog_run/unsent.rs"]
mod unsent;

use std::process::ExitCode;

use libtest_mimic::Arguments;

use crate::bench::Bench;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // One program, whose counters each trial looks at before and after.
    arguments.test_threads = Some(1);
    let bench = Bench::new();
    let trials = [
        budget::trials(&bench),
        rows::trials(&bench),
        generations::trials(&bench),
        swap::trials(&bench),
        lpm::trials(&bench),
        places::trials(&bench),
        limits::trials(&bench),
        class_limits::trials(&bench),
        bypass::trials(&bench),
        rehearsal::trials(&bench),
        events::trials(&bench),
        threat_model::trials(),
        unsent::trials(&bench),
        show::trials(&bench),
        hidden::trials(&bench),
    ];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit_code()
}
