//! From an address to its country, in the kernel: the gate's table beside the kernel's LPM tries, nftables and ipset.
//!
//! All are fed the same networks and asked for the same addresses by the same loops, in turn, in one run. Each answer
//! is added up, and a sum that is not the one worked out here from the plain list fails the run: no figure then counts.
//! The tries are taken at their best (a map a family, the shortest keys, no call of ours); the table as the gate has it. What
//! no test run reaches judges frames that come over a link, and so do table and tries there.

mod addresses;
mod case;
mod ipset;
mod kernel;
pub(crate) mod list;
mod live;
mod load;
mod nft;
mod ortc;
mod peer;
mod peers;
mod plots;
mod reload;
mod rounds;
mod setup;
mod targets;

use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use gate_common::table::Line;
use gate_tests::{
    gate::{self, GATE_MMDB},
    interrupt,
};
use gate_user::table::Family;

pub(crate) use self::kernel::TableMaps;
use self::{
    addresses::Set,
    case::{Case, Draw, Regime, Size, Subject, family_name},
    kernel::Kernel,
    list::{List, Source},
    peers::Peers,
    rounds::{Bench, Effort, Measured},
};
use crate::{
    figure::Figure,
    layout, object,
    suite::{Rounds, Section, Setting, Suite, progress},
};

/// The name of the suite in figures.
pub(crate) const NAME: &str = "lookup";

/// How many addresses a set has, and how many fit the nearest caches.
const MANY: u32 = 1 << 20;
const FEW: u32 = 1 << 12;
/// How many prefixes of each family the made-up lists have. Growth is from the first to the last.
const LENGTHS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const QUICK_LENGTHS: [u32; 2] = [1_000, 1_000_000];
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

const FULL: Effort = Effort {
    rounds: 7,
    patience: Duration::from_mins(4),
    warm: MANY,
    rare: 512,
};
/// Not every address of a set comes up, but none comes up twice.
const QUICK: Effort = Effort {
    rounds: 3,
    patience: Duration::ZERO,
    warm: MANY / 8,
    rare: 64,
};

const FULL_PEERS: peers::Effort = peers::Effort {
    rounds: Rounds {
        most: 5,
        patience: Duration::from_secs(20),
    },
    frames: MANY / 8,
    loads: 3,
    slow: true,
    reloads: 20,
};
const QUICK_PEERS: peers::Effort = peers::Effort {
    rounds: Rounds {
        most: 3,
        patience: Duration::ZERO,
    },
    frames: MANY / 64,
    loads: 1,
    slow: false,
    reloads: 3,
};

/// The suite.
pub(crate) const SUITE: Suite = Suite { name: NAME, run };

fn run(setting: &Setting) -> Result<Section> {
    let effort = setting.either(FULL, QUICK);
    let object = object::read()?;
    let path = gate::path_from(GATE_MMDB)?;

    progress("reading the country database");
    let (entries, source) = list::read(&path)?;
    let method = method(&source, entries.len(), effort);
    let list = List::new(entries)?;
    let mut loads = Vec::new();
    if setting.wants(load::CASE) || setting.wants(load::MEMORY) {
        progress("loading the database");
        loads = load::measure(&object, &path, &list, setting.either(3, 1))?;
    }
    let (mut benches, cases) = prepare(setting, &object, &list)?;
    let measured = rounds::measure(&mut benches, cases, effort)?;
    let mut absent = Vec::new();
    let mut found = Peers::default();
    if let Some(bench) = benches.first_mut().filter(|_| peers::wanted(setting)) {
        let effort = setting.either(FULL_PEERS, QUICK_PEERS);
        found = peers::measure(setting, &object, &path, &list, bench, effort)?;
    }
    absent.extend(found.absent);
    for one in measured.iter().filter(|it| it.left_out() > 0) {
        absent.push(format!(
            "{}: {} of {} rounds are in no ratio, since the table could not be told from the floor",
            one.case.name,
            one.left_out(),
            one.rounds()
        ));
    }
    let mut figures: Vec<Figure> = measured.iter().flat_map(Measured::figures).collect();
    figures.extend(growths(&measured));
    figures.extend(loads);
    figures.extend(found.figures);
    Ok(Section {
        title: "From an address to its country, in the kernel",
        method,
        outcomes: targets::outcomes(&figures),
        plots: plots::plots(&figures),
        figures,
        absent,
        rule_sets: found.rule_sets,
    })
}

/// What is measured, on what, and how to read it.
fn method(source: &Source, networks: usize, effort: Effort) -> Vec<String> {
    let Source {
        kind,
        built,
        sha256,
        split,
    } = source;
    let Effort {
        rounds,
        patience: _,
        warm,
        rare,
    } = effort;
    let swept = (layout::SWEPT_LINES as usize * size_of::<Line>()) >> 20;
    vec![
        format!(
            "Database: {kind}, built {built}, {networks} networks, sha256 {sha256}. The {split} /64s that it splits count as whole: \
             the keys of the tries end there."
        ),
        "On a link: frames over a veth pair (`BPF_PROG_TEST_RUN` with live frames), each with the next source address, judged and dropped at \
         the other end on the same processor; a frame's time without that of a frame that meets the same hook and no look-up. Our programs \
         are attached there as XDP; nft is at the ingress hook, iptables in mangle PREROUTING, where marks may be set. Before they are timed, \
         the marks of 4096 addresses of each set are compared with the plain list, one by one."
            .to_owned(),
        "Load: a command's start with its file ready until it has ended, both families. For the gate's table: from runs of addresses to the \
         kernel's maps (`table`), from the country database's file on (`table, from the file`), and the whole daemon's start, which compares the \
         table with the database besides (`daemon`). The tries' time is that of filling them from memory. Memory: what the kernel takes more (SUnreclaim, \
         VmallocUsed, Percpu), and the most that the command had. Reload: the same data again while packets of one country keep coming \
         from another processor; each packet is counted, and one with another answer is misjudged. `in place` empties and fills, to be caught."
            .to_owned(),
        format!(
            "`BPF_PROG_TEST_RUN`, up to {rounds} rounds of {warm} look-ups; rare: {rare}, {swept} MiB swept before each. Times are for one \
             look-up, the floor taken off."
        ),
    ]
}

