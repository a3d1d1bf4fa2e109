//! `cargo xtask conformance DIR`: the gate and tshark on every packet of every capture below a folder.
//!
//! Exit code 0 says that they agree, or differ only as the threat model says.

#![expect(
    unused_crate_dependencies,
    reason = "the lint looks at each target alone: the library uses the rest"
)]

mod gate;

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use gate_tests::conformance::{self, Report, Tshark};

/// Compares the gate's view of packets with tshark's
#[derive(Parser)]
#[command(name = "conformance")]
struct Arguments {
    /// A folder of captures (pcap, pcapng); the folders in it are read as well
    directory: PathBuf,
    /// Also write the outcome into this file, with every difference
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the outcome into this file, as a page in Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Standard error is all that is left to report to.
            let _ = writeln!(io::stderr(), "conformance: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every difference is explained.
fn run(arguments: &Arguments) -> Result<bool> {
    let Arguments {
        directory,
        json,
        report: page,
    } = arguments;
    let tshark = Tshark::find()?;
    let folders = conformance::captures(directory)?;
    ensure!(
        !folders.is_empty(),
        "no capture below {}: files that begin like pcap or pcapng are looked for (gzip -d what is compressed)",
        directory.display()
    );
    let mut report = Report::default();
    for files in folders.values() {
        report.merge(conformance::compare_files(
            &tshark,
            directory,
            files,
            &gate::view,
        )?);
    }
    io::stdout().write_all(report.text(&tshark.version).as_bytes())?;
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&report.json(&tshark.version))?;
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = page {
        fs::write(file, report.page(&tshark.version))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(report.unexplained().next().is_none())
}
