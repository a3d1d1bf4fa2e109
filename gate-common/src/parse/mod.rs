//! The one packet parser: Ethernet, what stands between it and IP, IPv4, IPv6, one tunnel, TCP.
//!
//! It is generic over how bytes are read ([`Frame`]), so that the kernel program (which must prove every access to the
//! verifier) and the host (which reads a slice) compile the same source. It reads each header whole, once: several small
//! reads at one variable offset get their bounds checks merged by LLVM, and the verifier then refuses the program.
//!
//! Lengths come from the headers, not from the frame: Ethernet pads short frames (IEEE 802.3 clause 4.2.3.3), and padding
//! must not pass for a TCP header. For the same reason a packet that claims to be longer than what carries it is not read.

mod extensions;
mod flow;
mod ipv4;
mod ipv6;
mod link;
mod tunnel;

pub use self::flow::Flow;
use self::link::Link;
use crate::Shape;

/// How many VLAN tags (IEEE 802.1Q and 802.1ad, in any mix) the parser looks behind.
pub const MAX_TAGS: usize = 4;
/// How many MPLS labels the parser looks behind.
pub const MAX_LABELS: usize = 8;
/// How many IPv6 extension headers the parser looks behind.
pub const MAX_EXTENSIONS: usize = 8;

/// The length of a TCP header without options (RFC 9293 section 3.1).
const TCP_HEADER: usize = 20;
/// The length of the ports at its beginning.
const PORTS: usize = 4;

/// Protocol numbers, and Next Header values (IANA).
mod protocol {
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
}

/// A frame, from its destination MAC address on.
///
/// The methods that are provided are parts of the parser. The kernel program makes each a function of its own that takes numbers,
/// so that the verifier proves it once, and not for every place where a packet may start.
pub trait Frame {
    /// The `N` bytes at `offset`; `None` if the frame does not have all of them.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// Reads a packet that is not right behind Ethernet and its tags.
    #[inline(always)]
    fn network(&self, packet: Packet, flow: &mut Flow) -> Shape {
        network(self, packet, flow)
    }

    /// Reads a packet in a tunnel.
    #[inline(always)]
    fn inner(&self, packet: Packet, flow: &mut Flow) -> Shape {
        inner(self, packet, flow)
    }

    /// Walks the extension headers.
    #[inline(always)]
    fn extensions(&self, transport: Transport, flow: &mut Flow) -> Result<Transport, Shape> {
        extensions(self, transport, flow)
    }

    /// Whether the IPv4 options have a source route, or cannot be read.
    #[inline(always)]
    fn source_route(&self, options: Options) -> bool {
        source_route(self, options)
    }
}

impl Frame for [u8] {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.get(offset..)?.first_chunk().copied()
    }
}

/// Which IP it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// An IP packet in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Which IP it is.
    pub version: Version,
    /// Where it starts.
    pub offset: usize,
    /// Where what carries it ends; [`usize::MAX`] if that is the frame.
    pub limit: usize,
}

/// What an IP header says comes next.
#[derive(Clone, Copy, Debug)]
pub struct Transport {
    /// The protocol number.
    pub protocol: u8,
    /// Where it starts in the frame.
    pub offset: usize,
    /// Where the IP packet ends in the frame, by its own length field; past the frame if it does not say.
    pub end: usize,
}

/// The options of an IPv4 header.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where they start.
    pub start: usize,
    /// Where they end.
    pub end: usize,
}

/// Reads `frame`, and `flow` as far as it gets.
///
/// `flow` must come in as [`Flow::default`]. It is an out-parameter, not part of the result, because in the kernel this
/// is a function of its own, verified once, that returns a scalar.
#[inline(always)]
pub fn parse<F: Frame + ?Sized>(frame: &F, flow: &mut Flow) -> Shape {
    shape(walk(frame, flow))
}

/// How many IPv6 extension headers [`glance`] looks behind.
const GLANCED: usize = 2;

