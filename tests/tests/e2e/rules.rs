//! Rules beyond those of the matrix.

use std::time::Duration;

use anyhow::{Result, ensure};
use gate_tests::{
    gate::{Daemon, Packets, Pool},
    interrupt,
    lab::{Family, PATIENCE, Who},
};
use jiff::{Timestamp, Unit};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("rules::observe_refuses_nothing_and_counts", observe),
        found.lab_trial("rules::a_pool_has_an_action_of_its_own", action_of_pool),
        found.lab_trial("rules::unlisted_sources_can_be_refused", unlisted),
        found.lab_trial("rules::retransmissions_are_judged_too", retransmissions),
        found.lab_trial("rules::an_exemption_ends_by_itself", |bench| {
            deadline(bench, |_| Ok(()))
        }),
        found.lab_trial("rules::an_exemption_ends_without_a_daemon", |bench| {
            deadline(bench, |daemon| match daemon.take() {
                Some(daemon) => daemon.kill().map(drop),
                None => Ok(()),
            })
        }),
    ]
}

fn observe(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    let _daemon = bench.run(&config)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Subscriber, Who::Neighbour, 25)?;
    let counters = bench.gate().counters()?;
    let expected = Packets {
        observed: 4,
        ..Packets::default()
    };
    let pool = counters.pools.iter().find(|pool| pool.name == "dynamic");
    ensure!(
        counters.verdicts == expected && pool.is_some_and(|pool| pool.packets == expected),
        "four connections observed: {counters:?}"
    );
    Ok(())
}

fn action_of_pool(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    config.pools.push(Pool {
        name: "enforced",
        prefixes: vec!["100.64.0.3/32".to_owned(), "2001:db8:100:3::/64".to_owned()],
        files: Vec::new(),
        policy: "restrict",
        action: Some("enforce"),
        until: None,
    });
    let _daemon = bench.run(&config)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn unlisted(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.unlisted = "refuse";
    let _daemon = bench.run(&config)?;
    bench.refused(Who::Unlisted, Who::OtherMail, 25)?;
    bench.open(Who::Unlisted, Who::OwnMail, 587)?;
    bench.in_force()
}

/// A client that waits longer sends its SYN again; each of them is refused, and each is counted.
fn retransmissions(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let patience = PATIENCE + Duration::from_millis(1500);
    let before = bench.lab.syns_from_subscribers()?;
    for family in Family::ALL {
        bench
            .lab
            .connect_within(Who::Subscriber, Who::OtherMail, family, 25, patience)?;
    }
    let sent = bench.lab.syns_from_subscribers()? - before;
    let refused = bench.gate().counters()?.verdicts.refused;
    ensure!(
        sent == refused && sent >= 4,
        "{sent} sent, {refused} refused, at least four of each"
    );
    Ok(())
}

/// A subscriber is exempt for a moment, `meanwhile` happens, and then the pool around applies with nobody doing
/// anything.
fn deadline(
    bench: &Bench<'_>,
    meanwhile: impl FnOnce(&mut Option<Daemon>) -> Result<()>,
) -> Result<()> {
    const EXEMPT: Duration = Duration::from_secs(5);
    let mut config = bench.config()?;
    let until = (Timestamp::now() + EXEMPT).round(Unit::Second)?;
    config.pools.push(Pool {
        name: "for-a-moment",
        prefixes: vec!["100.64.0.2/32".to_owned(), "2001:db8:100:2::/64".to_owned()],
        files: Vec::new(),
        policy: "exempt",
        action: None,
        until: Some(until.to_string()),
    });
    let mut daemon = Some(bench.run(&config)?);
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    meanwhile(&mut daemon)?;
    let left = Duration::try_from(until - Timestamp::now()).unwrap_or_default();
    ensure!(!left.is_zero(), "the machine is too slow for this deadline");
    interrupt::sleep(left + Duration::from_millis(50))?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)
}
