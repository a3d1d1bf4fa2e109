//! Frames, from the inside out: a segment, an IP packet around it, Ethernet around that.
//!
//! ```
//! use gate_tests::packets::{self, Ethernet, V4, flag};
//!
//! let syn = packets::tcp(40_000, 25, flag::SYN);
//! let packet = V4::new([100, 64, 0, 2].into(), [192, 0, 2, 1].into()).tcp(&syn);
//! let frame = Ethernet::new().tag(packets::DOT1Q, 100).carry(&packet);
//! assert_eq!(frame.len(), 14 + 4 + 20 + 20);
//! ```
//!
//! etherparse writes every header, so that nobody who tests a parser has to trust the same person's writer. What it will not write,
//! because no honest host sends it, is made by editing a good frame: [`put`] and [`cut`]. Frames are not padded to Ethernet's minimum:
//! the last byte of the packet is the last byte of the frame, where a read too far shows.

mod encapsulation;
mod ethernet;
mod ipv4;
mod ipv6;
mod transport;

pub use encapsulation::{PppoeSession, gre, labels, llc};
pub use ethernet::{DOT1AD, DOT1Q, Ethernet, QINQ_9100};
pub use ipv4::V4;
pub use ipv6::{Extension, V6};
pub use transport::{checked, flag, icmp, sctp, tcp, tcp_with_options, udp};

/// Protocol numbers, from IANA's registry.
pub mod protocol {
    /// Hop-by-hop options (RFC 8200 section 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP (RFC 2003, RFC 2473).
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP (RFC 4213).
    pub const IPV6: u8 = 41;
    /// Routing header (RFC 8200 section 4.4).
    pub const ROUTING: u8 = 43;
    /// Fragment header (RFC 8200 section 4.5).
    pub const FRAGMENT: u8 = 44;
    /// GRE (RFC 2784).
    pub const GRE: u8 = 47;
    /// Encapsulating security payload (RFC 4303).
    pub const ESP: u8 = 50;
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// `ICMPv6`.
    pub const ICMPV6: u8 = 58;
    /// No next header (RFC 8200 section 4.7).
    pub const NONE: u8 = 59;
    /// Destination options (RFC 8200 section 4.6).
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// Mobility header (RFC 6275).
    pub const MOBILITY: u8 = 135;
    /// Host identity protocol (RFC 7401).
    pub const HIP: u8 = 139;
    /// Shim6 (RFC 5533).
    pub const SHIM6: u8 = 140;
}

/// An IP packet, and the EtherType that announces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// 0x0800 or 0x86dd.
    pub ether_type: u16,
    /// From the first byte of the IP header on.
    pub bytes: Vec<u8>,
}

/// `frame` with `bytes` at `offset` overwritten; what lies past its end is left out.
#[must_use]
pub fn put(mut frame: Vec<u8>, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame
        .iter_mut()
        .skip(offset)
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    frame
}

/// The first `length` bytes of `frame`.
#[must_use]
pub fn cut(mut frame: Vec<u8>, length: usize) -> Vec<u8> {
    frame.truncate(length);
    frame
}

/// `frame` with `bytes` after its end.
#[must_use]
pub fn trail(mut frame: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    frame.extend_from_slice(bytes);
    frame
}
