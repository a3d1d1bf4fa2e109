//! Two moments, as rows of totals and rates.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::sample::Sample;
use crate::report::{Counters, State, Verdicts};

/// What there is to show.
pub(super) struct Rates {
    pub(super) at: Timestamp,
    pub(super) state: Option<State>,
    pub(super) generation: Option<u32>,
    /// What is wrong, the gate's words.
    pub(super) problems: Vec<String>,
    /// Every packet that was judged.
    pub(super) all: Row,
    pub(super) lists: Vec<List>,
    /// Whether the configuration has sources counted.
    pub(super) sources_counted: bool,
    /// What the licences ask for, where countries are shown.
    pub(super) attribution: Vec<String>,
}

/// Rows of one kind, those with most packets a second first, then those with most packets.
pub(super) struct List {
    pub(super) kind: Kind,
    pub(super) rows: Vec<Row>,
}

/// What a list is about, in the order of the keys that choose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sources,
    Countries,
    Classes,
    Pools,
    Interfaces,
    Reasons,
}

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Sources,
        Self::Countries,
        Self::Classes,
        Self::Pools,
        Self::Interfaces,
        Self::Reasons,
    ];

    /// The word of `gate counters`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Countries => "countries",
            Self::Classes => "classes",
            Self::Pools => "pools",
            Self::Interfaces => "interfaces",
            Self::Reasons => "reasons",
        }
    }
}

/// An object and its packets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) packets: Verdicts,
    /// The same in a second; nothing where no two moments are known.
    pub(super) rate: Option<Rate>,
}

/// Packets in a second, by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate([f64; 5]);

impl Rate {
    /// In the order of [`Verdicts::named`].
    pub(super) const fn by_verdict(self) -> [f64; 5] {
        self.0
    }

    pub(super) fn all(self) -> f64 {
        self.0.iter().sum()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "shown with three digits, and a difference of counters is far below 2^53"
    )]
    fn between(before: &Verdicts, after: &Verdicts, elapsed: Duration) -> Self {
        let [before, after] = [before, after].map(|it| it.named().map(|(_, packets)| packets));
        let mut rate = [0.0; 5];
        for ((rate, before), after) in rate.iter_mut().zip(before).zip(after) {
            // A gate that was loaded anew counts from zero.
            let packets = after.checked_sub(before).unwrap_or(after);
            *rate = packets as f64 / elapsed.as_secs_f64();
        }
        Self(rate)
    }
}

impl Rates {
    /// What the first moment says: totals, and no rates.
    pub(super) fn first(sample: &Sample) -> Self {
        Self::of(sample, None)
    }

    /// What the second of two moments says, with what changed since the first.
    pub(super) fn between(before: &Sample, after: &Sample) -> Self {
        let elapsed = after.instant.saturating_duration_since(before.instant);
        let known = before.counters.as_ref().ok();
        let known = known.filter(|_| elapsed > Duration::ZERO);
        Self::of(after, known.map(|counters| (counters, elapsed)))
    }

    fn of(sample: &Sample, before: Option<(&Counters, Duration)>) -> Self {
        let mut problems = Vec::new();
        let (state, generation) = match &sample.status {
            Ok(status) => {
                problems.extend(status.problems.iter().cloned());
                let generation = status.generation.as_ref();
                (Some(status.state), generation.map(|it| it.number))
            }
            Err(why) => {
                problems.push(why.clone());
                (None, None)
            }
        };
        let counters = sample.counters.as_ref();
        if let Err(why) = counters
            && !problems.contains(why)
        {
            problems.push(why.clone());
        }
        let counters = counters.ok();
        let lists = Kind::ALL.map(|kind| {
            let rows = counters.map(|it| rows(it, kind)).unwrap_or_default();
            let old = before.map(|(it, elapsed)| (rows_by_name(it, kind), elapsed));
            List {
                kind,
                rows: sorted(rows, old.as_ref()),
            }
        });
        let all = counters.map(|it| Row {
            name: "all".to_owned(),
            packets: it.verdicts,
            rate: before.map(|(old, elapsed)| Rate::between(&old.verdicts, &it.verdicts, elapsed)),
        });
        Self {
            at: sample.at,
            state,
            generation,
            problems,
            all: all.unwrap_or_default(),
            lists: lists.into(),
            sources_counted: counters.is_none_or(|it| it.sources.counted),
            attribution: counters
                .map(|it| it.attribution.clone())
                .unwrap_or_default(),
        }
    }
}

