//! From an address to its country, in the kernel: the gate's table beside the kernel's LPM tries.
//!
//! Both are fed the same networks and asked for the same addresses by the same loops, in turn, in one run. Each answer
//! is added up, and a sum that is not the one worked out here from the plain list fails the run: no figure then counts.
//! The tries are taken at their best (a map a family, the shortest keys, no call of ours); the table as the gate has it.

mod addresses;
mod case;
mod daemon;
mod kernel;
#[path = "../../../../../gate-bench-ebpf/src/layout.rs"]
mod layout;
mod list;
mod load;
mod machine;
mod rounds;
mod show;
mod targets;

use std::{
    env,
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use gate_common::table::Line;
use gate_tests::{
    gate::{self, GATE_MMDB},
    interrupt,
};
use gate_user::table::Family;
use tempfile::NamedTempFile;

use self::{
    addresses::Set,
    case::{Case, Draw, Regime, Size, Subject, family_name},
    kernel::{Kernel, TableMaps},
    list::{List, Source},
    rounds::{Bench, Effort, Measured},
};
use crate::figure::Figure;

/// The name of the suite in figures.
pub(crate) const SUITE: &str = "lookup";
/// The environment variable with the path of the benchmark's BPF object.
const OBJECT: &str = "GATE_BENCH_OBJECT";

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

/// Measures look-ups in the kernel
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fewer rounds and look-ups: under a minute, with more scatter
    #[arg(long)]
    quick: bool,
    /// Also write every figure into this file, as a JSON list
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the cases whose names contain one of these, such as `v4/run`, `rare`, `growth/v6`, `load`
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
}

impl Arguments {
    fn among(&self, mut cases: Vec<Case>) -> Vec<Case> {
        cases.retain(|case| self.wants(&case.name));
        cases
    }

    fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part))
    }
}

/// The file of `--json`. It is made beside its place before anything is measured, and gets there whole.
struct Json<'a> {
    path: &'a Path,
    file: NamedTempFile,
}

impl<'a> Json<'a> {
    fn beside(path: &'a Path) -> Result<Self> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let file = NamedTempFile::new_in(directory)
            .with_context(|| format!("cannot write {} for --json", path.display()))?;
        Ok(Self { path, file })
    }

    fn write(mut self, figures: &[Figure]) -> Result<()> {
        serde_json::to_writer_pretty(&mut self.file, figures)?;
        writeln!(self.file)?;
        // For everybody, as a file that a shell makes.
        let permissions = Permissions::from_mode(0o644);
        self.file.as_file().set_permissions(permissions)?;
        let saved = self.file.persist(self.path);
        saved.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(())
    }
}

/// The suite.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let effort = if arguments.quick { QUICK } else { FULL };
    let object = env::var_os(OBJECT).with_context(|| {
        format!("{OBJECT} is not set: run this through `cargo xtask bench --suite lookup`")
    })?;
    let object =
        fs::read(&object).with_context(|| format!("{OBJECT}={}", object.to_string_lossy()))?;
    let path = gate::path_from(GATE_MMDB)?;
    let json = arguments.json.as_deref().map(Json::beside).transpose()?;
    let mut out = io::stdout();

    progress("reading the country database")?;
    let (entries, source) = list::read(&path)?;
    introduce(&mut out, &path, &source, entries.len(), effort)?;
    let list = List::new(entries)?;
    let mut loads = Vec::new();
    if arguments.wants(load::CASE) || arguments.wants(load::MEMORY) {
        progress("loading the database, and starting the gate with it")?;
        loads = load::measure(&object, &path, &list, if arguments.quick { 1 } else { 3 })?;
        writeln!(out, "\n{}", show::amounts(&loads))?;
    }
    let (mut benches, cases) = prepare(arguments, &object, &list)?;
    ensure!(
        !cases.is_empty() || !loads.is_empty(),
        "no case has a name with {}: without --only all are measured, and named",
        arguments.only.join(" or ")
    );
    let measured = rounds::measure(&mut benches, cases, effort, &mut |round| {
        // Progress is worth no failure.
        let _ = progress(&format!("round {} of {}", round + 1, effort.rounds));
    })?;
    if !measured.is_empty() {
        writeln!(out, "\n{}", show::times(&measured))?;
        for one in measured.iter().filter(|it| it.left_out() > 0) {
            writeln!(
                out,
                "{}: {} of {} rounds are in no ratio, since the table could not be told from the floor",
                one.case.name,
                one.left_out(),
                one.rounds()
            )?;
        }
    }
    if let Some(rounds) = measured.first().map(Measured::rounds)
        && rounds < effort.rounds as usize
    {
        writeln!(
            out,
            "\n{rounds} rounds of {}: the machine is too busy for more in {:?}",
            effort.rounds, effort.patience
        )?;
    }
    let growths = growths(&measured);
    if !growths.is_empty() {
        writeln!(out, "\n{}", show::amounts(&growths))?;
    }
    let mut figures: Vec<Figure> = measured.iter().flat_map(Measured::figures).collect();
    figures.extend(growths);
    figures.extend(loads);
    writeln!(out, "\n{}", show::outcomes(&targets::outcomes(&figures)))?;
    if let Some(json) = json {
        json.write(&figures)?;
    }
    Ok(())
}

/// What is measured, on what, and how to read it.
fn introduce(
    out: &mut impl io::Write,
    path: &Path,
    source: &Source,
    networks: usize,
    effort: Effort,
) -> Result<()> {
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
    writeln!(out, "kernel     {}", machine::kernel())?;
    writeln!(out, "processor  {}", machine::processor())?;
    writeln!(out, "database   {}", path.display())?;
    writeln!(
        out,
        "           {kind}, built {built}, {networks} networks, sha256 {sha256}"
    )?;
    writeln!(
        out,
        "           the {split} /64s that it splits count as whole: the keys of the tries end there"
    )?;
    writeln!(
        out,
        "method     BPF_PROG_TEST_RUN, up to {rounds} rounds of {warm} look-ups; rare: {rare}, {swept} MiB swept before each"
    )?;
    writeln!(
        out,
        "           ns a look-up, the floor taken off: median (least-most); ratios round by round"
    )?;
    Ok(())
}

/// Everything that is looked up in, and what is looked up.
fn prepare(
    arguments: &Arguments,
    object: &[u8],
    database: &List,
) -> Result<(Vec<Bench>, Vec<Case>)> {
    // The same addresses in each run.
    let mut rng = Rng::with_seed(20_260_601);
    let mut benches = Vec::new();
    let mut cases = arguments.among(database_cases());
    if !cases.is_empty() {
        progress("drawing addresses of the database")?;
        benches.push(bench(object, &mut rng, database, &DRAWS, &Subject::ALL)?);
    }
    let lengths = if arguments.quick {
        QUICK_LENGTHS.as_slice()
    } else {
        &LENGTHS
    };
    for &length in lengths {
        let wanted = arguments.among(growth_cases(benches.len(), length));
        if !wanted.is_empty() {
            progress(&format!("making lists of {length} prefixes"))?;
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
            figures.extend(Figure::of(SUITE, name, (rounds::GROWTH, "times"), &growth));
        }
    }
    figures
}

/// A sign of life, apart from the results.
fn progress(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "bench: {text}")
}