fn among(setting: &Setting, mut cases: Vec<Case>) -> Vec<Case> {
    cases.retain(|case| setting.wants(&case.name));
    cases
}

/// Everything that is looked up in, and what is looked up.
fn prepare(setting: &Setting, object: &[u8], database: &List) -> Result<(Vec<Bench>, Vec<Case>)> {
    // The same addresses in each run.
    let mut rng = Rng::with_seed(20_260_601);
    let mut benches = Vec::new();
    let mut cases = among(setting, database_cases());
    // The peers are held against it as well, and find it in the first place.
    if !cases.is_empty() || peers::wanted(setting) {
        progress("drawing addresses of the database");
        benches.push(bench(object, &mut rng, database, &DRAWS, &Subject::ALL)?);
    }
    let lengths = if setting.quick {
        QUICK_LENGTHS.as_slice()
    } else {
        &LENGTHS
    };
    for &length in lengths {
        let wanted = among(setting, growth_cases(benches.len(), length));
        if !wanted.is_empty() {
            progress(&format!("making lists of {length} prefixes"));
            let list = List::new(list::made_up(&mut rng, length as usize))?;
            let draws = FAMILIES.map(|family| (family, Draw::Prefixes));
            benches.push(bench(object, &mut rng, &list, &draws, BARE)?);
            cases.extend(wanted);
        }
    }
    Ok((benches, cases))
}

/// The sets of addresses of the database.
const DRAWS: [(Family, Draw); 4] = [
    (Family::V4, Draw::Addresses),
    (Family::V4, Draw::Runs),
    (Family::V6, Draw::Addresses),
    (Family::V6, Draw::Runs),
];

fn database_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (set, (family, draw)) in DRAWS.into_iter().enumerate() {
        let group = format!("{}/{}", family_name(family), draw.name());
        let mut add = |name, size, regime| {
            cases.push(Case {
                list: 0,
                set,
                size,
                regime,
                name,
                subjects: &Subject::ALL,
            });
        };
        for size in [MANY, FEW] {
            for regime in Regime::WARM {
                let name = format!("{group}/{}/{}", Size(size), regime.name());
                add(name, size, regime);
            }
        }
        add(
            format!("{group}/{}", Regime::Rare.name()),
            MANY,
            Regime::Rare,
        );
    }
    cases
}

/// The subjects where lists are made up: what a map of maps costs does not depend on what is in it.
const BARE: &[Subject] = &[Subject::Floor, Subject::Table, Subject::Lpm];

fn growth_cases(list: usize, length: u32) -> Vec<Case> {
    let case = |(set, family)| Case {
        list,
        set,
        size: MANY,
        regime: Regime::Latency,
        name: format!("growth/{}/{length}", family_name(family)),
        subjects: BARE,
    };
    FAMILIES.into_iter().enumerate().map(case).collect()
}

/// A list in the kernel, with sets of addresses for it.
fn bench(
    object: &[u8],
    rng: &mut Rng,
    list: &List,
    draws: &[(Family, Draw)],
    subjects: &[Subject],
) -> Result<Bench> {
    let room = u32::try_from(draws.len())? * MANY;
    let mut kernel = Kernel::load(object, room, programs(subjects))?;
    kernel.place(&TableMaps::new(&list.table)?)?;
    for family in FAMILIES {
        kernel.fill_trie(list, family)?;
        if subjects.contains(&Subject::LpmOrtc) {
            kernel.fill_ortc(&ortc::ortc(&list.runs, family), family)?;
        }
    }
    let mut sets = Vec::new();
    for (family, draw) in draws {
        interrupt::check()?;
        let set = Set::draw(rng, list, *family, *draw, MANY)?;
        let loaded = kernel.add(&set)?;
        sets.push((*family, set, loaded));
    }
    Ok(Bench { kernel, sets })
}

fn programs(subjects: &[Subject]) -> impl Iterator<Item = (Subject, Family, Regime)> {
    let regimes = [Regime::Latency, Regime::Throughput, Regime::Rare];
    subjects.iter().flat_map(move |subject| {
        FAMILIES
            .into_iter()
            .flat_map(move |family| regimes.map(|regime| (*subject, family, regime)))
    })
}

/// How many times as long a look-up takes in the longest list as in the shortest, round by round.
fn growths(measured: &[Measured]) -> Vec<Figure> {
    let [shortest, .., longest] = LENGTHS;
    let mut figures = Vec::new();
    for family in FAMILIES {
        let case = format!("growth/{}", family_name(family));
        let of = |length: u32| {
            measured
                .iter()
                .find(|it| it.case.name == format!("{case}/{length}"))
        };
        let (Some(short), Some(long)) = (of(shortest), of(longest)) else {
            continue;
        };
        for subject in [Subject::Table, Subject::Lpm] {
            let pairs = short.net(subject).into_iter().zip(long.net(subject));
            let growth: Vec<f64> = pairs.map(|(short, long)| long / short).collect();
            let name = (case.clone(), subject.name());
            figures.extend(Figure::of(NAME, name, (rounds::GROWTH, "times"), &growth));
        }
    }
    figures
}
