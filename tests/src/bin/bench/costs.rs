//! What times come to, by case: over the floor, and beside each other.

use crate::{
    figure::{Figure, Spread},
    plot::{Bars, Plot, Shape},
    suite::ratios,
};

/// The floor: a program that does nothing.
pub(crate) const EMPTY: &str = "empty";

/// What one case cost, by subject, round by round.
pub(crate) struct Costs {
    pub(crate) suite: &'static str,
    pub(crate) case: &'static str,
    pub(crate) compared: Compared,
    pub(crate) of: Vec<(String, Vec<f64>)>,
}

/// Which subjects are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compared {
    /// This one with each other.
    One(&'static str),
    /// Each other with this one.
    Baseline(&'static str),
}

/// A difference below this is none: the ratio to it would be noise.
const RESOLUTION_NS: f64 = 0.5;

impl Costs {
    /// Everything that was measured, and what it comes to.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |subject: &str, metric, values: &[f64]| {
            Figure::of(self.suite, (self.case, subject), metric, values)
        };
        let mut figures = Vec::new();
        for (subject, values) in &self.of {
            figures.extend(figure(subject, ("time", "ns"), values));
        }
        let above_the_floor = self.is_above_the_floor();
        for (subject, _) in self.others().filter(|_| above_the_floor) {
            figures.extend(figure(
                subject,
                ("time over the floor", "ns"),
                &self.over(subject),
            ));
        }
        for (one, other) in self.pairs() {
            let subject = format!("{one} / {other}");
            figures.extend(figure(
                &subject,
                ("ratio", "x"),
                &self.raw_ratios(one, other),
            ));
            if above_the_floor {
                figures.extend(figure(
                    &subject,
                    ("ratio over the floor", "x"),
                    &self.net_ratios(one, other),
                ));
            }
        }
        figures
    }

    /// What each subject took, the loop included.
    pub(crate) fn spreads(&self) -> Vec<(String, Spread)> {
        let spread =
            |(subject, values): &(String, Vec<f64>)| Some((subject.clone(), Spread::of(values)?));
        // The one that the others are compared with first: it has the first colour.
        let first = self.of.iter().filter(|it| it.0 == self.compared.with());
        let others = self.of.iter().filter(|it| it.0 != self.compared.with());
        first.chain(others).filter_map(spread).collect()
    }

    /// What is said of rounds that are in no ratio over the floor.
    pub(crate) fn left_out(&self) -> Option<String> {
        if !self.is_above_the_floor() {
            return Some(format!(
                "{}: time over the floor, since a subject took less than that",
                self.case
            ));
        }
        let of = |(one, other)| self.over(other).len() - self.net_ratios(one, other).len();
        let rounds: usize = self.pairs().map(of).sum();
        (rounds > 0).then(|| {
            format!(
                "{}: {rounds} rounds are in no ratio over the floor, since what was compared with could not be told from it",
                self.case
            )
        })
    }

    /// Whether no subject takes less than the floor. Else the floor is none: what it waits for, the others do while they wait.
    fn is_above_the_floor(&self) -> bool {
        let medians = self
            .others()
            .map(|(subject, _)| Spread::of(&self.over(subject)));
        medians.flatten().all(|over| over.median > -RESOLUTION_NS)
    }

    fn values(&self, subject: &str) -> &[f64] {
        let found = self.of.iter().find(|(name, _)| name == subject);
        found.map_or(&[], |(_, values)| values)
    }

    fn over(&self, subject: &str) -> Vec<f64> {
        let pairs = self.values(subject).iter().zip(self.values(EMPTY));
        pairs.map(|(value, floor)| value - floor).collect()
    }

    fn others(&self) -> impl Iterator<Item = &(String, Vec<f64>)> {
        self.of.iter().filter(|(subject, _)| subject != EMPTY)
    }

    /// Who is compared with whom.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let with = self.compared.with();
        let peers = self.others().map(|(subject, _)| subject.as_str());
        let peers = peers.filter(move |peer| *peer != with);
        peers.map(move |peer| match self.compared {
            Compared::One(one) => (one, peer),
            Compared::Baseline(baseline) => (peer, baseline),
        })
    }

    pub(crate) fn raw_ratios(&self, one: &str, other: &str) -> Vec<f64> {
        ratios(self.values(one), self.values(other))
    }

    pub(crate) fn net_ratios(&self, one: &str, other: &str) -> Vec<f64> {
        let pairs = self.over(one).into_iter().zip(self.over(other));
        let told_apart = pairs.filter(|(_, other)| *other >= RESOLUTION_NS);
        told_apart.map(|(one, other)| one / other).collect()
    }
}

