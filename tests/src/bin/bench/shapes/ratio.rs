//! What the times come to: over the floor, and beside each other.

use super::{EMPTY, FILTER, GATE, NAME, frame::Fate};
use crate::{
    figure::{Figure, Spread},
    suite::ratios,
    target::Outcome,
};

/// What one case cost, by subject, round by round.
pub(super) struct Costs {
    pub(super) case: &'static str,
    pub(super) fate: Fate,
    pub(super) of: Vec<(String, Vec<f64>)>,
}

/// A difference below this is none: the ratio to it would be noise.
const RESOLUTION_NS: f64 = 0.5;

impl Costs {
    /// Everything that was measured, and what it comes to.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let figure = |subject: &str, metric, values: &[f64]| {
            Figure::of(NAME, (self.case, subject), metric, values)
        };
        let mut figures = Vec::new();
        for (subject, values) in &self.of {
            figures.extend(figure(subject, ("time", "ns"), values));
        }
        for (subject, _) in self.others() {
            figures.extend(figure(
                subject,
                ("time over the floor", "ns"),
                &self.over(subject),
            ));
        }
        for (peer, _) in self.peers() {
            let subject = format!("{GATE} / {peer}");
            figures.extend(figure(&subject, ("ratio", "x"), &self.raw_ratios(peer)));
            figures.extend(figure(
                &subject,
                ("ratio over the floor", "x"),
                &self.net_ratios(peer),
            ));
        }
        figures
    }

    /// What each subject took, the loop included.
    pub(super) fn spreads(&self) -> Vec<(String, Spread)> {
        let spread =
            |(subject, values): &(String, Vec<f64>)| Some((subject.clone(), Spread::of(values)?));
        // The gate first: it has the first colour.
        let gate = self.of.iter().filter(|(subject, _)| subject == GATE);
        let others = self.of.iter().filter(|(subject, _)| subject != GATE);
        gate.chain(others).filter_map(spread).collect()
    }

    /// What is said of rounds that are in no ratio over the floor.
    pub(super) fn left_out(&self) -> Option<String> {
        let of = |peer: &str| self.over(peer).len() - self.net_ratios(peer).len();
        let rounds: usize = self.peers().map(|(peer, _)| of(peer)).sum();
        (rounds > 0).then(|| {
            format!(
                "{}: {rounds} rounds are in no ratio over the floor, since what the gate is compared with could not be told from it",
                self.case
            )
        })
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

    fn peers(&self) -> impl Iterator<Item = &(String, Vec<f64>)> {
        self.others().filter(|(subject, _)| subject != GATE)
    }

    fn raw_ratios(&self, peer: &str) -> Vec<f64> {
        ratios(self.values(GATE), self.values(peer))
    }

    fn net_ratios(&self, peer: &str) -> Vec<f64> {
        let pairs = self.over(GATE).into_iter().zip(self.over(peer));
        let told_apart = pairs.filter(|(_, peer)| *peer >= RESOLUTION_NS);
        told_apart.map(|(gate, peer)| gate / peer).collect()
    }
}

/// The targets, for which there are figures.
pub(super) fn outcomes(costs: &[Costs]) -> Vec<Outcome> {
    let targets = [
        (
            "an unrelated packet: no dearer than with xdp-filter",
            Fate::Unrelated,
        ),
        (
            "a refused packet: no dearer than with xdp-filter",
            Fate::Dropped,
        ),
    ];
    let outcome = |(target, fate): (&str, Fate)| {
        let of_fate = costs.iter().filter(move |it| it.fate == fate);
        let ratios = of_fate.filter_map(|it| {
            let raw = Spread::of(&it.raw_ratios(FILTER))?;
            Some((it, raw.median, Spread::of(&it.net_ratios(FILTER))))
        });
        let (case, raw, net) = ratios.max_by(|one, other| one.1.total_cmp(&other.1))?;
        let net = net.map_or_else(String::new, |it| {
            format!(", {:.2} times over the floor", it.median)
        });
        Some(Outcome {
            target: target.to_owned(),
            figure: format!("{raw:.2} times{net} ({})", case.case),
            // Over the floor it is above 1 exactly where it is above 1 with the floor.
            met: raw <= 1.0,
        })
    };
    targets.into_iter().filter_map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(fate: Fate, of: &[(&str, &[f64])]) -> Costs {
        Costs {
            case: "case",
            fate,
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
        let costs = costs(
            Fate::Unrelated,
            &[
                (EMPTY, &[10.0, 20.0]),
                (GATE, &[30.0, 60.0]),
                (FILTER, &[20.0, 30.0]),
            ],
        );
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
        let costs = costs(
            Fate::Unrelated,
            &[
                (EMPTY, &[10.0, 10.0, 10.0]),
                (GATE, &[12.0, 12.0, 12.0]),
                (FILTER, &[10.1, 9.0, 14.0]),
            ],
        );
        assert_eq!(costs.net_ratios(FILTER), [0.5]);
        assert!(costs.left_out().unwrap().contains("2 rounds"));
    }

    #[test]
    fn the_dearest_case_is_held_against_the_target() {
        let of = |gate: f64| [(EMPTY, vec![1.0]), (GATE, vec![gate]), (FILTER, vec![10.0])];
        let costs = |fate, gate| {
            let of = of(gate);
            let of: Vec<(&str, &[f64])> = of.iter().map(|(name, it)| (*name, &it[..])).collect();
            costs(fate, &of)
        };
        let all = [
            costs(Fate::Unrelated, 9.0),
            costs(Fate::Unrelated, 11.0),
            costs(Fate::Dropped, 10.0),
        ];
        let outcomes = outcomes(&all);
        assert_eq!(outcomes.len(), 2);
        assert!(!outcomes[0].met && outcomes[0].figure.starts_with("1.10 times, 1.11"));
        assert!(outcomes[1].met);
    }
}
