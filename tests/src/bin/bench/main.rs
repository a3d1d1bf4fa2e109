//! `cargo xtask bench`: measures, prints figures and targets, writes the report.
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

mod carriers;
mod costs;
mod cpu;
mod figure;
mod growth;
#[path = "../../../../gate-bench-ebpf/src/layout.rs"]
mod layout;
mod lookup;
mod machine;
mod object;
mod output;
mod plot;
mod rates;
mod refuse;
mod repeat;
mod shapes;
mod suite;
mod table;
mod target;
mod userspace;
mod xdp_filter;

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Parser, builder::PossibleValuesParser};
use gate_tests::{
    interrupt::{self, Interrupted},
    privilege,
    residue::Watch,
};

use self::{
    output::{About, Report, Saved},
    suite::{Setting, Suite},
};

/// In the order of the report.
const SUITES: [Suite; 6] = [
    shapes::SUITE,
    carriers::SUITE,
    refuse::SUITE,
    lookup::SUITE,
    growth::SUITE,
    userspace::SUITE,
];
/// The environment variables with the commit of the tree that was built, and with what was typed.
const COMMIT: &str = "GATE_COMMIT";
const COMMAND: &str = "GATE_COMMAND";

/// Measures the gate
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Only this suite; can be given again
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SUITES.map(|it| it.name)))]
    suite: Vec<String>,
    /// Fewer rounds, with more scatter
    #[arg(long)]
    quick: bool,
    /// Also write every figure into this file, as a JSON list
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write a report with plots into this directory
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Only the cases whose names contain one of these, such as `v4/run`, `rare`, `growth/v6`, `load`
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
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

fn run(arguments: Arguments) -> Result<()> {
    privilege::privileged().context("the benchmark has to be run as root")?;
    interrupt::catch()?;
    let Arguments {
        suite,
        quick,
        json,
        report,
        only,
    } = arguments;
    let json = json.as_deref().map(Saved::beside).transpose()?;
    let report = report.as_deref().map(Report::into).transpose()?;
    let setting = Setting { quick, only };
    let told = |name| env::var(name).unwrap_or_else(|_| "unknown".to_owned());
    let about = About::now(told(COMMIT), told(COMMAND));
    about.introduce()?;
    let mut sections = Vec::new();
    for Suite { name, run } in SUITES {
        if !suite.is_empty() && suite.iter().all(|it| it != name) {
            continue;
        }
        suite::progress(&format!("suite {name}"));
        let watch = Watch::start();
        let measured = run(&setting);
        let left = watch.left();
        let section = measured?;
        anyhow::ensure!(
            left.is_empty(),
            "something is left on the machine: {}",
            left.join("; ")
        );
        output::show(&section)?;
        sections.push(section);
    }
    anyhow::ensure!(
        sections.iter().any(|it| !it.figures.is_empty()),
        "no case has a name with {}: without --only all are measured, and named",
        setting.only.join(" or ")
    );
    if let Some(json) = json {
        json.figures(&sections)?;
    }
    if let Some(report) = report {
        report.write(&about, &sections)?;
    }
    Ok(())
}
