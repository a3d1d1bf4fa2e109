//! `gate doctor`: everything that the gate depends on, what is wrong with it, and what mends it.
//!
//! | module | what it is about |
//! |---|---|
//! | `host` | kernel, clock, forwarding |
//! | `port` | an interface: program, mode, MTU, offloads, traffic control |
//! | `placement` | bonds, bridges, VLAN devices |
//! | `programs` | whose a program is |
//! | `running` | pins, daemon, and what `gate status` says |
//! | `data` | configuration, lists and databases: hashes, age, permissions |
//! | `window` | from boot to the gate's start |
//! | `gather` | looks at all of that |
//!
//! What is asked and what is made of it are apart: each module judges plain values. Nothing is written, and no program is run. `docs/doctor.md` lists the
//! checks.

mod data;
mod finding;
mod gather;
mod host;
mod placement;
mod port;
mod programs;
mod running;
mod text;
mod window;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::{
    data::{Hash, Kind},
    finding::{Finding, Outcome},
};
use crate::{
    error::{Error, Exit},
    pins::Pins,
};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Doctor {
    /// The worst of it.
    pub outcome: Outcome,
    /// The configuration that was looked at; nothing where none is known.
    pub config: Option<PathBuf>,
    /// The number of the generation in force; nothing if none is.
    pub generation: Option<u32>,
    /// The hashes of files, for comparing machines.
    pub hashes: Vec<Hash>,
    /// What each check found, worst last.
    pub findings: Vec<Finding>,
}

/// Looks at everything: as the configuration at `config` wants it, else as the one in force does. `boot_rules` is where the rules for the boot window are
/// to be. A configuration that was named and is bad is an error.
pub fn doctor(pins: &Pins, config: Option<&Path>, boot_rules: &Path) -> Result<Doctor, Error> {
    let gather::Gathered {
        config,
        generation,
        hashes,
        mut findings,
    } = gather::gather(pins, config, boot_rules)?;
    findings.sort_by_key(|it| it.outcome);
    let worst = findings.last().map_or(Outcome::Ok, |it| it.outcome);
    Ok(Doctor {
        outcome: worst,
        config,
        generation,
        hashes,
        findings,
    })
}

impl Doctor {
    /// The exit code that tells scripts.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.outcome {
            Outcome::Degraded => Exit::Degraded,
            Outcome::Ok | Outcome::Note | Outcome::NotAsked | Outcome::Warning => Exit::Ok,
        }
    }
}
