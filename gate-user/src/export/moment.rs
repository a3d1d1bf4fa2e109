//! The counters at one moment, as rows.

use std::collections::BTreeSet;

use gate_common::{
    Addr, Role,
    decide::{Tables as _, classify, rule_in_force},
};
use ipnet::IpNet;
use jiff::Timestamp;

use super::row::{ByVerdict, Kind, Row};
use crate::{
    error::Error,
    filter::UNKNOWN_COUNTRY,
    kernel::{self, Maps},
    pins::Pins,
    report::{Counters, Verdicts},
    sys::Access,
    view::{self, View},
};

/// What was read at one moment.
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) instant: std::time::Instant,
    pub(super) generation: u32,
    /// The kernel's number for the map of totals: another one begins at nothing.
    pub(super) loaded: u32,
    pub(super) rows: Vec<Row>,
    /// All packets that have a source, of those in no row as well.
    pub(super) judged: Verdicts,
    /// Whether the configuration has sources counted.
    pub(super) counts_sources: bool,
    /// What the licences of the databases ask for.
    pub(super) attribution: Vec<String>,
}

/// Reads moments; the tables in force only when they are others.
pub(super) struct Reader<'a> {
    pins: &'a Pins,
    kinds: &'a BTreeSet<Kind>,
    view: Option<View>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(pins: &'a Pins, kinds: &'a BTreeSet<Kind>) -> Self {
        Self {
            pins,
            kinds,
            view: None,
        }
    }

    pub(super) fn read(&mut self) -> Result<Moment, Error> {
        let manifest = view::with_current(self.pins, |directory| Ok(kernel::manifest(directory)?))?;
        let maps = Maps::open(self.pins, Access::Read)?;
        let counters = Counters::read(&maps, &manifest, self.pins)?;
        let (instant, at) = (std::time::Instant::now(), Timestamp::now());
        let mut rows = Vec::new();
        for kind in self.kinds {
            if *kind == Kind::Sources {
                rows.extend(self.sources(&counters, at)?);
            } else {
                objects(&counters, *kind, &mut rows);
            }
        }
        let sources = &counters.sources;
        let mut judged = sources.expired;
        judged.join(&sources.other);
        for it in &sources.entries {
            judged.join(&it.packets);
        }
        Ok(Moment {
            at,
            instant,
            generation: counters.generation,
            loaded: maps.totals_id(),
            rows,
            judged,
            counts_sources: sources.counted,
            attribution: counters.attribution,
        })
    }

    /// The sources, with what the generation in force makes of the first address of each.
    fn sources(&mut self, counters: &Counters, at: Timestamp) -> Result<Vec<Row>, Error> {
        let known = self.view.take();
        let known = known.filter(|it| it.manifest.number == counters.generation);
        let view = match known {
            Some(view) => view,
            None => View::loaded(self.pins)?,
        };
        let view = self.view.insert(view);
        let now_ns = u64::try_from(at.as_nanosecond()).unwrap_or(0);
        let entries = counters.sources.entries.iter();
        let rows = entries.map(|it| {
            let mut row = Row {
                role: Some(it.role.to_owned()),
                prefix: Some(it.source.clone()),
                over_limit: it.over_limit,
                first_seen: Some(it.first_seen),
                last_seen: Some(it.last_seen),
                began_ns: it.began_ns,
                ..Row::counted(Kind::Sources, it.source.clone(), &it.packets)
            };
            if let Ok(net) = it.source.parse::<IpNet>() {
                let addr = Addr::from(net.addr());
                if it.role == Role::Access.name() {
                    row.pool = pool(view, addr, now_ns);
                } else {
                    (row.class, row.country) = class(view, addr);
                }
            }
            row
        });
        Ok(rows.collect())
    }
}

fn pool(view: &View, addr: Addr, now_ns: u64) -> Option<String> {
    let rule = rule_in_force(addr, view, now_ns)?;
    let mut pools = view.manifest.pools.iter();
    let pool = pools.find(|it| it.counter == rule.pool_counter)?;
    Some(pool.name.clone())
}

fn class(view: &View, addr: Addr) -> (Option<String>, Option<String>) {
    let Some(found) = view
        .settings()
        .map(|settings| classify(addr, settings, view))
    else {
        return (None, None);
    };
    let class = view.manifest.classes.get(usize::from(found.class));
    let country = found.country.code().map(|code| code.to_string());
    (class.map(|it| it.name.clone()), country)
}

/// Packets of sources that are in no row: those whose time was over, and those that have no entry.
pub(super) fn without_entry(counters: &Moment) -> Option<Row> {
    let mut left = [0; 5];
    let named = counters.judged.named();
    for (left, (_, packets)) in left.iter_mut().zip(named) {
        *left = packets;
    }
    let sources = counters
        .rows
        .iter()
        .filter(|it| it.kind == Some(Kind::Sources));
    for row in sources {
        for (left, packets) in left.iter_mut().zip(row.by_verdict.each()) {
            *left = left.saturating_sub(packets.unwrap_or(0));
        }
    }
    rest(left)
}

