//! What loading takes: time from the file to the kernel's maps, and memory.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result};
use gate_tests::interrupt;
use gate_user::table::{Family, Table};

use super::{
    SUITE,
    case::{Subject, family_name},
    daemon,
    kernel::{Kernel, TableMaps},
    list::{self, List},
    machine,
};
use crate::figure::Figure;

/// The case of times.
pub(crate) const CASE: &str = "load";
/// The case of bytes.
pub(crate) const MEMORY: &str = "memory";
/// The subject: the gate itself, with the whole database.
pub(crate) const DAEMON: &str = "daemon";
/// The subject: two tables, the one before and the one after.
pub(crate) const SWAP: &str = "table, swap";

/// Times and bytes of the table, the tries and the gate, those of the table and the gate `times` times.
pub(crate) fn measure(object: &[u8], path: &Path, list: &List, times: u32) -> Result<Vec<Figure>> {
    let mut figures = steps(path, times)?;
    let maps = TableMaps::new(&list.table)?;
    let next = TableMaps::new(&list.table)?;
    figures.extend(size(Subject::Table.name(), &[maps.bytes()?]));
    figures.extend(size(SWAP, &[maps.bytes()? + next.bytes()?]));
    figures.extend(tries(object, list)?);
    let starts = daemon::starts(path, times)?;
    let seconds: Vec<f64> = starts.iter().map(|start| start.seconds).collect();
    let peaks: Vec<u64> = starts.iter().map(|start| start.peak).collect();
    figures.extend(time(DAEMON, &seconds));
    figures.extend(size(DAEMON, &peaks));
    Ok(figures)
}

/// From the file to filled maps, step by step.
fn steps(path: &Path, times: u32) -> Result<Vec<Figure>> {
    const NAMES: [&str; 4] = [
        "file to networks",
        "networks to runs",
        "runs to table",
        "table to maps",
    ];
    let mut all = Vec::new();
    for _ in 0..times {
        interrupt::check()?;
        let mut clock = Clock(Instant::now());
        let (entries, _) = list::read(path)?;
        let read = clock.step();
        let runs = list::runs(&entries);
        let merged = clock.step();
        let table = Table::new(&runs)?;
        let compiled = clock.step();
        TableMaps::new(&table)?;
        all.push([read, merged, compiled, clock.step()]);
    }
    let steps = NAMES.into_iter().enumerate().filter_map(|(index, name)| {
        let times: Vec<f64> = all.iter().filter_map(|it| it.get(index).copied()).collect();
        time(name, &times)
    });
    let totals: Vec<f64> = all.iter().map(|steps| steps.iter().sum()).collect();
    Ok(steps.chain(time("file to maps", &totals)).collect())
}

/// Filling the tries, and how much the kernel's slab grows by it: the tries' own account counts no overhead.
fn tries(object: &[u8], list: &List) -> Result<Vec<Figure>> {
    // No program: what the verifier takes is not the tries'.
    let kernel = Kernel::load(object, 1, [])?;
    let slab = || machine::slab().context("/proc/meminfo has no line `Slab`");
    let mut figures = Vec::new();
    for family in [Family::V4, Family::V6] {
        let name = format!("{} {}", Subject::Lpm.name(), family_name(family));
        let before = slab()?;
        let took = kernel.fill_trie(list, family)?;
        let grown = slab()?.saturating_sub(before);
        figures.extend(time(name.clone(), &[took.as_secs_f64()]));
        figures.extend(size(name, &[grown]));
    }
    Ok(figures)
}

fn time(subject: impl Into<String>, seconds: &[f64]) -> Option<Figure> {
    Figure::of(SUITE, (CASE, subject), ("time", "s"), seconds)
}

fn size(subject: impl Into<String>, bytes: &[u64]) -> Option<Figure> {
    let bytes: Vec<f64> = bytes.iter().map(|bytes| *bytes as f64).collect();
    Figure::of(SUITE, (MEMORY, subject), ("size", "bytes"), &bytes)
}

/// Says how long it was since it was last asked.
struct Clock(Instant);

impl Clock {
    fn step(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.0, Instant::now());
        (self.0 - before).as_secs_f64()
    }
}
