//! `gate restore`: the last good configuration in force, before there is a daemon.
//!
//! The start of a machine wants it before its network: no file but those of the copy is read, and an interface that is not there yet, or that the program
//! cannot be put on, keeps it off no other one. Whatever is in force already stays.

use std::{collections::BTreeMap, io};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Order, fallback, force,
    ready::{Before, Ready},
};
use crate::{
    error::{Error, Exit},
    floor, kernel,
    last_good::Store,
    load::Source,
    migrate::Migration,
    pins::Pins,
    privilege,
    progress::Progress,
    report::Report,
    view,
};

/// What was put in force, or why nothing was.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored {
    /// A gate is in force already.
    Nothing {
        /// Its generation; nothing if it is that of another version of the map ABI.
        generation: Option<u32>,
    },
    /// The last good configuration.
    InForce {
        /// The generation that was made of it.
        generation: u32,
        /// When it was copied.
        kept_at: Timestamp,
        /// The file that it was once read from.
        config: std::path::PathBuf,
        /// The mode of the program, by interface.
        interfaces: BTreeMap<String, &'static str>,
        /// Interfaces that are not there yet.
        missing: Vec<String>,
        /// Interfaces that the program could not be put on, and why.
        blocked: BTreeMap<String, String>,
        /// What is odd about it.
        warnings: Vec<String>,
    },
}

/// Puts what is kept in `store` in force, if nothing is.
pub fn restore(pins: &Pins, object: &[u8], store: &Store) -> Result<Restored, Error> {
    floor::check()?;
    privilege::check()?;
    if let Some(nothing) = in_force(pins)? {
        return Ok(nothing);
    }
    let lock = pins.lock()?;
    // Somebody may have been quicker.
    if let Some(nothing) = in_force(pins)? {
        return Ok(nothing);
    }
    let restored = locked(pins, object, store);
    if restored.is_err() {
        pins.take_back(&lock);
    }
    restored
}

fn in_force(pins: &Pins) -> Result<Option<Restored>, Error> {
    let generation = match view::current(pins) {
        Ok(directory) => Some(kernel::manifest(&directory)?.number),
        Err(Error::NotLoaded { .. }) => return Ok(None),
        Err(error) if Migration::find(pins)?.is_none() => return Err(error),
        Err(_) => None,
    };
    Ok(Some(Restored::Nothing { generation }))
}

fn locked(pins: &Pins, object: &[u8], store: &Store) -> Result<Restored, Error> {
    let copy = store.open()?;
    let order = Order {
        source: Source::LastGood(&copy),
        object,
        force: false,
        confirm: None,
        cancelled: &|| false,
    };
    let mut progress = Progress::until(order.cancelled);
    let before = Before::checked(pins, object, None)?;
    let ready = Ready::new(pins, order, before, &mut progress);
    progress.finish();
    let mut ready = ready?;
    let (_, in_force) = force::start(pins, order.means(), &ready)?;
    fallback::note(pins, store)?;
    let mut blocked = std::mem::take(&mut ready.targets.blocked);
    blocked.extend(in_force.blocked.clone());
    let modes = in_force.modes.iter();
    Ok(Restored::InForce {
        generation: ready.plan.manifest.number,
        kept_at: copy.index().at,
        config: ready.plan.manifest.config.clone(),
        interfaces: modes
            .map(|(name, mode)| (name.clone(), mode.name()))
            .collect(),
        missing: ready
            .targets
            .missing
            .iter()
            .map(|it| it.name.clone())
            .collect(),
        blocked,
        warnings: ready.change(in_force).warnings,
    })
}

impl Restored {
    /// Whether the gate is on every interface that there is.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::InForce { blocked, .. } if !blocked.is_empty() => Exit::Degraded,
            Self::InForce { .. } | Self::Nothing { .. } => Exit::Ok,
        }
    }
}

impl Report for Restored {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        match self {
            Self::Nothing { generation } => {
                let what = generation.map_or_else(
                    || "a gate of another version".to_owned(),
                    |it| format!("generation {it}"),
                );
                writeln!(out, "nothing restored: {what} is in force already")
            }
            Self::InForce {
                generation,
                kept_at,
                config,
                interfaces,
                missing,
                blocked,
                warnings,
            } => {
                writeln!(
                    out,
                    "restored: generation {generation} is in force, of {} as it was kept {kept_at:.0}",
                    config.display()
                )?;
                for (name, mode) in interfaces {
                    writeln!(out, "{name}: {mode} mode")?;
                }
                for name in missing {
                    writeln!(out, "{name}: is missing, and is left to `gate run`")?;
                }
                for (name, why) in blocked {
                    writeln!(out, "{name}: open: {why}")?;
                }
                for warning in warnings {
                    writeln!(out, "warning: {warning}")?;
                }
                writeln!(out, "no daemon runs; `gate run` looks after it")
            }
        }
    }
}
