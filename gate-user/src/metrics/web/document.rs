//! What the page shows of now: the state of `gate status`, and rows of `gate counters`.
//!
//! It is bounded, whatever the configuration has, and it has no address of a subscriber or of a remote host unless the configuration has sources shown.

use std::path::PathBuf;

use gate_common::abi::ABI_VERSION;
use jiff::Timestamp;
use serde::Serialize;

use super::redact::without_addresses;
use crate::{
    config::Metrics,
    control::{Brief, Tally},
    events::Heard,
    export::{Kind, rows},
    report::{Counters, Status, Verdicts},
};

/// How many rows of a kind there are at most.
const ROWS: usize = 20;
/// How many of the other lists.
const LINES: usize = 64;

/// Kinds of rows, in the order of the page. Prefixes and sources are those of persons.
const KINDS: [Kind; 11] = [
    Kind::All,
    Kind::Pools,
    Kind::Reasons,
    Kind::Classes,
    Kind::Countries,
    Kind::Relays,
    Kind::Interfaces,
    Kind::Answers,
    Kind::Unsent,
    Kind::Shown,
    Kind::Limits,
];

/// Everything that the page shows of now.
#[derive(Debug, Serialize)]
pub(in crate::metrics) struct Document {
    at: Timestamp,
    /// When the daemon began.
    since: Timestamp,
    version: &'static str,
    abi: u32,
    /// How many sources are shown at most.
    sources: u16,
    /// Nothing if it cannot be told.
    state: Option<&'static str>,
    problems: Vec<String>,
    generation: Option<Generation>,
    /// The last reloads, the last one first.
    reloads: Vec<Brief>,
    /// What is only observed.
    observed: Vec<String>,
    /// Since when somebody listens to events, and what was not told.
    listening: Option<String>,
    interfaces: Vec<Interface>,
    databases: Vec<Database>,
    /// The names of the verdicts, in the order of [`Row::verdicts`].
    verdicts: [&'static str; 5],
    tables: Vec<Table>,
    attribution: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Generation {
    number: u32,
    loaded_at: Timestamp,
    config: PathBuf,
    config_sha256: String,
    previous: Option<u32>,
    confirm_until: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    role: String,
    state: &'static str,
    mode: Option<&'static str>,
    wanted: String,
}

#[derive(Debug, Serialize)]
struct Database {
    path: PathBuf,
    #[serde(rename = "type")]
    kind: String,
    built: Timestamp,
    countries: usize,
}

/// Rows of a kind, those with most packets first.
#[derive(Debug, Serialize)]
struct Table {
    kind: &'static str,
    rows: Vec<Row>,
    /// How many there are beside these.
    left_out: usize,
}

/// An object and its packets.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    name: String,
    /// Of a source, where it arrives.
    role: Option<&'static str>,
    packets: u64,
    /// In the order of the verdicts; nothing where they are not counted by that.
    verdicts: [Option<u64>; 5],
    over_limit: Option<u64>,
}

/// What there is to show of the state.
pub(in crate::metrics) struct Known<'a> {
    /// When the daemon began.
    pub(in crate::metrics) since: Timestamp,
    /// The state, or why it cannot be told.
    pub(in crate::metrics) status: Result<&'a Status, String>,
    /// What is counted; nothing if it cannot be read, or nothing is loaded.
    pub(in crate::metrics) counters: Option<&'a Counters>,
    /// The reloads of the daemon.
    pub(in crate::metrics) reloads: &'a Tally,
}

impl Document {
    /// What is known, as far as `settings` allow.
    pub(in crate::metrics) fn new(known: &Known<'_>, settings: &Metrics) -> Self {
        let shown = |text: &str| {
            if settings.sources > 0 {
                text.to_owned()
            } else {
                without_addresses(text)
            }
        };
        let status = known.status.as_ref().ok().copied();
        let problems = match &known.status {
            Ok(status) => status.problems.iter().map(|it| shown(it)).collect(),
            Err(why) => vec![shown(why)],
        };
        let reloads = known.reloads.recent.iter().rev();
        let reloads = reloads.map(|it| Brief {
            why: it.why.as_deref().map(shown),
            ..it.clone()
        });
        Self {
            at: Timestamp::now(),
            since: known.since,
            version: env!("CARGO_PKG_VERSION"),
            abi: ABI_VERSION,
            sources: settings.sources,
            state: status.map(|it| it.state.name()),
            problems,
            generation: status.and_then(generation),
            reloads: reloads.collect(),
            observed: status.map(observed).unwrap_or_default(),
            listening: status.and_then(|it| it.listening.as_ref().map(Heard::unnamed)),
            interfaces: status.map(interfaces).unwrap_or_default(),
            databases: status.map(databases).unwrap_or_default(),
            verdicts: Verdicts::default().named().map(|(name, _)| name),
            tables: known
                .counters
                .map_or_else(Vec::new, |it| tables(it, settings)),
            attribution: status.map_or_else(Vec::new, |it| it.attribution.clone()),
        }
    }
}

fn generation(status: &Status) -> Option<Generation> {
    status.generation.as_ref().map(|it| Generation {
        number: it.number,
        loaded_at: it.loaded_at,
        config: it.config.clone(),
        config_sha256: it.config_sha256.clone(),
        previous: it.previous,
        confirm_until: it.confirm_until,
    })
}

fn observed(status: &Status) -> Vec<String> {
    let lines = status.observed.iter().take(LINES);
    lines.map(ToString::to_string).collect()
}

fn interfaces(status: &Status) -> Vec<Interface> {
    let interfaces = status.interfaces.iter().take(LINES);
    interfaces
        .map(|it| Interface {
            name: it.label.clone(),
            role: it.role.clone(),
            state: it.state.name(),
            mode: it.mode,
            wanted: it.wanted.clone(),
        })
        .collect()
}

fn databases(status: &Status) -> Vec<Database> {
    let databases = status.databases.iter().take(LINES);
    databases
        .map(|it| Database {
            path: it.path.clone(),
            kind: it.kind.clone(),
            built: it.built,
            countries: it.countries,
        })
        .collect()
}

fn tables(counters: &Counters, settings: &Metrics) -> Vec<Table> {
    let of_kind = |kind: &Kind| {
        let rows = rows(counters, *kind).into_iter();
        let rows = rows.map(|it| Row {
            name: it.name.clone(),
            role: None,
            packets: it.packets.unwrap_or(0),
            verdicts: it.by_verdict.each(),
            over_limit: it.over_limit,
        });
        // Of these, most never come up.
        let rows = rows.filter(|it| it.packets > 0 || !matches!(kind, Kind::Unsent | Kind::Limits));
        table(kind.name(), rows.collect(), ROWS)
    };
    let mut tables: Vec<Table> = KINDS.iter().map(of_kind).collect();
    if settings.sources > 0 {
        tables.push(of_kind(&Kind::Prefixes));
        let sources = counters.sources.entries.iter().map(|it| Row {
            name: it.source.clone(),
            role: Some(it.role),
            packets: it.packets.all(),
            verdicts: it.packets.named().map(|(_, packets)| Some(packets)),
            over_limit: it.over_limit,
        });
        let most = settings.sources.into();
        tables.push(table(Kind::Sources.name(), sources.collect(), most));
    }
    tables
}

fn table(kind: &'static str, mut rows: Vec<Row>, most: usize) -> Table {
    rows.sort_by_key(|it| std::cmp::Reverse(it.packets));
    let left_out = rows.len().saturating_sub(most);
    rows.truncate(most);
    Table {
        kind,
        rows,
        left_out,
    }
}
