//! The gate end to end: the real program, real sockets, real links, in a lab of network namespaces.
//!
//! | module | what it tries |
//! |---|---|
//! | `lab` | the means of all that follows |
//! | `promises` | the whole matrix of who reaches whom, in native and generic mode, in both profiles, each beside its control |
//! | `restart` | what a daemon that dies, ends or starts again changes: nothing; and what gets through a gate that is detached |
//! | `recovery` | pins and interfaces that somebody changed meanwhile, starts that meet or are cut short, and what no start may open |
//! | `init` | a configuration to begin with, which passes `gate check` and is written over nothing |
//! | `interfaces` | interfaces that come, go, change their names or move, while the daemon runs |
//! | `opened` | what opens the gate on an interface, other than `gate detach`: it shows, and is mended |
//! | `reload` | another configuration, other data, and what is refused of both, while the gate is in force |
//! | `swap` | a swap of generations under a flood, counted packet by packet, and what breaks it; what could open a gate under a million packets a second; a gate killed between any two steps |
//! | `boot` | what a machine starts with when the files of the configuration are gone or wrong, and what the service manager hears |
//! | `watchdog` | what the service manager hears of a daemon whose worker hangs |
//! | `logs` | what the daemon's log looks like to those who read it, and that nothing waits for those who do not |
//! | `bypass` | the switch that has everything observed for a time: what it opens, what it outlives, how it ends |
//! | `wayback` | back to the generation before, when a person says so, or when nobody confirms the new one |
//! | `rules` | observing, pools, unlisted sources, deadlines, retransmissions |
//! | `exempt` | one customer's port 25 opened and closed, and what that outlives |
//! | `reports` | what the commands that only read say, held against other witnesses |
//! | `top` | what `gate top` draws on a terminal is what `gate counters` says, whatever the terminal |
//! | `exports` | what `gate counters` writes for programs is what it says, by readers that know nothing of it |
//! | `events` | what `gate events` says of packets, and what becomes of who listens |
//! | `update` | what `gate geoip update` fetches, and what it does not take, whatever servers do |
//! | `explain` | what `gate explain` says of a connection is what happens to it, and asking changes nothing |
//! | `matrix` | the table for customers, cell by cell |
//! | `privacy` | what is kept of whom and for how long, and that where subscribers connect to is kept nowhere |
//! | `rehearse` | a configuration beside what is in force, with real packets |
//! | `diff` | what a configuration would change, before it does |
//! | `doctor` | what `gate doctor` finds, what mends it, the rules for the boot window, and bridges |
//! | `readers` | who can read tags and who cannot, and what readers see while generations come and go |
//! | `answers` | what refused clients hear, in every encapsulation, octet by octet; and who hears nothing |
//! | `unsent` | answers that fail to leave, and what counts them |
//! | `throttle` | so many connections of a source pass, and no more |
//! | `class_limits` | so many connections of a source abroad pass, and what becomes of more |
//! | `carriers` | the class as those behind the gate see it: skb mark and DSCP |
//! | `evasion` | what somebody with root on an access line could send instead |
//! | `pages` | the pages that show commands: what they print in the lab is what the page says |
//! | `bad_input` | everything that has to be refused, with the kernel left as it was |
//!
//! Labs of several processes run side by side (`shares`). A trial needs root, and `GATE_BIN` and `GATE_MMDB` from `cargo xtask test`. Where these are missing it is reported
//! as ignored, and why.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod answers;
mod bad_input;
mod bench;
mod boot;
mod boot_back;
mod bypass;
mod carriers;
mod class_limits;
mod database;
mod diff;
mod disk;
mod doctor;
mod evasion;
mod events;
mod exempt;
mod explain;
mod exports;
mod faults;
mod init;
mod interfaces;
mod lab;
mod logs;
mod matrix;
mod opened;
mod pages;
mod privacy;
mod promises;
mod readers;
mod recovery;
mod rehearse;
mod reload;
mod reports;
mod restart;
mod rules;
mod shares;
mod swap;
mod throttle;
mod top;
mod unsent;
mod update;
mod watchdog;
mod wayback;

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
        lab::trials(&found),
        promises::trials(&found),
        restart::trials(&found),
        boot::trials(&found),
        boot_back::trials(&found),
        watchdog::trials(&found),
        logs::trials(&found),
        init::trials(&found),
        recovery::trials(&found),
        interfaces::trials(&found),
        opened::trials(&found),
        reload::trials(&found),
        rules::trials(&found),
        reports::trials(&found),
        exempt::trials(&found),
        explain::trials(&found),
        matrix::trials(&found),
        top::trials(&found),
        update::trials(&found),
        privacy::trials(&found),
        diff::trials(&found),
        doctor::trials(&found),
        rehearse::trials(&found),
        events::trials(&found),
        exports::trials(&found),
        readers::trials(&found),
        unsent::trials(&found),
        answers::trials(&found),
        bypass::trials(&found),
        wayback::trials(&found),
        carriers::trials(&found),
        evasion::trials(&found),
        bad_input::trials(&found),
        faults::trials(&found),
        pages::trials(&found),
    ];
    // They flood, or count what passes in a time: labs are apart, but processors are not.
    let alone = [
        events::floods(&found),
        swap::trials(&found),
        throttle::trials(&found),
        class_limits::trials(&found),
    ];
    let (among, alone) = (among.into_iter().flatten(), alone.into_iter().flatten());
    shares::run(arguments, among.collect(), alone.collect())
}
