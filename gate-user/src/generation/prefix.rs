//! Prefixes of both families: 128 bits, IPv4 in IPv4-mapped form.

use std::fmt;

use gate_common::Addr;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How many bits come before an IPv4 address in IPv4-mapped form.
const V4_OFFSET: u8 = 96;

/// A prefix of the 128-bit key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: Addr,
    length: u8,
}

impl Prefix {
    /// All of IPv4.
    pub const V4: Self = Self {
        addr: Addr::v4(0),
        length: V4_OFFSET,
    };

    /// The first address.
    #[must_use]
    pub fn addr(self) -> Addr {
        self.addr
    }

    /// How many of the 128 bits count.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// The first `length` bits of `addr`.
    #[must_use]
    pub fn of(addr: Addr, length: u8) -> Self {
        let length = length.min(128);
        let addr = match length.checked_sub(V4_OFFSET) {
            Some(v4_length) if addr.is_v4() => addr.truncated(v4_length, length),
            _ => cut(addr, length),
        };
        Self { addr, length }
    }

    /// What is one source with `addr` where this many bits (IPv4, IPv6) count.
    #[must_use]
    pub fn of_source(addr: Addr, lengths: (u8, u8)) -> Self {
        let length = if addr.is_v4() {
            V4_OFFSET.saturating_add(lengths.0)
        } else {
            lengths.1
        };
        Self::of(addr, length)
    }

    /// The prefix in its family's own terms.
    #[must_use]
    pub fn to_net(self) -> Option<IpNet> {
        match self.addr.to_ip() {
            std::net::IpAddr::V4(ip) if self.length >= V4_OFFSET => {
                Ipv4Net::new(ip, self.length - V4_OFFSET)
                    .ok()
                    .map(IpNet::V4)
            }
            std::net::IpAddr::V6(ip) => Ipv6Net::new(ip, self.length).ok().map(IpNet::V6),
            std::net::IpAddr::V4(_) => None,
        }
    }
}

/// `addr` with all but its first `length` bits cleared, whatever its family.
fn cut(addr: Addr, length: u8) -> Addr {
    let bits = (u128::from(addr.hi) << 64) | u128::from(addr.lo);
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    std::net::Ipv6Addr::from_bits(bits & mask).into()
}

impl From<IpNet> for Prefix {
    fn from(net: IpNet) -> Self {
        let offset = match net {
            IpNet::V4(_) => V4_OFFSET,
            IpNet::V6(_) => 0,
        };
        Self {
            addr: net.network().into(),
            length: net.prefix_len() + offset,
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_net() {
            Some(net) => net.fmt(f),
            None => write!(f, "::ffff:0:0/{}", self.length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse::<IpNet>().unwrap().into()
    }

    #[test]
    fn families_come_back() {
        for text in [
            "0.0.0.0/0",
            "192.0.2.0/24",
            "192.0.2.1/32",
            "::/0",
            "2001:db8::/32",
            "::1/128",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("0.0.0.0/0"), Prefix::V4);
    }
}
