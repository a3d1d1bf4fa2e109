//! Captures: how the file is cut into reads does not matter, what is behind a packet does not change it, no packet is larger than the
//! file, and pcap is what a reading by its picture says.

use std::io::{self, Read};

use gate_user::capture::{Capture, Cause};

/// Checks a file.
pub fn check(file: &[u8]) {
    let (whole, end) = packets(file);
    let captured: usize = whole.iter().map(|packet| packet.data.len()).sum();
    assert!(captured <= file.len());
    let drip = Drip {
        rest: file,
        step: 0,
    };
    assert_eq!(packets(drip), (whole.clone(), end.clone()), "read in parts");
    cut(file, &whole);
    pcap_by_its_picture(file, &whole, end.as_deref());
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    time_ns: Option<i128>,
    length: u32,
    data: Vec<u8>,
}

/// The packets, and what is wrong behind them.
fn packets(reader: impl Read) -> (Vec<Packet>, Option<String>) {
    let mut found = Vec::new();
    let mut capture = match Capture::new(reader) {
        Ok(capture) => capture,
        Err(error) => {
            assert!(!error.hint().is_empty());
            return (found, Some(error.to_string()));
        }
    };
    loop {
        match capture.next_packet() {
            Ok(Some(packet)) => {
                found.push(Packet {
                    time_ns: packet.time_ns,
                    length: packet.length,
                    data: packet.data.to_vec(),
                });
                assert_eq!(usize::try_from(packet.number).unwrap(), found.len());
            }
            Ok(None) => return (found, None),
            Err(error) => {
                assert_eq!(usize::try_from(error.packets).unwrap(), found.len());
                return (found, Some(error.to_string()));
            }
        }
    }
}

/// Gives one to seven octets at a time.
struct Drip<'f> {
    rest: &'f [u8],
    step: usize,
}

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step = self.step % 7 + 1;
        let length = self.step.min(buffer.len()).min(self.rest.len());
        let (now, rest) = self.rest.split_at(length);
        buffer[..length].copy_from_slice(now);
        self.rest = rest;
        Ok(length)
    }
}

/// The beginning of a capture has its first packets.
fn cut(file: &[u8], whole: &[Packet]) {
    for parts in 1..4 {
        let (first, _) = packets(&file[..file.len() * parts / 4]);
        assert!(whole.starts_with(&first), "{parts} quarters");
    }
}

/// draft-ietf-opsawg-pcap: 24 octets of header, then 16 octets and data for each packet.
fn pcap_by_its_picture(file: &[u8], found: &[Packet], end: Option<&str>) {
    let Some((header, mut rest)) = file.split_at_checked(24) else {
        return;
    };
    let (little, unit) = match header[..4] {
        [0xd4, 0xc3, 0xb2, 0xa1] => (true, 1000),
        [0xa1, 0xb2, 0xc3, 0xd4] => (false, 1000),
        [0x4d, 0x3c, 0xb2, 0xa1] => (true, 1),
        [0xa1, 0xb2, 0x3c, 0x4d] => (false, 1),
        _ => return,
    };
    let field = |octets: &[u8], at: usize| {
        let octets = octets[at..at + 4].try_into().unwrap();
        if little {
            u32::from_le_bytes(octets)
        } else {
            u32::from_be_bytes(octets)
        }
    };
    if field(header, 20) & 0x03ff_ffff != 1 {
        assert!(end.is_some_and(|end| end.contains("link type")), "{end:?}");
        return;
    }
    let mut expected = Vec::new();
    while let Some((record, behind)) = rest.split_at_checked(16) {
        let captured = usize::try_from(field(record, 8)).unwrap();
        let Some((data, behind)) = behind.split_at_checked(captured) else {
            break;
        };
        if captured > 262_144 {
            break;
        }
        expected.push(Packet {
            time_ns: Some(
                i128::from(field(record, 0)) * 1_000_000_000 + i128::from(field(record, 4)) * unit,
            ),
            length: field(record, 12),
            data: data.to_vec(),
        });
        rest = behind;
    }
    assert_eq!(found, expected);
    assert_eq!(end.is_none(), rest.is_empty(), "{end:?}");
    if end.is_some() && rest.len() < 16 {
        assert_eq!(
            end.map(|end| end.contains(&Cause::Cut.to_string())),
            Some(true)
        );
    }
}
