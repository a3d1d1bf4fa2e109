//! The newer format.

use pcap_file::pcapng::blocks::{
    interface_description::InterfaceDescriptionOption as Described,
    interface_statistics::InterfaceStatisticsBlock, section_header::SectionHeaderBlock,
    simple_packet::SimplePacketBlock,
};

use super::*;
use crate::capture::Cause;

const ORDERS: [Endianness; 2] = [Endianness::Little, Endianness::Big];

/// A block by hand.
fn block(order: Endianness, kind: u32, body: &[u8]) -> Vec<u8> {
    let number = |number: u32| match order {
        Endianness::Big => number.to_be_bytes(),
        Endianness::Little => number.to_le_bytes(),
    };
    let length = number(u32::try_from(body.len()).unwrap() + 12);
    [&number(kind)[..], &length, body, &length].concat()
}

/// A time in units of an interface with these options.
fn time(order: Endianness, options: Vec<Described<'static>>, units: u64) -> i128 {
    let mut writer = pcapng(order);
    writer.write_pcapng_block(interface(options)).unwrap();
    writer
        .write_pcapng_block(enhanced(0, units, 1, &[7]))
        .unwrap();
    let packets = whole(&writer.into_inner());
    assert_eq!(packets.len(), 1);
    packets[0].0.unwrap()
}

#[test]
fn each_interface_has_its_own_clock() {
    for order in ORDERS {
        let mut writer = pcapng(order);
        for options in [
            vec![],
            vec![Described::IfTsResol(9)],
            vec![Described::IfTsResol(0x8a), Described::IfTsOffset(SECOND)],
        ] {
            writer.write_pcapng_block(interface(options)).unwrap();
        }
        for packet in [
            enhanced(1, SECOND * 1_000_000_000 + 5, 3, &[1, 2, 3]),
            enhanced(0, SECOND * 1_000_000 + 5, 1500, &[4; 60]),
            enhanced(2, 3 * 1024 + 512, 5, &[5; 5]),
        ] {
            writer.write_pcapng_block(packet).unwrap();
        }
        let expected = [
            (Some(NANOSECOND + 5), 3, vec![1, 2, 3]),
            (Some(NANOSECOND + 5_000), 1500, vec![4; 60]),
            (Some(NANOSECOND + 3_500_000_000), 5, vec![5; 5]),
        ];
        assert_eq!(whole(&writer.into_inner()), expected, "{order:?}");
    }
}

#[test]
fn units_of_time_have_no_size_that_breaks() {
    for order in ORDERS {
        let of = |options, units| time(order, options, units);
        let resolution = |it| vec![Described::IfTsResol(it)];
        assert_eq!(of(resolution(0), 7), 7_000_000_000);
        assert_eq!(of(resolution(3), 7), 7_000_000);
        assert_eq!(of(resolution(10), 79), 7);
        assert_eq!(of(resolution(12), 7_999), 7);
        assert_eq!(of(resolution(127), u64::MAX), 0);
        assert_eq!(of(resolution(0x80), 7), 7_000_000_000);
        assert_eq!(of(resolution(0x81), 7), 3_500_000_000);
        assert_eq!(of(resolution(0xff), u64::MAX), 0);
        let late = i128::from(u64::MAX) * 1_000_000_000;
        assert_eq!(of(resolution(0), u64::MAX), late);
        // Before 1970, by an offset below zero.
        let before = vec![Described::IfTsOffset((-2_i64).cast_unsigned())];
        assert_eq!(of(before, 1_000_000), -1_000_000_000);
    }
}

#[test]
fn sections_have_interfaces_and_an_order_of_their_own() {
    let mut file = Vec::new();
    for order in ORDERS {
        let mut writer = pcapng(order);
        let nano = vec![Described::IfTsResol(9)];
        writer.write_pcapng_block(interface(nano)).unwrap();
        writer
            .write_pcapng_block(enhanced(0, 77, 1, &[order as u8]))
            .unwrap();
        file.extend(writer.into_inner());
    }
    assert_eq!(
        whole(&file),
        [
            (Some(77), 1, vec![Endianness::Little as u8]),
            (Some(77), 1, vec![Endianness::Big as u8])
        ]
    );
    // The interfaces of a section end with it.
    let mut third = pcapng(Endianness::Little);
    third
        .write_pcapng_block(SectionHeaderBlock::default())
        .unwrap();
    let begun = file.len();
    file.extend(third.into_inner());
    file.extend(block(Endianness::Big, 6, &[0; 24]));
    let (packets, error) = error(&file);
    assert_eq!(packets, 2);
    assert!(error.offset > begun as u64, "{error}");
    assert!(
        error
            .to_string()
            .contains("interface 0, in a section that has 0"),
        "{error}"
    );
}

#[test]
fn simple_packets_have_the_first_interface_s_length_and_no_time() {
    for order in ORDERS {
        let mut writer = pcapng(order);
        let mut first = interface(vec![]);
        first.snaplen = 4;
        writer.write_pcapng_block(first).unwrap();
        for (original_len, data) in [(9, &[1, 2, 3, 4][..]), (3, &[5, 6, 7])] {
            let data = Cow::Borrowed(data);
            let packet = SimplePacketBlock { original_len, data };
            writer.write_pcapng_block(packet).unwrap();
        }
        assert_eq!(
            whole(&writer.into_inner()),
            [(None, 9, vec![1, 2, 3, 4]), (None, 3, vec![5, 6, 7])],
            "{order:?}"
        );
    }
}

