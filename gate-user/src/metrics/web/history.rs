//! What was judged in the last hour, in steps: verdicts, classes and countries, for the charts.
//!
//! It is read as `gate counters` reads it, lives in the daemon's memory, in a bounded place, and begins with the daemon.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{error::Error, pins::Pins, report::Judged};

/// How long a step is.
pub(super) const STEP: Duration = Duration::from_secs(10);
/// How many are kept: those of an hour.
const STEPS: usize = 360;
/// How many series of a chart have names; the others are added up.
const NAMED: usize = 6;

/// The steps of the last hour.
#[derive(Debug, Default)]
pub(in crate::metrics) struct History {
    /// What was read last; nothing before the first time, and where it could not be read.
    last: Option<Reading>,
    /// When it was first tried.
    tried: Option<Instant>,
    steps: VecDeque<Step>,
}

/// What was read at a moment.
#[derive(Debug)]
struct Reading {
    at: Timestamp,
    /// For lengths.
    instant: Instant,
    judged: Judged,
}

/// What came in a step.
#[derive(Debug, PartialEq)]
struct Step {
    /// When it ended.
    end: Timestamp,
    /// How long it was.
    length: Duration,
    packets: Packets,
}

/// Packets by name; what has none is left out.
type ByName = BTreeMap<String, u64>;

#[derive(Debug, Default, PartialEq)]
struct Packets {
    verdicts: ByName,
    classes: ByName,
    countries: ByName,
}

impl History {
    /// Whether a step is over.
    pub(in crate::metrics) fn is_due(&self) -> bool {
        self.tried.is_none_or(|tried| tried.elapsed() >= STEP)
    }

    /// Ends a step.
    pub(in crate::metrics) fn take(&mut self, pins: &Pins) -> Result<(), Error> {
        self.tried = Some(Instant::now());
        // Where it cannot be read, the next step begins when it can be again: what came meanwhile is in none.
        let last = self.last.take();
        let judged = Judged::read(pins)?;
        self.end(last, Timestamp::now(), Instant::now(), judged);
        Ok(())
    }

    fn end(&mut self, last: Option<Reading>, at: Timestamp, instant: Instant, judged: Judged) {
        if let Some(last) = last {
            if self.steps.len() == STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back(Step {
                end: at,
                length: instant.saturating_duration_since(last.instant),
                packets: Packets::between(&last.judged, &judged),
            });
        }
        self.last = Some(Reading {
            at,
            instant,
            judged,
        });
    }

    /// As a page reads it.
    pub(in crate::metrics) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let chart = |of: fn(&Packets) -> &ByName| {
            let steps: Vec<&ByName> = self.steps.iter().map(|it| of(&it.packets)).collect();
            chart(&steps)
        };
        serde_json::to_vec(&Document {
            step_seconds: STEP.as_secs(),
            since: self.last.as_ref().map(|it| it.at.as_millisecond()),
            ends: self
                .steps
                .iter()
                .map(|it| it.end.as_millisecond())
                .collect(),
            lengths: self.steps.iter().map(|it| it.length.as_millis()).collect(),
            verdicts: chart(|it| &it.verdicts),
            classes: chart(|it| &it.classes),
            countries: chart(|it| &it.countries),
        })
    }
}

/// Series of all steps, in the order of the steps.
#[derive(Serialize)]
struct Document<'a> {
    /// How long a step is meant to be.
    step_seconds: u64,
    /// When the step began that goes on.
    since: Option<i64>,
    /// When each ended, in milliseconds since 1970.
    ends: Vec<i64>,
    /// How long each was, in milliseconds.
    lengths: Vec<u128>,
    verdicts: Vec<Series<'a>>,
    classes: Vec<Series<'a>>,
    countries: Vec<Series<'a>>,
}

/// Packets in each step.
#[derive(Debug, PartialEq, Serialize)]
struct Series<'a> {
    /// Whose; nothing for all others together.
    name: Option<&'a str>,
    packets: Vec<u64>,
}

