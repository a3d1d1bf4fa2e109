//! IPv4 packets.

use std::net::Ipv4Addr;

use etherparse::{IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv4Options};

use super::{Packet, protocol};

/// An IPv4 header in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct V4 {
    header: Ipv4Header,
}

impl V4 {
    /// From `source` to `destination`, without options.
    #[must_use]
    pub fn new(source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            header: Ipv4Header {
                source: source.octets(),
                destination: destination.octets(),
                time_to_live: 64,
                ..Ipv4Header::default()
            },
        }
    }

    /// With `words` 32-bit words of options, at most ten: no-operation (RFC 791 section 3.1).
    #[must_use]
    pub fn options(self, words: usize) -> Self {
        self.options_raw(&vec![1; 4 * words])
    }

    /// With these options, at most ten 32-bit words of them.
    #[must_use]
    pub fn options_raw(mut self, options: &[u8]) -> Self {
        self.header.options = Ipv4Options::try_from(options)
            .expect("an IPv4 header has room for ten words of options");
        self
    }

    /// With this octet of DSCP and ECN (RFC 2474, RFC 3168).
    #[must_use]
    pub fn service(mut self, octet: u8) -> Self {
        self.header.dscp = IpDscp::try_new(octet >> 2).expect("a code point has six bits");
        self.header.ecn = IpEcn::try_new(octet & 3).expect("ECN has two bits");
        self
    }

    /// With this identification, by which fragments of a packet know each other.
    #[must_use]
    pub fn identification(mut self, identification: u16) -> Self {
        self.header.identification = identification;
        self
    }

    /// A fragment at `offset` in units of eight octets, with more to come or not.
    #[must_use]
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.header.fragment_offset =
            IpFragOffset::try_new(offset).expect("a fragment offset has 13 bits");
        self.header.more_fragments = more;
        self
    }

    /// The packet around `payload`.
    #[must_use]
    pub fn carry(mut self, protocol: u8, payload: &[u8]) -> Packet {
        self.header.protocol = IpNumber(protocol);
        self.header
            .set_payload_len(payload.len())
            .expect("a packet has 64 KiB at most");
        self.header.header_checksum = self.header.calc_header_checksum();
        let mut bytes = self.header.to_bytes().to_vec();
        bytes.extend(payload);
        Packet {
            ether_type: 0x0800,
            bytes,
        }
    }

    /// The packet around a TCP segment, or a part of one.
    #[must_use]
    pub fn tcp(self, segment: &[u8]) -> Packet {
        self.carry(protocol::TCP, segment)
    }
}
