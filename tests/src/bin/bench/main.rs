//! `cargo xtask bench`: measures, prints figures and targets.
//!
//! Exit code 0 says that the figures can be trusted, not that they are good: a target that is missed is printed as such.
//! A self-check that fails ends the run with exit code 1.
//!
//! Other than the tests' library it links the gate: what compiles a table there is what is measured here.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]
#![expect(
    clippy::cast_precision_loss,
    reason = "no figure here has more than the 52 bits that a float keeps"
)]

mod figure;
mod lookup;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use gate_tests::{
    interrupt::{self, Interrupted},
    privilege,
    residue::Watch,
};

/// Measures the gate
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Subcommand)]
enum Suite {
    Lookup(lookup::Arguments),
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is all that is left to report to.
            let _ = writeln!(io::stderr(), "bench: error: {error:#}");
            if error.is::<Interrupted>() {
                // What a shell makes of SIGINT.
                ExitCode::from(130)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(Arguments { suite }: &Arguments) -> Result<()> {
    privilege::privileged().context("the benchmark has to be run as root")?;
    interrupt::catch()?;
    let watch = Watch::start();
    let measured = match suite {
        Suite::Lookup(arguments) => lookup::run(arguments),
    };
    let left = watch.left();
    measured?;
    anyhow::ensure!(
        left.is_empty(),
        "something is left on the machine: {}",
        left.join("; ")
    );
    Ok(())
}
