//! What somebody with root on an access line can send instead of a plain SYN.

use gate_tests::{
    lab::Family::{self, V4, V6},
    packets::{
        DOT1AD, DOT1Q, Ethernet, Extension, PppoeSession, QINQ_9100, flag, gre, labels, llc,
        protocol, put, tcp_with_options, trail,
    },
};

use super::shot::Shot;

/// A way to open a connection, or to try.
pub(super) struct Technique {
    pub(super) name: &'static str,
    pub(super) family: Family,
    /// Whether Linux on the other side opens a connection, where there is no gate. Where this is false, the standards or Linux
    /// forbid it, or it takes another kernel than this one; nothing of it may emerge all the same.
    pub(super) opens: bool,
    /// What of it the gate cannot read.
    pub(super) hides: Hides,
    pub(super) frames: fn(&Shot) -> Vec<Vec<u8>>,
}

/// What a technique hides, and what comes of it where it is not port 25 that it is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hides {
    /// Nothing: other ports and relays stay open.
    Nothing,
    /// The port: dropped whatever it is, and to relays too, which it may be a tunnel to.
    Port,
    /// The addresses as well: dropped.
    All,
}

/// Opens a connection in the control.
const fn opens(
    name: &'static str,
    family: Family,
    hides: Hides,
    frames: fn(&Shot) -> Vec<Vec<u8>>,
) -> Technique {
    Technique {
        name,
        family,
        opens: true,
        hides,
        frames,
    }
}

/// Opens none.
const fn fails(name: &'static str, family: Family, frames: fn(&Shot) -> Vec<Vec<u8>>) -> Technique {
    Technique {
        opens: false,
        ..opens(name, family, Nothing, frames)
    }
}

use Hides::{All, Nothing, Port};

