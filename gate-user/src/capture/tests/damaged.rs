//! Every way to cut a file short, and many to change it: nothing panics, nothing hangs, memory stays small.

use std::io;

use super::*;
use crate::capture::{Cause, LONGEST};

/// A file of each format, and where its packets end.
fn files() -> Vec<(Vec<u8>, Vec<usize>)> {
    let mut files = Vec::new();
    for order in [Endianness::Little, Endianness::Big] {
        let mut file = pcap(order, TsResolution::NanoSecond, DataLink::ETHERNET);
        files.push((file.clone(), vec![24 + 19, 24 + 19 + 76, 24 + 19 + 76 + 16]));
        file.clear();
        let mut writer = pcapng(order);
        let options = vec![
            InterfaceDescriptionOption::IfTsResol(9),
            InterfaceDescriptionOption::IfTsOffset(1),
        ];
        writer.write_pcapng_block(interface(options)).unwrap();
        let mut ends = Vec::new();
        for (length, data) in [(3, &[1, 2, 3][..]), (90, &[4; 60]), (0, &[])] {
            writer
                .write_pcapng_block(enhanced(0, 7, length, data))
                .unwrap();
            ends.push(writer.get_ref().len());
        }
        files.push((writer.into_inner(), ends));
    }
    files
}

#[test]
fn a_file_that_is_cut_short_gives_what_is_there_and_says_where_it_ends() {
    for (file, ends) in files() {
        let whole = whole(&file);
        assert_eq!(ends.last(), Some(&file.len()));
        for cut in 1..file.len() {
            let (packets, end) = read(&file[..cut]);
            let complete = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(packets, whole[..complete], "cut at {cut}");
            match end {
                // Between two records nothing is missing that one could know of.
                Ok(()) => assert!(cut == *ends.get(complete.wrapping_sub(1)).unwrap_or(&cut)),
                Err(error) => {
                    assert!(
                        matches!(error.cause, Cause::Cut | Cause::Unknown),
                        "cut at {cut}: {error}"
                    );
                    let begun = complete.checked_sub(1).map_or(0, |last| ends[last]);
                    assert_eq!(error.packets, complete as u64, "cut at {cut}");
                    assert!((begun..cut).contains(&usize::try_from(error.offset).unwrap()));
                    assert!(!error.hint().is_empty());
                }
            }
        }
    }
}

#[test]
fn a_cut_packet_is_named() {
    let (file, ends) = files().remove(0);
    let (packets, error) = error(&file[..ends[1] - 1]);
    assert_eq!(packets, 1);
    assert_eq!(
        error.to_string(),
        format!("is cut short, at octet {}, after packet 1", ends[0])
    );
    assert!(error.hint().contains("SIGINT"), "{}", error.hint());
}

#[test]
fn no_octet_makes_it_panic() {
    for (file, _) in files() {
        for place in 0..file.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut changed = file.clone();
                changed[place] = value;
                let (packets, _) = read(changed.as_slice());
                assert!(packets.len() <= 3);
            }
        }
    }
}

/// Zeros without end after `begin`, and how many octets were taken.
struct Endless<'f> {
    begin: &'f [u8],
    taken: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.begin.read(buffer)? {
            0 => {
                buffer.fill(0);
                buffer.len()
            }
            read => read,
        };
        self.taken += read as u64;
        Ok(read)
    }
}

#[test]
fn a_length_is_no_reason_to_read_on() {
    let pcap = |captured: u32| {
        let mut file = pcap(
            Endianness::Little,
            TsResolution::MicroSecond,
            DataLink::ETHERNET,
        );
        file.truncate(24);
        file.extend([0, 0, captured, 60].map(u32::to_le_bytes).concat());
        file
    };
    let most = whole(&[pcap(LONGEST), vec![1; LONGEST as usize]].concat());
    assert_eq!(most[0].2.len(), LONGEST as usize);
    let mut long_block = pcapng(Endianness::Little).into_inner();
    long_block.extend([6, u32::MAX - 3].map(u32::to_le_bytes).concat());
    for begin in [&pcap(LONGEST + 1), &pcap(u32::MAX), &long_block] {
        let mut endless = Endless { begin, taken: 0 };
        let (packets, end) = read(&mut endless);
        assert_eq!(packets, []);
        assert!(matches!(end.unwrap_err().cause, Cause::Damaged(_)));
        assert_eq!(endless.taken, begin.len() as u64);
    }
}
