//! `gate events`: the terms, and the signals that end it.

use std::{
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use gate_user::{
    Exit,
    bypass::Span,
    events::{self, Form, RATES, SAMPLES, Wanted},
    pins::Pins,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::{Format, filter};

/// What is listened to.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One event in so many, chosen by chance in the kernel
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(SAMPLES))]
    sample: u64,
    /// So many events a second at most, and so many at once, counted in the kernel for all processors together
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(RATES))]
    rate: u64,
    #[command(flatten)]
    filter: filter::Arguments,
    /// So many events [default: until it is ended]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// For how long: 10m, 1h30m, 90s [default: until it is ended]
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Span>,
}

impl Arguments {
    /// Listens until it has heard enough, or a signal comes.
    pub(super) fn run(self, pins: &Pins, format: Option<Format>) -> anyhow::Result<Exit> {
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Where nobody reads what is written, the first one is not heard; the second one ends it all the same.
            flag::register_conditional_shutdown(signal, Exit::Failed as i32, Arc::clone(&ended))
                .and_then(|_| flag::register(signal, Arc::clone(&ended)))
                .context("cannot listen for signals")?;
        }
        let mut out = io::stdout().lock();
        let form = match format {
            Some(Format::Json | Format::Ndjson) => Form::Ndjson,
            None if !out.is_terminal() => Form::Ndjson,
            Some(Format::Text | Format::Csv | Format::Markdown | Format::Html) | None => Form::Text,
        };
        let Self {
            sample,
            rate,
            filter,
            count,
            length,
        } = self;
        let wanted = Wanted {
            sample,
            rate,
            filter: filter.into(),
            count,
            length: length.map(|Span(length)| length),
        };
        let ended = || ended.load(Ordering::Relaxed) || nobody_reads();
        Ok(events::events(pins, &wanted, form, &mut out, &ended)?)
    }
}

/// Whether standard output is a pipe whose other end is closed: where events are rare, writing one tells it hours later, and until then nobody else
/// can listen.
fn nobody_reads() -> bool {
    let stdout = io::stdout();
    // Asked for nothing, it tells what it always does.
    let mut polled = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let has_told = poll(&mut polled, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    let [stdout] = polled;
    has_told
        && stdout
            .revents()
            .is_some_and(|it| it.contains(PollFlags::POLLERR))
}