impl Compared {
    fn with(self) -> &'static str {
        match self {
            Self::One(subject) | Self::Baseline(subject) => subject,
        }
    }
}

/// All of them in one picture, which is named as the suite is.
pub(crate) fn plot<'a>(
    name: &'static str,
    title: &str,
    costs: impl Iterator<Item = &'a Costs>,
) -> Plot {
    let cases = costs.map(|it| Bars {
        case: it.case.to_owned(),
        values: it.spreads(),
    });
    Plot {
        name,
        title: title.to_owned(),
        unit: "ns",
        shape: Shape::Bars(cases.collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: &str = "gate";
    const FILTER: &str = "xdp-filter";

    fn costs(of: &[(&str, &[f64])]) -> Costs {
        Costs {
            suite: "suite",
            case: "case",
            compared: Compared::One(GATE),
            of: of
                .iter()
                .map(|(subject, values)| ((*subject).to_owned(), values.to_vec()))
                .collect(),
        }
    }

    fn median(costs: &Costs, metric: &str, subject: &str) -> Option<f64> {
        let figures = costs.figures();
        let figure = figures
            .iter()
            .find(|it| it.metric == metric && it.subject == subject)?;
        Some(figure.spread.median)
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let costs = costs(&[
            (EMPTY, &[10.0, 20.0]),
            (GATE, &[30.0, 60.0]),
            (FILTER, &[20.0, 30.0]),
        ]);
        assert_eq!(median(&costs, "time", GATE), Some(45.0));
        assert_eq!(median(&costs, "time over the floor", GATE), Some(30.0));
        assert_eq!(median(&costs, "time over the floor", EMPTY), None);
        assert_eq!(median(&costs, "ratio", "gate / xdp-filter"), Some(1.75));
        assert_eq!(
            median(&costs, "ratio over the floor", "gate / xdp-filter"),
            Some(3.0)
        );
        assert_eq!(costs.left_out(), None);
        assert_eq!(costs.spreads()[0].0, GATE);
    }

    #[test]
    fn what_cannot_be_told_from_the_floor_is_in_no_ratio() {
        let costs = costs(&[
            (EMPTY, &[10.0, 10.0, 10.0]),
            (GATE, &[12.0, 12.0, 12.0]),
            (FILTER, &[10.1, 9.0, 14.0]),
        ]);
        assert_eq!(costs.net_ratios(GATE, FILTER), [0.5]);
        assert!(costs.left_out().unwrap().contains("2 rounds"));
    }

    #[test]
    fn each_other_is_compared_with_the_baseline() {
        let costs = Costs {
            compared: Compared::Baseline(FILTER),
            ..costs(&[
                (EMPTY, &[10.0, 10.0]),
                (GATE, &[30.0, 50.0]),
                (FILTER, &[20.0, 30.0]),
                ("other", &[15.0, 10.0]),
            ])
        };
        assert_eq!(
            median(&costs, "ratio over the floor", "gate / xdp-filter"),
            Some(2.0)
        );
        assert_eq!(
            median(&costs, "ratio over the floor", "other / xdp-filter"),
            Some(0.25)
        );
        assert_eq!(median(&costs, "ratio", "xdp-filter / gate"), None);
        assert_eq!(median(&costs, "ratio", "empty / xdp-filter"), None);
        assert_eq!(costs.spreads()[0].0, FILTER);
    }

    #[test]
    fn what_is_not_above_the_floor_is_compared_whole_only() {
        let costs = Costs {
            suite: "suite",
            case: "case",
            compared: Compared::Baseline("one"),
            of: vec![
                (EMPTY.to_owned(), vec![80.0, 80.0, 80.0]),
                ("one".to_owned(), vec![70.0, 70.0, 81.0]),
                ("other".to_owned(), vec![140.0, 140.0, 140.0]),
            ],
        };
        let metrics: Vec<_> = costs.figures().iter().map(|it| it.metric).collect();
        assert_eq!(metrics, ["time", "time", "time", "ratio"]);
        assert_eq!(
            costs.left_out().as_deref(),
            Some("case: time over the floor, since a subject took less than that")
        );
    }
}
