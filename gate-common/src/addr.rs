//! An IPv4 or IPv6 address as two words.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};

/// The upper half of the low word of an IPv4-mapped address (RFC 4291 section 2.5.5.2).
const V4_MAPPED: u64 = 0xffff_0000_0000;

/// An IPv6 address, or an IPv4 address in IPv4-mapped form (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2).
///
/// Two words of host byte order, most significant first. Words rather than bytes because the kernel program passes
/// addresses around: byte arrays cost ten times the verified instructions and calls to byte-loop `memcpy`.
///
/// A real IPv6 packet with an address in `::ffff:0:0/96` is indistinguishable from IPv4 here. Such addresses never
/// belong on the wire (RFC 4942 section 2.2), and treating them as the IPv4 address that they name is the strict reading.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Addr {
    /// Bits 127 to 64.
    pub hi: u64,
    /// Bits 63 to 0.
    pub lo: u64,
}

impl Addr {
    /// `::`, which is nobody's (RFC 4291 section 2.5.2).
    pub const UNSPECIFIED: Self = Self { hi: 0, lo: 0 };

    /// The IPv4 address whose 32 bits, most significant first, are `bits`.
    #[inline(always)]
    #[must_use]
    pub const fn v4(bits: u32) -> Self {
        Self {
            hi: 0,
            lo: V4_MAPPED | bits as u64,
        }
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.hi == 0 && self.lo >> 32 == V4_MAPPED >> 32
    }

    /// The last 32 bits: all that an IPv4 address has.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the rest is not asked for")]
    pub const fn v4_bits(self) -> u32 {
        self.lo as u32
    }

    /// Whether this can be the address of one host that sends and receives: no group, no broadcast, not unspecified, not loopback
    /// (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5).
    #[inline(always)]
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        if self.is_v4() {
            let first = self.v4_bits() >> 24;
            first != 0 && first != 127 && first < 224
        } else {
            self.hi >> 56 != 0xff && !(self.hi == 0 && self.lo <= 1)
        }
    }

    /// This address with everything after its first `v4_len` (IPv4) or `v6_len` (IPv6) bits set to zero.
    ///
    /// Lengths count in the family's own terms: 32 keeps a whole IPv4 address, 128 a whole IPv6 one. Longer ones keep
    /// everything.
    #[inline(always)]
    #[must_use]
    pub const fn truncated(self, v4_len: u8, v6_len: u8) -> Self {
        let kept = if self.is_v4() {
            96u32.saturating_add(v4_len as u32)
        } else {
            v6_len as u32
        };
        if kept <= 64 {
            Self {
                hi: self.hi & leading_ones(kept),
                lo: 0,
            }
        } else {
            Self {
                hi: self.hi,
                lo: self.lo & leading_ones(kept - 64),
            }
        }
    }

    /// The 16 bytes of this address in network byte order.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        (((self.hi as u128) << 64) | self.lo as u128).to_be_bytes()
    }

    /// The address as the standard library has it; IPv4-mapped addresses come out as IPv4.
    #[must_use]
    pub const fn to_ip(self) -> IpAddr {
        if self.is_v4() {
            let [.., a, b, c, d] = self.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(
                ((self.hi as u128) << 64) | self.lo as u128,
            ))
        }
    }
}

/// A word whose first `count` bits are set; 64 and more set all.
#[inline(always)]
const fn leading_ones(count: u32) -> u64 {
    if count >= 64 {
        u64::MAX
    } else {
        !(u64::MAX >> count)
    }
}

impl From<Ipv4Addr> for Addr {
    fn from(ip: Ipv4Addr) -> Self {
        Self::v4(ip.to_bits())
    }
}

impl From<Ipv6Addr> for Addr {
    fn from(ip: Ipv6Addr) -> Self {
        let [hi, lo] = split(ip.to_bits());
        Self { hi, lo }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

/// The two halves of a 128-bit number, most significant first.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each half is cut out on purpose"
)]
const fn split(bits: u128) -> [u64; 2] {
    [(bits >> 64) as u64, bits as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn round_trips_both_families() {
        for text in [
            "0.0.0.0",
            "192.0.2.1",
            "255.255.255.255",
            "::",
            "::1",
            "2001:db8::1",
            "ff02::1",
        ] {
            assert_eq!(
                addr(text).to_ip(),
                text.parse::<IpAddr>().unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn ipv4_compatible_addresses_are_not_ipv4() {
        assert!(!addr("::192.0.2.1").is_v4());
        assert!(addr("192.0.2.1").is_v4());
    }

    #[test]
    fn truncation_counts_in_the_family_s_own_terms() {
        assert_eq!(addr("192.0.2.77").truncated(24, 64), addr("192.0.2.0"));
        assert_eq!(addr("192.0.2.77").truncated(32, 64), addr("192.0.2.77"));
        assert_eq!(addr("192.0.2.77").truncated(0, 64), addr("0.0.0.0"));
        assert_eq!(
            addr("2001:db8:1:2:3::4").truncated(32, 64),
            addr("2001:db8:1:2::")
        );
        assert_eq!(
            addr("2001:db8:1:2:3::4").truncated(32, 56),
            addr("2001:db8:1::")
        );
        assert_eq!(
            addr("2001:db8:1:2:3::4").truncated(32, 128),
            addr("2001:db8:1:2:3::4")
        );
        assert_eq!(addr("2001:db8::1").truncated(32, 0), addr("::"));
    }
}
