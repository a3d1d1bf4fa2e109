//! The loaded program that all trials share, and how a row is tried.
//!
//! It is loaded once: under an emulated processor the verifier takes its time. Rows count what changed, so that they do not mind what
//! others counted before.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Result, anyhow, ensure};
use gate_tests::privilege;
use libtest_mimic::{Failed, Trial};

use crate::{
    configurations::{Configuration, watched},
    kernel::{Action, Change, Device, LOOPBACK},
    rows::{Expected, Row, Side},
};

/// The program, or why there is none.
#[derive(Clone)]
pub(crate) struct Bench {
    state: Arc<Result<Mutex<State>>>,
    /// A missing privilege is a reason to skip a trial; a program that does not load is none.
    skipped: bool,
}

/// The program and what was last put in force.
pub(crate) struct State {
    pub(crate) device: Device,
    in_force: Option<(Configuration, Side)>,
}

impl Bench {
    /// Loads the program.
    pub(crate) fn new() -> Self {
        let privilege = privilege::privileged();
        if let Err(reason) = &privilege {
            // Where standard error is closed there is nobody to tell.
            let _ = writeln!(io::stderr(), "all trials are ignored: {reason}");
        }
        let skipped = privilege.is_err();
        let device = privilege
            .map_err(anyhow::Error::from)
            .and_then(|()| Device::load(&watched()));
        let state = device.map(|device| {
            Mutex::new(State {
                device,
                in_force: None,
            })
        });
        Self {
            state: Arc::new(state),
            skipped,
        }
    }

    /// A trial, ignored where the privilege is missing.
    pub(crate) fn trial(
        &self,
        name: impl Into<String>,
        body: impl FnOnce(&mut State) -> Result<()> + Send + 'static,
    ) -> Trial {
        let bench = self.clone();
        let run = move || {
            bench
                .lock()
                .and_then(|mut state| body(&mut state))
                .map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name, run).with_ignored_flag(self.skipped)
    }

    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        match self.state.as_ref() {
            // A trial that panicked has left counters behind, which no other minds.
            Ok(state) => Ok(state.lock().unwrap_or_else(PoisonError::into_inner)),
            Err(error) => Err(anyhow!("{error:#}")),
        }
    }
}

impl State {
    /// Puts a configuration in force, the loopback device being the interface on `side`.
    pub(crate) fn put_in_force(&mut self, configuration: Configuration, side: Side) -> Result<()> {
        if self.in_force == Some((configuration, side)) {
            return Ok(());
        }
        self.in_force = None;
        // Without a generation before it every configuration has the same numbers each time.
        let plan = configuration.plan(None)?;
        self.device
            .put_in_force(&plan, &|name| Some(side.index_of(name)))?;
        self.in_force = Some((configuration, side));
        Ok(())
    }

    /// Says that a trial has put something else in force.
    pub(crate) fn forget(&mut self) {
        self.in_force = None;
    }

    /// One frame through the program, and everything that it changed.
    pub(crate) fn observe(&mut self, frame: &[u8]) -> Result<(Action, Change)> {
        let before = self.device.tally()?;
        let action = self.device.run(frame)?;
        Ok((action, self.device.tally()?.since(&before)))
    }

    /// Has everything as a row wants it, but for its frame.
    pub(crate) fn prepare(&mut self, row: &Row) -> Result<()> {
        self.put_in_force(row.configuration, row.side)?;
        self.renew(row.now)
    }

    /// Makes it `now`, and forgets what earlier packets left behind.
    pub(crate) fn renew(&mut self, now: &str) -> Result<()> {
        self.device.set_time(now.parse()?)?;
        // The tags of other rows: a connection has only one.
        self.device.gate.maps.sweep_flows(u64::MAX)?;
        self.device.fill_buckets()
    }

    /// Tries a row.
    pub(crate) fn check(&mut self, row: &Row) -> Result<()> {
        let Row {
            name: _,
            why,
            configuration,
            side,
            now,
            frame,
            expected,
        } = row;
        self.prepare(row)?;
        let (action, change) = self.observe(frame)?;
        let Expected {
            action: wanted_action,
            change: wanted,
        } = expected;
        ensure!(
            action == *wanted_action && change == *wanted,
            "{why}\n  {configuration:?}, {side:?} side, at {now}\n  frame {}\n  expected {wanted_action}, and counted:\n{wanted}  \
             seen {action}, and counted:\n{change}",
            hex(frame)
        );
        Ok(())
    }
}

impl Side {
    /// The index of the interface with this name. The other side's interface is there too, under an index of its own.
    pub(crate) fn index_of(self, name: &str) -> u32 {
        let here = match self {
            Self::Access => name == "access",
            Self::Uplink => name == "uplink",
            Self::Neither => false,
        };
        if here { LOOPBACK } else { LOOPBACK + 1000 }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
