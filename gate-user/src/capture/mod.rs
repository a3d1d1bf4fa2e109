//! Captures: the packets in a pcap or pcapng file, in order, one at a time.
//!
//! `pcap-parser` reads headers, records and blocks; here is what lies around that: where a record ends, what time it was,
//! and what to say about a file that ends too early. A file is believed in nothing: memory grows with what was read, never
//! with what a length field promises, and whatever is wrong is an error that names the place.
//!
//! Only Ethernet is read: any other link layer has no header that the gate would see on an interface.

mod error;
mod link_type;
mod pcap;
mod pcapng;
mod source;
#[cfg(test)]
mod tests;

use std::io::Read;

pub use self::{
    error::{CaptureError, Cause},
    link_type::LinkType,
};
use self::{pcap::Pcap, pcapng::Pcapng, source::Source};

/// The longest packet that is read: no capture library takes more from an Ethernet (`MAXIMUM_SNAPLEN` of libpcap).
const LONGEST: u32 = 262_144;

/// A packet of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'c> {
    /// Its place in the file, from 1.
    pub number: u64,
    /// When it was captured, in nanoseconds of UNIX time; nothing where the file does not say.
    pub time_ns: Option<i128>,
    /// How many octets it had on the wire.
    pub length: u32,
    /// Those that were captured.
    pub data: &'c [u8],
}

/// What both formats say about a packet.
struct Record<'b> {
    time_ns: Option<i128>,
    length: u32,
    data: &'b [u8],
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// A capture that is being read.
pub struct Capture<R> {
    source: Source<R>,
    format: Format,
    buffer: Vec<u8>,
    /// How many packets were read.
    packets: u64,
}

impl<R: Read> Capture<R> {
    /// Reads as far as it takes to tell the format.
    pub fn new(reader: R) -> Result<Self, CaptureError> {
        let mut source = Source::new(reader);
        let mut buffer = Vec::new();
        let format = Format::read(&mut source, &mut buffer);
        let format = format.map_err(|cause| CaptureError {
            packets: 0,
            offset: 0,
            cause,
        })?;
        Ok(Self {
            source,
            format,
            buffer,
            packets: 0,
        })
    }

    /// The next packet; nothing at the end of the file.
    pub fn next_packet(&mut self) -> Result<Option<Packet<'_>>, CaptureError> {
        let Self {
            source,
            format,
            buffer,
            packets,
        } = self;
        let record = match format {
            Format::Pcap(pcap) => pcap.next(source, buffer),
            Format::Pcapng(pcapng) => pcapng.next(source, buffer),
        };
        let record = record.map_err(|cause| CaptureError {
            packets: *packets,
            offset: source.begun(),
            cause,
        })?;
        Ok(record.map(|it| {
            *packets += 1;
            let Record {
                time_ns,
                length,
                data,
            } = it;
            Packet {
                number: *packets,
                time_ns,
                length,
                data,
            }
        }))
    }
}

impl Format {
    fn read<R: Read>(source: &mut Source<R>, buffer: &mut Vec<u8>) -> Result<Self, Cause> {
        if !source.begin(buffer, size_of::<u32>())? {
            return Err(Cause::Empty);
        }
        if pcapng::begins(buffer) {
            return Pcapng::read(source, buffer).map(Self::Pcapng);
        }
        if let Some(tool) = error::unpacks(buffer) {
            return Err(Cause::Compressed { tool });
        }
        Pcap::read(source, buffer).map(Self::Pcap)
    }
}

impl<R> std::fmt::Debug for Capture<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture")
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}
