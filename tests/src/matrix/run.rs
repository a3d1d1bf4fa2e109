//! Trying all rows, one after the other, and adding up.

use std::net::SocketAddr;

use anyhow::Result;

use super::{
    Attempt, Expect, Observed, Profile, ROWS, Reasons, Row, Tag,
    judge::{attempt_faults, faults},
};
use crate::{
    gate::{Counters, Gate},
    lab::{Database, Family, Lab, Seen},
};

/// One connection to try.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its row.
    pub row: &'static Row,
    /// IPv4 or IPv6.
    pub family: Family,
    /// One of the row's ports.
    pub port: u16,
}

impl Case {
    /// Every connection of every row.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().flat_map(|row| {
            row.ports.iter().flat_map(move |port| {
                Family::ALL.into_iter().map(move |family| Self {
                    row,
                    family,
                    port: *port,
                })
            })
        })
    }
}

/// A case that was tried and judged.
#[derive(Clone, Debug)]
pub struct Account {
    /// The case.
    pub case: Case,
    /// What should have come of it.
    pub expect: Expect,
    /// What client and server saw.
    pub attempt: Attempt,
    /// What the gate said; nothing where there was none.
    pub observed: Observed,
    /// What is wrong; empty when it is as it should be.
    pub faults: Vec<String>,
}

impl Account {
    /// What is wrong, with what it is about.
    pub fn faults(&self) -> impl Iterator<Item = String> {
        let Case { row, family, port } = self.case;
        self.faults
            .iter()
            .map(move |fault| format!("{} to {}, {family}, port {port}: {fault}", row.from, row.to))
    }
}

/// What the gate counted of subscribers' opening segments to port 25.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Refused.
    pub refused: u64,
    /// Let through.
    pub passed: u64,
    /// Let through because the rule is not enforced.
    pub observed: u64,
}

impl Judged {
    /// What was counted between two looks.
    #[must_use]
    pub fn between(before: &Counters, after: &Counters) -> Self {
        let (before, after) = (&before.verdicts, &after.verdicts);
        Self {
            refused: after.refused.saturating_sub(before.refused),
            passed: after.passed.saturating_sub(before.passed),
            observed: after.observed.saturating_sub(before.observed),
        }
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        let Self {
            refused,
            passed,
            observed,
        } = self;
        refused + passed + observed
    }
}

/// A run of all rows, with the sums that have to agree.
#[derive(Clone, Debug)]
pub struct Run {
    /// The cases.
    pub accounts: Vec<Account>,
    /// Opening segments to port 25 that left hosts behind access interfaces, as seen on their links.
    pub syns: u64,
    /// What the gate made of them; `None` where there was none.
    pub judged: Option<Judged>,
    /// Connections that clients got.
    pub connected: u64,
    /// Connections that servers accepted.
    pub accepted: u64,
}

impl Run {
    /// Everything that is wrong with it, in words.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        [self.row_faults(), self.syn_faults(), self.accept_faults()].concat()
    }

    /// What is wrong with single rows.
    #[must_use]
    pub fn row_faults(&self) -> Vec<String> {
        self.accounts.iter().flat_map(Account::faults).collect()
    }

    /// Every opening segment to port 25 that a subscriber sent has a verdict, and nothing else has.
    #[must_use]
    pub fn syn_faults(&self) -> Vec<String> {
        let syns = self.syns;
        match self.judged {
            Some(judged) if judged.total() != syns => vec![format!(
                "subscribers sent {syns} opening segments to port 25, the gate counted {judged:?}"
            )],
            _ => Vec::new(),
        }
    }

    /// Clients and servers agree.
    #[must_use]
    pub fn accept_faults(&self) -> Vec<String> {
        let Self {
            connected,
            accepted,
            ..
        } = self;
        if connected == accepted {
            return Vec::new();
        }
        vec![format!(
            "clients got {connected} connections, servers accepted {accepted}"
        )]
    }
}

/// The control: tries every row where there is no gate. All connections have to come about, or the lab proves nothing.
pub fn control(lab: &Lab) -> Result<Run> {
    let start = Sums::now(lab)?;
    let accounts = Case::all().map(|case| {
        let attempt = attempt(lab, case)?;
        Ok(Account {
            case,
            expect: Expect::Untouched,
            attempt,
            observed: Observed::default(),
            faults: attempt_faults(None, attempt),
        })
    });
    start.run(lab, accounts.collect::<Result<_>>()?, None)
}

/// Tries every row through the gate, which runs with a configuration of `profile`.
pub fn guarded(lab: &Lab, gate: Gate<'_>, database: &Database, profile: Profile) -> Result<Run> {
    let start = Sums::now(lab)?;
    let first = gate.counters()?;
    let mut before = first.clone();
    let mut accounts = Vec::new();
    for case in Case::all() {
        let expect = case.row.expect(profile);
        let refused = profile.answer().heard(case.family);
        let attempt = attempt(lab, case)?;
        let after = gate.counters()?;
        let observed = Observed {
            reasons: Reasons::between(&before, &after),
            tag: tag(lab, gate, database, case, attempt.seen)?,
        };
        before = after;
        accounts.push(Account {
            case,
            expect,
            faults: faults(expect, refused, attempt, &observed),
            attempt,
            observed,
        });
    }
    start.run(lab, accounts, Some(Judged::between(&first, &before)))
}

fn attempt(lab: &Lab, case: Case) -> Result<Attempt> {
    let Case { row, family, port } = case;
    let peer = lab.address(row.from, family)?;
    let before = lab.accepted(row.to)?.from(peer, port);
    let seen = lab.connect(row.from, row.to, family, port)?;
    let after = lab.accepted(row.to)?.from(peer, port);
    Ok(Attempt {
        seen,
        accepted: after - before,
    })
}

/// Asks the gate for the tag of a connection that came about.
fn tag(
    lab: &Lab,
    gate: Gate<'_>,
    database: &Database,
    case: Case,
    seen: Seen,
) -> Result<Option<Tag>> {
    let Some(source) = seen.local() else {
        return Ok(None);
    };
    let Case { row, family, port } = case;
    let destination = SocketAddr::new(lab.address(row.to, family)?, port);
    let Some(flow) = gate.flow(source, destination)? else {
        return Ok(None);
    };
    Ok(Some(Tag {
        class: flow.class,
        country: flow.country,
        of_database: database.country(source.ip())?,
    }))
}

/// What was counted elsewhere than at the gate.
struct Sums {
    syns: u64,
    accepted: u64,
}

impl Sums {
    fn now(lab: &Lab) -> Result<Self> {
        Ok(Self {
            syns: lab.syns_from_subscribers()?,
            accepted: lab.accepted_by_all(),
        })
    }

    /// The run that began at these sums and ends now.
    fn run(self, lab: &Lab, accounts: Vec<Account>, judged: Option<Judged>) -> Result<Run> {
        let Self { syns, accepted } = Self::now(lab)?;
        let connected = accounts
            .iter()
            .filter_map(|account| account.attempt.seen.local())
            .count();
        Ok(Run {
            accounts,
            syns: syns - self.syns,
            judged,
            connected: u64::try_from(connected)?,
            accepted: accepted - self.accepted,
        })
    }
}