/// The names with most packets, in the order of names, then the sum of the others if there are any.
fn chart<'a>(steps: &[&'a ByName]) -> Vec<Series<'a>> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, packets) in steps.iter().flat_map(|it| it.iter()) {
        *sums.entry(name).or_default() += packets;
    }
    let mut ranked: Vec<(&str, u64)> = sums.into_iter().collect();
    ranked.sort_by_key(|(_, packets)| std::cmp::Reverse(*packets));
    let (most, others) = ranked.split_at(ranked.len().min(NAMED));
    let series = |names: &[&str]| -> Vec<u64> {
        let of = |step: &&ByName| names.iter().filter_map(|name| step.get(*name)).sum();
        steps.iter().map(of).collect()
    };
    let mut most: Vec<&str> = most.iter().map(|(name, _)| *name).collect();
    most.sort_unstable();
    let mut chart: Vec<Series<'a>> = most
        .iter()
        .map(|name| Series {
            name: Some(name),
            packets: series(&[name]),
        })
        .collect();
    if !others.is_empty() {
        let others: Vec<&str> = others.iter().map(|(name, _)| *name).collect();
        chart.push(Series {
            name: None,
            packets: series(&others),
        });
    }
    chart
}

impl Packets {
    /// What came between two moments. A gate that was loaded anew, and whatever has less than before, began at nothing.
    fn between(before: &Judged, after: &Judged) -> Self {
        let is_anew = before.loaded != after.loaded;
        let since = |before: &ByName, after: &ByName| -> ByName {
            let more = |(name, now): (&String, &u64)| {
                let old = before.get(name).filter(|_| !is_anew).copied().unwrap_or(0);
                let packets = now.checked_sub(old).unwrap_or(*now);
                (packets > 0).then(|| (name.clone(), packets))
            };
            after.iter().filter_map(more).collect()
        };
        Self {
            verdicts: since(&before.verdicts, &after.verdicts),
            classes: since(&before.classes, &after.classes),
            countries: since(&before.countries, &after.countries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(loaded: u32, classes: &[(&str, u64)]) -> Judged {
        Judged {
            loaded,
            verdicts: ByName::new(),
            classes: classes
                .iter()
                .map(|(name, n)| ((*name).to_owned(), *n))
                .collect(),
            countries: ByName::new(),
        }
    }

    fn classes(history: &History) -> Vec<(Option<&str>, Vec<u64>)> {
        let steps: Vec<&ByName> = history.steps.iter().map(|it| &it.packets.classes).collect();
        let series = chart(&steps).into_iter();
        series.map(|it| (it.name, it.packets)).collect()
    }

    fn told(moments: Vec<Option<Judged>>) -> History {
        let mut history = History::default();
        let begin = Instant::now();
        for (number, moment) in (0..).zip(moments) {
            match moment {
                Some(it) => {
                    let last = history.last.take();
                    history.end(last, Timestamp::UNIX_EPOCH, begin + STEP * number, it);
                }
                None => history.last = None,
            }
        }
        history
    }

    #[test]
    fn a_step_has_what_came_in_it() {
        let history = told(vec![
            Some(judged(1, &[("a", 100), ("b", 5)])),
            Some(judged(1, &[("a", 107), ("b", 5)])),
            // Another generation without b, and with c.
            Some(judged(1, &[("a", 108), ("c", 2)])),
            // Loaded anew, with more than before.
            Some(judged(2, &[("a", 200)])),
        ]);
        assert_eq!(
            classes(&history),
            [(Some("a"), vec![7, 1, 200]), (Some("c"), vec![0, 2, 0])]
        );
        assert!(history.steps.iter().all(|it| it.length == STEP));
    }

    #[test]
    fn what_came_while_nothing_could_be_read_is_in_no_step() {
        let history = told(vec![
            Some(judged(1, &[("a", 1)])),
            None,
            Some(judged(1, &[("a", 50)])),
            Some(judged(1, &[("a", 51)])),
        ]);
        assert_eq!(classes(&history), [(Some("a"), vec![1])]);
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let moments = (0..STEPS as u64 + 10).map(|n| Some(judged(1, &[("a", n * n)])));
        let history = told(moments.collect());
        assert_eq!(history.steps.len(), STEPS);
        let last = (STEPS as u64 + 9).pow(2) - (STEPS as u64 + 8).pow(2);
        assert_eq!(classes(&history)[0].1.last(), Some(&last));
    }

    #[test]
    fn what_has_least_is_added_up() {
        let names = ["h", "g", "f", "e", "d", "c", "b", "a"];
        let at = |n: u64| {
            let packets = names.iter().zip(1..).map(|(name, i)| (*name, i * n));
            Some(judged(1, &packets.collect::<Vec<_>>()))
        };
        let history = told(vec![at(0), at(1), at(3)]);
        let found = classes(&history);
        let order: Vec<_> = found.iter().map(|it| it.0).collect();
        let expected = ["a", "b", "c", "d", "e", "f"].map(Some);
        assert_eq!(
            order,
            expected.into_iter().chain([None]).collect::<Vec<_>>()
        );
        // g and h.
        assert_eq!(found.last().unwrap().1, [3, 6]);
    }
}
