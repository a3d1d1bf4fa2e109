//! What happens in userspace: from the file of a country database to the kernel's maps, and from the start of the daemon to the first packet that
//! it has judged.

pub(crate) mod daemon;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use gate_tests::gate::{self, GATE_MMDB};
use gate_user::table::Table;

use crate::{
    figure::Figure,
    lookup::{TableMaps, list},
    suite::{Rounds, Section, Setting, Suite, interleaved, progress},
    target::{Outcome, amount},
};

/// The name of the suite in figures.
const NAME: &str = "userspace";
/// The suite.
pub(crate) const SUITE: Suite = Suite { name: NAME, run };

const TIME: (&str, &str) = ("time", "s");
const SIZE: (&str, &str) = ("peak memory", "bytes");
const DAEMON: &str = "daemon";

fn run(setting: &Setting) -> Result<Section> {
    let path = gate::path_from(GATE_MMDB)?;
    let rounds = Rounds {
        most: setting.either(7, 3),
        patience: Duration::from_mins(2),
    };
    progress("compiling the country database");
    let steps = interleaved(&mut [()], rounds, |(), _| steps(&path))?;
    let mut figures = figures_of_steps(steps.first().map(Vec::as_slice).unwrap_or_default());
    progress("starting the gate");
    let bench = daemon::Bench::new(&path)?;
    let starts = interleaved(&mut [bench], rounds, |bench, _| bench.start())?;
    let starts = starts.first().map(Vec::as_slice).unwrap_or_default();
    let of = |value: fn(&daemon::Start) -> f64| starts.iter().map(value).collect::<Vec<f64>>();
    for (case, what, values) in [
        ("start to first packet judged", TIME, of(|it| it.judged)),
        ("start to in force", TIME, of(|it| it.in_force)),
        ("reload, everything read again", TIME, of(|it| it.reload)),
        ("start and reload", SIZE, of(|it| it.peak as f64)),
    ] {
        figures.extend(Figure::of(NAME, (case, DAEMON), what, &values));
    }
    Ok(Section {
        title: "In userspace",
        method: METHOD.map(str::to_owned).to_vec(),
        outcomes: outcomes(&figures),
        figures,
        ..Section::default()
    })
}

const METHOD: [&str; 2] = [
    "The whole country database of the repository, both families. `library` is what the daemon calls, step by step, in this process. `daemon` is the \
     gate in a lab of network namespaces, started on nothing.",
    "A subscriber sends a SYN to port 25 every millisecond from the start of the process on: *first packet judged* is when the gate's reset arrives. \
     *In force* is when the daemon says so, looked for every 50 ms. The reload is one with `--force`.",
];

/// From the file to filled maps: seconds of each step.
fn steps(path: &Path) -> Result<[f64; 4]> {
    let mut clock = Clock(Instant::now());
    let (entries, _) = list::read(path)?;
    let read = clock.step();
    let runs = list::runs(&entries);
    let merged = clock.step();
    let table = Table::new(&runs)?;
    let compiled = clock.step();
    TableMaps::new(&table)?;
    Ok([read, merged, compiled, clock.step()])
}

const STEPS: [&str; 4] = [
    "file to networks",
    "networks to runs",
    "runs to table",
    "table to maps",
];

fn figures_of_steps(rounds: &[[f64; 4]]) -> Vec<Figure> {
    let figure = |case: &str, values: &[f64]| Figure::of(NAME, (case, "library"), TIME, values);
    let steps = STEPS.into_iter().enumerate().filter_map(|(index, name)| {
        let values: Vec<f64> = rounds
            .iter()
            .filter_map(|it| it.get(index).copied())
            .collect();
        figure(name, &values)
    });
    let totals: Vec<f64> = rounds.iter().map(|steps| steps.iter().sum()).collect();
    steps.chain(figure("file to maps", &totals)).collect()
}

/// What the daemon is to stay below.
const BELOW: [(&str, &str, (&str, &str), f64); 2] = [
    (
        "from the file to a generation in force, the daemon's start included",
        "start to in force",
        TIME,
        1.0,
    ),
    (
        "the daemon's memory at its peak",
        "start and reload",
        SIZE,
        150e6,
    ),
];

fn outcomes(figures: &[Figure]) -> Vec<Outcome> {
    let outcome = |(what, case, (metric, unit), limit): (&str, &str, (&str, &str), f64)| {
        let figure = figures
            .iter()
            .find(|it| it.case == case && it.metric == metric)?;
        let median = figure.spread.median;
        Some(Outcome {
            target: format!("{what}: below {}", amount(limit, unit)),
            figure: amount(median, unit),
            met: median < limit,
        })
    };
    BELOW.into_iter().filter_map(outcome).collect()
}

/// Says how long it was since it was last asked.
struct Clock(Instant);

impl Clock {
    fn step(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.0, Instant::now());
        (self.0 - before).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_add_up() {
        let figures = figures_of_steps(&[[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 3.0, 4.0]]);
        let shown: Vec<(&str, f64)> = figures
            .iter()
            .map(|it| (it.case.as_str(), it.spread.median))
            .collect();
        assert_eq!(
            shown,
            [
                ("file to networks", 1.5),
                ("networks to runs", 2.0),
                ("runs to table", 3.0),
                ("table to maps", 4.0),
                ("file to maps", 10.5)
            ]
        );
    }

    #[test]
    fn the_daemon_has_limits() {
        let figure =
            |case: &str, what, value| Figure::of(NAME, (case, DAEMON), what, &[value]).unwrap();
        let figures = [
            figure("start to in force", TIME, 0.9),
            figure("start and reload", SIZE, 150e6),
        ];
        let met: Vec<bool> = outcomes(&figures).iter().map(|it| it.met).collect();
        assert_eq!(met, [true, false]);
    }
}
