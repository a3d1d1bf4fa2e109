//! The suite's pictures: a look-up in each regime, and as lists grow.

use gate_user::table::Family;

use super::{
    FAMILIES, LENGTHS, NAME,
    case::{Draw, Regime, Size, family_name},
    peers::{Judge, LINK},
    rounds::TIME,
};
use crate::{
    figure::{Figure, Spread},
    plot::{Bars, Line, Plot, Shape},
};

/// All for which there are figures.
pub(crate) fn plots(figures: &[Figure]) -> Vec<Plot> {
    let [v4, v6] = FAMILIES.map(|family| regimes(figures, family));
    [v4, v6, growth(figures)].into_iter().flatten().collect()
}

/// Which figures of a case are a time of one look-up. A look-up in each of 250 sets would make all others invisible, and the trie in the
/// map of maps is the trie.
fn is_shown(figure: &Figure) -> bool {
    let apart = [Judge::IpsetEach.name(), "lpm-slotted"];
    [TIME, LINK].contains(&(figure.metric, figure.unit))
        && !figure.subject.starts_with("floor")
        && !apart.contains(&figure.subject.as_str())
}

fn regimes(figures: &[Figure], family: Family) -> Option<Plot> {
    let name = family_name(family);
    let cases = [Draw::Addresses, Draw::Runs].into_iter().flat_map(|draw| {
        let group = format!("{name}/{}", draw.name());
        let sizes = [super::MANY, super::FEW].map(Size);
        let warm = sizes.map(|size| {
            [Regime::Latency.name(), "link"].map(|regime| format!("{group}/{size}/{regime}"))
        });
        warm.into_iter()
            .flatten()
            .chain([format!("{group}/{}", Regime::Rare.name())])
    });
    let bars: Vec<Bars> = cases
        .filter_map(|case| {
            let of_case = figures.iter().filter(|it| it.case == case && is_shown(it));
            let values: Vec<(String, Spread)> =
                of_case.map(|it| (it.subject.clone(), it.spread)).collect();
            (!values.is_empty()).then_some(Bars { case, values })
        })
        .collect();
    let (plot, title) = match family {
        Family::V4 => ("lookup-v4", "A look-up, IPv4"),
        Family::V6 => ("lookup-v6", "A look-up, IPv6"),
    };
    (!bars.is_empty()).then(|| Plot {
        name: plot,
        title: title.to_owned(),
        unit: "ns",
        shape: Shape::Bars(bars),
    })
}

fn growth(figures: &[Figure]) -> Option<Plot> {
    let mut lines: Vec<Line> = Vec::new();
    for family in FAMILIES.map(family_name) {
        for subject in ["table", "lpm"] {
            let at = |length: u32| {
                let case = format!("growth/{family}/{length}");
                let found = figures.iter().find(|it| {
                    it.case == case && it.subject == subject && (it.metric, it.unit) == TIME
                })?;
                Some((f64::from(length), found.spread))
            };
            let values: Vec<(f64, Spread)> = LENGTHS.into_iter().filter_map(at).collect();
            if !values.is_empty() {
                let subject = format!("{subject}, {family}");
                lines.push(Line { subject, values });
            }
        }
    }
    (!lines.is_empty()).then(|| Plot {
        name: "lookup-growth",
        title: format!("{NAME}: as lists grow"),
        unit: "ns",
        shape: Shape::Lines {
            along: "prefixes of each family",
            lines,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(case: &str, subject: &str, (metric, unit): (&'static str, &'static str)) -> Figure {
        Figure::of(NAME, (case, subject), (metric, unit), &[1.0]).unwrap()
    }

    #[test]
    fn each_family_and_growth_have_a_picture() {
        let figures = [
            figure("v4/run/1m/latency", "table", TIME),
            figure("v4/run/1m/latency", "floor", TIME),
            figure("v4/run/1m/latency", "lpm/table", ("ratio", "x")),
            figure("v4/run/1m/link", "nft", LINK),
            figure("v4/run/1m/link", "ipset-each", LINK),
            figure("growth/v6/1000", "table", TIME),
        ];
        let plots = plots(&figures);
        let names: Vec<_> = plots.iter().map(|it| it.name).collect();
        assert_eq!(names, ["lookup-v4", "lookup-growth"]);
        let Shape::Bars(bars) = &plots[0].shape else {
            panic!("no bars");
        };
        let shown: Vec<_> = bars
            .iter()
            .flat_map(|it| {
                it.values
                    .iter()
                    .map(|(subject, _)| (it.case.as_str(), subject.as_str()))
            })
            .collect();
        assert_eq!(
            shown,
            [("v4/run/1m/latency", "table"), ("v4/run/1m/link", "nft")]
        );
    }
}
