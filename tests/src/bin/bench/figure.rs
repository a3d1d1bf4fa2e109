//! Figures: what was measured, over all rounds of one run.

use serde::Serialize;

/// One figure, as it goes into the file of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// Which suite.
    pub(crate) suite: &'static str,
    /// What was done.
    pub(crate) case: String,
    /// What it was done to.
    pub(crate) subject: String,
    /// What was measured.
    pub(crate) metric: &'static str,
    /// In what.
    pub(crate) unit: &'static str,
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

impl Figure {
    /// Of what was measured once a round; `None` if it was not.
    pub(crate) fn of(
        suite: &'static str,
        (case, subject): (impl Into<String>, impl Into<String>),
        (metric, unit): (&'static str, &'static str),
        values: &[f64],
    ) -> Option<Self> {
        Some(Self {
            suite,
            case: case.into(),
            subject: subject.into(),
            metric,
            unit,
            spread: Spread::of(values)?,
        })
    }
}

/// The same thing measured once a round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    /// Of at least one value; `None` of none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            median: f64::midpoint(lower, upper),
            min: *sorted.first()?,
            max: *sorted.last()?,
            rounds: sorted.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_all_rounds() {
        let spread = Spread::of(&[5.0, 1.0, 9.0]).unwrap();
        assert_eq!(
            (spread.median, spread.min, spread.max, spread.rounds),
            (5.0, 1.0, 9.0, 3)
        );
        let even = Spread::of(&[4.0, 1.0, 2.0, 9.0]).unwrap();
        assert!((even.median - 3.0).abs() < 1e-9);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_figure_is_one_flat_object() {
        let figure = Figure {
            suite: "lookup",
            case: "v4/run/1m/latency".to_owned(),
            subject: "table".to_owned(),
            metric: "time",
            unit: "ns",
            spread: Spread {
                median: 2.5,
                min: 2.0,
                max: 3.0,
                rounds: 3,
            },
        };
        assert_eq!(
            serde_json::to_value(figure).unwrap(),
            serde_json::json!({
                "suite": "lookup", "case": "v4/run/1m/latency", "subject": "table", "metric": "time", "unit": "ns",
                "median": 2.5, "min": 2.0, "max": 3.0, "rounds": 3
            })
        );
    }
}
