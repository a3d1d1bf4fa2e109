//! The command line.

mod daemon;
mod replay;

use std::{io::Write as _, net::IpAddr, path::PathBuf};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use gate_user::{
    Error, Exit, Progress, check, control, detach, load, object,
    pins::Pins,
    report::{self, Endpoint, Report},
    view::View,
};
use jiff::Timestamp;

/// Connection gate for ISPs: outbound port 25 blocking and country classes for submission, in XDP.
#[derive(Debug, Parser)]
#[command(
    name = "gate",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok; 1 failed; 2 wrong command line, configuration or data; 3 degraded, open, or no daemon; \
                  4 another program or another gate is in the way."
)]
pub(crate) struct Cli {
    /// Directory of the gate's pins, on a BPF file system
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/sys/fs/bpf/gate"
    )]
    pins: PathBuf,
    /// How to show results [default: text; of `replay`, json]
    #[arg(long, global = true, value_enum)]
    format: Option<Format>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a configuration in force and look after it, in the foreground
    ///
    /// Ending it leaves the gate closed: program, tables and counters stay in the kernel, and the next `run` adopts them.
    Run {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Put it in force even if the guards refuse the data; damaged data and mistakes are refused all the same
        #[arg(long)]
        force: bool,
        /// Log every judged packet, for debugging
        #[cfg(feature = "log")]
        #[arg(long)]
        log_packets: bool,
    },
    /// Let the daemon read its configuration, list files and databases again, and put them in force
    ///
    /// What is wrong is refused, and what was in force stays. Exit codes: 0 in force, or nothing to change; 2 refused; 3 no
    /// daemon; 1 anything else.
    Reload {
        /// Put it in force even if the guards refuse the data; damaged data and mistakes are refused all the same
        #[arg(long)]
        force: bool,
    },
    /// Say what a configuration would put in force, and whether it could; change nothing
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say what is in force, and what is wrong with it
    Status,
    /// Show how many packets got which verdict, by reason, pool, class, country and source
    Counters,
    /// Say what the gate knows about addresses: country, class, pool
    Lookup {
        /// The addresses
        #[arg(required = true, value_name = "ADDR")]
        addresses: Vec<IpAddr>,
        /// Ask this configuration instead of the loaded generation
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show the tag of a submission connection
    Flow {
        /// Who opened it, ADDRESS:PORT
        #[arg(value_name = "SRC:PORT")]
        source: Endpoint,
        /// To whom, ADDRESS:PORT
        #[arg(value_name = "DST:PORT")]
        destination: Endpoint,
    },
    /// Say what a configuration makes of the packets in a capture (pcap or pcapng, of Ethernet); change nothing
    ///
    /// One line a packet, and a summary at the end. Deadlines are judged at the time of the capture.
    Replay(replay::Arguments),
    /// Take the gate out of the kernel; this opens it
    Detach,
}

/// Runs the command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Cli {
        pins,
        format,
        command,
    } = cli;
    let pins = Pins::new(&pins).context("cannot find the working directory")?;
    let wanted = format;
    let format = wanted.unwrap_or(Format::Text);
    match command {
        #[cfg(feature = "log")]
        Command::Run {
            config,
            force,
            log_packets: true,
        } => daemon::run(&pins, &config, force, object::LOG_OBJECT),
        Command::Run { config, force, .. } => daemon::run(&pins, &config, force, object::OBJECT),
        Command::Reload { force } => {
            let attempt = control::reload(&pins, force)?;
            show(&attempt, format)?;
            Ok(attempt.outcome.exit())
        }
        Command::Check { config } => show(&check::check(&pins, &config)?, format),
        Command::Status => {
            let status = report::status(&pins)?;
            show(&status, format)?;
            Ok(status.exit())
        }
        Command::Counters => show(&report::counters(&pins)?, format),
        Command::Lookup { addresses, config } => {
            let view = match config {
                Some(config) => planned(&config)?,
                None => View::loaded(&pins)?,
            };
            show(
                &report::lookup(&view, &addresses, Timestamp::now())?,
                format,
            )
        }
        Command::Flow {
            source,
            destination,
        } => show(&report::flow(&pins, source, destination)?, format),
        Command::Replay(arguments) => replay::run(&arguments, wanted.unwrap_or(Format::Json)),
        Command::Detach => show(&detach::detach(&pins)?, format),
    }
}

fn planned(config: &std::path::Path) -> Result<View, Error> {
    let mut progress = Progress::new();
    let loaded = load::load(
        load::Source::Named(config),
        load::Base::default(),
        &mut progress,
    );
    progress.finish();
    Ok(View::planned(loaded?.plan))
}

fn show(report: &impl Report, format: Format) -> anyhow::Result<Exit> {
    let mut out = std::io::stdout().lock();
    let written = match format {
        Format::Text => report.text(&mut out),
        Format::Json => report.json(&mut out),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        result => result.map(|()| Exit::Ok).context("cannot write the result"),
    }
}