/// All of them.
#[rustfmt::skip]
pub(super) const TECHNIQUES: &[Technique] = &[
    opens("plain", V4, Nothing, |it| it.one(&it.syn())),
    opens("plain", V6, Nothing, |it| it.one(&it.syn())),

    // Segments.
    opens("data in the SYN", V4, Nothing, |it| it.one(&it.long())),
    opens("data in the SYN", V6, Nothing, |it| it.one(&it.long())),
    opens("40 octets of options", V4, Nothing, |it| it.one(&options(it))),
    opens("40 octets of options", V6, Nothing, |it| it.one(&options(it))),
    opens("Fast Open", V4, Nothing, |it| it.one(&fast_open(it))),
    opens("SYN+ECE+CWR", V4, Nothing, |it| it.one(&it.segment(flag::SYN | flag::ECE | flag::CWR, &[]))),
    opens("SYN+URG+PSH", V4, Nothing, |it| it.one(&it.segment(flag::SYN | flag::URG | flag::PSH, &[]))),
    opens("SYN+URG+PSH", V6, Nothing, |it| it.one(&it.segment(flag::SYN | flag::URG | flag::PSH, &[]))),
    opens("reserved bits of TCP", V4, Nothing, |it| it.one(&it.check(put(it.syn(), 12, &[0x5e])))),
    fails("SYN+FIN", V4, |it| it.one(&it.segment(flag::SYN | flag::FIN, &[]))),
    fails("SYN+FIN", V6, |it| it.one(&it.segment(flag::SYN | flag::FIN, &[]))),
    fails("SYN+RST", V4, |it| it.one(&it.segment(flag::SYN | flag::RST, &[]))),
    fails("all flags but ACK", V4, |it| it.one(&it.segment(!flag::ACK, &[]))),
    fails("a wrong checksum", V4, |it| it.one(&put(it.syn(), 16, &[0, 0]))),

    // IPv4.
    opens("40 octets of IP options", V4, Nothing, |it| vec![it.frame(&it.v4().options(10).tcp(&it.syn()))]),
    opens("router alert", V4, Nothing, |it| ip_options(it, &[148, 4, 0, 0])),
    opens("record route", V4, Nothing, |it| ip_options(it, &[7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    opens("timestamps", V4, Nothing, |it| ip_options(it, &[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    opens("options after their end", V4, Nothing, |it| ip_options(it, &[0, 131, 1, 1])),
    opens("octets after the packet", V4, Nothing, |it| vec![trail(it.frame(&it.packet(&it.syn())), &[0xff; 100])]),
    fails("a length of 0", V4, |it| vec![ip_checked(put(it.frame(&it.packet(&it.syn())), 16, &[0, 0]))]),
    opens("the reserved flag of IP", V4, Nothing, |it| vec![ip_checked(put(it.frame(&it.packet(&it.syn())), 20, &[0x80]))]),

    // Fragments of IPv4.
    opens("fragments at 24", V4, Nothing, |it| it.cut(TCP, &it.long(), &[24])),
    opens("fragments at 16: flags in the first, checksum in the second", V4, Nothing, |it| it.cut(TCP, &it.long(), &[16])),
    opens("fragments at 8: flags in the second", V4, Port, |it| it.cut(TCP, &it.long(), &[8])),
    opens("fragments of 8", V4, Port, |it| it.cut(TCP, &it.long(), &[8, 16, 24, 32, 40])),
    opens("fragments, reversed", V4, Nothing, |it| reversed(it.cut(TCP, &it.long(), &[24, 32, 40]))),
    opens("fragments of 8, reversed", V4, Port, |it| reversed(it.cut(TCP, &it.long(), &[8, 16, 24, 32, 40]))),
    opens("a fragment twice", V4, Nothing, |it| twice(it.cut(TCP, &it.long(), &[24]))),
    fails("two first fragments, the second for the port", V4, |it| two_firsts(it, false)),
    opens("two first fragments, the first for the port", V4, Nothing, |it| two_firsts(it, true)),
    fails("ACK, overwritten by SYN", V4, |it| overwritten(it, false)),
    fails("ACK, overwritten by SYN, reversed", V4, |it| overwritten(it, true)),

    // IPv6.
    opens("destination options", V6, Nothing, |it| chain(it, &[DESTINATION])),
    opens("hop-by-hop options", V6, Nothing, |it| chain(it, &[HOP_BY_HOP])),
    opens("a routing header that has arrived", V6, Nothing, |it| vec![it.frame(&it.v6().with(Extension::ROUTING).tcp(&it.syn()))]),
    opens("eight extension headers", V6, Nothing, |it| chain(it, &[DESTINATION; 8])),
    opens("nine extension headers", V6, Port, |it| chain(it, &[DESTINATION; 9])),
    opens("24 extension headers", V6, Port, |it| chain(it, &[DESTINATION; 24])),
    opens("2 KiB of destination options", V6, Nothing, |it| vec![it.frame(&it.v6().carry(DESTINATION, &[kilobytes(), it.syn()].concat()))]),
    fails("hop-by-hop options in the middle", V6, |it| chain(it, &[DESTINATION, HOP_BY_HOP])),
    fails("an authentication header", V6, |it| vec![it.frame(&it.v6().with(Extension::Authentication(3)).tcp(&it.syn()))]),
    fails("a mobility header", V6, |it| vec![it.frame(&it.v6().with(Extension::MOBILITY).tcp(&it.syn()))]),
    fails("a length of 0", V6, |it| vec![put(it.frame(&it.packet(&it.syn())), 18, &[0, 0])]),

    // Fragments of IPv6.
    opens("an atomic fragment", V6, Nothing, |it| it.cut(TCP, &it.syn(), &[])),
    opens("an atomic fragment of a chain", V6, Nothing, |it| it.cut(DESTINATION, &[pad(TCP), it.syn()].concat(), &[])),
    opens("fragments at 24", V6, Port, |it| it.cut(TCP, &it.long(), &[24])),
    opens("fragments, reversed", V6, Port, |it| reversed(it.cut(TCP, &it.long(), &[24, 32, 40]))),
    opens("fragments of a chain", V6, Port, |it| it.cut(DESTINATION, &[pad(TCP), it.long()].concat(), &[32])),
    fails("fragments at 8: flags in the second", V6, |it| it.cut(TCP, &it.long(), &[8])),
    fails("fragments at 16", V6, |it| it.cut(TCP, &it.long(), &[16])),
    fails("fragments within a chain", V6, |it| it.cut(DESTINATION, &[pad(TCP), it.long()].concat(), &[8])),
    fails("an atomic fragment of an atomic fragment", V6, |it| it.cut(protocol::FRAGMENT, &[it.fragment_header(TCP, 0, false).to_vec(), it.syn()].concat(), &[])),
    fails("fragments of a fragment", V6, |it| it.cut(protocol::FRAGMENT, &[it.fragment_header(TCP, 0, false).to_vec(), it.long()].concat(), &[32])),
    fails("a fragment of a fragment", V6, |it| it.cut(protocol::FRAGMENT, &[it.fragment_header(TCP, 0, true).to_vec(), it.long()].concat(), &[])),
    fails("two first fragments, the second for the port", V6, |it| two_firsts(it, false)),
    opens("two first fragments, the first for the port", V6, Port, |it| two_firsts(it, true)),
    fails("ACK, overwritten by SYN", V6, |it| overwritten(it, false)),

    // Below IP. Linux takes any number of tags off whose VLAN ID is 0.
    opens("a priority tag", V4, Nothing, |it| tagged(it, &[DOT1Q; 1])),
    opens("a priority tag", V6, Nothing, |it| tagged(it, &[DOT1Q; 1])),
    opens("a priority tag of 802.1ad", V4, Nothing, |it| tagged(it, &[DOT1AD; 1])),
    opens("four priority tags", V4, Nothing, |it| tagged(it, &[DOT1AD, DOT1Q, DOT1AD, DOT1Q])),
    opens("five priority tags", V4, All, |it| tagged(it, &[DOT1Q; 5])),
    opens("five priority tags", V6, All, |it| tagged(it, &[DOT1Q; 5])),
    opens("nine priority tags", V4, All, |it| tagged(it, &[DOT1Q; 9])),
    fails("a priority tag of 0x9100", V4, |it| tagged(it, &[QINQ_9100])),
    fails("a VLAN", V4, |it| vec![it.behind(&Ethernet::tags(1), &it.packet(&it.syn()))]),
    fails("LLC and SNAP", V4, |it| vec![it.addressed(llc(&Ethernet::new(), 0, 0x0800, &it.packet(&it.syn()).bytes))]),
    fails("PPPoE", V4, |it| vec![it.addressed(PppoeSession::new().frame(&it.packet(&it.syn())))]),
    fails("PPPoE, a protocol of one octet", V4, |it| vec![it.addressed(PppoeSession::new().compressed().frame(&it.packet(&it.syn())))]),
    fails("MPLS", V4, |it| vec![it.addressed(Ethernet::new().carry_raw(0x8847, &labels(2, &it.packet(&it.syn()).bytes)))]),
    fails("to everybody on the link", V4, |it| vec![put(it.frame(&it.packet(&it.syn())), 0, &[0xff; 6])]),

    // Tunnels: the lab's kernel ends none, so what counts is that nothing emerges.
    fails("IPv4 in IPv4", V4, |it| vec![it.frame(&it.v4().carry(protocol::IPV4, &it.packet(&it.syn()).bytes))]),
    fails("IPv6 in IPv6", V6, |it| vec![it.frame(&it.v6().carry(protocol::IPV6, &it.packet(&it.syn()).bytes))]),
    fails("GRE", V4, |it| vec![it.frame(&it.v4().carry(protocol::GRE, &gre(0, 0x0800, &it.packet(&it.syn()).bytes)))]),
    fails("GRE with checksum, key and number", V4, |it| vec![it.frame(&it.v4().carry(protocol::GRE, &gre(0xb000, 0x0800, &it.packet(&it.syn()).bytes)))]),
    fails("fragments of IPv4 in IPv4", V4, |it| it.cut(protocol::IPV4, &it.packet(&it.long()).bytes, &[24])),
];

const TCP: u8 = protocol::TCP;
pub(super) const DESTINATION: u8 = protocol::DESTINATION;
const HOP_BY_HOP: u8 = protocol::HOP_BY_HOP;

fn options(it: &Shot) -> Vec<u8> {
    it.check(tcp_with_options(it.source_port, it.port, flag::SYN, 10))
}

/// RFC 7413: a request for a cookie, and data.
fn fast_open(it: &Shot) -> Vec<u8> {
    let header = tcp_with_options(it.source_port, it.port, flag::SYN, 1);
    it.check(trail(put(header, 20, &[34, 2, 1, 1]), b"EHLO"))
}

fn ip_options(it: &Shot, options: &[u8]) -> Vec<Vec<u8>> {
    vec![it.frame(&it.v4().options_raw(options).tcp(&it.syn()))]
}

/// `frame` with the checksum of its IPv4 header made anew.
fn ip_checked(frame: Vec<u8>) -> Vec<u8> {
    let frame = put(frame, 24, &[0, 0]);
    let sum: u32 = frame
        .get(14..34)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|half| half.iter().fold(0, |sum, it| sum << 8 | u32::from(*it)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let check = u16::try_from(0xffff - folded).unwrap_or(0);
    put(frame, 24, &check.to_be_bytes())
}

fn reversed(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.reverse();
    frames
}

/// The first once more before the rest.
fn twice(mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    frames.splice(0..0, frames.first().cloned());
    frames
}

/// Two beginnings of one packet: for port 80, which nobody minds, and for the port that is meant.
fn two_firsts(it: &Shot, meant_first: bool) -> Vec<Vec<u8>> {
    let harmless = Shot { port: 80, ..*it };
    let begin = |shot: &Shot| shot.cut(TCP, &shot.long(), &[24]).swap_remove(0);
    let mut frames = vec![begin(&harmless), begin(it)];
    if meant_first {
        frames.reverse();
    }
    frames.extend(it.cut(TCP, &it.long(), &[24]).pop());
    frames
}

/// A first fragment that opens nothing, and a second one that lies over its flags.
fn overwritten(it: &Shot, reverse: bool) -> Vec<Vec<u8>> {
    let (ack, syn) = (it.segment(flag::ACK, &[0x2e; 28]), it.long());
    let first = it.cut(TCP, &ack, &[24]).swap_remove(0);
    let rest = it.fragment(TCP, 8, false, syn.get(8..).unwrap_or_default());
    let frames = vec![first, rest];
    if reverse { reversed(frames) } else { frames }
}

/// An extension header of eight octets, padded as RFC 8200 section 4.2 has it.
fn pad(next: u8) -> Vec<u8> {
    vec![next, 0, 1, 4, 0, 0, 0, 0]
}

/// A SYN behind these extension headers.
pub(super) fn chain(it: &Shot, headers: &[u8]) -> Vec<Vec<u8>> {
    let next = headers.iter().skip(1).chain([&TCP]);
    let chain: Vec<u8> = next.flat_map(|next| pad(*next)).collect();
    let first = headers.first().copied().unwrap_or(TCP);
    vec![it.frame(&it.v6().carry(first, &[chain, it.syn()].concat()))]
}

/// The longest header of destination options there is, before TCP: eight options that hosts skip.
fn kilobytes() -> Vec<u8> {
    const EXPERIMENTAL: u8 = 0x1e;
    let mut header = vec![TCP, 255];
    while header.len() < 2048 {
        let length = (2048 - header.len() - 2).min(255);
        let length_octet = u8::try_from(length).unwrap_or(0);
        header.extend([EXPERIMENTAL, length_octet]);
        header.resize(header.len() + length, 0);
    }
    header
}

/// A SYN behind tags that name no VLAN.
fn tagged(it: &Shot, tags: &[u16]) -> Vec<Vec<u8>> {
    let link = tags
        .iter()
        .fold(Ethernet::new(), |link, kind| link.tag(*kind, 0));
    vec![it.behind(&link, &it.packet(&it.syn()))]
}
