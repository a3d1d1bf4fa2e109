//! Ethernet and VLAN tags.

use etherparse::{EtherType, Ethernet2Header, SingleVlanHeader, VlanId};

use super::Packet;

/// Customer tag (IEEE 802.1Q).
pub const DOT1Q: u16 = 0x8100;
/// Service tag (IEEE 802.1ad).
pub const DOT1AD: u16 = 0x88a8;
/// What stacked tags were before 802.1ad.
pub const QINQ_9100: u16 = 0x9100;

/// The Ethernet header and the tags behind it, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ethernet {
    tags: Vec<(u16, u16)>,
}

impl Ethernet {
    /// Without tags.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more tag inside those that are there: its EtherType and VLAN.
    #[must_use]
    pub fn tag(mut self, ether_type: u16, vlan: u16) -> Self {
        self.tags.push((ether_type, vlan & 0x0fff));
        self
    }

    /// With `count` customer tags.
    #[must_use]
    pub fn tags(count: u16) -> Self {
        (1..=count).fold(Self::new(), |link, vlan| link.tag(DOT1Q, vlan))
    }

    /// The frame around `packet`.
    #[must_use]
    pub fn carry(&self, packet: &Packet) -> Vec<u8> {
        self.carry_raw(packet.ether_type, &packet.bytes)
    }

    /// The frame around `payload`, announced as `ether_type`.
    #[must_use]
    pub fn carry_raw(&self, ether_type: u16, payload: &[u8]) -> Vec<u8> {
        let announced = |index: usize| self.tags.get(index).map_or(ether_type, |tag| tag.0);
        let header = Ethernet2Header {
            destination: [0x02, 0, 0x5e, 0, 0, 1],
            source: [0x02, 0, 0x5e, 0, 0, 2],
            ether_type: EtherType(announced(0)),
        };
        let mut frame = header.to_bytes().to_vec();
        for (index, (_, vlan)) in self.tags.iter().enumerate() {
            let tag = SingleVlanHeader {
                vlan_id: VlanId::try_new(*vlan).unwrap_or_default(),
                ether_type: EtherType(announced(index + 1)),
                ..SingleVlanHeader::default()
            };
            frame.extend(tag.to_bytes());
        }
        frame.extend(payload);
        frame
    }
}
