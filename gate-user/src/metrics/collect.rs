//! From what `gate status` and `gate counters` read to samples. No number is worked out here that they have.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

use gate_common::{Told, abi::ABI_VERSION};
use jiff::Timestamp;

use super::{
    model::Families,
    table,
    web::{Document, Known},
};
use crate::{
    chore::Chore,
    config::Metrics,
    control::Standing,
    error::Error,
    kernel::{Maps, Occupancy, Tale},
    pins::Pins,
    report::{self, Counters, Link, Sources, State, Status, Verdicts},
    sys::{self, Access, Runs},
};

/// What a collection found.
#[derive(Debug)]
pub struct Collection {
    /// The state of the gate; nothing if it cannot be told.
    pub state: Option<State>,
    /// The samples.
    pub families: Families,
    /// What the status page shows; nothing if there is none.
    pub(super) document: Option<Document>,
    /// What could not be read, and why.
    pub troubles: Vec<String>,
}

/// What is counted in the kernel, and how full it is there.
struct Counted {
    counters: Counters,
    occupancy: [Occupancy; 3],
    told: Tale,
    runs: io::Result<Option<Runs>>,
}

/// Reads everything that there is to tell, for a daemon that began at `since`.
#[must_use]
pub fn collect(
    pins: &Pins,
    standing: Standing,
    settings: &Metrics,
    turned_away: u64,
    since: Timestamp,
) -> Collection {
    let begun = Instant::now();
    let mut families = Families::default();
    let mut troubles = Vec::new();
    reloads(&standing, &mut families);
    families.add(&table::SWEPT, [], standing.swept_at.map_or(0.0, seconds));
    let recent = standing.reloads.clone();
    let status = report::status_within(pins, standing);
    let counted = counted(pins);
    // Where nothing is loaded, there is nothing to be read, and the state says so.
    let absent = matches!(&status, Ok(status) if status.state == State::Absent);
    families.add(&table::COLLECTED, ["status"], status.is_ok());
    families.add(&table::COLLECTED, ["counters"], counted.is_ok());
    let mut told = None;
    match &status {
        Ok(status) => {
            told = Some(status.state);
            state(status, &mut families);
        }
        Err(error) => troubles.push(format!("status: {error}")),
    }
    match &counted {
        Ok(counted) => counters(counted, settings, &mut families),
        Err(_) if absent => {}
        Err(error) => troubles.push(format!("counters: {error}")),
    }
    if let Ok(Counted {
        runs: Err(error), ..
    }) = &counted
    {
        troubles.push(format!("how often the program ran: {error}"));
    }
    let abi = ABI_VERSION.to_string();
    families.add(&table::BUILD, [env!("CARGO_PKG_VERSION"), &abi], true);
    families.add(&table::AWAY, [], turned_away);
    let document = settings.page.then(|| {
        let known = Known {
            since,
            status: status.as_ref().map_err(ToString::to_string),
            counters: counted.as_ref().ok().map(|it| &it.counters),
            reloads: &recent,
        };
        Document::new(&known, settings)
    });
    families.add(&table::DURATION, [], begun.elapsed().as_secs_f64());
    Collection {
        state: told,
        families,
        document,
        troubles,
    }
}

