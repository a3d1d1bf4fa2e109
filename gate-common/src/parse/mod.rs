//! The one packet parser: Ethernet, VLAN tags, IPv4, IPv6, TCP.
//!
//! It is generic over how bytes are read ([`Frame`]), so that the kernel program (which must prove every access to the
//! verifier) and the host (which reads a slice) compile the same source. It reads each header whole, once: several small
//! reads at one variable offset get their bounds checks merged by LLVM, and the verifier then refuses the program.
//!
//! Lengths come from the IP headers, not from the frame: Ethernet pads short frames (IEEE 802.3 clause 4.2.3.3), and
//! padding must not pass for a TCP header.

mod ipv4;
mod ipv6;
mod link;

use bytemuck::{Pod, Zeroable};

use crate::{Addr, Shape};

/// How many VLAN tags (IEEE 802.1Q and 802.1ad, in any mix) the parser looks behind.
pub const MAX_TAGS: usize = 4;
/// How many IPv6 extension headers the parser looks behind.
pub const MAX_EXTENSIONS: usize = 8;

/// How far into a frame a header may start. The verifier wants a bound, and each doubling of it makes the proof more than
/// twice as long; what starts beyond is a shape of its own, [`Shape::BeyondReach`].
pub const REACH: usize = 0x7ff;

/// The length of a TCP header without options (RFC 9293 section 3.1).
const TCP_HEADER: usize = 20;
/// The length of the ports at its beginning.
const PORTS: usize = 4;
/// The protocol number of TCP.
const TCP: u8 = 6;

/// A frame, from its destination MAC address on.
pub trait Frame {
    /// The `N` bytes at `offset`; `None` if the frame does not have all of them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// What the parser read of a TCP segment.
///
/// Numbers are in host byte order. Flags are set for [`Shape::Tcp`] only; ports also for a [`Shape::TinyFragment`] that
/// has them; addresses for every shape that is found behind the IP header, since the policy needs to know the source.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Flow {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// The flags of the TCP header, `FIN` in the lowest bit (RFC 9293 section 3.1).
    pub flags: u8,
    /// 1 if this is the first of several fragments, else 0.
    pub more_fragments: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

impl Flow {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;

    /// Whether this segment opens a connection.
    ///
    /// SYN without ACK, whatever other flags are set (`SYN+FIN` opens connections on some stacks). A first fragment
    /// counts as well: a later, overlapping one could set the flag (RFC 1858 section 4).
    #[inline(always)]
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN || self.more_fragments != 0
    }
}

/// What the link layer says comes next.
#[derive(Clone, Copy)]
enum Network {
    V4,
    V6,
}

/// What an IP header says comes next.
struct Transport {
    /// The protocol number.
    protocol: u8,
    /// Where it starts in the frame.
    offset: usize,
    /// Where the IP packet ends in the frame, by its own length field; past the frame if it does not say.
    end: usize,
}

/// Reads `frame`, and `flow` as far as it gets.
///
/// `flow` must come in as [`Flow::default`]. It is an out-parameter, not part of the result, because in the kernel this
/// is a function of its own, verified once, that returns a scalar.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, flow: &mut Flow) -> Shape {
    match walk(frame, flow) {
        Ok(()) => Shape::Tcp,
        Err(shape) => shape,
    }
}

#[inline(always)]
fn walk<F: Frame + ?Sized>(frame: &F, flow: &mut Flow) -> Result<(), Shape> {
    let (network, offset) = link::walk(frame)?;
    let transport = match network {
        Network::V4 => ipv4::walk(frame, offset, flow)?,
        Network::V6 => ipv6::walk(frame, offset, flow)?,
    };
    match transport.protocol {
        TCP => tcp(frame, &transport, flow),
        // IP in IP (RFC 2003), IPv6 in IP (RFC 4213), GRE (RFC 2784).
        4 | 41 | 47 => Err(Shape::Tunnel),
        _ => Err(Shape::Unrelated),
    }
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, transport: &Transport, flow: &mut Flow) -> Result<(), Shape> {
    let header = read::<TCP_HEADER, F>(frame, transport.offset, transport.end)?;
    let Some([s0, s1, d0, d1, .., flags, _, _, _, _, _, _]) = header else {
        if flow.more_fragments == 0 {
            return Err(Shape::TruncatedTcp);
        }
        read_ports(frame, transport, flow)?;
        return Err(Shape::TinyFragment);
    };
    flow.sport = u16::from_be_bytes([s0, s1]);
    flow.dport = u16::from_be_bytes([d0, d1]);
    flow.flags = flags;
    Ok(())
}

/// Reads the ports of a segment that ends before its header does, if it has them. They cannot change afterwards: a later
/// fragment starts at octet 8 or beyond, and another first fragment is judged by itself (RFC 3128).
#[inline(always)]
fn read_ports<F: Frame + ?Sized>(
    frame: &F,
    transport: &Transport,
    flow: &mut Flow,
) -> Result<(), Shape> {
    if let Some([s0, s1, d0, d1]) = read::<PORTS, F>(frame, transport.offset, transport.end)? {
        flow.sport = u16::from_be_bytes([s0, s1]);
        flow.dport = u16::from_be_bytes([d0, d1]);
    }
    Ok(())
}

/// The `N` bytes at `offset`; `None` if the frame, or the packet that ends at `end`, does not have all of them.
#[inline(always)]
fn read<const N: usize, F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    end: usize,
) -> Result<Option<[u8; N]>, Shape> {
    if offset > REACH {
        return Err(Shape::BeyondReach);
    }
    if offset + N > end {
        return Ok(None);
    }
    Ok(frame.read(offset))
}

/// The end of a packet that starts at `start` and says that it is `length` long, where 0 says nothing.
///
/// Length 0 is what the kernel shows for segments beyond 64 KiB that it merged itself (BIG TCP), and what an IPv6
/// jumbogram has (RFC 2675); the frame bounds these.
#[inline(always)]
const fn end(start: usize, length: usize) -> usize {
    if length == 0 {
        usize::MAX
    } else {
        start + length
    }
}
