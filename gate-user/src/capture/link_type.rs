//! What link layer a capture was taken from.

use std::fmt;

/// A link type, by its number in <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub u32);

/// Those that one meets on routers and in collections of captures.
const NAMES: [(u32, &str); 30] = [
    (0, "NULL"),
    (1, "ETHERNET"),
    (6, "IEEE802_5"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (50, "PPP_HDLC"),
    (51, "PPP_ETHER"),
    (101, "RAW"),
    (104, "C_HDLC"),
    (105, "IEEE802_11"),
    (107, "FRELAY"),
    (108, "LOOP"),
    (113, "LINUX_SLL"),
    (117, "PFLOG"),
    (119, "IEEE802_11_PRISM"),
    (127, "IEEE802_11_RADIOTAP"),
    (166, "PPP_PPPD"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (195, "IEEE802_15_4_WITHFCS"),
    (201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    (220, "USB_LINUX_MMAPPED"),
    (228, "IPV4"),
    (229, "IPV6"),
    (239, "NFLOG"),
    (252, "WIRESHARK_UPPER_PDU"),
    (253, "NETLINK"),
    (274, "ETHERNET_MPACKET"),
    (276, "LINUX_SLL2"),
];

impl LinkType {
    /// `LINKTYPE_ETHERNET`.
    pub const ETHERNET: Self = Self(1);

    /// The name, without its `LINKTYPE_`; nothing for what one hardly meets.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        let found = NAMES.iter().find(|(number, _)| *number == self.0);
        found.map(|(_, name)| *name)
    }

    /// How to get the same with Ethernet headers.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self.0 {
            113 | 276 => {
                "`tcpdump -i any` leaves out the Ethernet headers: capture on the interface itself, with `tcpdump -i INTERFACE`"
            }
            9 | 50 | 51 | 101 | 166 | 228 | 229 => {
                "this was captured behind the Ethernet headers: capture on the Ethernet interface that carries it, with `tcpdump -i INTERFACE`"
            }
            _ => "capture on an Ethernet interface, with `tcpdump -i INTERFACE`",
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "number {}", self.0),
        }
    }
}
