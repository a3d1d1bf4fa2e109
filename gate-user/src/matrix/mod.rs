//! `gate matrix`: what subscribers may connect to, as the table that providers publish for their customers.
//!
//! Each cell is the decision about a connection that stands for many: from an address of the pool, to an address of the kind of destination. No rule
//! is written a second time here.

mod render;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
};

use gate_common::{
    Addr, Flow, Identity, Reason, Role, Verdict,
    abi::{Interface, InterfaceKey, List},
    decide::{Decision, Now, Tables as _, decide, rule_in_force},
    parse::parse,
};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

pub use self::words::Language;
use crate::{
    config::exemptions,
    explain::{ExplainError, InForce, Interfaces, Kept, syn},
    report::Report,
    table::{Family, Runs, addr},
    view::View,
};

/// The ports of mail, in the order of the columns.
pub const PORTS: [u16; 3] = [25, 587, 465];

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// They pass.
    Allowed,
    /// They are refused.
    Refused,
    /// So many pass in so much time.
    Limited,
    /// They pass, and are counted as what would be refused.
    Observed,
}

/// What becomes of connections, by port in the order of [`PORTS`].
pub type Cells = [Cell; PORTS.len()];

/// Where connections go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Destination {
    /// To nobody whom the configuration lists.
    Outside,
    /// To the provider's relays.
    Relays,
    /// To the provider's submission servers.
    Servers,
}

/// Connections from one pool to one kind of destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The pool; nothing for subscribers whom no pool names.
    pub pool: Option<String>,
    /// Its policy; nothing where there is no pool.
    pub policy: Option<String>,
    /// The family of addresses; nothing where both are treated alike, or there is only one.
    pub family: Option<&'static str>,
    /// Where they go.
    pub destination: Destination,
    /// What becomes of them, by port in the order of [`PORTS`].
    pub cells: Cells,
    /// When that changes by itself, and to what; the next first.
    pub changes: Vec<Then>,
}

/// What a row is from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Then {
    /// The moment.
    pub from: Timestamp,
    /// What becomes of connections then.
    pub cells: Cells,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// The number of the generation.
    pub generation: u32,
    /// When it was looked at.
    pub at: Timestamp,
    /// The ports of the columns.
    pub ports: [u16; PORTS.len()],
    /// The rows: pools in the order of the configuration, and at the end who is in none.
    pub rows: Vec<Row>,
    #[serde(skip)]
    form: Form,
}

/// How the table is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// In which language.
    pub language: Language,
    /// As what.
    pub style: Style,
    /// In which zone times are; JSON has them in UTC.
    pub zone: TimeZone,
}

/// How the table is shown to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// As text.
    #[default]
    Text,
    /// As Markdown.
    Markdown,
    /// As a page.
    Html,
}

/// The interface that all subscribers arrive at: which one, no decision about such connections asks.
const ARRIVAL: u32 = 1;

/// The table of a generation at `now`.
pub fn matrix(view: &View, now: Timestamp, form: Form) -> Result<Matrix, ExplainError> {
    let interface = Interface {
        role: Role::Access as u8,
        identity: Identity::Outer as u8,
        ..Interface::default()
    };
    let interfaces = [(InterfaceKey::port(ARRIVAL), interface)].into();
    let asked = Asked {
        view,
        interfaces: &interfaces,
        now,
    };
    Ok(Matrix {
        generation: view.manifest.number,
        at: now,
        ports: PORTS,
        rows: asked.rows()?,
        form,
    })
}

struct Asked<'v> {
    view: &'v View,
    interfaces: &'v Interfaces,
    now: Timestamp,
}

/// An address for each kind of destination of a family, if there is one.
struct Places([Option<Addr>; 3]);

const DESTINATIONS: [Destination; 3] = [
    Destination::Outside,
    Destination::Relays,
    Destination::Servers,
];

