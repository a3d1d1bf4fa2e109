//! The older format, and what is none.

use super::*;
use crate::capture::{Cause, LinkType};

const ORDERS: [Endianness; 2] = [Endianness::Little, Endianness::Big];

#[test]
fn pcap_is_read_in_both_orders_and_both_units() {
    for order in ORDERS {
        for (unit, fraction) in [
            (TsResolution::MicroSecond, 123_456_000),
            (TsResolution::NanoSecond, 123_456_789),
        ] {
            let time = |second: i128| Some(NANOSECOND + second * 1_000_000_000 + fraction);
            let expected = vec![
                (time(0), 3, vec![1, 2, 3]),
                (time(1), 90, vec![4; 60]),
                (time(2), 0, vec![]),
            ];
            let file = pcap(order, unit, DataLink::ETHERNET);
            assert_eq!(whole(&file), expected, "{order:?} {unit:?}");
        }
    }
}

/// A reader that gives one octet at a time, as a pipe may.
struct Slow<'f>(&'f [u8]);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

#[test]
fn a_slow_pipe_is_read_to_its_end() {
    let file = pcap(
        Endianness::Big,
        TsResolution::NanoSecond,
        DataLink::ETHERNET,
    );
    let (packets, end) = read(Slow(&file));
    end.unwrap();
    assert_eq!(packets, whole(&file));
}

#[test]
fn other_link_types_are_refused_by_name() {
    for (link, number, name, hint) in [
        (DataLink::LINUX_SLL, 113, "LINUX_SLL (113)", "-i INTERFACE"),
        (DataLink::from(276), 276, "LINUX_SLL2 (276)", "-i any"),
        (DataLink::RAW, 101, "RAW (101)", "behind the Ethernet"),
        (DataLink::from(9999), 9999, "number 9999", "Ethernet"),
    ] {
        let file = pcap(Endianness::Little, TsResolution::MicroSecond, link);
        let (packets, error) = error(&file);
        assert_eq!(packets, 0);
        assert!(matches!(error.cause, Cause::LinkType(it) if it == LinkType(number)));
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.hint().contains(hint), "{}", error.hint());
    }
}

#[test]
fn a_frame_check_sequence_is_no_other_link_type() {
    // Bit 26 says that its length is known, the four above that it is two 16-bit words.
    let link = DataLink::from(1 | 1 << 26 | 2 << 28);
    let file = pcap(Endianness::Little, TsResolution::MicroSecond, link);
    assert_eq!(whole(&file).len(), 3);
}

#[test]
fn what_is_no_capture_is_said() {
    let (_, nothing) = error(&[]);
    assert!(matches!(nothing.cause, Cause::Empty), "{nothing}");
    // The last one is pcap as some kernels of the nineties wrote it, with longer headers.
    let modified = [&0xa1b2_cd34_u32.to_le_bytes()[..], &[0; 60]].concat();
    for other in [&b"GATE"[..], b"#!/bin/sh\n", &[0; 100], &modified] {
        let (_, error) = error(other);
        assert!(matches!(error.cause, Cause::Unknown), "{error}");
        assert_eq!(error.to_string(), "is neither pcap nor pcapng");
        assert!(error.hint().contains("tcpdump -w"), "{}", error.hint());
    }
    for (magic, tool) in [
        (&[0x1f, 0x8b, 8, 0][..], "zcat"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstdcat"),
        (&[0xfd, b'7', b'z', b'X'], "xzcat"),
        (b"BZh9", "bzcat"),
    ] {
        let (_, error) = error(magic);
        assert_eq!(error.to_string(), "is compressed");
        let hint = format!("`{tool} FILE | gate replay -");
        assert!(error.hint().contains(&hint), "{}", error.hint());
    }
}

#[test]
fn what_the_system_says_is_kept() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::IsADirectory.into())
        }
    }
    let (_, end) = read(Broken);
    let error = end.unwrap_err();
    assert!(matches!(error.cause, Cause::Read(_)), "{error}");
    assert!(error.to_string().contains("directory"), "{error}");
}