/// What [`parse`] finds, for most frames there are: a TCP segment, or nothing of concern, in a packet right behind Ethernet and up to two tags,
/// without IPv4 options, many extension headers or a tunnel. `None` for all others, which says nothing; `flow` is then to be forgotten.
///
/// The same walks with their places known when they are compiled. Who wants little of `flow` pays for little, if it does not leave the
/// function.
#[inline(always)]
pub fn glance<F: Frame + ?Sized>(frame: &F, flow: &mut Flow) -> Option<Shape> {
    const UNTAGGED: usize = link::ETHERNET_HEADER;
    const ONE_TAG: usize = UNTAGGED + link::TAG;
    const TWO_TAGS: usize = ONE_TAG + link::TAG;
    let ether_type = link::ether_type(frame).ok()?;
    if let Some(version) = link::version(ether_type) {
        return glance_at::<UNTAGGED, F>(frame, version, flow);
    }
    let ether_type = link::behind_tag(frame, ether_type, UNTAGGED, flow)?;
    if let Some(version) = link::version(ether_type) {
        return glance_at::<ONE_TAG, F>(frame, version, flow);
    }
    let ether_type = link::behind_tag(frame, ether_type, ONE_TAG, flow)?;
    glance_at::<TWO_TAGS, F>(frame, link::version(ether_type)?, flow)
}

#[inline(always)]
fn glance_at<const OFFSET: usize, F: Frame + ?Sized>(
    frame: &F,
    version: Version,
    flow: &mut Flow,
) -> Option<Shape> {
    let packet = link::packet(version, OFFSET);
    let walked = match version {
        Version::V4 => {
            // Without options, what follows is at a known place.
            let [0x45] = frame.read::<1>(OFFSET)? else {
                return None;
            };
            ipv4::walk(frame, packet, flow)
        }
        Version::V6 => ipv6::walk(frame, packet, flow),
    };
    let transport = match walked {
        Ok(transport) => transport,
        Err(Shape::Unrelated) => return Some(Shape::Unrelated),
        Err(_) => return None,
    };
    let transport = match version {
        Version::V6 if extensions::are_there(transport.protocol) => {
            extensions::walk::<GLANCED, F>(frame, transport, flow).ok()?
        }
        Version::V4 | Version::V6 => transport,
    };
    match transport.protocol {
        protocol::TCP => tcp(frame, &transport, flow).ok().map(|()| Shape::Tcp),
        protocol::IPV4 | protocol::IPV6 | protocol::GRE => None,
        protocol if extensions::are_there(protocol) => None,
        _ => Some(Shape::Unrelated),
    }
}

/// For [`Frame::network`].
#[inline(always)]
pub fn network<F: Frame + ?Sized>(frame: &F, packet: Packet, flow: &mut Flow) -> Shape {
    shape(outermost(frame, packet, flow))
}

/// For [`Frame::inner`].
#[inline(always)]
pub fn inner<F: Frame + ?Sized>(frame: &F, packet: Packet, flow: &mut Flow) -> Shape {
    shape(innermost(frame, packet, flow))
}

/// For [`Frame::extensions`].
#[inline(always)]
pub fn extensions<F: Frame + ?Sized>(
    frame: &F,
    transport: Transport,
    flow: &mut Flow,
) -> Result<Transport, Shape> {
    extensions::walk::<MAX_EXTENSIONS, F>(frame, transport, flow)
}

/// For [`Frame::source_route`].
#[inline(always)]
pub fn source_route<F: Frame + ?Sized>(frame: &F, options: Options) -> bool {
    ipv4::have_source_route(frame, options)
}

#[inline(always)]
const fn shape(walked: Result<(), Shape>) -> Shape {
    match walked {
        Ok(()) => Shape::Tcp,
        Err(shape) => shape,
    }
}

#[inline(always)]
const fn walked(shape: Shape) -> Result<(), Shape> {
    if let Shape::Tcp = shape {
        Ok(())
    } else {
        Err(shape)
    }
}

#[inline(always)]
fn walk<F: Frame + ?Sized>(frame: &F, flow: &mut Flow) -> Result<(), Shape> {
    match link::walk(frame, flow)? {
        Link::Plain(packet) => outermost(frame, packet, flow),
        Link::Encapsulated(packet) => walked(frame.network(packet, flow)),
    }
}

#[inline(always)]
fn outermost<F: Frame + ?Sized>(frame: &F, packet: Packet, flow: &mut Flow) -> Result<(), Shape> {
    let transport = ip(frame, packet, flow)?;
    match transport.protocol {
        protocol::TCP => tcp(frame, &transport, flow),
        protocol::IPV4 | protocol::IPV6 | protocol::GRE => {
            let packet = tunnel::enter(frame, &transport, flow)?;
            walked(frame.inner(packet, flow))
        }
        _ => Err(Shape::Unrelated),
    }
}

