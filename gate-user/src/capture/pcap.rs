//! The older format, pcap (draft-ietf-opsawg-pcap): one header, then packets.

use std::io::Read;

use pcap_parser::{
    LegacyPcapBlock, PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_header,
};

use super::{Cause, LONGEST, LinkType, Record, source::Source};

/// The length of the header of the file, and of a packet's.
const HEADER: usize = 24;
const RECORD: usize = 16;
/// The part of the field that is the link type; above it is the length of a checksum behind each frame.
const LINK_TYPE: u32 = 0x03ff_ffff;

/// A pcap file behind its header.
pub(super) struct Pcap {
    header: PcapHeader,
}

impl Pcap {
    /// Reads the rest of the header; `buffer` has its magic number.
    pub(super) fn read<R: Read>(
        source: &mut Source<R>,
        buffer: &mut Vec<u8>,
    ) -> Result<Self, Cause> {
        if parse_pcap_header(buffer).is_err_and(|error| !error.is_incomplete()) {
            return Err(Cause::Unknown);
        }
        source.more(buffer, HEADER - buffer.len())?;
        let (_, header) = parse_pcap_header(buffer).map_err(|_| Cause::Unknown)?;
        if header.is_modified_format() {
            // Patched kernels of the last century wrote it.
            return Err(Cause::Unknown);
        }
        let link_type = LinkType(header.network.0.cast_unsigned() & LINK_TYPE);
        if link_type != LinkType::ETHERNET {
            return Err(Cause::LinkType(link_type));
        }
        Ok(Self { header })
    }

    pub(super) fn next<'b, R: Read>(
        &self,
        source: &mut Source<R>,
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<Record<'b>>, Cause> {
        if !source.begin(buffer, RECORD)? {
            return Ok(None);
        }
        let captured = self.captured(buffer);
        if captured > LONGEST {
            return Err(Cause::damaged(format!(
                "a packet of {captured} octets, where {LONGEST} is the most"
            )));
        }
        source.more(buffer, captured as usize)?;
        let record = if self.header.is_bigendian() {
            parse_pcap_frame_be(buffer)
        } else {
            parse_pcap_frame(buffer)
        };
        let (_, record) = record.map_err(|_| Cause::damaged("a packet that cannot be read"))?;
        let LegacyPcapBlock {
            ts_sec,
            ts_usec: fraction,
            caplen: _,
            origlen: length,
            data,
        } = record;
        let unit = if self.header.is_nanosecond_precision() {
            1
        } else {
            1_000
        };
        Ok(Some(Record {
            time_ns: Some(i128::from(ts_sec) * 1_000_000_000 + i128::from(fraction) * unit),
            length,
            data,
        }))
    }

    /// How many octets of the packet were captured, by its header.
    fn captured(&self, header: &[u8]) -> u32 {
        let field = header.get(8..).and_then(<[u8]>::first_chunk);
        let field = field.copied().unwrap_or_default();
        if self.header.is_bigendian() {
            u32::from_be_bytes(field)
        } else {
            u32::from_le_bytes(field)
        }
    }
}
