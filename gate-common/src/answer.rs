//! What a refused client hears: a TCP reset (RFC 9293 section 3.10.7.1), or ICMP "communication administratively prohibited"
//! (RFC 1812 section 5.2.7.1, RFC 4443 section 3.1).
//!
//! An answer is made out of the frame that it answers, where that lies ([`Edit`]), and leaves the way that came in: link addresses
//! swapped, VLAN tags and PPPoE session kept. It is never longer than the packet that it answers, with one exception: an ICMP error
//! quotes the IP header and eight octets at least, which makes it 16 octets longer than a bare SYN over IPv4, and 36 over IPv6.

use crate::{
    Addr, Answer, Answered, Bucket, Flow, Shape,
    abi::{BucketKey, Interface, Settings},
    decide::{Decision, Tables},
    parse::Frame,
};

/// The least that Ethernet carries, without its check sequence (IEEE 802.3 clause 3.2.8).
const ETHERNET_MINIMUM: usize = 60;
const TTL: u32 = 64;
const TCP: u32 = 6;
const ICMP: u32 = 1;
const ICMPV6: u32 = 58;
const TCP_HEADER: usize = 20;
const ICMP_HEADER: usize = 8;

/// The most octets that an ICMP error quotes behind the IP header.
const QUOTED: usize = 64;
/// The least (RFC 792: "64 bits of data").
const QUOTED_LEAST: usize = 8;
/// The most that it quotes in all: an IPv4 header with options comes to 60 octets.
pub const QUOTE: usize = 60 + QUOTED;

/// A frame that can be made into an answer.
pub trait Edit: Frame {
    /// The sum of the 16-bit numbers in the `length` octets at `offset`; `length` is a multiple of 4 and at most [`QUOTE`].
    fn sum(&self, offset: usize, length: usize) -> Option<u64>;

    /// Overwrites what is at `offset`.
    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()>;

    /// Overwrites what is at `offset` with words, given as numbers.
    fn put_words<const N: usize>(&mut self, offset: usize, words: [u32; N]) -> Option<()>;

    /// Makes room for `length` octets at `offset`; what is before keeps its place.
    fn insert(&mut self, offset: usize, length: usize) -> Option<()>;

    /// Cuts the frame off after `length` octets, or lengthens it with zeros.
    fn resize(&mut self, length: usize) -> Option<()>;
}

/// Whether a refused packet can be answered at all.
#[inline(always)]
pub(crate) const fn possible(
    shape: Shape,
    flow: &Flow,
    interface: &Interface,
) -> Result<(), Answered> {
    if flow.is_fragment() {
        Err(Answered::Fragment)
    } else if !matches!(shape, Shape::Tcp) {
        Err(Answered::Shape)
    } else if flow.flags & Flow::RST != 0 {
        Err(Answered::WasReset)
    } else if flow.is_encapsulated() {
        Err(Answered::Encapsulated)
    } else if interface.stripped != 0 {
        Err(Answered::Stripped)
    } else if !flow.src.is_unicast() || !flow.dst.is_unicast() || flow.is_mapped() {
        Err(Answered::Group)
    } else {
        Ok(())
    }
}

/// What the refused client hears now: nothing where that is what is wanted, else an answer that is within the limits, or why not.
///
/// The source's limit comes first: what is over it does not use up what there is for all.
#[inline(always)]
pub fn due<T: Tables>(
    decision: &Decision,
    tables: &T,
    monotonic_ns: u64,
) -> Option<Result<Answer, Answered>> {
    let answer = match decision.answer {
        Ok(Answer::Drop) => return None,
        Ok(answer) => answer,
        Err(why_not) => return Some(Err(why_not)),
    };
    let lengths = (decision.source_v4, decision.source_v6);
    let source = BucketKey::new(Bucket::Answer, decision.source, lengths);
    let total = BucketKey::new(Bucket::AnswerTotal, Addr::UNSPECIFIED, (0, 0));
    Some(if !tables.take(source, monotonic_ns) {
        Err(Answered::SourceLimit)
    } else if !tables.take(total, monotonic_ns) {
        Err(Answered::TotalLimit)
    } else {
        Ok(answer)
    })
}

/// Where the ICMP answer to `flow` comes from; [`Addr::UNSPECIFIED`] stands for the refused destination.
#[inline(always)]
#[must_use]
pub const fn source(settings: &Settings, flow: &Flow) -> Addr {
    if flow.src.is_v4() {
        settings.answer_v4
    } else {
        settings.answer_v6
    }
}

