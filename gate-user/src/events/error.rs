//! Why nobody can listen.

use super::Listening;
use crate::error::Exit;

/// Why nobody can listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The configuration wants nothing said of single sources.
    #[error("events are switched off ([counters] sources = false)")]
    Off,
    /// Somebody does already.
    #[error("somebody listens to events already{}", .0.as_ref().map_or_else(String::new, |it| format!(": {it}")))]
    Busy(Option<Listening>),
    /// No such terms.
    #[error("--{what} {wanted}: from {least} to {most}")]
    Terms {
        /// What was asked for.
        what: &'static str,
        /// How much of it.
        wanted: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
}

impl EventsError {
    /// The exit code of a command that fails so.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Off => Exit::Failed,
            Self::Busy(_) => Exit::Conflict,
            Self::Terms { .. } => Exit::Usage,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Off => "`sources = true` there, then `gate reload`, lets them be heard from then on; `gate counters` has totals".to_owned(),
            Self::Busy(_) => "end it with Ctrl-C where it runs; what it writes to can be read by several".to_owned(),
            Self::Terms { .. } => "for example `gate events --sample 10 --rate 100`".to_owned(),
        }
    }
}

impl std::fmt::Display for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            by,
            since,
            before: _,
        } = self;
        if let Some(by) = by {
            write!(f, "{by}, ")?;
        }
        write!(f, "since {since:.0}")
    }
}
