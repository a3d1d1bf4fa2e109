//! What an answer has to look like, by the standards and by a packet library: nothing here comes from the gate.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use etherparse::{Icmpv4Slice, Icmpv6Slice, NetSlice, SlicedPacket, TcpSlice, TransportSlice};
use gate_tests::{
    gate::Answer,
    lab::Encapsulation,
    packets::{Packet, flag},
};

/// A segment that is refused.
pub(super) struct Sent {
    pub(super) line: Encapsulation,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// How long the IP header is, with options, without extension headers.
    pub(super) header: usize,
    pub(super) packet: Packet,
    pub(super) segment: Segment,
}

/// The numbers of a segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) source_port: u16,
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
    /// Words of TCP options.
    pub(super) options: usize,
    pub(super) data: usize,
}

/// Destination and source.
pub(super) type LinkAddresses = [[u8; 6]; 2];

const ETHERNET: usize = 14;
const MINIMUM: usize = 60;
const TCP: usize = 20;

/// Whether `frame` is what `answer` makes of `sent`, which went to the first of these link addresses from the second.
pub(super) fn judge(
    sent: &Sent,
    frame: &[u8],
    answer: Answer,
    from: Option<IpAddr>,
    [router, host]: LinkAddresses,
) -> Result<()> {
    // Tags and session as they were, and the length of the session as the packet is long.
    let plain = sent.line.unwrap(frame).context("another encapsulation")?;
    let addresses = plain.get(..12).context("no addresses")?;
    ensure!(
        addresses == [host, router].concat(),
        "link addresses {addresses:x?}"
    );
    let sliced = SlicedPacket::from_ethernet(&plain)?;
    let packet = plain.get(ETHERNET..).context("no packet")?;
    let length = ip(sliced.net.as_ref().context("no IP")?, sent, answer, from)?;
    let (packet, padding) = packet.split_at_checked(length).context("too short")?;
    // PPPoE says how long its payload is, and that must be as long as the packet; padding comes after it.
    ensure!(
        sent.line != Encapsulation::Pppoe || padding.is_empty(),
        "the session says more than the packet"
    );
    let end = ETHERNET + sent.line.overhead() + length;
    let padding = frame.get(end..).context("cut off")?;
    ensure!(
        padding.iter().all(|it| *it == 0),
        "padded with {padding:x?}"
    );
    ensure!(
        frame.len() == MINIMUM.max(end),
        "{} octets for a packet of {length}",
        frame.len()
    );
    match (answer, sliced.transport) {
        (Answer::Reset, Some(TransportSlice::Tcp(tcp))) => {
            ensure!(length <= sent.packet.bytes.len(), "longer than the packet");
            reset(sent, &tcp)
        }
        (Answer::Prohibited, Some(TransportSlice::Icmpv4(icmp))) => {
            prohibited_v4(&icmp)?;
            quote(sent, icmp.payload(), packet.len())
        }
        (Answer::Prohibited, Some(TransportSlice::Icmpv6(icmp))) => {
            prohibited_v6(&icmp, from.unwrap_or(sent.destination), sent.source)?;
            quote(sent, icmp.payload(), packet.len())
        }
        (_, transport) => anyhow::bail!("not {answer}: {transport:?}"),
    }
}

/// The IP header, and the length of the packet by it.
fn ip(net: &NetSlice<'_>, sent: &Sent, answer: Answer, from: Option<IpAddr>) -> Result<usize> {
    let from = match answer {
        Answer::Prohibited => from.unwrap_or(sent.destination),
        Answer::Reset | Answer::Drop => sent.destination,
    };
    let expected = (from, sent.source);
    match net {
        NetSlice::Ipv4(slice) => {
            let header = slice.header();
            let found = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            ensure!(found == expected, "{found:?}, not {expected:?}");
            let header = header.to_header();
            ensure!(
                header.calc_header_checksum() == header.header_checksum,
                "the checksum of {header:?}"
            );
            ensure!(
                header.time_to_live == 64
                    && header.options.is_empty()
                    && header.dont_fragment
                    && !header.more_fragments
                    && header.fragment_offset.value() == 0,
                "{header:?}"
            );
            Ok(header.total_len.into())
        }
        NetSlice::Ipv6(slice) => {
            let header = slice.header();
            let found = (
                header.source_addr().into(),
                header.destination_addr().into(),
            );
            ensure!(found == expected, "{found:?}, not {expected:?}");
            ensure!(header.hop_limit() == 64, "{header:?}");
            Ok(40 + usize::from(header.payload_length()))
        }
        NetSlice::Arp(_) => anyhow::bail!("no IP: {net:?}"),
    }
}

