//! Why a configuration cannot be rehearsed.

use super::{LONGEST_S, Underway};
use crate::{bypass::Bypass, error::Exit};

/// Why a configuration cannot be rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RehearseError {
    /// It lasts no time, or too long.
    #[error(
        "a rehearsal of {seconds} seconds: it lasts from 1 second to {} hours",
        LONGEST_S / 3600
    )]
    Length {
        /// For how long it was asked for.
        seconds: u64,
    },
    /// Somebody else rehearses something.
    #[error("another rehearsal goes on{}", .0.as_ref().map_or_else(String::new, |it| format!(": {it}")))]
    Busy(Option<Underway>),
    /// Nothing is decided as configured.
    #[error(
        "a bypass is in force, {0}: nothing is decided as it is configured, which a rehearsal would be compared with"
    )]
    Bypassed(Bypass),
}

impl RehearseError {
    /// The exit code of a command that fails so.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Length { .. } => Exit::Usage,
            Self::Busy(_) => Exit::Conflict,
            Self::Bypassed(_) => Exit::Failed,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Length { .. } => "for example `gate rehearse --config FILE --for 10m`".to_owned(),
            Self::Busy(_) => {
                "wait for its end, or end it with Ctrl-C where it runs; `gate status` shows it"
                    .to_owned()
            }
            Self::Bypassed(_) => {
                "`gate bypass off` ends the bypass; `gate diff --config FILE` compares without packets".to_owned()
            }
        }
    }
}
