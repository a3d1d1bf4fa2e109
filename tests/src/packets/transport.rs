//! What IP carries. Checksums are left at zero, since the gate reads none; what a host is to accept is [`checked`].

use std::net::IpAddr;

use etherparse::{Icmpv4Header, Icmpv4Type, TcpHeader, UdpHeader, checksum::Sum16BitWords};

use super::{protocol, put};

/// The flags of a TCP header (RFC 9293 section 3.1).
pub mod flag {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Opens a connection.
    pub const SYN: u8 = 0x02;
    /// Resets it.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgment counts.
    pub const ACK: u8 = 0x10;
    /// Urgent.
    pub const URG: u8 = 0x20;
    /// ECN echo (RFC 3168).
    pub const ECE: u8 = 0x40;
    /// Congestion window reduced (RFC 3168).
    pub const CWR: u8 = 0x80;
}

/// A TCP header without options.
#[must_use]
pub fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    header(source, destination, flags).to_bytes().to_vec()
}

/// A TCP header with `words` 32-bit words of options, at most ten.
#[must_use]
pub fn tcp_with_options(source: u16, destination: u16, flags: u8, words: usize) -> Vec<u8> {
    let mut header = header(source, destination, flags);
    header
        .set_options_raw(&vec![1; 4 * words])
        .expect("a TCP header has room for ten words of options");
    header.to_bytes().to_vec()
}

fn header(source: u16, destination: u16, flags: u8) -> TcpHeader {
    let mut header = TcpHeader::new(source, destination, 1, 64_240);
    header.fin = flags & flag::FIN != 0;
    header.syn = flags & flag::SYN != 0;
    header.rst = flags & flag::RST != 0;
    header.psh = flags & flag::PSH != 0;
    header.ack = flags & flag::ACK != 0;
    header.urg = flags & flag::URG != 0;
    header.ece = flags & flag::ECE != 0;
    header.cwr = flags & flag::CWR != 0;
    header
}

/// `segment`, a TCP header and data, with the checksum that it has between these two hosts.
#[must_use]
pub fn checked(source: IpAddr, destination: IpAddr, segment: Vec<u8>) -> Vec<u8> {
    let segment = put(segment, 16, &[0, 0]);
    let sum = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Sum16BitWords::new()
            .add_4bytes(source.octets())
            .add_4bytes(destination.octets()),
        (source, destination) => Sum16BitWords::new()
            .add_16bytes(v6(source))
            .add_16bytes(v6(destination)),
    };
    let length = u32::try_from(segment.len()).expect("a segment has 64 KiB at most");
    let sum = sum
        .add_2bytes([0, protocol::TCP])
        .add_4bytes(length.to_be_bytes())
        .add_slice(&segment)
        .ones_complement();
    put(segment, 16, &sum.to_ne_bytes())
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// A UDP datagram with `length` octets of data.
#[must_use]
pub fn udp(source: u16, destination: u16, length: usize) -> Vec<u8> {
    let mut bytes = UdpHeader::without_ipv4_checksum(source, destination, length)
        .expect("a datagram has 64 KiB at most")
        .to_bytes()
        .to_vec();
    bytes.resize(bytes.len() + length, 0);
    bytes
}

/// An ICMP message with 20 octets of zeros, where a TCP header would have its ports and flags.
#[must_use]
pub fn icmp() -> Vec<u8> {
    let message = Icmpv4Type::Unknown {
        type_u8: 8,
        code_u8: 0,
        bytes5to8: [0; 4],
    };
    let mut bytes = Icmpv4Header::new(message).to_bytes().to_vec();
    bytes.resize(20, 0);
    bytes
}

/// An SCTP INIT (RFC 9260), which has its ports where TCP has them; the library knows no SCTP.
#[must_use]
pub fn sctp(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.resize(12, 0);
    bytes.extend([1, 0, 0, 20]);
    bytes.resize(32, 0);
    bytes
}
