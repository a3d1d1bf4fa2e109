//! `gate rehearse`: the configuration, and the signals that end it.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Context as _;
use clap::Args;
use gate_user::{
    bypass::Span,
    pins::Pins,
    rehearse::{self, Rehearsal, Wanted},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// What is rehearsed.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For how long: 10m, 1h30m, 90s; 24h at most
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    length: Span,
    /// How many sources of each difference to list
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    top: usize,
}

impl Arguments {
    /// Rehearses until the time is over, or a signal comes: what was found until then is shown all the same.
    pub(super) fn rehearse(&self, pins: &Pins) -> anyhow::Result<Rehearsal> {
        let ended = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&ended))
                .context("cannot listen for signals")?;
        }
        let Self {
            config,
            length: Span(length),
            top,
        } = self;
        let wanted = Wanted {
            config,
            length: *length,
            listed: *top,
        };
        Ok(rehearse::rehearse(pins, wanted, &|| {
            ended.load(Ordering::Relaxed)
        })?)
    }
}
