//! A line for every judged packet, for debugging: `gate run --log-packets`.

use std::io::Write as _;

use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};

use crate::kernel::{Gate, KernelError};

/// Reads what the logging program wrote.
pub struct PacketLog {
    logger: EbpfLogger<Lines>,
}

impl PacketLog {
    /// Starts reading; `gate` must have been loaded from the logging object.
    pub fn new(gate: &mut Gate) -> Result<Self, KernelError> {
        let logger = EbpfLogger::init_with_logger(gate.ebpf(), Lines);
        Ok(Self {
            logger: logger.map_err(KernelError::Log)?,
        })
    }

    /// Writes what has come since.
    pub fn flush(&mut self) {
        self.logger.flush();
    }
}

/// Writes records as lines on standard error.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        // A log that cannot be written has nobody to tell.
        let _ = writeln!(std::io::stderr().lock(), "gate: packet: {}", record.args());
    }

    fn flush(&self) {}
}
