//! What stands between Ethernet and IP: PPPoE, MPLS, LLC. The library writes none of them; these are the RFCs' pictures.

use super::{Ethernet, Packet};

/// A PPPoE session (RFC 2516).
#[derive(Clone, Copy, Debug, Default)]
pub struct PppoeSession {
    compressed: bool,
}

impl PppoeSession {
    /// Session 1, protocol fields of two octets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With protocol fields of one octet where there is one (RFC 1661 section 6.5).
    #[must_use]
    pub const fn compressed(self) -> Self {
        Self { compressed: true }
    }

    /// The frame around `packet`.
    #[must_use]
    pub fn frame(self, packet: &Packet) -> Vec<u8> {
        self.within(&Ethernet::new(), packet)
    }

    /// The frame around `packet`, behind the tags of `link`.
    #[must_use]
    pub fn within(self, link: &Ethernet, packet: &Packet) -> Vec<u8> {
        let protocol = if packet.ether_type == 0x86dd {
            0x0057
        } else {
            0x0021
        };
        link.carry_raw(0x8864, &self.payload(protocol, &packet.bytes))
    }

    /// The frame around `payload` of any protocol.
    #[must_use]
    pub fn carry(self, protocol: u16, payload: &[u8]) -> Vec<u8> {
        Ethernet::new().carry_raw(0x8864, &self.payload(protocol, payload))
    }

    fn payload(self, protocol: u16, payload: &[u8]) -> Vec<u8> {
        let [upper, lower] = protocol.to_be_bytes();
        let field = if self.compressed && upper == 0 {
            vec![lower]
        } else {
            vec![upper, lower]
        };
        let length = u16::try_from(field.len() + payload.len()).expect("a frame has 1500 octets");
        // Version and type 1, code 0, session 1.
        let header = [[0x11, 0], [0, 1], length.to_be_bytes()].concat();
        [header, field, payload.to_vec()].concat()
    }
}

/// `payload` under `count` MPLS labels (RFC 3032 section 2.1), the last of which says that it is.
#[must_use]
pub fn labels(count: u8, payload: &[u8]) -> Vec<u8> {
    let label = |index| [0, 16 + index, u8::from(index + 1 == count), 64];
    let mut bytes: Vec<u8> = (0..count).flat_map(label).collect();
    bytes.extend(payload);
    bytes
}

/// A frame with LLC and SNAP (RFC 1042) around `payload`; `organisation` is the last octet of the organisation code.
#[must_use]
pub fn llc(link: &Ethernet, organisation: u8, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let [e0, e1] = ether_type.to_be_bytes();
    let header = [0xaa, 0xaa, 3, 0, 0, organisation, e0, e1];
    let length = u16::try_from(header.len() + payload.len()).expect("a frame has 1500 octets");
    link.carry_raw(length, &[&header, payload].concat())
}

/// A GRE header (RFC 2784, RFC 2890) with `flags` and the fields that they announce, and `payload`.
#[must_use]
pub fn gre(flags: u16, ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [flags.to_be_bytes(), ether_type.to_be_bytes()].concat();
    for flag in [0x8000, 0x2000, 0x1000] {
        if flags & flag != 0 {
            bytes.extend([0; 4]);
        }
    }
    bytes.extend(payload);
    bytes
}
