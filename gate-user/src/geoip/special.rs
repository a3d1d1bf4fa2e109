//! Addresses that no database can know the country of: whatever it says about them is ignored.
//!
//! Some databases do say something: repackaged ones give `2002::/16` a country, and those that MaxMind writes repeat
//! all of IPv4 wherever IPv6 embeds it. In the table these ranges are holes.
//!
//! - Tunnels and translators embed or stand for an IPv4 address, often not the sender's (Teredo's is that of its
//!   server). The configuration gives them a class of their own.
//! - Local addresses mean another host in every network. As holes they have the class of addresses in no database, and
//!   so an ISP's own hosts are not taken for whatever country somebody wrote beside 10.0.0.0/8.
//!
//! Documentation prefixes and the rest of the special-purpose registries (RFC 6890) are left to the database.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::range::Range;

/// Prefixes whose addresses say where a tunnel ends and not where the sender is: 6to4 (RFC 3056), Teredo (RFC 4380),
/// and the well-known NAT64 prefix (RFC 6052).
pub const TUNNELS: [&str; 3] = ["2002::/16", "2001::/32", "64:ff9b::/96"];

/// The IPv4 ranges, in order.
pub(super) const V4: &[Range] = &[
    v4([10, 0, 0, 0], 8),     // RFC 1918
    v4([100, 64, 0, 0], 10),  // shared by carrier-grade NATs, RFC 6598
    v4([127, 0, 0, 0], 8),    // loopback, RFC 1122
    v4([169, 254, 0, 0], 16), // link-local, RFC 3927
    v4([172, 16, 0, 0], 12),  // RFC 1918
    v4([192, 168, 0, 0], 16), // RFC 1918
    v4([224, 0, 0, 0], 4),    // multicast, RFC 5771
];

/// IPv4 addresses in IPv6 form (RFC 4291): the gate has them as IPv4, and so they have the country of that.
pub(super) const MAPPED: Range = v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96);

/// The IPv6 ranges, in order.
pub(super) const V6: &[Range] = &[
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96), // where the tree keeps IPv4, with the unspecified address and loopback, RFC 4291
    MAPPED,
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), // a network's own NAT64, RFC 8215
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), // unique local, RFC 4193
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), // link-local, RFC 4291
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), // multicast, RFC 4291
];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Range {
    Range::prefix((Ipv4Addr::new(a, b, c, d).to_bits() as u128) << 96, length)
}

const fn v6(segments: [u16; 8], length: u8) -> Range {
    Range::prefix(Ipv6Addr::from_segments(segments).to_bits(), length)
}

#[cfg(test)]
mod tests {
    use ipnet::Ipv6Net;

    use super::*;

    #[test]
    fn ranges_are_in_order_and_apart() {
        for ranges in [V4, V6] {
            assert!(ranges.is_sorted_by(|a, b| a.last < b.first));
        }
    }

    #[test]
    fn tunnels_are_holes() {
        for tunnel in TUNNELS {
            let net: Ipv6Net = tunnel.parse().unwrap();
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            assert!(
                V6.iter().any(|it| it.first <= first && last <= it.last),
                "{tunnel}"
            );
        }
    }
}