/// RFC 9293 section 3.10.7.1.
fn reset(sent: &Sent, tcp: &TcpSlice<'_>) -> Result<()> {
    let Segment {
        source_port,
        flags,
        seq,
        ack,
        options: _,
        data,
    } = sent.segment;
    let has = |bit: u8| u32::from(flags & bit != 0);
    let length = u32::try_from(data)? + has(flag::SYN) + has(flag::FIN);
    let expected = if flags & flag::ACK != 0 {
        (ack, 0, flag::RST)
    } else {
        (0, seq.wrapping_add(length), flag::RST | flag::ACK)
    };
    let header = tcp.to_header();
    let found = (
        header.sequence_number,
        header.acknowledgment_number,
        tcp.slice().get(13).copied().unwrap_or(0),
    );
    ensure!(found == expected, "{found:?}, not {expected:?}");
    ensure!(
        (header.source_port, header.destination_port) == (25, source_port),
        "ports {header:?}"
    );
    ensure!(
        tcp.slice().len() == TCP && header.window_size == 0 && header.urgent_pointer == 0,
        "{header:?}"
    );
    let checksum = match (sent.destination, sent.source) {
        (IpAddr::V4(from), IpAddr::V4(to)) => tcp.calc_checksum_ipv4(from.octets(), to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => tcp.calc_checksum_ipv6(from.octets(), to.octets()),
        _ => anyhow::bail!("two families"),
    };
    ensure!(checksum? == header.checksum, "the checksum of {header:?}");
    Ok(())
}

/// RFC 792, RFC 1812 section 5.2.7.1.
fn prohibited_v4(icmp: &Icmpv4Slice<'_>) -> Result<()> {
    ensure!(
        (icmp.type_u8(), icmp.code_u8()) == (3, 13) && icmp.bytes5to8() == [0; 4],
        "{icmp:?}"
    );
    let mut header = icmp.header();
    header.update_checksum(icmp.payload());
    ensure!(
        header.checksum == icmp.checksum(),
        "the checksum of {icmp:?}"
    );
    Ok(())
}

/// RFC 4443 section 3.1.
fn prohibited_v6(icmp: &Icmpv6Slice<'_>, from: IpAddr, to: IpAddr) -> Result<()> {
    ensure!(
        (icmp.type_u8(), icmp.code_u8()) == (1, 1) && icmp.bytes5to8() == [0; 4],
        "{icmp:?}"
    );
    let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else {
        anyhow::bail!("two families");
    };
    ensure!(
        icmp.is_checksum_valid(from.octets(), to.octets()),
        "the checksum of {icmp:?}"
    );
    Ok(())
}

/// The beginning of the packet: its header and at least eight octets, at most 64; and no more than makes the answer as long as the
/// packet, as long as it has that least.
fn quote(sent: &Sent, quoted: &[u8], length: usize) -> Result<()> {
    let packet = &sent.packet.bytes;
    ensure!(packet.starts_with(quoted), "quotes something else");
    let behind = quoted.len().checked_sub(sent.header).context("no header")?;
    ensure!((8..=64).contains(&behind), "quotes {behind} octets");
    ensure!(
        length <= packet.len() || behind == 8,
        "{length} octets for a packet of {}",
        packet.len()
    );
    Ok(())
}