/// The rows of a list, as `gate counters` has them.
fn rows(counters: &Counters, kind: Kind) -> Vec<(String, Verdicts)> {
    match kind {
        Kind::Sources => {
            let sources = counters.sources.entries.iter();
            sources.map(|it| (it.source.clone(), it.packets)).collect()
        }
        Kind::Countries => {
            let countries = counters.countries.iter();
            let row = |it: &crate::report::ByCountry| {
                let tagged = Verdicts {
                    tagged: it.packets,
                    ..Verdicts::default()
                };
                (it.country.clone().unwrap_or_else(|| "-".to_owned()), tagged)
            };
            countries.map(row).collect()
        }
        Kind::Classes => {
            let classes = counters.classes.iter();
            classes
                .map(|it| (it.name.clone(), it.packets.verdicts))
                .collect()
        }
        Kind::Pools => {
            let pools = counters.pools.iter();
            pools
                .map(|it| (it.name.clone(), it.packets.verdicts))
                .collect()
        }
        Kind::Interfaces => {
            let interfaces = counters.interfaces.iter();
            interfaces
                .map(|it| (it.label.clone(), it.packets.verdicts))
                .collect()
        }
        Kind::Reasons => {
            let mut by_reason: Vec<(String, Verdicts)> = Vec::new();
            for it in &counters.reasons {
                let name = it.reason.to_owned();
                let at = by_reason.iter().position(|(known, _)| *known == name);
                let at = at.unwrap_or_else(|| {
                    by_reason.push((name, Verdicts::default()));
                    by_reason.len() - 1
                });
                if let Some((_, verdicts)) = by_reason.get_mut(at) {
                    verdicts.count(it.verdict, it.packets);
                }
            }
            by_reason
        }
    }
}

fn rows_by_name(counters: &Counters, kind: Kind) -> HashMap<String, Verdicts> {
    rows(counters, kind).into_iter().collect()
}

fn sorted(
    rows: Vec<(String, Verdicts)>,
    before: Option<&(HashMap<String, Verdicts>, Duration)>,
) -> Vec<Row> {
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|(name, packets)| {
            // What was not there had no packets.
            let rate = before.map(|(known, elapsed)| {
                let old = known.get(&name).copied().unwrap_or_default();
                Rate::between(&old, &packets, *elapsed)
            });
            Row {
                name,
                packets,
                rate,
            }
        })
        .collect();
    let speed = |row: &Row| row.rate.map_or(0.0, Rate::all);
    rows.sort_by(|a, b| {
        let faster = speed(b).total_cmp(&speed(a));
        let larger = || b.packets.all().cmp(&a.packets.all());
        faster.then_with(larger).then_with(|| a.name.cmp(&b.name))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(packets: u64) -> Verdicts {
        Verdicts {
            refused: packets,
            ..Verdicts::default()
        }
    }

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let two = Duration::from_secs(2);
        let rate = Rate::between(&refused(10), &refused(16), two);
        let exact = |rate: Rate| rate.by_verdict().map(f64::to_bits);
        assert_eq!(exact(rate), [0.0, 3.0, 0.0, 0.0, 0.0].map(f64::to_bits));
        // Loaded anew in between.
        let anew = Rate::between(&refused(10), &refused(4), two);
        assert_eq!(exact(anew), [0.0, 2.0, 0.0, 0.0, 0.0].map(f64::to_bits));
    }

    #[test]
    fn the_busiest_come_first_and_those_that_are_new_had_nothing() {
        let rows = vec![
            ("quiet".to_owned(), refused(900)),
            ("busy".to_owned(), refused(50)),
            ("new".to_owned(), refused(7)),
            ("also-quiet".to_owned(), refused(900)),
        ];
        let before = HashMap::from([
            ("quiet".to_owned(), refused(900)),
            ("also-quiet".to_owned(), refused(900)),
            ("busy".to_owned(), refused(10)),
        ]);
        let found = sorted(rows, Some(&(before, Duration::from_secs(1))));
        let found: Vec<_> = found
            .iter()
            .map(|row| (&*row.name, row.rate.map(Rate::all)))
            .collect();
        assert_eq!(
            found,
            [
                ("busy", Some(40.0)),
                ("new", Some(7.0)),
                ("also-quiet", Some(0.0)),
                ("quiet", Some(0.0))
            ]
        );
    }
}
