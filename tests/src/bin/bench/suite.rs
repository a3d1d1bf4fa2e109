//! What a suite is told, what it hands back, and how it takes turns.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;
use gate_tests::interrupt;

use crate::{figure::Figure, plot::Plot, target::Outcome};

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    /// Fewer rounds, with more scatter.
    pub(crate) quick: bool,
    /// Only the cases whose names contain one of these; all, if there are none.
    pub(crate) only: Vec<String>,
}

impl Setting {
    /// Whether a case is among those asked for.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part))
    }

    /// `full`, or `quick` where that is enough.
    pub(crate) fn either<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// A suite.
pub(crate) struct Suite {
    /// By which figures, files and the command line name it.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Setting) -> Result<Section>,
}

/// What a suite hands back: a section of the report.
#[derive(Default)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What is measured and how, in paragraphs of Markdown.
    pub(crate) method: Vec<String>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) plots: Vec<Plot>,
    pub(crate) rule_sets: Vec<RuleSet>,
    /// Who or what is not in the figures, and why: a peer that is not installed, a round that was left out.
    pub(crate) absent: Vec<String>,
}

/// How a subject was set up, so that anybody can repeat it or find fault with it.
#[derive(Clone, Debug)]
pub(crate) struct RuleSet {
    pub(crate) subject: String,
    /// Commands, configuration, rules: as they were given.
    pub(crate) text: String,
}

/// Fewer rounds have no median to speak of.
const FEWEST: u32 = 3;

/// How often everything is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) most: u32,
    /// On a busy machine: no further round is begun that would end later than this, after the first three.
    pub(crate) patience: Duration,
}

/// Measures every subject once a round, round after round, so that whatever else the machine does meets all alike. Who comes first in a
/// round does so in turn, since the first finds the caches as another left them. One list of values for each subject, one value a round.
pub(crate) fn interleaved<S, V>(
    subjects: &mut [S],
    Rounds { most, patience }: Rounds,
    mut measure: impl FnMut(&mut S, u32) -> Result<V>,
) -> Result<Vec<Vec<V>>> {
    let mut values: Vec<Vec<V>> = subjects.iter().map(|_| Vec::new()).collect();
    let count = subjects.len();
    let start = Instant::now();
    for round in 0..most {
        // As long as those before, on average.
        let end = start.elapsed() / round.max(1) * (round + 1);
        if round >= FEWEST && end > patience {
            break;
        }
        for turn in 0..count {
            let place = (turn + round as usize) % count;
            if let (Some(subject), Some(values)) = (subjects.get_mut(place), values.get_mut(place))
            {
                interrupt::check()?;
                values.push(measure(subject, round)?);
            }
        }
    }
    Ok(values)
}

/// `one / other`, round by round.
pub(crate) fn ratios(one: &[f64], other: &[f64]) -> Vec<f64> {
    one.iter()
        .zip(other)
        .map(|(one, other)| one / other)
        .collect()
}

/// A sign of life, apart from the results.
pub(crate) fn progress(text: &str) {
    // It is worth no failure.
    let _ = writeln!(io::stderr(), "bench: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_first_in_turn() {
        let mut order = Vec::new();
        let rounds = Rounds {
            most: 3,
            patience: Duration::MAX,
        };
        let values = interleaved(&mut ['a', 'b', 'c'], rounds, |subject, round| {
            order.push(*subject);
            Ok((*subject, round))
        })
        .unwrap();
        assert_eq!(order, ['a', 'b', 'c', 'b', 'c', 'a', 'c', 'a', 'b']);
        assert_eq!(values[1], [('b', 0), ('b', 1), ('b', 2)]);
    }

    #[test]
    fn three_rounds_are_the_least() {
        let rounds = Rounds {
            most: 9,
            patience: Duration::ZERO,
        };
        let values = interleaved(&mut [()], rounds, |(), round| Ok(round)).unwrap();
        assert_eq!(values, [[0, 1, 2]]);
    }

    #[test]
    fn only_what_is_asked_for() {
        let setting = |only: &[&str]| Setting {
            quick: false,
            only: only.iter().map(|&it| it.to_owned()).collect(),
        };
        assert!(setting(&[]).wants("v4/run"));
        assert!(setting(&["load", "run"]).wants("v4/run"));
        assert!(!setting(&["load"]).wants("v4/run"));
    }
}
