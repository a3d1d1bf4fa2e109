//! IPv6 packets and their extension headers.

use std::net::Ipv6Addr;

use etherparse::{
    IpAuthHeader, IpFragOffset, IpNumber, Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader,
};

use super::{Packet, protocol};

/// An extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// One in the uniform format (RFC 6564): its number, and how many units of eight octets follow the first.
    Uniform(u8, u8),
    /// The authentication header (RFC 4302), with so many 32-bit words of integrity check value.
    Authentication(u8),
    /// The fragment header: offset in units of eight octets, more to come or not.
    Fragment(u16, bool),
}

impl Extension {
    /// Hop-by-hop options, eight octets.
    pub const HOP_BY_HOP: Self = Self::Uniform(protocol::HOP_BY_HOP, 0);
    /// Destination options, eight octets.
    pub const DESTINATION: Self = Self::Uniform(protocol::DESTINATION, 0);
    /// A routing header, eight octets.
    pub const ROUTING: Self = Self::Uniform(protocol::ROUTING, 0);
    /// A mobility header, eight octets.
    pub const MOBILITY: Self = Self::Uniform(protocol::MOBILITY, 0);

    /// The number that announces it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Uniform(number, _) => number,
            Self::Authentication(_) => protocol::AUTHENTICATION,
            Self::Fragment(..) => protocol::FRAGMENT,
        }
    }

    fn bytes(self, next: u8) -> Vec<u8> {
        let next = IpNumber(next);
        match self {
            Self::Uniform(_, units) => {
                Ipv6RawExtHeader::new_raw(next, &vec![0; 6 + 8 * usize::from(units)])
                    .expect("any number of units fits")
                    .to_bytes()
                    .to_vec()
            }
            Self::Authentication(words) => {
                IpAuthHeader::new(next, 1, 1, &vec![0; 4 * usize::from(words)])
                    .expect("254 words fit")
                    .to_bytes()
                    .to_vec()
            }
            Self::Fragment(offset, more) => {
                let offset = IpFragOffset::try_new(offset).expect("a fragment offset has 13 bits");
                Ipv6FragmentHeader::new(next, offset, more, 7)
                    .to_bytes()
                    .to_vec()
            }
        }
    }
}

/// An IPv6 header in the making, and the extension headers behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V6 {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    service: u8,
    extensions: Vec<Extension>,
}

impl V6 {
    /// From `source` to `destination`, without extension headers.
    #[must_use]
    pub fn new(source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            source,
            destination,
            service: 0,
            extensions: Vec::new(),
        }
    }

    /// With this octet of DSCP and ECN (RFC 2474, RFC 3168).
    #[must_use]
    pub fn service(self, octet: u8) -> Self {
        Self {
            service: octet,
            ..self
        }
    }

    /// With one more extension header.
    #[must_use]
    pub fn with(self, extension: Extension) -> Self {
        self.with_all(&[extension])
    }

    /// With more extension headers, in this order.
    #[must_use]
    pub fn with_all(mut self, extensions: &[Extension]) -> Self {
        self.extensions.extend(extensions);
        self
    }

    /// The packet around `payload`.
    #[must_use]
    pub fn carry(&self, protocol: u8, payload: &[u8]) -> Packet {
        let mut next = protocol;
        let mut chain = Vec::new();
        for extension in self.extensions.iter().rev() {
            chain.splice(0..0, extension.bytes(next));
            next = extension.number();
        }
        let length = u16::try_from(chain.len() + payload.len());
        let header = Ipv6Header {
            traffic_class: self.service,
            payload_length: length.expect("a payload has 64 KiB at most"),
            next_header: IpNumber(next),
            hop_limit: 64,
            source: self.source.octets(),
            destination: self.destination.octets(),
            ..Ipv6Header::default()
        };
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend(chain);
        bytes.extend(payload);
        Packet {
            ether_type: 0x86dd,
            bytes,
        }
    }

    /// The packet around a TCP segment, or a part of one.
    #[must_use]
    pub fn tcp(&self, segment: &[u8]) -> Packet {
        self.carry(protocol::TCP, segment)
    }
}
