//! `gate counters` for programs: rows of what is counted, filtered and in order, once or for each interval.
//!
//! | module | what it is |
//! |---|---|
//! | `moment` | the counters as rows |
//! | `delta` | two moments, as rows of what came between |
//! | `wanted` | which rows, and in which order |
//! | `row`, `write` | the columns, and the forms |
//!
//! No number is made here that `gate counters` does not show, or that is not the difference of two of them.

mod delta;
mod moment;
mod row;
mod wanted;
mod write;

use std::{io, thread, time::Instant};

pub(crate) use self::moment::rows;
use self::{
    moment::{Reader, without_entry},
    write::{Batch, Writer},
};
pub use self::{
    row::Kind,
    wanted::{Sort, Wanted},
    write::Form,
};
use crate::{
    error::{Error, Exit},
    kernel,
    pins::Pins,
    view,
};

/// Why there is nothing to export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The configuration wants none.
    #[error("sources are not counted ([counters] sources = false)")]
    NoSources,
    /// A kind of rows that has nothing of the kind.
    #[error("{kind} are not counted by {filter}")]
    Filter {
        /// What rows are about.
        kind: &'static str,
        /// What was asked for.
        filter: &'static str,
    },
    /// Nobody takes it.
    #[error("cannot write the result: {0}")]
    Write(#[from] io::Error),
}

impl ExportError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSources => "`--by pools` and the other kinds are counted; `sources = true` there, then `gate reload`, counts sources from then on".to_owned(),
            Self::Filter { .. } => "`--by` says what rows are about; docs/look.md says which have what".to_owned(),
            Self::Write(_) => "make room where it is written to".to_owned(),
        }
    }

    /// The exit code of a command that fails so.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoSources | Self::Write(_) => Exit::Failed,
            Self::Filter { .. } => Exit::Usage,
        }
    }
}

/// Writes what is wanted; for each interval, until there were as many as are wanted or nobody reads any more.
pub fn export(
    pins: &Pins,
    wanted: &Wanted,
    form: Form,
    out: &mut dyn io::Write,
) -> Result<(), Error> {
    wanted.check()?;
    let kinds = wanted.kinds();
    let manifest = view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
    wanted.filter.check(&manifest)?;
    let mut reader = Reader::new(pins, &kinds);
    let mut writer = Writer::new(out, form);
    let mut before = reader.read()?;
    if kinds.contains(&Kind::Sources) && !before.counts_sources {
        return Err(ExportError::NoSources.into());
    }
    let Some(interval) = wanted.interval else {
        let mut rows = before.rows.clone();
        if kinds.contains(&Kind::Sources) {
            rows.extend(without_entry(&before));
        }
        let (rows, left_out) = wanted.of(rows);
        let batch = Batch {
            at: before.at,
            seconds: None,
            generation: before.generation,
            rows,
            left_out,
            attribution: before.attribution,
        };
        return end(writer.write(&batch).map(|()| true)).map(drop);
    };
    let mut left = wanted.count;
    let mut due = Instant::now();
    while left != Some(0) {
        // From one due time to the next, so that how long reading takes adds up to nothing.
        due += interval;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let after = reader.read()?;
        if kinds.contains(&Kind::Sources) && !after.counts_sources {
            return Err(ExportError::NoSources.into());
        }
        let (rows, left_out) = wanted.of(delta::between(&before, &after));
        let elapsed = after.instant.saturating_duration_since(before.instant);
        let batch = Batch {
            at: after.at,
            // Milliseconds say enough.
            seconds: Some((elapsed.as_secs_f64() * 1000.0).round() / 1000.0),
            generation: after.generation,
            rows,
            left_out,
            attribution: after.attribution.clone(),
        };
        if !end(writer.write(&batch).map(|()| true))? {
            return Ok(());
        }
        before = after;
        left = left.map(|it| it - 1);
    }
    Ok(())
}

/// Whether there is anybody left to write for: who has seen enough closes the pipe.
fn end(written: io::Result<bool>) -> Result<bool, Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map_err(ExportError::from)?),
    }
}
