//! Processors that this process may use, and threads that stay on one.

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The numbers of the processors that this process may use; there is at least one.
///
/// # Errors
///
/// If the kernel does not say.
pub fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("which processors are there?")?;
    Ok((0..CpuSet::count())
        .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
        .collect())
}

/// Keeps this thread on `cpu`.
///
/// # Errors
///
/// If there is no such processor, or this process may not use it.
pub fn keep_to(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("cannot keep a thread on processor {cpu}"))
}
