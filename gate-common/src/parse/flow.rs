//! What the parser read.

use bytemuck::{Pod, Zeroable};

use crate::Addr;

/// What the parser read of a frame.
///
/// Numbers are in host byte order. Flags are set for [`Shape::Tcp`](crate::Shape::Tcp) only; ports also for a
/// [`Shape::TinyFragment`](crate::Shape::TinyFragment) that has them; addresses for every shape that is found behind an IP
/// header, since the policy needs to know the source. They are those of the innermost IP header that was read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Flow {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// The source address of the packet that carries a tunnel, if there is one.
    pub outer: Addr,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// The first VLAN ID from outside that is not 0, which says nothing of a VLAN (IEEE 802.1Q clause 9.6); 0 if there is none.
    pub vlan: u16,
    /// Where the innermost IP header starts in the frame; 0 if there is none.
    pub network: u16,
    /// Where the TCP header starts in the frame; 0 if none was read.
    pub transport: u16,
    /// Where the PPPoE header starts in the frame; 0 if there is none.
    pub pppoe: u16,
    /// The flags of the TCP header, `FIN` in the lowest bit (RFC 9293 section 3.1).
    pub flags: u8,
    /// The set of what else was met on the way: bits such as [`Flow::FRAGMENT`].
    pub marks: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

impl Flow {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const SYN: u8 = 0x02;
    pub(crate) const RST: u8 = 0x04;
    pub(crate) const ACK: u8 = 0x10;

    /// The first of several fragments.
    pub const FRAGMENT: u8 = 1;
    /// In a tunnel.
    pub const TUNNEL: u8 = 2;
    /// Under MPLS labels.
    pub const LABELS: u8 = 4;
    /// In IEEE 802.2 LLC.
    pub const LLC: u8 = 8;
    /// With a source route, or a routing header with segments left.
    pub const SOURCE_ROUTE: u8 = 16;
    /// IPv6 between addresses of which one is an IPv4-mapped one.
    pub const MAPPED: u8 = 32;

    #[inline(always)]
    pub(super) const fn mark(&mut self, mark: u8) {
        self.marks |= mark;
    }

    #[inline(always)]
    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Whether this segment opens a connection: SYN without ACK, whatever other flags are set (`SYN+FIN` opens connections on some stacks).
    #[inline(always)]
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether this segment may open a connection: what does, and every first fragment, since a later, overlapping one could set the flag
    /// (RFC 1858 section 4).
    #[inline(always)]
    #[must_use]
    pub const fn may_open(&self) -> bool {
        self.opens() || self.is_fragment()
    }

    /// Whether this is the first of several fragments.
    #[inline(always)]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.has(Self::FRAGMENT)
    }

    /// Whether the packet is in a tunnel; [`Flow::outer`] is then who sent the packet that carries it.
    #[inline(always)]
    #[must_use]
    pub const fn is_tunnelled(&self) -> bool {
        self.has(Self::TUNNEL)
    }

    /// Whether the packet says where it goes on from its destination.
    #[inline(always)]
    #[must_use]
    pub const fn is_source_routed(&self) -> bool {
        self.has(Self::SOURCE_ROUTE)
    }

    /// Whether the packet is in something that an answer cannot be put into: a tunnel, MPLS labels, IEEE 802.2 LLC.
    #[inline(always)]
    #[must_use]
    pub const fn is_encapsulated(&self) -> bool {
        self.has(Self::TUNNEL | Self::LABELS | Self::LLC)
    }

    /// Whether the addresses of an IPv6 packet say that they are IPv4 ones, which they never are on the wire (RFC 4942 section 2.2).
    #[inline(always)]
    #[must_use]
    pub const fn is_mapped(&self) -> bool {
        self.has(Self::MAPPED)
    }

    /// Whether a TCP header was read, all of it, and with it the ports that name a connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_segment(&self) -> bool {
        self.transport != 0
    }

    /// Whether an IP header was read, and with it a source.
    #[inline(always)]
    #[must_use]
    pub const fn has_source(&self) -> bool {
        self.network != 0
    }
}
