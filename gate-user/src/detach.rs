//! `gate detach`: takes the gate out of the kernel. The only command that opens it.

use std::{collections::BTreeSet, io};

use serde::Serialize;

use crate::{attach, control, error::Error, pins::Pins, report::Report, sys::XdpLink};

/// What was removed.
#[derive(Debug, Serialize)]
pub struct Detached {
    /// The interfaces on which nothing is judged any more.
    pub interfaces: Vec<String>,
    /// The interfaces on which no skb mark is set any more.
    pub marks: Vec<String>,
    /// The directory of the pins.
    pub pins: std::path::PathBuf,
}

/// Removes links, maps and pins.
pub fn detach(pins: &Pins) -> Result<Detached, Error> {
    let versions = |pins: &Pins| -> Result<Vec<Pins>, Error> {
        let own = pins.exist().then(|| pins.clone());
        Ok(own
            .into_iter()
            .chain(pins.others_among_foreign()?)
            .collect())
    };
    if !pins.root().is_dir() || versions(pins)?.is_empty() {
        return Err(Error::NotLoaded {
            pins: pins.root().to_owned(),
        });
    }
    let _lock = pins.lock()?;
    pins.check_version()?;
    let mut interfaces = BTreeSet::new();
    let mut marks = BTreeSet::new();
    // Also what another version of the map ABI has in force: this is the command that takes the gate off, whoever put it on.
    for pins in versions(pins)? {
        control::clean_up(&pins)?;
        let linked = pins.linked()?;
        for name in &linked {
            // A link goes some time after its pin, and the interface is not open until it has. One that cannot be taken off at once goes so.
            let _ = XdpLink::detach(&pins.link(name));
        }
        interfaces.extend(linked);
        marks.extend(attach::unmark(&pins)?);
        pins.remove_all()?;
    }
    Ok(Detached {
        interfaces: interfaces.into_iter().collect(),
        marks: marks.into_iter().collect(),
        pins: pins.root().to_owned(),
    })
}

impl Report for Detached {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for interface in &self.interfaces {
            writeln!(
                out,
                "{interface}: detached, nothing is judged on it any more"
            )?;
        }
        for interface in &self.marks {
            writeln!(out, "{interface}: no skb mark is set on it any more")?;
        }
        writeln!(
            out,
            "{}: counters, tags and tables removed",
            self.pins.display()
        )
    }
}
