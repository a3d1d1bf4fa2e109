//! The daemon's log: lines that say what happened, for people and for programs.
//!
//! A line is an [`Entry`]: an [`Event`] of a closed list, which fixes how grave it is, the words that people read, and [`Field`]s for programs. What it looks
//! like is decided last, by the [`Form`] that was asked for; nothing parses the words back.
//!
//! Nobody waits for whoever reads. A thread writes, from a queue with a bound; what does not fit is counted, and said once lines flow again. Until then
//! `gate status` says so. No crate for logging does that: they either wait for the reader (`libsystemd`, `tracing-journald`, `syslog`), or lose without a
//! word in the log (`tracing-appender`).

mod destination;
mod entry;
mod event;
mod form;
mod writer;

pub use self::{
    destination::{Destination, JOURNAL, SYSLOG},
    entry::{Entry, Value},
    event::{Event, Field, Level},
    form::Form,
    writer::{LogState, Writer},
};
