//! What is read at one moment.

use std::time::Instant;

use jiff::Timestamp;

use crate::{
    error,
    pins::Pins,
    report::{self, Counters, Status},
};

/// A moment.
pub(super) struct Sample {
    /// For rates.
    pub(super) instant: Instant,
    /// For people.
    pub(super) at: Timestamp,
    /// The counters, or why they cannot be read.
    pub(super) counters: Result<Counters, String>,
    /// The state, or why that cannot be told.
    pub(super) status: Result<Status, String>,
}

impl Sample {
    /// Reads everything. What fails is shown, and read again the next time: a gate may come yet.
    pub(super) fn take(pins: &Pins) -> Self {
        let status = report::status(pins).map_err(|error| error::whole(&error));
        let counters = report::counters(pins).map_err(|error| error::whole(&error));
        Self {
            // After reading: of two samples that are read in the same way, the times between are those between the numbers.
            instant: Instant::now(),
            at: Timestamp::now(),
            counters,
            status,
        }
    }
}
