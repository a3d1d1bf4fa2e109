//! The log of packets, where there is one.

use std::time::Duration;

use gate_user::Error;
#[cfg(feature = "log")]
use gate_user::packet_log::PacketLog;

use super::Worker;
#[cfg(feature = "log")]
use super::say;

/// How often it is read.
#[cfg(feature = "log")]
const PACKET_LOG: Duration = Duration::from_millis(100);

/// The log of packets belongs to the program that was loaded last.
#[cfg(feature = "log")]
impl Worker {
    pub(super) fn open_packet_log(&mut self) -> Result<(), Error> {
        let logs = std::ptr::eq(self.object, gate_user::object::LOG_OBJECT);
        self.packets = if logs {
            Some(PacketLog::new(self.running.gate(), say::log)?)
        } else {
            None
        };
        Ok(())
    }

    pub(super) fn flush_packet_log(&mut self) {
        self.packets.iter_mut().for_each(PacketLog::flush);
    }

    pub(super) fn at_most(&self, wait: Duration) -> Duration {
        if self.packets.is_some() {
            wait.min(PACKET_LOG)
        } else {
            wait
        }
    }
}

/// As if there were a log of packets.
#[cfg(not(feature = "log"))]
#[expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "as where there is a log of packets"
)]
impl Worker {
    pub(super) fn open_packet_log(&mut self) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn flush_packet_log(&mut self) {}

    pub(super) fn at_most(&self, wait: Duration) -> Duration {
        wait
    }
}
