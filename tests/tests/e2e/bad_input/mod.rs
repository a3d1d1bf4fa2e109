//! Everything that has to be refused: with the documented exit code, an error that names the place and the cause, a
//! hint at the next step, and nothing changed in the kernel.

mod configuration;
mod data;
mod host;
mod stripped;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec::Output,
    gate::Gate,
    pin::{self, Pin},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [
        configuration::trials(found),
        data::trials(found),
        host::trials(found),
        stripped::trials(found),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What an error has to be like.
struct Complaint<'a> {
    /// The exit code.
    code: i32,
    /// Words that have to be in it.
    says: &'a [&'a str],
}

impl Complaint<'_> {
    fn is_made_in(&self, output: &Output) -> Result<()> {
        let Self { code, says } = self;
        ensure!(
            output.code() == Some(*code),
            "should end with {code}: {output:?}"
        );
        for words in ["gate: error: ", "hint: "].iter().chain(*says) {
            ensure!(
                output.stderr.contains(words),
                "should say `{words}`: {}",
                output.stderr
            );
        }
        Ok(())
    }
}

/// What there is in the kernel that a failing command could have changed.
#[derive(Debug, PartialEq, Eq)]
struct Kernel {
    pins: Vec<Pin>,
    entries: usize,
    attached: BTreeMap<String, u64>,
    generation: Option<u64>,
}

impl Kernel {
    fn now(bench: &Bench<'_>) -> Result<Self> {
        let directory = bench.lab.pins();
        let pins = pin::list(directory)?;
        let entries = fs::read_dir(directory).map_or(0, Iterator::count);
        Ok(Self {
            generation: match pins.as_slice() {
                [] => None,
                _ => bench.gate().counters()?.generation,
            },
            pins,
            entries,
            attached: bench.lab.attached()?,
        })
    }
}

/// `attempt` changes nothing in the kernel where no gate is loaded, nor where one is.
fn changes_nothing(bench: &Bench<'_>, attempt: impl Fn() -> Result<()>) -> Result<()> {
    let unchanged = |what| {
        let before = Kernel::now(bench)?;
        attempt().context(what)?;
        let after = Kernel::now(bench)?;
        ensure!(before == after, "{what}: {before:?} became {after:?}");
        Ok(())
    };
    unchanged("where no gate is loaded")?;
    bench.run(&bench.config()?)?.terminate()?;
    unchanged("where a gate is loaded")
}

/// `gate run` with the configuration at `path`.
fn run(gate: Gate<'_>, path: &Path) -> Result<Output> {
    gate.output(&["run", "--config", text(path)?])
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
