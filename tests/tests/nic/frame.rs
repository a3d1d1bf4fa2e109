//! Frames that are known again behind the NIC.

use std::net::{Ipv4Addr, Ipv6Addr};

use gate_tests::{
    lab::Family,
    packets::{self, DOT1AD, DOT1Q, Ethernet, V4, V6, flag},
};

/// The subscriber, whom the configuration restricts, and a mail host.
const SUBSCRIBER: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(100, 64, 0, 2),
    Ipv6Addr::new(0x2001, 0xdb8, 0x100, 2, 0, 0, 0, 2),
);
const MAIL: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(198, 51, 100, 25),
    Ipv6Addr::new(0x2001, 0xdb8, 0x5100, 0, 0, 0, 0, 0x25),
);

/// What stands at a frame's end, before its number: data of the segment, since a bridge may cut off what is none of the packet's.
const MARK: [u8; 8] = *b"gate-nic";

/// The opening segment of a connection from the subscriber to the mail host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    pub(crate) family: Family,
    /// How many VLAN tags are before it: a service tag outermost where there are several.
    pub(crate) tags: usize,
    pub(crate) source_port: u16,
    pub(crate) port: u16,
}

impl Syn {
    /// The frame with this number.
    pub(crate) fn frame(self, number: u64) -> Vec<u8> {
        let Self {
            family,
            tags,
            source_port,
            port,
        } = self;
        let mut segment = packets::tcp(source_port, port, flag::SYN);
        segment.extend(MARK);
        segment.extend(number.to_be_bytes());
        let packet = match family {
            Family::V4 => V4::new(SUBSCRIBER.0, MAIL.0).tcp(&segment),
            Family::V6 => V6::new(SUBSCRIBER.1, MAIL.1).tcp(&segment),
        };
        let link = (0..tags).fold(Ethernet::new(), |link, depth| match depth {
            0 if tags > 1 => link.tag(DOT1AD, 100),
            _ => link.tag(DOT1Q, 200),
        });
        link.carry(&packet)
    }
}

/// The number of a frame; `None` of one that is none of ours.
pub(crate) fn number(frame: &[u8]) -> Option<u64> {
    let (rest, number) = frame.split_last_chunk::<8>()?;
    rest.ends_with(&MARK).then(|| u64::from_be_bytes(*number))
}
