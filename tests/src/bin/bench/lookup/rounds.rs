//! All cases and subjects in turn, round after round, so that whatever else the machine does meets all alike.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use gate_tests::interrupt;
use gate_user::table::Family;

use super::{
    addresses::Set,
    case::{Case, Regime, Subject},
    kernel::{Kernel, Loaded, Outcome, Run},
};
use crate::{figure::Figure, suite::progress};

/// Fewer rounds have no median to speak of.
const FEWEST: u32 = 3;
/// What is less than this apart from the floor cannot be told from it.
const RESOLUTION_NS: f64 = 0.1;

/// A list in the kernel, and the addresses to look up in it.
pub(crate) struct Bench {
    pub(crate) kernel: Kernel,
    pub(crate) sets: Vec<(Family, Set, Loaded)>,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) rounds: u32,
    /// On a busy machine: no further round is begun that would end later than this, after the first three.
    pub(crate) patience: Duration,
    /// Look-ups of a warm case a round, a multiple of [`BATCH`](crate::layout::BATCH).
    pub(crate) warm: u32,
    /// Look-ups of a rare case a round.
    pub(crate) rare: u32,
}

/// Times of each look-up in ns, one a round.
pub(crate) struct Measured {
    pub(crate) case: Case,
    times: BTreeMap<Subject, Vec<f64>>,
}

/// Measures all cases.
pub(crate) fn measure(
    benches: &mut [Bench],
    cases: Vec<Case>,
    effort: Effort,
) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = cases
        .into_iter()
        .map(|case| Measured {
            case,
            times: BTreeMap::new(),
        })
        .collect();
    let start = Instant::now();
    for round in 0..effort.rounds {
        // As long as those before, on average.
        let end = start.elapsed() / round.max(1) * (round + 1);
        if round >= FEWEST && end > effort.patience {
            break;
        }
        progress(&format!("round {} of {}", round + 1, effort.rounds));
        for Measured { case, times } in &mut measured {
            // Who comes first finds the caches as another left them: each does in turn.
            let shift = round as usize % case.subjects.len();
            for subject in case
                .subjects
                .iter()
                .cycle()
                .skip(shift)
                .take(case.subjects.len())
            {
                interrupt::check()?;
                let time = once(benches, case, *subject, effort, round)?;
                times.entry(*subject).or_default().push(time);
            }
        }
    }
    Ok(measured)
}

fn once(
    benches: &mut [Bench],
    case: &Case,
    subject: Subject,
    effort: Effort,
    round: u32,
) -> Result<f64> {
    let found = benches.get_mut(case.list).and_then(|bench| {
        let set = bench.sets.get(case.set)?;
        Some((&mut bench.kernel, set))
    });
    let Some((kernel, (family, set, loaded))) = found else {
        anyhow::bail!("{} names a list or a set that is not there", case.name);
    };
    let count = match case.regime {
        Regime::Latency | Regime::Throughput => effort.warm,
        Regime::Rare => effort.rare,
    };
    let first = round.wrapping_mul(count);
    let Outcome { ns, sum } = kernel.run(Run {
        program: (subject, *family, case.regime),
        set: *loaded,
        size: case.size,
        first,
        count,
    })?;
    let expected = match subject {
        Subject::Floor => set.floor_sum(first, count, case.size),
        Subject::Table | Subject::Lpm | Subject::LpmOrtc | Subject::LpmSlotted => {
            set.sum(first, count, case.size)
        }
    };
    ensure!(
        sum == expected,
        "{}: the answers of {} add up to {sum} and should to {expected}: no figure of this run counts",
        case.name,
        subject.name()
    );
    Ok(ns)
}

impl Measured {
    /// How many rounds there were.
    pub(crate) fn rounds(&self) -> usize {
        self.times.values().map(Vec::len).min().unwrap_or_default()
    }