/// Makes the frame that `flow` was read from into `answer`.
///
/// ICMP errors come from `from`; [`Addr::UNSPECIFIED`] stands for the refused destination.
///
/// An error leaves the frame in no state to be sent.
#[inline(always)]
pub fn make<E: Edit + ?Sized>(
    frame: &mut E,
    flow: &Flow,
    answer: Answer,
    from: Addr,
) -> Result<Answered, Answered> {
    let addresses = frame.read::<12>(0).ok_or(Answered::NoRoom)?;
    let swapped = swap(addresses).ok_or(Answered::Group)?;
    let network = usize::from(flow.network);
    let (packet, answered) = match answer {
        Answer::Drop => return Err(Answered::Shape),
        Answer::Reset => (reset(frame, flow), Answered::Reset),
        Answer::Prohibited => (prohibited(frame, flow, from), Answered::Prohibited),
    };
    let packet = packet.ok_or(Answered::NoRoom)?;
    link(frame, flow, swapped, packet).ok_or(Answered::NoRoom)?;
    let end = network + packet;
    frame.resize(end).ok_or(Answered::NoRoom)?;
    if end < ETHERNET_MINIMUM {
        // Padding is zeros, not what the client sent. Where there is no room for it, the device pads.
        let _ = frame.resize(ETHERNET_MINIMUM);
    }
    Ok(answered)
}

/// Destination and source swapped; nothing if one of them is a group (IEEE 802 clause 8.2).
#[inline(always)]
const fn swap(addresses: [u8; 12]) -> Option<[u8; 12]> {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = addresses;
    if (d0 | s0) & 1 != 0 {
        return None;
    }
    Some([s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5])
}

/// Writes what stands before an IP packet of `packet` octets.
#[inline(always)]
fn link<E: Edit + ?Sized>(
    frame: &mut E,
    flow: &Flow,
    addresses: [u8; 12],
    packet: usize,
) -> Option<()> {
    frame.put(0, addresses)?;
    if flow.pppoe != 0 {
        let pppoe = usize::from(flow.pppoe);
        // The length counts from behind the PPPoE header, which has six octets, and so the protocol field too.
        let length = usize::from(flow.network) + packet - (pppoe + 6);
        frame.put(pppoe + 4, u16::try_from(length).ok()?.to_be_bytes())?;
    }
    Some(())
}

/// Writes a reset over the packet; its length.
#[inline(always)]
fn reset<E: Edit + ?Sized>(frame: &mut E, flow: &Flow) -> Option<usize> {
    let network = usize::from(flow.network);
    let segment = Segment::read(frame, flow)?;
    let header = header(frame, network, 0, TCP, TCP_HEADER, flow.dst, flow.src)?;
    let [seq, ack, flags] = segment.reset();
    let ports = u32::from(flow.dport) << 16 | u32::from(flow.sport);
    let state = 5 << 28 | flags << 16;
    let pseudo = pseudo_header(flow.dst, flow.src, TCP, TCP_HEADER);
    let check = checksum(pseudo + sum([ports, seq, ack, state]));
    let words = [ports, seq, ack, state, u32::from(check) << 16];
    frame.put_words(network + header, words)?;
    Some(header + TCP_HEADER)
}

/// Writes an ICMP error before the packet, which it quotes; the length of the error.
#[inline(always)]
fn prohibited<E: Edit + ?Sized>(frame: &mut E, flow: &Flow, from: Addr) -> Option<usize> {
    let network = usize::from(flow.network);
    let from = if from == Addr::UNSPECIFIED {
        flow.dst
    } else {
        from
    };
    let (before, length) = ip_lengths(frame, flow)?;
    let v4 = flow.src.is_v4();
    let room = ICMP_HEADER + if v4 { IPV4_HEADER } else { IPV6_HEADER };
    let quoted = quoted(before, length, room);
    let sum = frame.sum(network, quoted)?;
    let icmp = ICMP_HEADER + quoted;
    // Destination unreachable, and the code for it.
    let (protocol, kind, pseudo) = if v4 {
        (ICMP, 3 << 24 | 13 << 16, 0)
    } else {
        let pseudo = pseudo_header(from, flow.src, ICMPV6, icmp);
        (ICMPV6, 1 << 24 | 1 << 16, pseudo)
    };
    let check = checksum(u64::from(kind >> 16) + sum + pseudo);
    frame.insert(network, room)?;
    let service = INTERNETWORK_CONTROL;
    let header = header(frame, network, service, protocol, icmp, from, flow.src)?;
    frame.put_words(network + header, [kind | u32::from(check), 0])?;
    Some(header + icmp)
}

/// How many octets of a packet of `length` octets an error of `error` octets before the quote has: the header, and as many behind
/// it as fit without making the answer longer than the packet, but never less than the standard wants.
#[inline(always)]
const fn quoted(header: usize, length: usize, error: usize) -> usize {
    let room = length.saturating_sub(header + error);
    let behind = if room < QUOTED_LEAST {
        QUOTED_LEAST
    } else if room > QUOTED {
        QUOTED
    } else {
        room & !3
    };
    header + behind
}

