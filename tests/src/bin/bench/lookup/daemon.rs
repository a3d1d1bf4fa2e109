//! The gate itself with the whole database: how long until it is in force, and how much memory the daemon takes.

use std::time::Instant;

use anyhow::{Context as _, Result};
use gate_tests::{
    gate::{self, Config, GATE_BIN, Gate, Mode},
    lab::{Database, Lab},
};

use super::machine;

/// What one start took.
pub(crate) struct Start {
    /// From the start of the process to the line that says that everything is in force. Looked for every 50 ms.
    pub(crate) seconds: f64,
    /// The most memory that it ever had.
    pub(crate) peak: u64,
}

/// Starts the daemon in a lab so many times, on nothing each time.
pub(crate) fn starts(database: &std::path::Path, times: u32) -> Result<Vec<Start>> {
    let program = gate::path_from(GATE_BIN)?;
    let database = Database::open(database)?;
    let lab = Lab::new(&database)?;
    let gate = Gate::new(&program, &lab);
    let config = Config::of(&lab, database.path(), Mode::Native)?.write(&lab, "bench.toml")?;
    (0..times)
        .map(|_| {
            let start = Instant::now();
            let daemon = gate.run(&config)?;
            let seconds = start.elapsed().as_secs_f64();
            let peak =
                machine::peak(daemon.id()).context("the daemon's memory is not to be read")?;
            daemon.terminate()?;
            gate.detach()?;
            Ok(Start { seconds, peak })
        })
        .collect()
}
