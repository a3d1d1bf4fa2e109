//! What loading takes: time to the kernel's maps, and memory.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result};
use gate_tests::interrupt;
use gate_user::table::{Family, Table};

use super::{
    NAME,
    case::{Subject, family_name},
    kernel::{Kernel, TableMaps},
    list::{self, List},
    ortc::ortc,
};
use crate::{figure::Figure, machine, userspace::daemon};

/// The case of times.
pub(crate) const CASE: &str = "load";
/// The case of bytes.
pub(crate) const MEMORY: &str = "memory";
/// The subject: the gate itself, from the start of its process until everything is in force.
pub(crate) const DAEMON: &str = "daemon";
/// The subject: the table again, and everything before it, from the database's file on.
pub(crate) const FROM_FILE: &str = "table, from the file";
/// The subject: two tables, the one before and the one after.
pub(crate) const SWAP: &str = "table, swap";

/// Times and bytes of the table, the gate and the tries, those of the first three `times` times.
pub(crate) fn measure(object: &[u8], path: &Path, list: &List, times: u32) -> Result<Vec<Figure>> {
    let gate = daemon::Bench::new(path)?;
    let (mut seconds, mut from_file, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        starts.push(gate.start()?.in_force);
        interrupt::check()?;
        let start = Instant::now();
        TableMaps::new(&Table::new(&list::runs(&list.entries))?)?;
        seconds.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        let (entries, _) = list::read(path)?;
        TableMaps::new(&Table::new(&list::runs(&entries))?)?;
        from_file.push(start.elapsed().as_secs_f64());
    }
    let mut figures: Vec<Figure> = time(Subject::Table.name(), &seconds).into_iter().collect();
    figures.extend(time(FROM_FILE, &from_file));
    figures.extend(time(DAEMON, &starts));
    let maps = TableMaps::new(&list.table)?;
    let next = TableMaps::new(&list.table)?;
    figures.extend(size(Subject::Table.name(), &[maps.bytes()?]));
    figures.extend(size(SWAP, &[maps.bytes()? + next.bytes()?]));
    figures.extend(tries(object, list)?);
    Ok(figures)
}

/// Filling the tries, and how much the kernel's slab grows by it: the tries' own account counts no overhead.
fn tries(object: &[u8], list: &List) -> Result<Vec<Figure>> {
    // No program: what the verifier takes is not the tries'.
    let kernel = Kernel::load(object, 1, [])?;
    let slab = || machine::slab().context("/proc/meminfo has no line `Slab`");
    let mut figures = Vec::new();
    for family in [Family::V4, Family::V6] {
        let fewest = ortc(&list.runs, family);
        for trie in [Subject::Lpm, Subject::LpmOrtc] {
            let name = format!("{} {}", trie.name(), family_name(family));
            let before = slab()?;
            let took = match trie {
                Subject::LpmOrtc => kernel.fill_ortc(&fewest, family)?,
                Subject::Floor | Subject::Table | Subject::Lpm | Subject::LpmSlotted => {
                    kernel.fill_trie(list, family)?
                }
            };
            let grown = slab()?.saturating_sub(before);
            figures.extend(time(name.clone(), &[took.as_secs_f64()]));
            figures.extend(size(name, &[grown]));
        }
    }
    Ok(figures)
}

fn time(subject: impl Into<String>, seconds: &[f64]) -> Option<Figure> {
    Figure::of(NAME, (CASE, subject), ("time", "s"), seconds)
}

fn size(subject: impl Into<String>, bytes: &[u64]) -> Option<Figure> {
    let bytes: Vec<f64> = bytes.iter().map(|bytes| *bytes as f64).collect();
    Figure::of(NAME, (MEMORY, subject), ("size", "bytes"), &bytes)
}
