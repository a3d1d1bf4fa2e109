//! How many instructions the verifier goes through: what a change of the program costs there shows before a kernel refuses it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;

use crate::bench::{Bench, State};

/// The budgets, by kernel series.
const BUDGETS: &str = include_str!("../../fixtures/instructions.toml");
/// The series of kernels that the file does not name.
const OTHER: &str = "other";

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![bench.trial("the verifier's instructions are in budget", within)]
}

fn within(state: &mut State) -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let budgets: BTreeMap<String, u32> = toml::from_str(BUDGETS)?;
    let (series, budget) = budget(&budgets, &release).context("no budget for any kernel")?;
    let verified = state.device.verified_instructions()?;
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(
        io::stdout(),
        "verified instructions: {verified} (kernel {}, budget {budget})",
        release.trim()
    );
    ensure!(
        verified <= budget,
        "{verified} instructions, and the budget of kernel series {series} is {budget}: find out why it grew before you raise it in \
         tests/fixtures/instructions.toml"
    );
    Ok(())
}

/// The series of a release such as `6.12.117+deb12-cloud-amd64`, and its budget.
fn budget<'b>(budgets: &'b BTreeMap<String, u32>, release: &str) -> Option<(&'b str, u32)> {
    let series = release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    budgets
        .get_key_value(&series)
        .or_else(|| budgets.get_key_value(OTHER))
        .map(|(series, budget)| (series.as_str(), *budget))
}
