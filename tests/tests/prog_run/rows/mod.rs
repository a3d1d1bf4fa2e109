//! The table: packets, and what becomes of each, written by hand.
//!
//! | module | what it tries |
//! |---|---|
//! | `port25` | who may reach port 25: pools, relays, unlisted sources, actions |
//! | `pools` | which pool a source is in, until when, and what counts as one source |
//! | `segments` | which segments are judged: flags, scopes, ports, other protocols |
//! | `link` | tags, short frames, and what is no IP |
//! | `encapsulated` | PPPoE sessions, MPLS labels, IEEE 802.2 LLC |
//! | `tunnels` | one packet in another |
//! | `ipv4`, `ipv6` | headers, good and bad |
//! | `fragments` | fragments of both families |
//! | `uplink` | classes of submission connections |
//! | `hidden` | what hides its port on its way in from an uplink |
//! | `vlans` | a role per VLAN, the inner address of a tunnel, shapes treated otherwise |
//!
//! A row says everything that changes: the total of a verdict and reason, the counters of interface, pool, prefix, relay, class and
//! country, the source, the tag of the connection. A row that says nothing of a counter says that it stays.

// A row is read as a line or two; rustfmt would make fifteen of each.
#[rustfmt::skip]
mod encapsulated;
#[rustfmt::skip]
mod fragments;
#[rustfmt::skip]
mod hidden;
#[rustfmt::skip]
mod ipv4;
#[rustfmt::skip]
mod ipv6;
#[rustfmt::skip]
mod link;
#[rustfmt::skip]
mod pools;
#[rustfmt::skip]
mod port25;
#[rustfmt::skip]
mod segments;
#[rustfmt::skip]
mod tunnels;
#[rustfmt::skip]
mod uplink;
#[rustfmt::skip]
mod vlans;
mod words;

use libtest_mimic::Trial;

use crate::{
    bench::Bench,
    configurations::{Configuration, NOW},
    kernel::{Action, Change, Tally},
};

impl Expected {
    /// And an answer goes back: the first of its source and in all, since the limits are new with each row.
    fn answered(self, answer: &str) -> Self {
        let mut tally = Tally::default();
        tally.count(format!("answer {answer}"));
        for bucket in ["answer", "answer_total"] {
            tally.count(format!("bucket {bucket} within"));
        }
        tally.count("bucket answer made");
        Self {
            action: Action::Answer,
            change: self.change.and(tally),
        }
    }

    /// And no answer goes back, for this reason.
    fn unanswered(self, why: &str) -> Self {
        let mut tally = Tally::default();
        tally.count(format!("answer {why}"));
        Self {
            action: self.action,
            change: self.change.and(tally),
        }
    }
}

/// A packet and what becomes of it.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The rule that says so, in words, with its source.
    pub(crate) why: &'static str,
    pub(crate) configuration: Configuration,
    pub(crate) side: Side,
    pub(crate) now: &'static str,
    pub(crate) frame: Vec<u8>,
    pub(crate) expected: Expected,
}

/// The side that a packet comes from, which decides the interface that it comes in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The interface with role `access`.
    Access,
    /// The interface with role `uplink`.
    Uplink,
    /// An interface that the configuration does not name.
    Neither,
}

/// What a packet's fate is, and everything that it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) action: Action,
    pub(crate) change: Change,
}

impl Row {
    fn new(
        name: &'static str,
        why: &'static str,
        (configuration, side): (Configuration, Side),
        frame: Vec<u8>,
        expected: Expected,
    ) -> Self {
        Self {
            name,
            why,
            configuration,
            side,
            now: NOW,
            frame,
            expected,
        }
    }

    fn at(self, now: &'static str) -> Self {
        Self { now, ..self }
    }
}

/// All rows, each with its group.
pub(crate) fn all() -> Vec<(&'static str, Row)> {
    let groups = [
        ("port25", port25::rows()),
        ("pools", pools::rows()),
        ("segments", segments::rows()),
        ("link", link::rows()),
        ("encapsulated", encapsulated::rows()),
        ("tunnels", tunnels::rows()),
        ("ipv4", ipv4::rows()),
        ("ipv6", ipv6::rows()),
        ("fragments", fragments::rows()),
        ("uplink", uplink::rows()),
        ("hidden", hidden::rows()),
        ("vlans", vlans::rows()),
    ];
    groups
        .into_iter()
        .flat_map(|(group, rows)| rows.into_iter().map(move |row| (group, row)))
        .collect()
}

/// All rows, by configuration: a change of generation waits for several grace periods; a row takes a millisecond.
pub(crate) fn by_configuration() -> Vec<(&'static str, Row)> {
    let mut rows = all();
    rows.sort_by_key(|(_, row)| (row.configuration as u8, row.side as u8));
    rows
}

/// All rows as trials.
pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    let mut trials: Vec<Trial> = by_configuration()
        .into_iter()
        .map(|(group, row)| {
            bench.trial(format!("{group}: {}", row.name), move |state| {
                state.check(&row)
            })
        })
        .collect();
    trials.push(
        bench.trial("nothing else was counted in all of this", |state| {
            let stray = state.device.stray(NAMED)?;
            anyhow::ensure!(stray.is_empty(), "{stray:?}");
            Ok(())
        }),
    );
    trials
}

/// More counters than any configuration of the table has.
const NAMED: u32 = 64;

/// The gate has no business with it: it passes, and nothing changes.
fn unjudged() -> Expected {
    Expected {
        action: Action::Pass,
        change: Change::default(),
    }
}

fn passed(reason: &str, counts: &[&str]) -> Expected {
    judged(Action::Pass, "passed", reason, counts)
}

fn refused(reason: &str, counts: &[&str]) -> Expected {
    judged(Action::Drop, "refused", reason, counts)
}

fn observed(reason: &str, counts: &[&str]) -> Expected {
    judged(Action::Pass, "observed", reason, counts)
}

fn unparsed(reason: &str, counts: &[&str]) -> Expected {
    judged(Action::Pass, "unparsed", reason, counts)
}

/// A connection that got a class: `country` is that of its source, `tag` what the connection then carries.
fn tagged(reason: &str, counts: &[&str], country: &str, tag: &str) -> Expected {
    let mut tally = tally("tagged", reason, counts);
    tally.count(format!("country {country}"));
    tally.count(format!("tag 6 {tag} {country} 0"));
    Expected {
        action: Action::Pass,
        change: tally.into(),
    }
}

fn judged(action: Action, verdict: &str, reason: &str, counts: &[&str]) -> Expected {
    Expected {
        action,
        change: tally(verdict, reason, counts).into(),
    }
}

/// What counts a packet; one over a limit is counted as such too, beside its verdict.
fn tally(verdict: &str, reason: &str, counts: &[&str]) -> Tally {
    let mut tally = Tally::default();
    tally.count(format!("total {verdict} {reason}"));
    for counter in counts {
        let over = reason == "over_limit";
        if counter.starts_with("source ") {
            let uplink = counter.starts_with("source uplink ");
            let over = if over && uplink && verdict == "tagged" {
                " over_limit"
            } else {
                ""
            };
            tally.count(format!("{counter} {verdict}{over}"));
        } else {
            tally.count(format!("{counter} {verdict}"));
            if over {
                tally.count(format!("{counter} over_limit"));
            }
        }
    }
    tally
}
