//! The userspace half of the gate, as a library: configuration, country databases, generations, and the kernel's maps.
//!
//! The binary `gate` is a thin shell around it. Pure parts ([`config`], [`generation`], [`report`]'s texts) take values
//! and return values; [`sys`], [`kernel`], [`attach`] and [`pins`] are the parts that touch the system.

pub mod answer;
pub mod attach;
pub mod boot;
pub mod bypass;
pub mod capture;
pub mod change;
pub mod check;
pub mod chore;
pub mod clock;
pub mod config;
pub mod control;
pub mod databases;
pub mod detach;
pub mod diff;
pub mod doctor;
mod error;
pub mod events;
pub mod exempt;
pub mod explain;
pub mod export;
pub mod fetch;
pub mod file;
pub mod filter;
pub mod floor;
pub mod forget;
pub mod generation;
pub mod geoip;
pub mod guard;
pub mod init;
pub mod judge;
pub mod kernel;
pub mod last_good;
mod lists;
pub mod load;
pub mod logging;
pub mod marking;
pub mod matrix;
pub mod memory;
pub mod metrics;
pub mod migrate;
pub mod object;
#[cfg(feature = "log")]
pub mod packet_log;
pub mod person;
pub mod pins;
pub mod privacy;
pub mod privilege;
mod progress;
pub mod rehearse;
mod replace;
pub mod replay;
pub mod report;
pub mod retention;
pub mod run;
pub mod sys;
pub mod table;
pub mod tags;
pub mod top;
pub mod view;
pub mod watch;

pub use error::{Error, Exit};
pub use progress::Progress;

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
