//! What the daemon tells over HTTP: metrics in Prometheus' text format or OpenMetrics, and a status page.
//!
//! `table` says what every metric is, `collect` fills them from what `gate status` and `gate counters` read, `text` writes them, `web` is the
//! status page, `http` the router, `server` the thread that listens. `docs/metrics.md` is made of the table.
//!
//! Invariants, as absences: nothing here writes to a map; no request is read further than its head; no client, however many there are and
//! whatever they send or do not read, holds up the event loop, a reload or the program; no more than one collection begins in a second; no
//! source is a label or on the page unless the configuration says so.

mod collect;
mod http;
mod model;
#[cfg(test)]
mod page;
mod server;
mod table;
mod text;
mod web;

pub use self::{
    collect::{Collection, collect},
    model::{Families, Family, Kind, Metric, Sample, Value},
    server::Endpoint,
    table::METRICS,
    text::{Format, write},
};
