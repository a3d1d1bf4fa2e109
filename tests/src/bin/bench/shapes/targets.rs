//! The targets of the suite.

use super::{FILTER, GATE, frame::Fate};
use crate::{costs::Costs, figure::Spread, target::Outcome};

/// The targets, for which there are figures.
pub(super) fn outcomes(costs: &[(Fate, Costs)]) -> Vec<Outcome> {
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
        let of_fate = costs.iter().filter(move |it| it.0 == fate);
        let ratios = of_fate.filter_map(|(_, it)| {
            let raw = Spread::of(&it.raw_ratios(GATE, FILTER))?;
            Some((it, raw.median, Spread::of(&it.net_ratios(GATE, FILTER))))
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
    use crate::costs::{Compared, EMPTY};

    #[test]
    fn the_dearest_case_is_held_against_the_target() {
        let costs = |fate, gate| {
            let of = [(EMPTY, 1.0), (GATE, gate), (FILTER, 10.0)];
            let of = of.map(|(name, ns)| (name.to_owned(), vec![ns])).to_vec();
            (
                fate,
                Costs {
                    suite: "shapes",
                    case: "case",
                    compared: Compared::One(GATE),
                    of,
                },
            )
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
