//! `gate boot-rules`: an nft rule set for the time between the network's start and the gate's.
//!
//! The verdicts in it are those of [`decide`] about every run of addresses of the plan that the gate itself would load: no rule of policy is
//! written a second time here. `nft` is the operator's to run; the gate only prints.
//!
//! What it covers is what a rule set of nft can say before there are interfaces: TCP to port 25 from pools that are refused now, with relays and
//! exempt prefixes open. Throttled and observed pools pass. `docs/doctor.md` says how it is loaded and taken away again.

mod devices;
mod end;
mod text;

use std::{io, path::Path};

use gate_common::{
    Addr, Flow, Identity, Role, Scope, Verdict,
    abi::{Interface, InterfaceKey, List},
    decide::{Now, Tables as _, decide},
    parse::parse,
};
use jiff::Timestamp;
use serde::Serialize;

pub use self::end::{BootEnd, boot_end};
use crate::{
    config::Config,
    error::Error,
    explain::{ExplainError, InForce, Interfaces, Kept, syn},
    load::{Base, Loaded, Source, load},
    progress::Progress,
    report::Report,
    table::{Family, Runs, addr},
    view::View,
};

/// The name of the table, of the family `inet`.
pub const TABLE: &str = "gate_boot";
/// Where the operator is told to put the rules.
pub const FILE: &str = "/etc/gate/boot.nft";

/// The port that the rules are about.
const SMTP: u16 = 25;
/// The interface that all subscribers arrive at: which one, no decision about such connections asks.
const ARRIVAL: u32 = 1;

/// Addresses that follow one another, both ends included, by [`crate::table::key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    family: Family,
    first: u128,
    last: u128,
}

/// The rule set of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootRules {
    /// The configuration.
    pub config: std::path::PathBuf,
    /// The SHA-256 of its text, in hexadecimal digits.
    pub config_sha256: String,
    /// As of when: deadlines that have passed by then have passed.
    pub at: Timestamp,
    /// The names of interfaces that subscribers arrive by, `*` at the end standing for anything.
    pub arrivals: Vec<String>,
    /// How many ranges of sources are refused.
    pub refused: usize,
    /// Whether every segment is refused, and not only those that open a connection.
    pub every_segment: bool,
    /// The rule set.
    pub rules: String,
}

/// The rules of the configuration at `path`.
pub fn boot_rules(path: &Path) -> Result<BootRules, Error> {
    let mut progress = Progress::new();
    let loaded = load(Source::Named(path), Base::default(), &mut progress);
    progress.finish();
    let Loaded { config, plan, .. } = loaded?;
    Ok(rules(&config, &View::planned(plan), Timestamp::now())?)
}

/// The rules of a configuration, whose plan is `view`, at `at`.
pub fn rules(config: &Config, view: &View, at: Timestamp) -> Result<BootRules, ExplainError> {
    let refused = refused(view, at)?;
    let relays = ranges(&view.runs(List::Relays), |run| {
        Ok::<_, ExplainError>(view.relay(run).is_some())
    })?;
    let every_segment = view
        .settings()
        .is_some_and(|it| it.scope == Scope::All as u8);
    let arrivals = devices::names(&devices::configured(config));
    let rules = text::rules(&arrivals, &refused, &relays, every_segment);
    Ok(BootRules {
        config: config.file.clone(),
        config_sha256: config.sha256.clone(),
        at,
        arrivals,
        refused: refused.len(),
        every_segment,
        rules,
    })
}

/// The sources whose connections to port 25 of nobody's relay are refused.
fn refused(view: &View, at: Timestamp) -> Result<Vec<Range>, ExplainError> {
    let interface = Interface {
        role: Role::Access as u8,
        identity: Identity::Outer as u8,
        ..Interface::default()
    };
    let interfaces: Interfaces = [(InterfaceKey::port(ARRIVAL), interface)].into();
    let tables = InForce {
        view,
        interfaces: &interfaces,
        relays: false,
        // No bypass outlives a boot.
        bypass_until_ns: 0,
        limits: Kept,
    };
    let now = Now::both(u64::try_from(at.as_nanosecond()).unwrap_or(0));
    ranges(&view.runs(List::Access), |source| {
        // To itself: without relays, which destination it is no decision asks.
        let frame = syn(source.to_ip(), source.to_ip(), SMTP, 0)?;
        let mut flow = Flow::default();
        let shape = parse(frame.as_slice(), &mut flow);
        let decision = decide(shape, &flow, ARRIVAL, &tables, now);
        Ok(decision.is_some_and(|it| it.verdict == Verdict::Refused))
    })
}

/// The addresses that `is_wanted`, which says the same of all addresses of a run; neighbours are one.
fn ranges<E>(
    runs: &Runs,
    mut is_wanted: impl FnMut(Addr) -> Result<bool, E>,
) -> Result<Vec<Range>, E> {
    let mut found: Vec<Range> = Vec::new();
    for family in [Family::V4, Family::V6] {
        let starts = runs.of(family).iter().map(|run| run.start);
        let ends = starts.clone().skip(1).map(|start| start - 1);
        for (first, last) in starts.zip(ends.chain([u128::MAX])) {
            let addr = addr(family, first);
            // IPv4 in IPv6 form is that IPv4 address, and no packet of IPv6 has it.
            if addr.is_v4() != (family == Family::V4) || !is_wanted(addr)? {
                continue;
            }
            match found.last_mut() {
                Some(before)
                    if before.family == family && before.last.checked_add(1) == Some(first) =>
                {
                    before.last = last;
                }
                _ => found.push(Range {
                    family,
                    first,
                    last,
                }),
            }
        }
    }
    Ok(found)
}

/// What two rule sets are the same by: their lines without comments.
#[must_use]
pub fn are_same(a: &str, b: &str) -> bool {
    fn lines(text: &str) -> impl Iterator<Item = &str> {
        let lines = text.lines().map(str::trim);
        lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
    }
    lines(a).eq(lines(b))
}

impl Report for BootRules {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            config,
            config_sha256,
            at,
            rules,
            ..
        } = self;
        let config = config.display();
        writeln!(
            out,
            "# Port 25 of subscribers, from the network's start to the gate's. Made by `gate boot-rules --config {config}`:\n\
             # make it anew when that changes; `gate doctor` says when it has. As of {at:.0}, configuration sha256 {config_sha256}.\n\
             # `nft delete table inet {TABLE}` takes it away, once the gate is attached.\n"
        )?;
        out.write_all(rules.as_bytes())
    }
}

#[cfg(test)]
mod tests;
