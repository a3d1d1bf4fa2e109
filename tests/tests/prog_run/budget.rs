//! How many instructions the verifier goes through: what a change of a program costs there shows before a kernel refuses it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Failed, Trial};

use crate::bench::{Bench, State};

/// What was measured, by program and by kernel series.
const RECORDED: &str = include_str!("../../fixtures/instructions.toml");

type Recorded = BTreeMap<String, BTreeMap<String, u32>>;

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    let limits = || limits().map_err(|error| Failed::from(format!("{error:#}")));
    vec![
        bench.trial("budget: the verifier's instructions", grown),
        Trial::test("budget: a fifth above what was recorded", limits),
    ]
}

fn grown(state: &mut State) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let (release, series) = (release.trim(), series(&release));
    let recorded: Recorded = toml::from_str(RECORDED)?;
    for (program, verified) in state.device.verified_instructions()? {
        within(&recorded, release, &series, &program, verified)?;
    }
    Ok(())
}

fn within(
    recorded: &Recorded,
    release: &str,
    series: &str,
    program: &str,
    verified: u32,
) -> Result<()> {
    let announce = format!(
        "`\"{series}\" = {verified}` below `[{program}]` in tests/fixtures/instructions.toml"
    );
    let budget = Budget::of(recorded, program, series)
        .with_context(|| format!("nothing is recorded for program {program}: write {announce}"))?;
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(
        io::stdout(),
        "verified instructions: {verified} (program {program}, kernel {release}; {budget})"
    );
    ensure!(
        verified <= budget.limit(),
        "the verifier went through {verified} instructions of program {program} ({budget}): find out why they grew by more than a \
         fifth; to announce that they may, write {announce}"
    );
    Ok(())
}

/// What was recorded, and for which kernels.
#[derive(Debug, PartialEq, Eq)]
struct Budget<'r> {
    series: &'r str,
    recorded: u32,
}

impl<'r> Budget<'r> {
    /// That of a kernel of `series`: where it is not named, the highest one.
    fn of(recorded: &'r Recorded, program: &str, series: &str) -> Option<Self> {
        let counts = recorded.get(program)?;
        let (series, recorded) = counts
            .get_key_value(series)
            .or_else(|| counts.iter().max_by_key(|(_, count)| **count))?;
        Some(Self {
            series,
            recorded: *recorded,
        })
    }

    fn limit(&self) -> u32 {
        self.recorded + self.recorded / 5
    }
}

impl fmt::Display for Budget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { series, recorded } = self;
        let limit = self.limit();
        write!(f, "recorded {recorded} on {series}, limit {limit}")
    }
}

/// The series of a release such as `6.12.117+deb12-cloud-amd64`.
fn series(release: &str) -> String {
    release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

fn limits() -> Result<()> {
    let text = "[one]\n\"6.1\" = 1000\n\"6.12\" = 2004\n[two]\n\"6.1\" = 9\n";
    let recorded: Recorded = toml::from_str(text)?;
    for (program, release, expected) in [
        ("one", "6.1.0-56-cloud-amd64", Some(("6.1", 1200))),
        ("one", "6.12.117+deb12-cloud-amd64", Some(("6.12", 2404))),
        // The highest that there is.
        ("one", "6.18.44", Some(("6.12", 2404))),
        ("two", "6.18.44", Some(("6.1", 10))),
        ("three", "6.1.0", None),
    ] {
        let found = Budget::of(&recorded, program, &series(release));
        let found = found.map(|it| (it.series, it.limit()));
        ensure!(found == expected, "{program} on {release}: {found:?}");
    }
    Ok(())
}