/// A row of what no source is known of, if there is any.
pub(super) fn rest(packets: [u64; 5]) -> Option<Row> {
    let all: u64 = packets.iter().sum();
    (all > 0).then(|| Row {
        packets: Some(all),
        by_verdict: ByVerdict::of(packets.map(Some)),
        ..Row::new(Kind::Sources, REST)
    })
}

/// The name of that row: no source is called so.
pub(super) const REST: &str = "rest";

/// The rows of a kind; none of sources, which take a look at tables.
pub(crate) fn rows(counters: &Counters, kind: Kind) -> Vec<Row> {
    let mut rows = Vec::new();
    objects(counters, kind, &mut rows);
    rows
}

fn objects(counters: &Counters, kind: Kind, rows: &mut Vec<Row>) {
    match kind {
        Kind::All => rows.push(Row::counted(kind, "all", &counters.verdicts)),
        Kind::Reasons => {
            for it in &counters.reasons {
                let mut verdicts = Verdicts::default();
                verdicts.count(it.verdict, it.packets);
                let known = rows
                    .iter_mut()
                    .find(|row| row.kind == Some(kind) && row.name == it.reason);
                let row = Row::counted(kind, it.reason, &verdicts);
                match known {
                    Some(known) => known.add(&row),
                    None => rows.push(row),
                }
            }
        }
        Kind::Interfaces => rows.extend(counters.interfaces.iter().map(|it| Row {
            role: Some(it.role.clone()),
            interface: Some(it.name.clone()),
            over_limit: Some(it.packets.over_limit),
            ..Row::counted(kind, it.label.clone(), &it.packets.verdicts)
        })),
        Kind::Pools => rows.extend(counters.pools.iter().map(|it| Row {
            pool: Some(it.name.clone()),
            over_limit: Some(it.packets.over_limit),
            ..Row::counted(kind, it.name.clone(), &it.packets.verdicts)
        })),
        Kind::Prefixes => rows.extend(counters.prefixes.iter().map(|it| Row {
            pool: Some(it.pool.clone()),
            prefix: Some(it.prefix.clone()),
            over_limit: Some(it.packets.over_limit),
            ..Row::counted(kind, it.prefix.clone(), &it.packets.verdicts)
        })),
        Kind::Relays => rows.extend(counters.relays.iter().map(|it| Row {
            prefix: Some(it.prefix.clone()),
            over_limit: Some(it.packets.over_limit),
            ..Row::counted(kind, it.prefix.clone(), &it.packets.verdicts)
        })),
        Kind::Classes => rows.extend(counters.classes.iter().map(|it| Row {
            class: Some(it.name.clone()),
            over_limit: Some(it.packets.over_limit),
            ..Row::counted(kind, it.name.clone(), &it.packets.verdicts)
        })),
        Kind::Countries => rows.extend(counters.countries.iter().map(|it| {
            let name = it
                .country
                .clone()
                .unwrap_or_else(|| UNKNOWN_COUNTRY.to_owned());
            Row {
                country: it.country.clone(),
                by_verdict: ByVerdict {
                    tagged: Some(it.packets),
                    ..ByVerdict::default()
                },
                ..Row::number(kind, name, it.packets)
            }
        })),
        Kind::Shown => {
            let shown = counters.shown.iter();
            rows.extend(shown.map(|it| Row::number(kind, it.shown, it.packets)));
        }
        Kind::Answers => {
            let answers = counters.answers.iter();
            rows.extend(answers.map(|it| Row::number(kind, it.answered, it.packets)));
        }
        Kind::Unsent => rows.extend(counters.unsent.iter().map(|it| Row {
            interface: Some(it.interface.clone()),
            ..Row::number(kind, it.interface.clone(), it.packets)
        })),
        Kind::Limits => {
            for it in &counters.limits {
                for (what, events) in [
                    ("within", it.within),
                    ("over", it.over),
                    ("contended", it.contended),
                    ("made", it.made),
                    ("evicted", it.evicted),
                ] {
                    rows.push(Row::number(kind, format!("{} {what}", it.limit), events));
                }
            }
        }
        Kind::Sources | Kind::Note => {}
    }
}

impl Row {
    fn add(&mut self, other: &Self) {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a.unwrap_or(0) + b.unwrap_or(0));
        self.packets = sum(self.packets, other.packets);
        let (mine, theirs) = (self.by_verdict.each(), other.by_verdict.each());
        let mut both = mine;
        for (both, theirs) in both.iter_mut().zip(theirs) {
            *both = sum(*both, theirs);
        }
        self.by_verdict = ByVerdict::of(both);
    }
}
