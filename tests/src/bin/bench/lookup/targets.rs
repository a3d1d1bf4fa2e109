//! What the table was built for, held against the figures. A target that is missed is reported, and no error.

use super::{
    case::Subject,
    load,
    peers::Judge,
    reload::{self, GATE},
    rounds,
};
use crate::{
    figure::Figure,
    target::{Outcome, amount},
};

/// How many times as fast as the trie at its best the table has to be, in each of some cases.
struct Faster {
    what: &'static str,
    /// How the cases' names begin and end.
    start: &'static str,
    end: &'static str,
    at_least: f64,
}

const FASTER: [Faster; 5] = [
    Faster {
        what: "warm, IPv4, uniform over runs, 1m addresses",
        start: "v4/run/1m/",
        end: "",
        at_least: 15.0,
    },
    Faster {
        what: "warm, IPv6, uniform over runs, 1m addresses",
        start: "v6/run/1m/",
        end: "",
        at_least: 12.0,
    },
    Faster {
        what: "rare, IPv4",
        start: "v4/",
        end: "/rare",
        at_least: 3.0,
    },
    Faster {
        what: "rare, IPv6",
        start: "v6/",
        end: "/rare",
        at_least: 2.0,
    },
    Faster {
        what: "every case",
        start: "",
        end: "",
        at_least: 1.0,
    },
];

/// What a quantity has to stay below, in the figure's unit.
struct Below {
    what: &'static str,
    case: &'static str,
    subject: &'static str,
    limit: f64,
}

const BELOW: [Below; 2] = [
    Below {
        what: "kernel memory, both families",
        case: load::MEMORY,
        subject: "table",
        limit: 10e6,
    },
    Below {
        what: "kernel memory during a swap",
        case: load::MEMORY,
        subject: load::SWAP,
        limit: 20e6,
    },
];

/// How many times as much nft has to take as one of ours.
struct Less {
    what: &'static str,
    case: &'static str,
    subject: &'static str,
    at_least: f64,
}

const LESS: [Less; 3] = [
    Less {
        what: "loading, from the database's file to the kernel's maps",
        case: load::CASE,
        subject: load::FROM_FILE,
        at_least: 20.0,
    },
    Less {
        what: "loading, the daemon's start included",
        case: load::CASE,
        subject: load::DAEMON,
        at_least: 20.0,
    },
    Less {
        what: "kernel memory",
        case: load::MEMORY,
        subject: "table",
        at_least: 20.0,
    },
];

/// Every target for which there are figures.
pub(crate) fn outcomes(figures: &[Figure]) -> Vec<Outcome> {
    let faster = FASTER.iter().filter_map(|target| faster(figures, target));
    let growth = ["growth/v4", "growth/v6"]
        .into_iter()
        .filter_map(|case| growth(figures, case));
    let less = LESS.iter().filter_map(|target| less(figures, target));
    let below = BELOW.iter().filter_map(|target| below(figures, target));
    faster
        .chain(growth)
        .chain(below)
        .chain(less)
        .chain(misjudged(figures))
        .collect()
}

/// The worst of the cases counts.
fn faster(figures: &[Figure], target: &Faster) -> Option<Outcome> {
    let Faster {
        what,
        start,
        end,
        at_least,
    } = target;
    let ratio = rounds::ratio_of(Subject::Lpm);
    let worst = figures
        .iter()
        .filter(|it| it.metric == rounds::RATIO && it.subject == ratio)
        .filter(|it| it.case.starts_with(start) && it.case.ends_with(end))
        .min_by(|one, other| one.spread.median.total_cmp(&other.spread.median))?;
    Some(Outcome {
        target: format!("{what}: at least {at_least} times as fast as the trie"),
        figure: format!("{:.1} times ({})", worst.spread.median, worst.case),
        met: worst.spread.median >= *at_least,
    })
}

fn growth(figures: &[Figure], case: &str) -> Option<Outcome> {
    let of = |subject: Subject| {
        let figure = figures.iter().find(|it| {
            it.case == case && it.metric == rounds::GROWTH && it.subject == subject.name()
        })?;
        Some(figure.spread.median)
    };
    let (table, trie) = (of(Subject::Table)?, of(Subject::Lpm)?);
    Some(Outcome {
        target: format!("{case}, 1 thousand to 1 million prefixes: at most half of the trie's"),
        figure: format!("{table:.1} times, the trie {trie:.1} times"),
        met: table <= trie / 2.0,
    })
}

fn less(figures: &[Figure], target: &Less) -> Option<Outcome> {
    let Less {
        what,
        case,
        subject,
        at_least,
    } = target;
    let of = |subject: &str| {
        let figure = figures
            .iter()
            .find(|it| it.case == *case && it.subject == subject)?;
        Some(figure.spread.median)
    };
    let ratio = of(Judge::Nft.name())? / of(subject)?;
    Some(Outcome {
        target: format!("{what}: at most 1/{at_least} of nft's"),
        figure: format!("1/{ratio:.1}"),
        met: ratio >= *at_least,
    })
}

