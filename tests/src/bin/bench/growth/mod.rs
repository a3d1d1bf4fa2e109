//! The whole gate as its tables fill, and on two processors: packets that it refuses, of many sources.
//!
//! `BPF_PROG_TEST_RUN` repeats one frame; a program of the benchmark writes the next source into it each time and goes on in the gate's,
//! which is an instance of its own with maps that nobody else sees. Every packet has to be found in the gate's totals, or no figure counts.

mod cores;
mod generator;
mod world;

use std::{env, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};

use self::{
    generator::{Generator, Row},
    world::World,
};
use crate::{
    figure::{Figure, Spread},
    plot::{Line, Plot, Shape},
    suite::{Rounds, RuleSet, Section, Setting, Suite, interleaved, progress, ratios},
    target::Outcome,
};

/// The name of the suite in figures.
const NAME: &str = "growth";
/// The suite.
pub(crate) const SUITE: Suite = Suite { name: NAME, run };
/// The environment variable with the path of the benchmark's BPF object.
const OBJECT: &str = "GATE_BENCH_OBJECT";

/// Sources that come again and again.
const LIVE: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Sources of which none comes again.
const SPOOFED: u64 = 10_000_000;
/// Prefixes of access lines.
const PREFIXES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];

const TIME: (&str, &str) = ("time", "ns");
const RATIO: (&str, &str) = ("ratio", "x");

fn run(setting: &Setting) -> Result<Section> {
    let object = env::var_os(OBJECT).with_context(|| {
        format!("{OBJECT} is not set: run this through `cargo xtask bench --suite {NAME}`")
    })?;
    let object = fs::read(&object).with_context(|| object.to_string_lossy().into_owned())?;
    let mut generator = Generator::load(&object)?;
    let rounds = Rounds {
        most: setting.either(7, 3),
        patience: setting.either(Duration::from_mins(3), Duration::ZERO),
    };
    let mut section = Section {
        title: "As tables fill, and on two processors",
        method: METHOD.map(str::to_owned).to_vec(),
        ..Section::default()
    };
    if setting.wants("sources") {
        sources(setting, rounds, &mut generator, &mut section)?;
    }
    if setting.wants("prefixes") {
        prefixes(setting, rounds, &mut generator, &mut section)?;
    }
    if setting.wants("cores") {
        cores::measure(setting, rounds, &mut generator, &mut section)?;
    }
    Ok(section)
}

const METHOD: [&str; 3] = [
    "Packets to port 25 that the gate refuses, through `BPF_PROG_TEST_RUN`. One frame is repeated; before each repetition a program of the \
     benchmark writes the next source address into it, in an order that no prefetcher foresees, and goes on in the gate by a tail call. Times are \
     for one packet; the same with a program that does nothing in the gate's place is taken off. All packets have to be found in the gate's \
     totals: else the run fails.",
    "`sources/N`: N subscribers of one pool, each of whom has sent before. `sources/spoofed`: ten million sources, none of which comes again. \
     `uncounted` is the gate with `[counters] sources = false`.",
    "`prefixes/N`: subscribers out of N prefixes of two pools, a million sources, not counted one by one.",
];

/// What one round measures.
struct Case {
    name: String,
    subject: &'static str,
    world: usize,
    row: Row,
    packets: u64,
    /// Whether all sources are to have sent a packet before.
    known: bool,
}

fn sources(
    setting: &Setting,
    rounds: Rounds,
    generator: &mut Generator,
    section: &mut Section,
) -> Result<()> {
    progress("one gate that counts sources, one that does not");
    let mut worlds = [
        World::new(&config(true), &[])?,
        World::new(&config(false), &[])?,
    ];
    let least = setting.either(1 << 20, 1 << 18);
    let mut cases = Vec::new();
    for (world, subject) in [(0, "gate"), (1, "uncounted")] {
        for count in LIVE {
            cases.push(Case {
                name: format!("sources/{count}"),
                subject,
                world,
                row: Row::new(count),
                packets: least.max(count),
                known: true,
            });
        }
        cases.push(Case {
            name: "sources/spoofed".to_owned(),
            subject,
            world,
            row: Row::new(SPOOFED),
            packets: setting.either(SPOOFED, SPOOFED / 5),
            known: false,
        });
    }
    let measured = measure(generator, &mut worlds, &mut cases, rounds)?;
    let (few, many, spoofed) = ("sources/1000", "sources/1000000", "sources/spoofed");
    let times = |case: &str| net(&measured, case, "gate");
    section.figures.extend(figures(&measured));
    for (case, what, limit) in [
        (
            many,
            "1 million live sources cost at most 1.5 times what 1 thousand do",
            1.5,
        ),
        (
            spoofed,
            "10 million forged sources cost no more than 1.5 times what 1 thousand live ones do",
            1.5,
        ),
    ] {
        let ratio = ratios(&times(case), &times(few));
        let name = (case, "gate, to 1000 sources");
        if let Some(figure) = Figure::of(NAME, name, RATIO, &ratio) {
            section.outcomes.push(Outcome {
                target: what.to_owned(),
                figure: format!("{:.2} times", figure.spread.median),
                met: figure.spread.median <= limit,
            });
            section.figures.push(figure);
        }
    }
    section.plots.push(plot(
        "growth-sources",
        "Refusing a packet, by the number of sources",
        "sources",
        &measured,
        "sources/",
    ));
    section.rule_sets.push(RuleSet {
        subject: "gate".to_owned(),
        text: config(true),
    });
    Ok(())
}

