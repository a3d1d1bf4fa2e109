//! `gate detach`: takes the gate out of the kernel. The only command that opens it.

use std::io;

use serde::Serialize;

use crate::{attach, control, error::Error, pins::Pins, report::Report};

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
    if !pins.exist() {
        return Err(Error::NotLoaded {
            pins: pins.root().to_owned(),
        });
    }
    let _lock = pins.lock()?;
    pins.check_version()?;
    control::clean_up(pins)?;
    let interfaces = pins.linked()?;
    let marks = attach::unmark(pins)?;
    pins.remove_all()?;
    Ok(Detached {
        interfaces,
        marks,
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