impl Asked<'_> {
    fn rows(&self) -> Result<Vec<Row>, ExplainError> {
        let sources = self.sources();
        let places = [Family::V4, Family::V6].map(|family| (family, self.places(family)));
        let pools = &self.view.manifest.pools;
        // Exemptions are single customers.
        let pools = pools.iter().filter(|pool| pool.name != exemptions::POOL);
        let named = pools.map(|pool| (Some(pool), pool.counter));
        let mut rows = Vec::new();
        for (pool, counter) in named.chain([(None, 0)]) {
            for (kind, destination) in DESTINATIONS.into_iter().enumerate() {
                let ends = |(family, places): &(Family, Places)| {
                    let source = *sources.get(&(counter, *family))?;
                    Some((*family, source, places.0.get(kind).copied().flatten()?))
                };
                let row = |family: Option<Family>, cells: &Cells, changes: &[Then]| Row {
                    pool: pool.map(|it| it.name.clone()),
                    policy: pool.map(|it| it.policy.clone()),
                    family: family.map(Family::name),
                    destination,
                    cells: *cells,
                    changes: changes.to_vec(),
                };
                let found = places.iter().filter_map(ends).map(|(family, source, to)| {
                    let cells = self.cells(source, to, self.now)?;
                    Ok((family, cells, self.changes(source, to, cells)?))
                });
                let found = found.collect::<Result<Vec<_>, ExplainError>>()?;
                match found.as_slice() {
                    [(_, cells, changes)] => rows.push(row(None, cells, changes)),
                    [(_, a, changes), (_, b, others)] if a == b && changes == others => {
                        rows.push(row(None, a, changes));
                    }
                    several => rows.extend(
                        several
                            .iter()
                            .map(|(family, cells, changes)| row(Some(*family), cells, changes)),
                    ),
                }
            }
        }
        Ok(rows)
    }

    /// An address of each pool that has any now, by the pool's counter; of those that no pool names under 0. Of a pool it is one that stays in it
    /// longest: the ends of single prefixes are not the pool's.
    fn sources(&self) -> HashMap<(u32, Family), Addr> {
        let runs = self.view.runs(List::Access);
        let mut sources: HashMap<_, (u64, Addr)> = HashMap::new();
        for family in [Family::V4, Family::V6] {
            for start in starts(&runs, family) {
                let rule = rule_in_force(start, self.view, unix_ns(self.now));
                let counter = rule.map_or(0, |it| it.pool_counter);
                // 0 is no end.
                let end = rule.and_then(|it| it.until_ns.checked_sub(1));
                let stays = end.unwrap_or(u64::MAX);
                match sources.entry((counter, family)) {
                    Entry::Vacant(place) => {
                        place.insert((stays, start));
                    }
                    Entry::Occupied(mut known) if known.get().0 < stays => {
                        known.insert((stays, start));
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        let addresses = sources.into_iter().map(|(of, (_, addr))| (of, addr));
        addresses.collect()
    }

    fn places(&self, family: Family) -> Places {
        let [relays, servers] = [List::Relays, List::Servers].map(|list| self.view.runs(list));
        let all = || starts(&relays, family).chain(starts(&servers, family));
        let is_relay = |it: &Addr| self.view.relay(*it).is_some();
        let is_server = |it: &Addr| self.view.server(*it);
        Places([
            all().find(|it| !is_relay(it) && !is_server(it)),
            all().find(is_relay),
            // A server that is a relay as well says nothing of servers.
            all()
                .find(|it| is_server(it) && !is_relay(it))
                .or_else(|| all().find(is_server)),
        ])
    }

    fn cells(&self, source: Addr, to: Addr, at: Timestamp) -> Result<Cells, ExplainError> {
        let [smtp, submission, submissions] = PORTS.map(|port| self.decision(source, to, port, at));
        Ok([cell(smtp?), cell(submission?), cell(submissions?)])
    }

    fn decision(
        &self,
        src: Addr,
        dst: Addr,
        dport: u16,
        at: Timestamp,
    ) -> Result<Option<Decision>, ExplainError> {
        let tables = InForce {
            view: self.view,
            interfaces: self.interfaces,
            relays: true,
            // What customers read holds when the bad night is over.
            bypass_until_ns: 0,
            limits: Kept,
        };
        let frame = syn(src.to_ip(), dst.to_ip(), dport, 0)?;
        let mut flow = Flow::default();
        let shape = parse(frame.as_slice(), &mut flow);
        let now = Now::both(unix_ns(at));
        Ok(decide(shape, &flow, ARRIVAL, &tables, now))
    }

    /// What becomes of a row by itself, one moment after the other.
    fn changes(&self, source: Addr, to: Addr, now: Cells) -> Result<Vec<Then>, ExplainError> {
        let mut changes = Vec::new();
        let (mut at, mut before) = (self.now, now);
        while let Some(from) = self.next(source, at) {
            let cells = self.cells(source, to, from)?;
            if cells != before {
                changes.push(Then { from, cells });
            }
            (at, before) = (from, cells);
        }
        Ok(changes)
    }

    /// The next moment after `at` at which something begins or ends for all of the pool that has `source` then, or for who is in none.
    fn next(&self, source: Addr, at: Timestamp) -> Option<Timestamp> {
        let manifest = &self.view.manifest;
        let moments = match rule_in_force(source, self.view, unix_ns(at)) {
            Some(rule) => {
                let mut pools = manifest.pools.iter();
                let pool = pools.find(|it| it.counter == rule.pool_counter)?;
                [pool.effective_from, pool.until]
            }
            None => [manifest.unlisted.as_ref()?.effective_from, None],
        };
        let moments = moments.into_iter().flatten();
        moments.filter(|moment| at < *moment).min()
    }
}

fn unix_ns(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

/// The first address of each run of a family.
fn starts(runs: &Runs, family: Family) -> impl Iterator<Item = Addr> {
    let all = runs
        .of(family)
        .iter()
        .map(move |run| addr(family, run.start));
    // An IPv4 address in IPv6 form is that IPv4 address.
    all.filter(move |addr| addr.is_v4() == (family == Family::V4))
}

fn cell(decision: Option<Decision>) -> Cell {
    match decision.map(|it| (it.verdict, it.reason)) {
        Some((Verdict::Refused, _)) => Cell::Refused,
        Some((Verdict::Observed, _)) => Cell::Observed,
        Some((Verdict::Passed, Reason::WithinLimit)) => Cell::Limited,
        Some((Verdict::Passed | Verdict::Tagged | Verdict::Unparsed, _)) | None => Cell::Allowed,
    }
}

impl Report for Matrix {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        render::write(self, &self.form, out)
    }
}
