//! `cargo xtask demo`: real connections through the gate, refused, passed and tagged before one's eyes.
//!
//! First without the gate, where every connection has to come about; then with it, in the two forms in which Japanese
//! ISPs publish their rules; with a limit on connections from abroad; last, how the class of a connection reaches the mail server. Exit code 0 says that everything came out as the tables expect, and that nothing is left
//! on the machine.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod keep;
mod limit;
mod narrate;
mod scenes;
mod tags;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use gate_tests::{
    gate,
    interrupt::{self, Interrupted},
    privilege,
    residue::Watch,
};

use self::narrate::Narrator;

/// Shows the gate at work in a lab of network namespaces
#[derive(Parser)]
#[command(name = "demo")]
pub(crate) struct Arguments {
    /// Where the gate is attached
    #[arg(long, value_enum, default_value_t = Mode::Native)]
    mode: Mode,
    /// Leave the lab standing until Enter or Ctrl-C, and say how to look into it
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    /// In the driver
    Native,
    /// In the network stack
    Generic,
}

impl From<Mode> for gate::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments, &mut Narrator::new()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // Standard error is all that is left to report to.
            let _ = writeln!(io::stderr(), "demo: {error:#}");
            if error.is::<Interrupted>() {
                // What a shell makes of SIGINT.
                ExitCode::from(130)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Returns how many things are not as expected.
fn run(arguments: &Arguments, narrator: &mut Narrator) -> Result<usize> {
    privilege::privileged().context("the demo has to be run as root")?;
    interrupt::catch()?;
    let watch = Watch::start();
    let played = scenes::play(arguments, narrator);
    // Everything was dropped: what is there now stays.
    let left = watch.left();
    let statement = "nothing is left: no namespace, interface, pin, process or file";
    narrator.check(statement, &left)?;
    played?;
    narrator.close()?;
    Ok(narrator.faults())
}
