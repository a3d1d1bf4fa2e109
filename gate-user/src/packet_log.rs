//! A line for every judged packet, for debugging: `gate run --log-packets`.

use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use crate::{
    kernel::{Gate, KernelError},
    logging::{Entry, Event},
};

/// Reads what the logging program wrote.
pub struct PacketLog {
    logger: EbpfLogger<Lines>,
}

impl PacketLog {
    /// Starts reading; `gate` must have been loaded from the logging object. `log` gets the lines.
    pub fn new(gate: &mut Gate, log: fn(Entry)) -> Result<Self, KernelError> {
        let logger = EbpfLogger::init_with_logger(gate.ebpf(), Lines(log));
        Ok(Self {
            logger: logger.map_err(KernelError::Log)?,
        })
    }

    /// Writes what has come since.
    pub fn flush(&mut self) {
        self.logger.flush();
    }
}

/// Makes lines of the daemon's log of records.
struct Lines(fn(Entry));

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let words = format!("packet: {}", record.args());
        (self.0)(Entry::new(Event::Packet, words));
    }

    fn flush(&self) {}
}