fn prefixes(
    setting: &Setting,
    rounds: Rounds,
    generator: &mut Generator,
    section: &mut Section,
) -> Result<()> {
    let counts: Vec<u32> = setting.either(PREFIXES.to_vec(), vec![1_000, 1_000_000]);
    let mut worlds = Vec::new();
    let mut cases = Vec::new();
    for (world, count) in counts.into_iter().enumerate() {
        progress(&format!("a gate with {count} prefixes"));
        let lists = world::lists(count);
        worlds.push(World::new(&config_of_lists(), &lists)?);
        cases.push(Case {
            name: format!("prefixes/{count}"),
            subject: "gate",
            world,
            row: Row::over_all(1_000_000),
            packets: setting.either(1 << 20, 1 << 18),
            known: false,
        });
    }
    let measured = measure(generator, &mut worlds, &mut cases, rounds)?;
    section.figures.extend(figures(&measured));
    section.plots.push(plot(
        "growth-prefixes",
        "Refusing a packet, by the number of prefixes of access lines",
        "prefixes",
        &measured,
        "prefixes/",
    ));
    Ok(())
}

/// A case, its times, and the floor's in the same rounds.
struct Measured {
    name: String,
    subject: &'static str,
    times: Vec<f64>,
    floors: Vec<f64>,
}

fn measure(
    generator: &mut Generator,
    worlds: &mut [World],
    cases: &mut [Case],
    rounds: Rounds,
) -> Result<Vec<Measured>> {
    let mut last = u32::MAX;
    let values = interleaved(cases, rounds, |case, round| {
        if round != last {
            progress(&format!("round {} of {}", round + 1, rounds.most));
            last = round;
        }
        let world = worlds.get_mut(case.world).context("no such gate")?;
        let floor = generator.floor(case.row, case.packets)?;
        if case.known {
            generator.run(world, case.row, case.row.count)?;
        }
        let before = world.refused()?;
        // Forged sources go on where they were, so that none comes twice.
        let row = if case.known {
            case.row
        } else {
            case.row.from(case.packets * u64::from(round))
        };
        let time = generator.run(world, row, case.packets)?;
        let refused = world.refused()? - before;
        ensure!(
            refused == case.packets,
            "{}: {refused} packets of {} were refused: no figure of this run counts",
            case.name,
            case.packets
        );
        Ok((time, floor))
    })?;
    let measured = cases.iter().zip(values).map(|(case, values)| {
        let (times, floors) = values.into_iter().unzip();
        Measured {
            name: case.name.clone(),
            subject: case.subject,
            times,
            floors,
        }
    });
    Ok(measured.collect())
}

impl Measured {
    fn net(&self) -> Vec<f64> {
        let pairs = self.times.iter().zip(&self.floors);
        pairs.map(|(time, floor)| time - floor).collect()
    }
}

fn net(measured: &[Measured], name: &str, subject: &str) -> Vec<f64> {
    let of = measured
        .iter()
        .find(|it| it.name == name && it.subject == subject);
    of.map(Measured::net).unwrap_or_default()
}

fn figures(measured: &[Measured]) -> Vec<Figure> {
    let floors = measured
        .iter()
        .filter(|it| it.subject == "gate")
        .filter_map(|it| Figure::of(NAME, (&it.name, "floor"), TIME, &it.floors));
    let times = measured
        .iter()
        .filter_map(|it| Figure::of(NAME, (&it.name, it.subject), TIME, &it.net()));
    floors.chain(times).collect()
}

/// The cases with a number behind `prefix`, by that number.
fn plot(
    name: &'static str,
    title: &str,
    along: &'static str,
    measured: &[Measured],
    prefix: &str,
) -> Plot {
    let mut lines: Vec<Line> = Vec::new();
    for one in measured {
        let number = one.name.strip_prefix(prefix).and_then(|it| it.parse().ok());
        let (Some(number), Some(spread)) = (number, Spread::of(&one.net())) else {
            continue;
        };
        let known = lines.iter().position(|it| it.subject == one.subject);
        let place = known.unwrap_or_else(|| {
            lines.push(Line {
                subject: one.subject.to_owned(),
                values: Vec::new(),
            });
            lines.len() - 1
        });
        if let Some(line) = lines.get_mut(place) {
            line.values.push((number, spread));
        }
    }
    Plot {
        name,
        title: title.to_owned(),
        unit: "ns a packet",
        shape: Shape::Lines { along, lines },
    }
}

/// A gate with one pool that holds every source, relays, an exemption and a deadline.
fn config(sources: bool) -> String {
    format!(
        r#"[[interface]]
name = "acc"
role = "access"

[port25]
action = "enforce"
answer = "drop"
relays = ["192.0.2.25/32", "2001:db8:25::25/128"]

[[access]]
name     = "dynamic"
prefixes = ["10.0.0.0/8"]
policy   = "restrict"

[[access]]
name     = "static"
prefixes = ["10.255.255.255/32"]
policy   = "exempt"
until    = 2126-01-01T00:00:00+09:00

[counters]
sources = {sources}
"#
    )
}

/// The same, with two pools from files.
fn config_of_lists() -> String {
    let [even, odd] = world::LISTS.map(|file| format!("files    = [\"{file}\"]"));
    let text = config(false).replace(r#"prefixes = ["10.0.0.0/8"]"#, &even);
    format!("{text}\n[[access]]\nname     = \"dynamic-2\"\n{odd}\npolicy   = \"restrict\"\n")
}
