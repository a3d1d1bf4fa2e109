//! The lab itself: a proof by means that do not work is none.

use std::panic::{self, AssertUnwindSafe, resume_unwind};

use anyhow::{Result, ensure};
use gate_tests::{
    lab::{Family, Lab, Who},
    residue::Watch,
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found, Tools};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.trial("lab::what_is_left_is_found", left),
        found.trial("lab::a_panic_leaves_nothing", panics),
        found.lab_trial("lab::the_witness_counts_what_is_sent", witness),
        found.lab_trial("lab::a_server_counts_whom_it_accepted", server),
    ]
}

fn left(tools: &Tools) -> Result<()> {
    let watch = Watch::start();
    let lab = Lab::new(&tools.small)?;
    let made = watch.made();
    for part in ["network namespace", "pin", "file"] {
        ensure!(
            made.iter().any(|one| one.starts_with(part)),
            "no {part} of a lab that stands is found: {made:?}"
        );
    }
    drop(lab);
    watch.nothing_left()
}

fn panics(tools: &Tools) -> Result<()> {
    let watch = Watch::start();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        let _lab = Lab::new(&tools.small);
        // Without the message that `panic!` would print.
        resume_unwind(Box::new(()))
    }));
    ensure!(panicked.is_err(), "that was no panic");
    watch.nothing_left()
}

fn witness(bench: &Bench<'_>) -> Result<()> {
    for (port, sent) in [(25, 2), (587, 0)] {
        let before = bench.lab.syns_from_subscribers()?;
        bench.open(Who::Subscriber, Who::OtherMail, port)?;
        let seen = bench.lab.syns_from_subscribers()? - before;
        ensure!(seen == sent, "port {port}: {seen} seen, {sent} sent");
    }
    Ok(())
}

fn server(bench: &Bench<'_>) -> Result<()> {
    let lab = &bench.lab;
    bench.open(Who::Subscriber, Who::OwnMail, 25)?;
    bench.open(Who::Neighbour, Who::OwnMail, 25)?;
    let accepted = lab.accepted(Who::OwnMail)?;
    for family in Family::ALL {
        let peer = lab.address(Who::Subscriber, family)?;
        let count = [25, 587].map(|port| accepted.from(peer, port));
        ensure!(count == [1, 0], "{family}: {count:?} accepted");
    }
    ensure!(accepted.total() == 4, "all: {accepted:?}");
    let refused = lab.connect(Who::Subscriber, Who::OwnMail, Family::V4, 26)?;
    ensure!(
        refused.local().is_none(),
        "a port that nobody listens on: {refused}"
    );
    Ok(())
}
