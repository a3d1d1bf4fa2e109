//! The command line.

mod counters;
mod daemon;
mod events;
mod exempt;
mod explain;
mod filter;
mod geoip;
mod rehearse;
mod replay;

use std::{
    env,
    io::Write as _,
    net::IpAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{ArgGroup, CommandFactory as _, Parser, Subcommand, ValueEnum, error::ErrorKind};
use gate_user::{
    Error, Exit, Progress, boot,
    bypass::{self, Span, Switched, Wanted},
    check, control, detach, diff, doctor, init,
    last_good::{self, Store},
    load,
    matrix::{self, Form, Language, Style},
    object, person,
    pins::Pins,
    privacy,
    report::{self, Endpoint, Report},
    run, top,
    view::View,
};
use jiff::{Timestamp, tz::TimeZone};

/// Connection gate for ISPs: outbound port 25 blocking and country classes for submission, in XDP.
#[derive(Debug, Parser)]
#[command(
    name = "gate",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok; 1 failed; 2 wrong command line, configuration or data; 3 degraded, bypassed, rolled back, unconfirmed, open, or no daemon; \
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
    /// One object a line; of `counters` and `events` only, and `replay` has it as json
    Ndjson,
    /// For spreadsheets; of `counters` only
    Csv,
    /// For documents; of `matrix` only
    Markdown,
    /// For web pages; of `matrix` only
    Html,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LanguageName {
    /// English
    En,
    /// Japanese
    Ja,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a configuration in force and look after it, in the foreground
    ///
    /// Ending it leaves the gate closed: program, tables and counters stay in the kernel, and the next `run` adopts them.
    Run(daemon::Arguments),
    /// Put the configuration in force that `gate run --state` kept last, and end; for the start of the machine
    ///
    /// Nothing is read but the copy. Interfaces that are not there yet are left to `gate run`. Where a gate is in force already, nothing is done. Exit
    /// codes: 0 in force; 3 nothing is kept, the copy is damaged, or an interface is open; 1 anything else.
    Restore {
        /// The directory that it was kept in
        #[arg(long, value_name = "DIR", default_value = last_good::DIRECTORY)]
        state: PathBuf,
    },
    /// Let the daemon read its configuration, list files and databases again, and put them in force
    ///
    /// What is wrong is refused, and what was in force stays. Exit codes: 0 in force, or nothing to change; 2 refused; 3 no
    /// daemon; 1 anything else.
    Reload {
        /// Put it in force even if the guards refuse the data; damaged data and mistakes are refused all the same
        #[arg(long)]
        force: bool,
        /// Go back to what is in force now after this time (2m, 1h; 24h at most), unless `gate reload --confirmed` comes before
        #[arg(long, value_name = "TIME", value_parser = confirm_time)]
        confirm: Option<Span>,
        /// Keep what waits for a confirmation; reads nothing
        #[arg(long, conflicts_with_all = ["force", "confirm"])]
        confirmed: bool,
    },
    /// Put the generation before the one in force in force again
    ///
    /// Its tables are still there: nothing is read, and none of its files is needed. It stays, whatever changes in data files, until
    /// `gate reload`. A rollback of a rollback goes forward again. It needs no daemon.
    Rollback,
    /// Have everything observed and nothing refused for a time, or end that; alone, show it
    ///
    /// It ends by itself at its instant, whatever becomes of the daemon, and lasts through restarts and reloads. It needs no daemon. A later
    /// one takes the place of an earlier one.
    #[command(args_conflicts_with_subcommands = true)]
    Bypass {
        /// For how long: 30m, 1h30m, 90s; 24h at most
        #[arg(long = "for", value_name = "TIME", requires = "reason")]
        length: Option<Span>,
        /// Why, for whoever looks at the gate next
        #[arg(long, value_name = "TEXT", requires = "length")]
        reason: Option<String>,
        #[command(subcommand)]
        switch: Option<Switch>,
    },
    /// Open port 25 to a customer, or end that; in force at once, and kept in the file of exemptions
    ///
    /// Only that file is read: no list, no database. It needs no daemon, and holds through reloads and rollbacks. Exit codes: 0 in force; 2 refused,
    /// and the file is as it was; 3 written, but not in force; 1 anything else.
    #[command(subcommand)]
    Exempt(exempt::Command),
    /// Say what a configuration would put in force, and whether it could; change nothing
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write a configuration to begin with, from the interfaces, addresses and routes of this machine
    ///
    /// It only observes. Which interface has which role is a guess, and a comment says what it is made of.
    Init {
        /// Where to write it; `-` is standard output
        #[arg(long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
        /// Write it over what is there
        #[arg(long)]
        force: bool,
    },
    /// Say what is in force, and what is wrong with it
    Status,
    /// Show how many packets got which verdict, by reason, pool, class, country and source
    ///
    /// With any option, or as `csv` or `ndjson`, as rows for a file or a pipeline (docs/look.md has the columns). Exit codes: 0 shown; 2 wrong command line, or a
    /// name that nothing has; 1 sources are not counted, and anything else.
    Counters(counters::Arguments),
    /// Say what is kept of whom, where, for how long, and who can read it
    Privacy,
    /// Show what the gate does, live, on a terminal
    Top {
        /// How often to look: 1s, 10s, 1m
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
        interval: Span,
    },
    /// Show packets as they are refused or tagged, one line each, as long as it runs
    ///
    /// Only while it runs does the kernel tell of any; what is over the rate or finds no room is counted, and said. On a terminal lines for people, else
    /// an object a line. Exit codes: 0 ended; 2 wrong command line, or a name that nothing has; 3 the gate was detached meanwhile; 4 somebody listens already; 1 events are
    /// switched off, and anything else.
    Events(events::Arguments),
    /// Look at country databases: what they are, and what another one would change; and fetch them
    #[command(subcommand)]
    Geoip(geoip::Command),
    /// Say what the gate knows about addresses: country, class, pool
    Lookup {
        /// The addresses
        #[arg(required = true, value_name = "ADDR")]
        addresses: Vec<IpAddr>,
        /// Ask this configuration instead of the loaded generation
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say what the gate in force would make of a connection, why, and what would change it
    ///
    /// A packet that opens it runs through a private instance of the attached program, with the tables in force; nothing that is in force is
    /// written, and no limit is spent. Exit codes: 0 answered, whatever the verdict; 2 wrong command line; 3 the interface is open; 4 another
    /// program is attached; 1 anything else.
    Explain(explain::Arguments),
    /// Show what subscribers may connect to, by pool, destination and port, as the table that providers publish
    ///
    /// Times are those of the machine's time zone, or of the one that the variable TZ names (`TZ=Asia/Tokyo gate matrix --lang ja`); in JSON, UTC.
    Matrix {
        /// The language
        #[arg(long, value_enum, default_value_t = LanguageName::En)]
        lang: LanguageName,
    },
    /// Say which addresses a configuration would treat otherwise than what is in force does; change nothing
    Diff {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// How many prefixes of each group of addresses to list
        #[arg(long, value_name = "COUNT", default_value_t = 10)]
        prefixes: usize,
    },
    /// Look at everything that the gate depends on, and say what is wrong and what mends it; change nothing
    ///
    /// With --config before the first start, and beside a gate in force. Exit codes: 0 well, whatever is warned of; 2 a bad configuration;
    /// 3 the gate does not do its job, or would not; 1 anything else.
    Doctor {
        /// The configuration [default: the one that is in force]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where the rules for the boot window are (`gate boot-rules`)
        #[arg(long, value_name = "FILE", default_value = boot::FILE)]
        boot_rules: PathBuf,
    },
    /// Print rules of nftables that keep port 25 closed from the start of the network to that of the gate
    #[command(group = ArgGroup::new("which").required(true))]
    BootRules {
        /// The configuration
        #[arg(long, value_name = "FILE", group = "which")]
        config: Option<PathBuf>,
        /// Print what takes them away of the interfaces that the gate is on. Exit codes: 0 of all; 3 the others keep theirs
        #[arg(long, group = "which")]
        end: bool,
    },
    /// Let a configuration decide about real packets beside what is in force, and say which it would have treated otherwise
    ///
    /// Nothing comes of what it decides: no verdict, tag, answer or counter of the gate changes. It ends by itself, or with Ctrl-C, and then
    /// says what it found. Exit codes: 0 rehearsed, whatever differs; 2 wrong command line, configuration or data; 4 another rehearsal goes on;
    /// 1 anything else.
    Rehearse(rehearse::Arguments),
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

#[derive(Clone, Copy, Debug, Subcommand)]
enum Switch {
    /// End the bypass now
    Off,
}

/// The rules of a configuration; without one, what takes them away.
fn boot_rules(pins: &Pins, config: Option<&Path>, format: Format) -> anyhow::Result<Exit> {
    if let Some(config) = config {
        return show(&boot::boot_rules(config)?, format);
    }
    let end = boot::boot_end(pins)?;
    show(&end, format)?;
    Ok(end.exit())
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
    refuse_unfit(format, &command);
    match command {
        Command::Run(arguments) => daemon::run(&pins, &arguments),
        Command::Restore { state } => {
            let store = Store::new(&state).context("cannot find the working directory")?;
            let restored = run::restore(&pins, object::OBJECT, &store)?;
            show(&restored, format)?;
            Ok(restored.exit())
        }
        Command::Reload {
            force,
            confirm,
            confirmed,
        } => {
            let attempt = if confirmed {
                control::confirm(&pins)?
            } else {
                control::reload(&pins, force, confirm.map(|Span(length)| length))?
            };
            show(&attempt, format)?;
            Ok(attempt.outcome.exit())
        }
        Command::Rollback => {
            let attempt = control::rollback(&pins, object::OBJECT)?;
            show(&attempt, format)?;
            Ok(attempt.outcome.exit())
        }
        Command::Bypass {
            length,
            reason,
            switch,
        } => show(&bypass(&pins, length, reason, switch)?, format),
        Command::Exempt(command) => exempt::run(&pins, command, format),
        Command::Check { config } => show(&check::check(&pins, &config)?, format),
        Command::Init { output, force } => {
            let file = Some(output.as_path()).filter(|it| it.as_os_str() != "-");
            show(&init::init(file, force)?, format)
        }
        Command::Status => {
            let status = report::status(&pins)?;
            show(&status, format)?;
            Ok(status.exit())
        }
        Command::Counters(arguments) => arguments.run(&pins, format),
        Command::Events(arguments) => arguments.run(&pins, wanted),
        Command::Privacy => show(&privacy::privacy(&pins)?, format),
        Command::Top {
            interval: Span(interval),
        } => {
            top::top(&pins, interval).map_err(Error::from)?;
            Ok(Exit::Ok)
        }
        Command::Geoip(command) => geoip::run(&pins, command, format),
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
        Command::Explain(arguments) => show(&arguments.explain(&pins)?, format),
        Command::Matrix { lang } => {
            let form = Form {
                language: language(lang),
                style: style(format),
                zone: zone(),
            };
            let matrix = matrix::matrix(&View::loaded(&pins)?, Timestamp::now(), form)
                .map_err(Error::from)?;
            show(&matrix, format)
        }
        Command::Diff { config, prefixes } => show(&diff::diff(&pins, &config, prefixes)?, format),
        Command::Doctor { config, boot_rules } => {
            let doctor = doctor::doctor(&pins, config.as_deref(), &boot_rules)?;
            show(&doctor, format)?;
            Ok(doctor.exit())
        }
        Command::BootRules { config, .. } => boot_rules(&pins, config.as_deref(), format),
        Command::Rehearse(arguments) => show(&arguments.rehearse(&pins)?, format),
        Command::Flow {
            source,
            destination,
        } => show(&report::flow(&pins, source, destination)?, format),
        Command::Replay(arguments) => replay::run(&arguments, wanted.unwrap_or(Format::Json)),
        Command::Detach => show(&detach::detach(&pins)?, format),
    }
}

/// Ends the process where a command has no such format.
fn refuse_unfit(format: Format, command: &Command) {
    let message = match format {
        Format::Markdown | Format::Html if !matches!(command, Command::Matrix { .. }) => {
            "only `gate matrix` has the formats markdown and html"
        }
        Format::Ndjson if matches!(command, Command::Events(_)) => return,
        Format::Csv | Format::Ndjson if !matches!(command, Command::Counters(_)) => {
            "only `gate counters` has the formats csv and ndjson, and `gate events` ndjson"
        }
        Format::Text
        | Format::Json
        | Format::Ndjson
        | Format::Csv
        | Format::Markdown
        | Format::Html => return,
    };
    Cli::command()
        .error(ErrorKind::InvalidValue, message)
        .exit();
}

/// The machine's time zone, or that of the variable `TZ`, which has to be one; UTC where a machine has none.
fn zone() -> TimeZone {
    match (TimeZone::try_system(), env::var_os("TZ")) {
        (Ok(zone), _) => zone,
        (Err(_), None) => TimeZone::UTC,
        (Err(_), Some(name)) => {
            let name = name.display();
            let message = format!(
                "this machine knows no time zone `{name}`, which TZ names: write one of those in /usr/share/zoneinfo (package tzdata)"
            );
            Cli::command()
                .error(ErrorKind::InvalidValue, message)
                .exit()
        }
    }
}

/// The shortest time for a confirmation leaves some to look at what happens; the longest is a day.
fn confirm_time(text: &str) -> Result<Span, String> {
    span_within(text, 10..=24 * 60 * 60, "10 seconds to 24 hours")
}

fn interval(text: &str) -> Result<Span, String> {
    span_within(text, 1..=60 * 60, "a second to an hour")
}

fn span_within(text: &str, seconds: RangeInclusive<u64>, named: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error| format!("{error}"))?;
    if seconds.contains(&span.0.as_secs()) {
        Ok(span)
    } else {
        Err(format!("is not from {named}"))
    }
}

fn bypass(
    pins: &Pins,
    length: Option<Span>,
    reason: Option<String>,
    switch: Option<Switch>,
) -> Result<Switched, Error> {
    match (length, reason, switch) {
        (Some(Span(length)), Some(reason), _) => bypass::begin(
            pins,
            &Wanted {
                seconds: length.as_secs(),
                reason,
                by: person::name(),
            },
        ),
        (_, _, Some(Switch::Off)) => bypass::end(pins),
        _ => {
            let now = bypass::in_force(pins)?;
            Ok(Switched {
                before: now.clone(),
                now,
            })
        }
    }
}

const fn language(name: LanguageName) -> Language {
    match name {
        LanguageName::En => Language::English,
        LanguageName::Ja => Language::Japanese,
    }
}

const fn style(format: Format) -> Style {
    match format {
        Format::Text | Format::Json | Format::Ndjson | Format::Csv => Style::Text,
        Format::Markdown => Style::Markdown,
        Format::Html => Style::Html,
    }
}

fn planned(config: &Path) -> Result<View, Error> {
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
        Format::Text | Format::Markdown | Format::Html => report.text(&mut out),
        Format::Json | Format::Ndjson | Format::Csv => report.json(&mut out),
    };
    match written.and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
        result => result.map(|()| Exit::Ok).context("cannot write the result"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    /// What clap finds of a definition only where it is built as a whole, as for the manual pages.
    #[test]
    fn the_definition_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }
}
