//! What the read commands answer: plain data first, then text or JSON of it.

mod counters;
mod flow;
mod limited;
mod lookup;
mod observed;
mod reload;
mod status;
mod table;

use std::io;

pub(crate) use counters::{ByCountry, Judged, Sources, Verdicts};
pub use counters::{Counters, counters};
pub use flow::{Endpoint, FlowReport, flow};
pub use lookup::{Lookup, lookup};
pub use observed::Observed;
pub(crate) use observed::observed;
pub use reload::details;
pub(crate) use status::Link;
pub use status::{State, Status, status, status_within};
pub use table::Table;

/// An answer that can be shown.
pub trait Report: serde::Serialize {
    /// Writes it for people.
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()>;

    /// Writes it as JSON.
    fn json(&self, out: &mut dyn io::Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}
