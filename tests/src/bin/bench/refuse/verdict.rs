//! What the times come to.

use super::{NAME, lane::Subject};
use crate::{
    figure::{Figure, Spread},
    suite::ratios,
    target::Outcome,
};

/// What one case cost, by subject, round by round.
pub(super) struct Costs {
    pub(super) case: &'static str,
    pub(super) of: Vec<(Subject, Vec<f64>)>,
}

/// How many times as dear as the gate in the driver nftables have to be, over the floor.
const CHEAPER: f64 = 5.0;

impl Costs {
    /// Everything that was measured, and what it comes to.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let mut figures = Vec::new();
        for (subject, values) in &self.of {
            let mut add = |metric, values: &[f64]| {
                figures.extend(Figure::of(
                    NAME,
                    (self.case, subject.name()),
                    metric,
                    values,
                ));
            };
            add(("time", "ns"), values);
            if *subject != Subject::Floor {
                add(("time over the floor", "ns"), &self.over(*subject));
            }
            if !matches!(subject, Subject::Native | Subject::Floor) {
                add(("time / gate's, native", "x"), &self.raw_ratios(*subject));
                add(("the same over the floor", "x"), &self.net_ratios(*subject));
            }
        }
        figures
    }

    /// The targets.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let filter = Spread::of(&self.raw_ratios(Subject::XdpFilter)).map(|raw| Outcome {
            target: "refusing port 25: no dearer than xdp-filter's drop".to_owned(),
            figure: format!(
                "{:.2} times{}",
                1.0 / raw.median,
                self.over_the_floor(Subject::XdpFilter)
            ),
            met: raw.median >= 1.0,
        });
        let forms = [Subject::NftNetdev, Subject::NftConcatenated];
        let forms = forms.map(|form| Spread::of(&self.net_ratios(form)));
        let fastest = forms
            .into_iter()
            .flatten()
            .min_by(|a, b| a.median.total_cmp(&b.median));
        let nft = fastest.map(|net| Outcome {
            target: format!(
                "refusing port 25, over the floor: at least {CHEAPER} times cheaper than the fastest form of nft at netdev ingress"
            ),
            figure: format!("{:.2} times", net.median),
            met: net.median >= CHEAPER,
        });
        filter.into_iter().chain(nft).collect()
    }

    /// What each subject took; the gate first, since it has the first colour.
    pub(super) fn spreads(&self) -> Vec<(String, Spread)> {
        let is_gate = |it: &&(Subject, Vec<f64>)| it.0 == Subject::Native;
        let gate = self.of.iter().filter(is_gate);
        let others = self.of.iter().filter(|it| !is_gate(it));
        let spread = |(subject, values): &(Subject, Vec<f64>)| {
            Some((subject.name().to_owned(), Spread::of(values)?))
        };
        gate.chain(others).filter_map(spread).collect()
    }

    fn over_the_floor(&self, peer: Subject) -> String {
        let medians = [Subject::Native, peer].map(|it| Spread::of(&self.over(it)));
        match medians {
            [Some(gate), Some(peer)] => format!(
                ", over the floor {:.0} ns and {:.0} ns",
                gate.median, peer.median
            ),
            _ => String::new(),
        }
    }

    fn values(&self, subject: Subject) -> &[f64] {
        let found = self.of.iter().find(|(it, _)| *it == subject);
        found.map_or(&[], |(_, values)| values)
    }

    fn over(&self, subject: Subject) -> Vec<f64> {
        let pairs = self.values(subject).iter().zip(self.values(Subject::Floor));
        pairs.map(|(value, floor)| value - floor).collect()
    }

    fn raw_ratios(&self, peer: Subject) -> Vec<f64> {
        ratios(self.values(peer), self.values(Subject::Native))
    }

    /// Only of rounds in which the gate could be told from the floor.
    fn net_ratios(&self, peer: Subject) -> Vec<f64> {
        let pairs = self.over(peer).into_iter().zip(self.over(Subject::Native));
        let told_apart = pairs.filter(|(_, gate)| *gate >= RESOLUTION_NS);
        told_apart.map(|(peer, gate)| peer / gate).collect()
    }
}

/// A difference below this is none: the ratio to it would be noise.
const RESOLUTION_NS: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(native: &[f64], filter: &[f64], nft: &[f64]) -> Costs {
        Costs {
            case: "refused",
            of: vec![
                (Subject::Floor, vec![100.0; native.len()]),
                (Subject::Native, native.to_vec()),
                (Subject::XdpFilter, filter.to_vec()),
                (Subject::NftNetdev, nft.to_vec()),
            ],
        }
    }

    #[test]
    fn the_floor_comes_off_round_by_round() {
        let costs = refused(&[150.0, 101.0], &[120.0, 120.0], &[400.0, 400.0]);
        let figures = costs.figures();
        let of = |metric: &str, subject: Subject| {
            figures
                .iter()
                .find(|it| it.metric == metric && it.subject == subject.name())
                .map(|it| (it.spread.median, it.spread.rounds))
        };
        assert_eq!(of("time", Subject::Floor), Some((100.0, 2)));
        assert_eq!(of("time over the floor", Subject::Floor), None);
        assert_eq!(
            of("time over the floor", Subject::NftNetdev),
            Some((300.0, 2))
        );
        assert_eq!(
            of("the same over the floor", Subject::NftNetdev),
            Some((6.0, 1))
        );
        assert_eq!(
            of("time / gate's, native", Subject::XdpFilter).map(|it| it.1),
            Some(2)
        );
        assert_eq!(costs.spreads()[0].0, Subject::Native.name());
    }

    #[test]
    fn targets_are_met_or_missed() {
        let met = |costs: &Costs| costs.outcomes().iter().map(|it| it.met).collect::<Vec<_>>();
        assert_eq!(met(&refused(&[120.0], &[121.0], &[200.0])), [true, true]);
        assert_eq!(met(&refused(&[120.0], &[119.0], &[199.0])), [false, false]);
        let outcomes = refused(&[200.0], &[100.0], &[300.0]).outcomes();
        assert_eq!(
            outcomes[0].figure,
            "2.00 times, over the floor 100 ns and 0 ns"
        );
    }
}