fn counted(pins: &Pins) -> Result<Counted, Error> {
    let maps = Maps::open(pins, Access::Read)?;
    Ok(Counted {
        counters: report::counters(pins)?,
        occupancy: maps.occupancy()?,
        told: maps.told()?,
        runs: sys::program_runs(&pins.program()),
    })
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

fn reloads(standing: &Standing, out: &mut Families) {
    for it in &standing.reloads.counts {
        let labels = [it.by.name(), it.ended.name()];
        out.add(&table::RELOADS, labels, it.reloads);
    }
    out.add(&table::REFUSED, [], standing.refused.len());
    let at = standing.reloads.succeeded_at;
    out.add(&table::SUCCEEDED, [], at.map_or(0.0, seconds));
    let wanted = standing.last_good.is_some();
    out.add(&table::LAST_GOOD_WANTED, [], wanted);
    let last_good = standing.last_good.clone().unwrap_or_default();
    out.add(
        &table::LAST_GOOD_INSTEAD,
        [],
        u32::from(last_good.instead.is_some()),
    );
    out.add(
        &table::LAST_GOOD_UNKEPT,
        [],
        u32::from(last_good.problem.is_some()),
    );
    let kept = last_good.kept_at.map_or(0.0, seconds);
    out.add(&table::LAST_GOOD_AT, [], kept);
    let log = standing.log.as_ref();
    let blocked = log.is_some_and(|it| it.blocked_since.is_some());
    out.add(&table::LOG_BLOCKED, [], blocked);
    out.add(&table::LOG_LOST, [], log.map_or(0, |it| it.lost));
    for chore in Chore::ALL {
        let failures = standing.chore_failures.get(&chore);
        let failures = failures.copied().unwrap_or_default();
        out.add(&table::CHORE_FAILURES, [chore.name()], failures);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn state(status: &Status, out: &mut Families) {
    for state in State::ALL {
        out.add(&table::STATE, [state.name()], status.state == state);
    }
    out.add(&table::PROBLEMS, [], status.problems.len());
    if let Some(generation) = &status.generation {
        out.add(&table::GENERATION, [], generation.number);
        out.add(&table::LOADED, [], seconds(generation.loaded_at));
        let until = generation.confirm_until;
        out.add(&table::CONFIRM, [], until.map_or(0.0, seconds));
        let config = [&*text(&generation.config), &generation.config_sha256];
        out.add(&table::CONFIG, config, true);
    }
    let until = status.bypass.as_ref().map(|it| it.until);
    out.add(&table::BYPASS, [], until.map_or(0.0, seconds));
    for it in &status.from_zero {
        out.add(&table::FROM_ZERO, [&*it.map], seconds(it.since));
    }
    for it in &status.interfaces {
        let vlans = vlans(it.vlans.as_deref(), it.stripped);
        for state in Link::ALL {
            let labels = [&*it.name, vlans, &it.role, state.name()];
            out.add(&table::INTERFACE_STATE, labels, it.state == state);
        }
        let labels = [&*it.name, vlans, &it.role, it.mode.unwrap_or("none")];
        out.add(&table::INTERFACE_INFO, labels, true);
    }
    for it in &status.databases {
        let path = &*text(&it.path);
        out.add(&table::DATABASE, [path, &it.kind, &it.sha256], true);
        out.add(&table::BUILT, [path], seconds(it.built));
        out.add(&table::NETWORKS, [path, "ipv4"], it.networks_v4);
        out.add(&table::NETWORKS, [path, "ipv6"], it.networks_v6);
        out.add(&table::COUNTRIES, [path], it.countries);
    }
    for (name, size) in &status.lists {
        out.add(&table::LIST, [name], size.prefixes);
        out.add(&table::LIST_BYTES, [name], size.bytes);
    }
    for in_force in [true, false] {
        let of_kind = status.memory.iter().filter(|it| it.in_force == in_force);
        let bytes: u64 = of_kind.map(|it| it.bytes).sum();
        let label = if in_force { "true" } else { "false" };
        out.add(&table::MEMORY, [label], bytes);
    }
}

/// What stands for the VLANs of an interface.
fn vlans(vlans: Option<&str>, stripped: bool) -> &str {
    vlans.unwrap_or(if stripped { "stripped" } else { "" })
}

fn counters(counted: &Counted, settings: &Metrics, out: &mut Families) {
    let Counted {
        counters,
        occupancy,
        told,
        runs,
    } = counted;
    for it in &counters.reasons {
        out.add(&table::PACKETS, [it.verdict, it.reason], it.packets);
    }
    for it in &counters.interfaces {
        let vlans = vlans(it.vlans.as_deref(), it.stripped);
        for (verdict, packets) in it.packets.verdicts.named() {
            let labels = [&*it.name, vlans, &it.role, verdict];
            out.add(&table::INTERFACE, labels, packets);
        }
        let labels = [&*it.name, vlans, &it.role];
        out.add(&table::INTERFACE_OVER, labels, it.packets.over_limit);
    }
    for it in &counters.pools {
        for (verdict, packets) in it.packets.verdicts.named() {
            out.add(&table::POOL, [&*it.name, verdict], packets);
        }
        out.add(&table::POOL_OVER, [&*it.name], it.packets.over_limit);
    }
    for it in &counters.relays {
        for (verdict, packets) in it.packets.verdicts.named() {
            out.add(&table::RELAY, [&*it.prefix, verdict], packets);
        }
    }
    for it in &counters.classes {
        for (verdict, packets) in it.packets.verdicts.named() {
            out.add(&table::CLASS, [&*it.name, verdict], packets);
        }
        out.add(&table::CLASS_OVER, [&*it.name], it.packets.over_limit);
    }
    for it in &counters.countries {
        let country = it.country.as_deref().unwrap_or("none");
        out.add(&table::COUNTRY, [country], it.packets);
    }
    outcomes(counters, out);
    sources(&counters.sources, settings, out);
    out.add(&table::EVENTS, [], told.count(Told::Written));
    for cause in [Told::OverRate, Told::NoRoom, Told::Lapsed] {
        out.add(&table::EVENTS_LOST, [cause.name()], told.count(cause));
    }
    for it in occupancy {
        out.add(&table::ENTRIES, [it.map], it.entries);
        out.add(&table::CAPACITY, [it.map], it.capacity);
    }
    if let Ok(Some(Runs { count, time_ns })) = runs {
        out.add(&table::RUNS, [], *count);
        let time = Duration::from_nanos(*time_ns);
        out.add(&table::RUN_SECONDS, [], time.as_secs_f64());
    }
}

/// Tags, answers and limits.
fn outcomes(counters: &Counters, out: &mut Families) {
    for it in &counters.shown {
        out.add(&table::SHOWN, [it.shown], it.packets);
    }
    for it in &counters.answers {
        out.add(&table::ANSWERS, [it.answered], it.packets);
    }
    for it in &counters.unsent {
        out.add(&table::UNSENT, [&*it.interface], it.packets);
    }
    for it in &counters.limits {
        for (outcome, events) in [
            ("within", it.within),
            ("over", it.over),
            ("contended", it.contended),
        ] {
            out.add(&table::LIMIT, [it.limit, outcome], events);
        }
        out.add(&table::MADE, [it.limit], it.made);
        out.add(&table::EVICTED, [it.limit], it.evicted);
    }
}

fn sources(sources: &Sources, settings: &Metrics, out: &mut Families) {
    for it in sources.entries.iter().take(settings.sources.into()) {
        for (verdict, packets) in judged(&it.packets) {
            out.add(&table::SOURCE, [&*it.source, it.role, verdict], packets);
        }
    }
    if sources.counted {
        for (verdict, packets) in judged(&sources.other) {
            out.add(&table::OTHER, [verdict], packets);
        }
    }
    // What is over and not deleted yet can still become `other`'s, or be kept for longer: a counter never falls.
    for (verdict, packets) in judged(&sources.expired.without(&sources.undeleted)) {
        out.add(&table::EXPIRED, [verdict], packets);
    }
    let retention = if sources.counted {
        sources.retention_seconds
    } else {
        0
    };
    out.add(&table::RETENTION, [], retention);
}

/// What has sources: all that could be parsed.
fn judged(verdicts: &Verdicts) -> impl Iterator<Item = (&'static str, u64)> {
    let unparsed = gate_common::Verdict::Unparsed.name();
    let named = verdicts.named().into_iter();
    named.filter(move |(verdict, _)| *verdict != unparsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired(sources: &Sources) -> String {
        let mut out = Families::default();
        super::sources(sources, &Metrics::default(), &mut out);
        let mut families = out.0.into_iter();
        let family = families.find(|it| it.metric.name == table::EXPIRED.name);
        let samples = family.expect("no such metric").samples;
        format!("{samples:?}")
    }

    /// What is over, and then drives out or is kept for longer, was in the map all the time.
    #[test]
    fn what_expired_is_counted_once_it_is_deleted() {
        let refused = |refused| Verdicts {
            refused,
            ..Verdicts::default()
        };
        let mut sources = Sources::of_nobody();
        sources.expired = refused(7);
        let swept = expired(&sources);
        assert!(swept.contains('7'), "{swept}");
        sources.expired = refused(12);
        sources.undeleted = refused(5);
        assert_eq!(expired(&sources), swept);
    }
}