fn misjudged(figures: &[Figure]) -> Option<Outcome> {
    let of = |metric: &str| {
        let figure = figures
            .iter()
            .find(|it| it.case == reload::CASE && it.subject == GATE && it.metric == metric)?;
        Some(figure.spread.median)
    };
    let (wrong, all) = (of(reload::MISJUDGED)?, of(reload::JUDGED)?);
    Some(Outcome {
        target: "packets misjudged while the gate reloads: none".to_owned(),
        figure: format!("{wrong:.0} of {all:.0}"),
        met: wrong == 0.0,
    })
}

fn below(figures: &[Figure], target: &Below) -> Option<Outcome> {
    let Below {
        what,
        case,
        subject,
        limit,
    } = target;
    let figure = figures
        .iter()
        .find(|it| it.case == *case && it.subject == *subject)?;
    let median = figure.spread.median;
    Some(Outcome {
        target: format!("{what}: below {}", amount(*limit, figure.unit)),
        figure: amount(median, figure.unit),
        met: median < *limit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Spread;

    fn figure(
        case: &str,
        subject: &str,
        metric: &'static str,
        unit: &'static str,
        median: f64,
    ) -> Figure {
        Figure {
            suite: "lookup",
            case: case.to_owned(),
            subject: subject.to_owned(),
            metric,
            unit,
            spread: Spread::of(&[median]).unwrap(),
        }
    }

    fn ratio(case: &str, median: f64) -> Figure {
        figure(case, "lpm/table", rounds::RATIO, "x", median)
    }

    fn met(figures: &[Figure]) -> Vec<(String, bool)> {
        outcomes(figures)
            .into_iter()
            .map(|it| (it.figure, it.met))
            .collect()
    }

    #[test]
    fn the_worst_case_decides() {
        let figures = [
            ratio("v4/run/1m/latency", 20.0),
            ratio("v4/run/1m/throughput", 14.9),
            ratio("v4/run/4k/latency", 2.0),
            ratio("v6/run/1m/latency", 12.0),
            ratio("v4/run/rare", 3.0),
            ratio("v6/addr/rare", 1.9),
            figure("v6/addr/rare", "lpm-slotted/table", rounds::RATIO, "x", 0.5),
        ];
        let expected = [
            ("14.9 times (v4/run/1m/throughput)", false),
            ("12.0 times (v6/run/1m/latency)", true),
            ("3.0 times (v4/run/rare)", true),
            ("1.9 times (v6/addr/rare)", false),
            ("1.9 times (v6/addr/rare)", true),
        ];
        assert_eq!(
            met(&figures),
            expected.map(|(text, met)| (text.to_owned(), met))
        );
        let slower = [ratio("growth/v6/1000", 0.9)];
        assert_eq!(
            met(&slower),
            [("0.9 times (growth/v6/1000)".to_owned(), false)]
        );
    }

    #[test]
    fn growth_is_held_against_the_tries() {
        let of = |table| {
            [
                figure("growth/v6", "table", rounds::GROWTH, "times", table),
                figure("growth/v6", "lpm", rounds::GROWTH, "times", 10.0),
            ]
        };
        assert_eq!(
            met(&of(5.0)),
            [("5.0 times, the trie 10.0 times".to_owned(), true)]
        );
        assert_eq!(
            met(&of(5.1)),
            [("5.1 times, the trie 10.0 times".to_owned(), false)]
        );
    }

    #[test]
    fn quantities_have_limits() {
        let figures = [
            figure("memory", "table", "size", "bytes", 9.9e6),
            figure("memory", "table, swap", "size", "bytes", 20e6),
        ];
        let expected = [("9.9 MB", true), ("20.0 MB", false)];
        assert_eq!(
            met(&figures),
            expected.map(|(text, met)| (text.to_owned(), met))
        );
    }

    #[test]
    fn nft_takes_so_many_times_as_much() {
        let figures = [
            figure("load", "daemon", "time", "s", 0.5),
            figure("load", "nft", "time", "s", 10.0),
            figure("memory", "table", "size", "bytes", 9e6),
            figure("memory", "nft", "size", "bytes", 170e6),
        ];
        let less: Vec<_> = met(&figures)
            .into_iter()
            .filter(|(text, _)| text.starts_with("1/"))
            .collect();
        assert_eq!(
            less,
            [("1/20.0".to_owned(), true), ("1/18.9".to_owned(), false)]
        );
    }

    #[test]
    fn one_packet_is_one_too_many() {
        let of = |wrong| {
            [
                figure("reload", "gate", "misjudged", "packets", wrong),
                figure("reload", "gate", "judged", "packets", 1000.0),
                figure("reload", "nft", "misjudged", "packets", 7.0),
            ]
        };
        assert_eq!(met(&of(0.0)), [("0 of 1000".to_owned(), true)]);
        assert_eq!(met(&of(1.0)), [("1 of 1000".to_owned(), false)]);
    }

    #[test]
    fn what_was_not_measured_is_no_target() {
        assert_eq!(outcomes(&[]), []);
    }
}
