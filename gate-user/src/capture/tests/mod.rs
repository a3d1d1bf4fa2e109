//! Captures by another writer, by hand, and damaged in every place.

mod damaged;
mod formats;
mod pcapng;

use std::{borrow::Cow, io::Read, time::Duration};

use pcap_file::{
    DataLink, Endianness, TsResolution,
    pcap::{PcapHeader, PcapPacket, PcapWriter},
    pcapng::{
        PcapNgWriter,
        blocks::{
            enhanced_packet::EnhancedPacketBlock,
            interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption},
        },
    },
};

use super::{Capture, CaptureError};

/// 2026-06-01T00:00:00Z
const SECOND: u64 = 1_780_272_000;
const NANOSECOND: i128 = SECOND as i128 * 1_000_000_000;

/// What is read of a packet: time, length on the wire, data.
type Seen = (Option<i128>, u32, Vec<u8>);

/// All packets, and what ended the file.
fn read(file: impl Read) -> (Vec<Seen>, Result<(), CaptureError>) {
    let mut packets = Vec::new();
    let mut capture = match Capture::new(file) {
        Ok(capture) => capture,
        Err(error) => return (packets, Err(error)),
    };
    loop {
        match capture.next_packet() {
            Ok(Some(packet)) => {
                assert_eq!(packet.number, packets.len() as u64 + 1);
                packets.push((packet.time_ns, packet.length, packet.data.to_owned()));
            }
            Ok(None) => return (packets, Ok(())),
            Err(error) => return (packets, Err(error)),
        }
    }
}

/// All packets of a file that is in order.
fn whole(file: &[u8]) -> Vec<Seen> {
    let (packets, end) = read(file);
    end.unwrap();
    packets
}

/// The error of a file that is not, and how many packets come before.
fn error(file: &[u8]) -> (usize, CaptureError) {
    let (packets, end) = read(file);
    (packets.len(), end.unwrap_err())
}

/// A pcap file of three packets, the second of which was captured in part.
fn pcap(endianness: Endianness, ts_resolution: TsResolution, datalink: DataLink) -> Vec<u8> {
    let header = PcapHeader {
        endianness,
        ts_resolution,
        datalink,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (second, length, data) in [(0, 3, &[1, 2, 3][..]), (1, 90, &[4; 60]), (2, 0, &[])] {
        let time = Duration::new(SECOND + second, 123_456_789);
        let packet = PcapPacket::new(time, length, data);
        writer.write_packet(&packet).unwrap();
    }
    writer.into_writer()
}

fn interface(
    options: Vec<InterfaceDescriptionOption<'static>>,
) -> InterfaceDescriptionBlock<'static> {
    InterfaceDescriptionBlock {
        linktype: DataLink::ETHERNET,
        snaplen: 0,
        options,
    }
}

/// A packet that came so many units after 1970; the writer calls a unit a nanosecond.
fn enhanced(interface_id: u32, units: u64, length: u32, data: &[u8]) -> EnhancedPacketBlock<'_> {
    EnhancedPacketBlock {
        interface_id,
        timestamp: Duration::from_nanos(units),
        original_len: length,
        data: Cow::Borrowed(data),
        options: Vec::new(),
    }
}

fn pcapng(endianness: Endianness) -> PcapNgWriter<Vec<u8>> {
    PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap()
}