#[inline(always)]
fn innermost<F: Frame + ?Sized>(frame: &F, packet: Packet, flow: &mut Flow) -> Result<(), Shape> {
    let transport = ip(frame, packet, flow)?;
    match transport.protocol {
        protocol::TCP => tcp(frame, &transport, flow),
        protocol::IPV4 | protocol::IPV6 | protocol::GRE => Err(Shape::NestedTunnel),
        _ => Err(Shape::Unrelated),
    }
}

#[inline(always)]
fn ip<F: Frame + ?Sized>(frame: &F, packet: Packet, flow: &mut Flow) -> Result<Transport, Shape> {
    let transport = match packet.version {
        Version::V4 => {
            let transport = ipv4::walk(frame, packet, flow)?;
            if transport.protocol != protocol::AUTHENTICATION {
                return Ok(transport);
            }
            transport
        }
        Version::V6 => {
            let transport = ipv6::walk(frame, packet, flow)?;
            if !extensions::are_there(transport.protocol) {
                return Ok(transport);
            }
            transport
        }
    };
    frame.extensions(transport, flow)
}

#[inline(always)]
fn tcp<F: Frame + ?Sized>(frame: &F, transport: &Transport, flow: &mut Flow) -> Result<(), Shape> {
    let header = read::<TCP_HEADER, F>(frame, transport.offset, transport.end);
    let Some([s0, s1, d0, d1, .., flags, _, _, _, _, _, _]) = header else {
        if !flow.is_fragment() {
            return Err(Shape::TruncatedTcp);
        }
        read_ports(frame, transport, flow);
        return Err(Shape::TinyFragment);
    };
    flow.sport = u16::from_be_bytes([s0, s1]);
    flow.dport = u16::from_be_bytes([d0, d1]);
    flow.flags = flags;
    flow.transport = place(transport.offset);
    Ok(())
}

/// Reads the ports of a segment that ends before its header does, if it has them. They cannot change afterwards: a later
/// fragment starts at octet 8 or beyond, and another first fragment is judged by itself (RFC 3128).
#[inline(always)]
fn read_ports<F: Frame + ?Sized>(frame: &F, transport: &Transport, flow: &mut Flow) {
    if let Some([s0, s1, d0, d1]) = read::<PORTS, F>(frame, transport.offset, transport.end) {
        flow.sport = u16::from_be_bytes([s0, s1]);
        flow.dport = u16::from_be_bytes([d0, d1]);
    }
}

/// The `N` bytes at `offset`; `None` if the frame, or the packet that ends at `end`, does not have all of them.
#[inline(always)]
fn read<const N: usize, F: Frame + ?Sized>(
    frame: &F,
    offset: usize,
    end: usize,
) -> Option<[u8; N]> {
    if offset + N > end {
        return None;
    }
    frame.read(offset)
}

/// What a header is called that ends before it should: the fragment's fault (RFC 7112) or the frame's.
#[inline(always)]
const fn cut_short(flow: &Flow, shape: Shape) -> Shape {
    if flow.is_fragment() {
        Shape::TinyFragment
    } else {
        shape
    }
}

/// Where the packet ends that starts at `packet.offset` and says that it is `length` long, where 0 says nothing.
///
/// Length 0 is what the kernel shows for segments beyond 64 KiB that it merged itself (BIG TCP), and what an IPv6
/// jumbogram has (RFC 2675); what carries the packet bounds these.
///
/// A packet that ends after what carries it is cut short if that is a fragment, and else no packet at all.
#[inline(always)]
const fn end(packet: Packet, length: usize, flow: &Flow) -> Result<usize, Shape> {
    let end = packet.offset + length;
    if length == 0 {
        Ok(packet.limit)
    } else if end <= packet.limit {
        Ok(end)
    } else if flow.is_fragment() {
        Ok(packet.limit)
    } else {
        Err(Shape::BadLength)
    }
}

/// A place in the frame, as a flow has it. Frames end before 64 KiB, and so no header starts beyond.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "frames are shorter than 64 KiB"
)]
const fn place(offset: usize) -> u16 {
    offset as u16
}