/// The writer has the two halves of the time in the wrong order, so that this one is by hand.
#[test]
fn packets_of_the_obsolete_kind_are_read() {
    for order in ORDERS {
        let mut writer = pcapng(order);
        writer.write_pcapng_block(interface(vec![])).unwrap();
        let nano = vec![Described::IfTsResol(9)];
        writer.write_pcapng_block(interface(nano)).unwrap();
        let mut file = writer.into_inner();
        let half = |number: u16| match order {
            Endianness::Big => number.to_be_bytes(),
            Endianness::Little => number.to_le_bytes(),
        };
        let number = |number: u32| match order {
            Endianness::Big => number.to_be_bytes(),
            Endianness::Little => number.to_le_bytes(),
        };
        let body = [
            &half(1)[..],
            &half(65_535),
            &number(1),
            &number(2),
            &number(5),
            &number(60),
            &[1, 2, 3, 4, 5, 0, 0, 0],
        ];
        file.extend(block(order, 2, &body.concat()));
        assert_eq!(
            whole(&file),
            [(Some((1 << 32) + 2), 60, vec![1, 2, 3, 4, 5])],
            "{order:?}"
        );
    }
}

#[test]
fn other_blocks_are_passed_over_however_long() {
    for order in ORDERS {
        let mut writer = pcapng(order);
        writer.write_pcapng_block(interface(vec![])).unwrap();
        let statistics = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: 0,
            options: vec![],
        };
        writer.write_pcapng_block(statistics).unwrap();
        let mut file = writer.into_inner();
        file.extend(block(order, 0x0bad, &vec![6; 5 << 20]));
        let mut more = pcapng(order);
        more.write_pcapng_block(interface(vec![])).unwrap();
        more.write_pcapng_block(enhanced(0, 1, 1, &[7])).unwrap();
        file.extend(more.into_inner());
        assert_eq!(whole(&file), [(Some(1_000), 1, vec![7])], "{order:?}");
        // What was passed over counts in the place of what is wrong.
        let begun = file.len() as u64;
        file.push(6);
        assert_eq!(error(&file).1.offset, begun, "{order:?}");
    }
}

#[test]
fn an_interface_that_is_no_ethernet_is_refused_when_it_has_a_packet() {
    let mut writer = pcapng(Endianness::Little);
    writer.write_pcapng_block(interface(vec![])).unwrap();
    let mut any = interface(vec![]);
    any.linktype = DataLink::LINUX_SLL;
    writer.write_pcapng_block(any).unwrap();
    writer.write_pcapng_block(enhanced(0, 1, 1, &[7])).unwrap();
    let begun = writer.get_ref().len() as u64;
    writer.write_pcapng_block(enhanced(1, 1, 1, &[7])).unwrap();
    let (packets, error) = error(&writer.into_inner());
    assert_eq!((packets, error.packets, error.offset), (1, 1, begun));
    assert!(matches!(error.cause, Cause::LinkType(_)));
    assert!(error.to_string().contains("LINUX_SLL (113)"), "{error}");
}

#[test]
fn what_contradicts_itself_is_damage() {
    let good = |blocks: &[Vec<u8>]| {
        let mut writer = pcapng(Endianness::Little);
        writer.write_pcapng_block(interface(vec![])).unwrap();
        let mut file = writer.into_inner();
        file.extend(blocks.concat());
        file
    };
    let little = |kind, body: &[u8]| block(Endianness::Little, kind, body);
    let mut two_lengths = little(6, &[0; 24]);
    *two_lengths.last_mut().unwrap() = 1;
    let mut captured = [0; 24];
    captured[12] = 5;
    let mut long = vec![0; 24 + (1 << 19)];
    long[12..16].copy_from_slice(&262_145_u32.to_le_bytes());
    let mut version = [0; 16];
    version[..4].copy_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
    version[4] = 2;
    for (block, words) in [
        (little(6, &[0; 23]), "a block of 35 octets"),
        (two_lengths, "says at its end that it has"),
        (little(6, &captured), "a block that cannot be read"),
        (little(6, &long), "a packet of 262145 octets"),
        (little(2, &captured), "a packet of"),
        (little(2, &[0; 8]), "too short"),
        (little(3, &[9, 0, 0, 0, 1, 2, 3, 4]), "a packet of 9 octets"),
        (little(0x0a0d_0d0a, &version), "version 2"),
        (little(0x0a0d_0d0a, &[0; 16]), "byte order"),
        ([1_u32, 1 << 21].map(u32::to_le_bytes).concat(), "the most"),
        (
            [9_u32, 8].map(u32::to_le_bytes).concat(),
            "a block of 8 octets",
        ),
    ] {
        let (_, error) = error(&good(&[block]));
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(matches!(error.cause, Cause::Damaged(_)), "{error}");
        assert!(!error.hint().is_empty());
    }
}