    /// Times without the floor's.
    pub(crate) fn net(&self, subject: Subject) -> Vec<f64> {
        self.pairs(subject, Subject::Floor)
            .map(|(time, floor)| (time - floor).max(RESOLUTION_NS))
            .collect()
    }

    /// How many times as long `subject` takes as the table, round by round; `None` for a round in which the table cannot
    /// be told from the floor, which says nothing of how many times that is.
    fn ratio(&self, subject: Subject) -> impl Iterator<Item = Option<f64>> {
        let ours = self.net(Subject::Table);
        let theirs = self.net(subject);
        theirs
            .into_iter()
            .zip(ours)
            .map(|(theirs, ours)| (ours > RESOLUTION_NS).then_some(theirs / ours))
    }

    /// How many rounds are in no ratio.
    pub(crate) fn left_out(&self) -> usize {
        let tries = Subject::TRIES.into_iter();
        tries
            .map(|trie| self.ratio(trie).filter(Option::is_none).count())
            .max()
            .unwrap_or_default()
    }

    fn pairs(&self, one: Subject, other: Subject) -> impl Iterator<Item = (f64, f64)> {
        let of = |subject| {
            self.times
                .get(&subject)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        of(one).iter().copied().zip(of(other).iter().copied())
    }

    /// The figures of this case: the floor's time, the others' without it, and ratios.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |subject: String, what, values: &[f64]| {
            Figure::of(super::NAME, (&self.case.name, subject), what, values)
        };
        let times = self
            .times
            .iter()
            .filter_map(|(subject, times)| match subject {
                Subject::Floor => figure(subject.name().to_owned(), TIME, times),
                Subject::Table | Subject::Lpm | Subject::LpmOrtc | Subject::LpmSlotted => {
                    figure(subject.name().to_owned(), TIME, &self.net(*subject))
                }
            });
        let ratios = Subject::TRIES.into_iter().filter_map(|it| {
            let values: Vec<f64> = self.ratio(it).flatten().collect();
            figure(ratio_of(it), (RATIO, "x"), &values)
        });
        times.chain(ratios).collect()
    }
}

/// The metric of a look-up.
pub(crate) const TIME: (&str, &str) = ("time", "ns");

/// The metric of how many times as long a trie takes as the table.
pub(crate) const RATIO: &str = "ratio";

/// The metric of how many times as long a look-up takes in the longest list as in the shortest.
pub(crate) const GROWTH: &str = "growth";

/// The subject of a [`RATIO`].
pub(crate) fn ratio_of(trie: Subject) -> String {
    format!("{}/table", trie.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(times: [(Subject, [f64; 3]); 3]) -> Measured {
        Measured {
            case: Case {
                list: 0,
                set: 0,
                size: 1 << 20,
                regime: Regime::Latency,
                name: "v4/run/1m/latency".to_owned(),
                subjects: &Subject::ALL,
            },
            times: times
                .map(|(subject, times)| (subject, times.to_vec()))
                .into(),
        }
    }

    #[test]
    fn the_floor_is_taken_off_in_each_round() {
        let measured = measured([
            (Subject::Floor, [1.0, 2.0, 3.0]),
            (Subject::Table, [11.0, 22.0, 3.0]),
            (Subject::Lpm, [101.0, 202.0, 5.0]),
        ]);
        assert_eq!(measured.net(Subject::Table), [10.0, 20.0, RESOLUTION_NS]);
        let ratio: Vec<_> = measured.ratio(Subject::Lpm).collect();
        assert_eq!(ratio, [Some(10.0), Some(10.0), None]);
        assert_eq!(measured.left_out(), 1);
        let figures = measured.figures();
        let shown: Vec<(&str, &str, f64)> = figures
            .iter()
            .map(|it| (it.subject.as_str(), it.metric, it.spread.median))
            .collect();
        assert_eq!(
            shown,
            [
                ("floor", "time", 2.0),
                ("table", "time", 10.0),
                ("lpm", "time", 100.0),
                ("lpm/table", "ratio", 10.0)
            ]
        );
    }
}
