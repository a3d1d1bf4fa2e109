//! The parser reads nothing that is not there, and nothing that does not matter.

use proptest::{collection::vec, prelude::*};

use crate::{
    parse::{fields_belong_to_shapes, only_what_was_read_matters, work_is_bounded},
    sent::sent,
    watched::watch,
};

/// Frames that begin like something that is read, and frames that were something before a few octets changed.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let noise = vec(any::<u8>(), 0..200);
    let start = prop_oneof![
        Just(vec![0x08, 0x00, 0x45]),
        Just(vec![0x08, 0x00, 0x4f]),
        Just(vec![0x86, 0xdd, 0x60]),
        Just(vec![0x81, 0x00, 0, 1, 0x86, 0xdd, 0x60]),
        Just(vec![0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 1, 0x08, 0x00, 0x45]),
        Just(vec![0x88, 0x64, 0x11, 0, 0, 1, 0, 120, 0, 0x21, 0x45]),
        Just(vec![0x88, 0x64, 0x11, 0, 0, 1, 0, 120, 0x57, 0x60]),
        Just(vec![0x88, 0x47, 0, 1, 0, 64, 0, 1, 1, 64, 0x45]),
        Just(vec![0, 100, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00, 0x45]),
        Just(vec![
            0x08, 0x00, 0x45, 0, 0, 120, 0, 0, 0, 0, 64, 4, 0, 0, 100, 64, 0, 2, 192, 0, 2, 1, 0x45
        ]),
        Just(vec![
            0x08, 0x00, 0x45, 0, 0, 120, 0, 0, 0, 0, 64, 47, 0, 0, 100, 64, 0, 2, 192, 0, 2, 1,
            0x30, 0, 0x86, 0xdd
        ]),
    ];
    let started = (
        start,
        vec(
            prop_oneof![Just(0), Just(6), Just(44), Just(60), any::<u8>()],
            0..200,
        ),
    )
        .prop_map(|(start, rest)| [&[2; 12], start.as_slice(), &rest].concat());
    let spoilt = (
        sent(),
        vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    )
        .prop_map(|(sent, edits)| {
            let mut frame = sent.frame;
            for (index, octet) in edits {
                let index = index.index(frame.len());
                frame[index] = octet;
            }
            frame
        });
    prop_oneof![noise, started, spoilt]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn any_frame_is_read_within_bounds(frame in frames()) {
        let seen = watch(&frame);
        work_is_bounded(&frame, &seen);
        only_what_was_read_matters(&frame, &seen);
        fields_belong_to_shapes(&seen);
    }

    /// Octets behind the packet, by its own length, are padding.
    #[test]
    fn padding_changes_nothing(sent in sent(), padding in vec(any::<u8>(), 0..100)) {
        let padded = [sent.frame.as_slice(), &padding].concat();
        prop_assert_eq!(watch(&padded), watch(&sent.frame));
    }
}