/// The length of the IP header and that of the packet.
#[inline(always)]
fn ip_lengths<F: Frame + ?Sized>(frame: &F, flow: &Flow) -> Option<(usize, usize)> {
    let [first, _, t0, t1, p0, p1] = frame.read::<6>(usize::from(flow.network))?;
    Some(if first >> 4 == 4 {
        let header = usize::from(first & 0x0f) << 2;
        (header, usize::from(u16::from_be_bytes([t0, t1])))
    } else {
        let payload = usize::from(u16::from_be_bytes([p0, p1]));
        (IPV6_HEADER, IPV6_HEADER + payload)
    })
}

/// What a reset needs to know of the segment that it answers.
struct Segment {
    seq: u32,
    ack: u32,
    flags: u8,
    /// SEG.LEN: the octets of data, SYN and FIN counting as one each.
    length: u32,
}

impl Segment {
    #[inline(always)]
    fn read<F: Frame + ?Sized>(frame: &F, flow: &Flow) -> Option<Self> {
        let transport = usize::from(flow.transport);
        let [_, _, _, _, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags] = frame.read(transport)?;
        let (_, packet) = ip_lengths(frame, flow)?;
        let header = usize::from(offset >> 4) << 2;
        let before = transport - usize::from(flow.network) + header;
        let data = u32::try_from(packet.saturating_sub(before)).ok()?;
        let phantoms = u32::from(flags & Flow::SYN != 0) + u32::from(flags & Flow::FIN != 0);
        Some(Self {
            seq: u32::from_be_bytes([q0, q1, q2, q3]),
            ack: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            length: data + phantoms,
        })
    }

    /// Sequence number, acknowledgement number and flags of the reset (RFC 9293 section 3.10.7.1).
    #[inline(always)]
    const fn reset(&self) -> [u32; 3] {
        if self.flags & Flow::ACK != 0 {
            [self.ack, 0, Flow::RST as u32]
        } else {
            let acknowledged = self.seq.wrapping_add(self.length);
            [0, acknowledged, (Flow::RST | Flow::ACK) as u32]
        }
    }
}

const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// The type of service of ICMP errors (RFC 1812 section 4.3.2.5).
const INTERNETWORK_CONTROL: u32 = 0xc0;

/// Writes an IP header of the version of `to` at `offset`; its length. `service` is for IPv4.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "answers are some hundred octets long"
)]
fn header<E: Edit + ?Sized>(
    frame: &mut E,
    offset: usize,
    service: u32,
    protocol: u32,
    payload: usize,
    from: Addr,
    to: Addr,
) -> Option<usize> {
    if to.is_v4() {
        let w0 = 4 << 28 | 5 << 24 | service << 16 | (IPV4_HEADER + payload) as u32;
        // Don't fragment, and so no identification (RFC 6864 section 4.1).
        let w1 = 0x4000;
        let w2 = TTL << 24 | protocol << 16;
        let (w3, w4) = (from.v4_bits(), to.v4_bits());
        let check = checksum(sum([w0, w1, w2, w3, w4]));
        frame.put_words(offset, [w0, w1, w2 | u32::from(check), w3, w4])?;
        Some(IPV4_HEADER)
    } else {
        let [f0, f1] = halves(from.hi);
        let [f2, f3] = halves(from.lo);
        let [t0, t1] = halves(to.hi);
        let [t2, t3] = halves(to.lo);
        let w1 = (payload as u32) << 16 | protocol << 8 | TTL;
        frame.put_words(offset, [6 << 28, w1, f0, f1, f2, f3, t0, t1, t2, t3])?;
        Some(IPV6_HEADER)
    }
}

/// The sum of the pseudo-header that checksums cover (RFC 9293 section 3.1, RFC 8200 section 8.1). An IPv4 address counts as the
/// two words that it has in IPv4-mapped form too, whose `ffff` adds nothing to a ones' complement sum.
#[inline(always)]
fn pseudo_header(from: Addr, to: Addr, protocol: u32, length: usize) -> u64 {
    let [f0, f1] = halves(from.hi);
    let [f2, f3] = halves(from.lo);
    let [t0, t1] = halves(to.hi);
    let [t2, t3] = halves(to.lo);
    sum([f0, f1, f2, f3, t0, t1, t2, t3]) + u64::from(protocol) + length as u64
}

/// The two halves of a word, the upper one first, for [`Edit::sum`].
#[inline(always)]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "each half is cut out on purpose"
)]
pub const fn halves(word: u64) -> [u32; 2] {
    [(word >> 32) as u32, word as u32]
}

/// The sum of the 16-bit halves of words, for [`Edit::sum`].
#[inline(always)]
#[must_use]
pub fn sum<const N: usize>(words: [u32; N]) -> u64 {
    let mut sum = 0;
    for word in words {
        sum += u64::from(word >> 16) + u64::from(word & 0xffff);
    }
    sum
}

/// The Internet checksum (RFC 1071): the ones' complement of the ones' complement sum.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
const fn checksum(sum: u64) -> u16 {
    // Less than 256 summands: two folds are enough.
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
