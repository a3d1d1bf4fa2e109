//! What the rows are written in: addresses of the fixtures, and short names for packets between them.

use std::net::{Ipv4Addr, Ipv6Addr};

use gate_tests::packets::{self, Ethernet, Packet, V4, V6, flag};

use super::Side;
use crate::configurations::Configuration;

/// The configuration of most rows, seen from a subscriber.
pub(super) const ACCESS: (Configuration, Side) = (Configuration::Enforce, Side::Access);
/// The same, seen from the Internet.
pub(super) const UPLINK: (Configuration, Side) = (Configuration::Enforce, Side::Uplink);

/// A subscriber whose pool is restricted.
pub(super) const DYNAMIC: &str = "100.64.0.2";
pub(super) const DYNAMIC_6: &str = "2001:db8:100:aa77::2";
/// A mail host of somebody else.
pub(super) const MX: &str = "192.0.2.1";
pub(super) const MX_6: &str = "2001:db8:5::1";
/// The source port of every connection.
pub(super) const PORT: u16 = 40_000;

/// What a packet of [`DYNAMIC`] counts for, beside its total.
pub(super) const DYNAMIC_COUNTS: [&str; 4] = [
    "interface access",
    "pool dynamic",
    "prefix dynamic 100.64.0.0/10",
    "source access 100.64.0.2/32",
];
/// What a packet of [`DYNAMIC_6`] counts for: its pool takes a /56 for one source.
pub(super) const DYNAMIC_6_COUNTS: [&str; 4] = [
    "interface access",
    "pool dynamic",
    "prefix dynamic 2001:db8:100::/40",
    "source access 2001:db8:100:aa00::/56",
];
/// What a packet counts for whose ports are hidden, so that it has no source.
pub(super) const INTERFACE: [&str; 1] = ["interface access"];

pub(super) fn v4(source: &str, destination: &str) -> V4 {
    let address = |text: &str| text.parse::<Ipv4Addr>().expect("an IPv4 address");
    V4::new(address(source), address(destination))
}

pub(super) fn v6(source: &str, destination: &str) -> V6 {
    let address = |text: &str| text.parse::<Ipv6Addr>().expect("an IPv6 address");
    V6::new(address(source), address(destination))
}

/// A segment between two addresses of either family.
pub(super) fn segment(source: &str, destination: &str, segment: &[u8]) -> Vec<u8> {
    frame(&if source.contains(':') {
        v6(source, destination).tcp(segment)
    } else {
        v4(source, destination).tcp(segment)
    })
}

/// The SYN of a connection to `port`.
pub(super) fn open(source: &str, destination: &str, port: u16) -> Vec<u8> {
    segment(source, destination, &syn(port))
}

/// The SYN of a connection to port 25.
pub(super) fn smtp(source: &str, destination: &str) -> Vec<u8> {
    open(source, destination, 25)
}

/// The header of a SYN to `port`.
pub(super) fn syn(port: u16) -> Vec<u8> {
    packets::tcp(PORT, port, flag::SYN)
}

/// The first `length` octets of the header of a SYN to `port`.
pub(super) fn head(port: u16, length: usize) -> Vec<u8> {
    packets::cut(syn(port), length)
}

/// Ethernet around a packet.
pub(super) fn frame(packet: &Packet) -> Vec<u8> {
    Ethernet::new().carry(packet)
}
