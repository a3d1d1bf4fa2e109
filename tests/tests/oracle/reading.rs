//! What a frame is, by a reading of the RFCs.
//!
//! The reader takes octets off the front and keeps two ends in mind: that of the frame, and that of the packet around ([`Part`]). A
//! header that is not all there is blamed on whoever had to read it: options that lead past the end leave nothing, in which TCP then
//! finds no header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Customer tag, service tag, and the old number of the latter.
const TAGS: [u16; 5] = [0x8100, 0x88a8, 0x9100, 0x9200, 0x9300];
/// Hop-by-hop, routing, fragment, authentication, destination, mobility, HIP, Shim6: IANA's list of IPv6 extension headers, without
/// ESP, behind which nothing can be read, and without the two for experiments.
const EXTENSIONS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];
/// IPv4, IPv6, GRE.
const TUNNELS: [u8; 3] = [4, 41, 47];
/// How deep the gate promises to look.
const TAGS_READ: usize = 4;
const LABELS_READ: usize = 8;
const EXTENSIONS_READ: usize = 8;
/// In eights of octets: a later fragment that begins sooner may hold a header of what is in a tunnel or behind extension headers.
const HEADERS_END: usize = 16;

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// The first VLAN ID that is one.
    pub(crate) vlan: u16,
    pub(crate) what: What,
}

/// What a frame has in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Nothing that can be TCP.
    Nothing,
    /// Something that may be TCP, of which not all can be seen; and what can, if anything.
    Hidden(&'static str, Option<Seen>),
    /// A TCP segment.
    Segment(Segment),
}

/// What the innermost IP header says, and what came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The source of the packet that carries this one.
    pub(crate) carrier: Option<IpAddr>,
    /// The packet goes on from its destination.
    pub(crate) routed: bool,
    /// The first of several fragments, or inside it.
    pub(crate) first_fragment: bool,
    /// The destination port of a fragment that has it, though not all of the header.
    pub(crate) port: Option<u16>,
}

/// What matters of a TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) seen: Seen,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: u8,
}

type Read = Result<Segment, What>;

/// What is left to read.
#[derive(Clone, Copy)]
struct Part<'f> {
    /// What the frame has of it.
    octets: &'f [u8],
    /// How long it is, by what is around it.
    room: usize,
}

impl<'f> Part<'f> {
    /// All that is left of a frame, which says nothing of its length.
    const fn rest(octets: &'f [u8]) -> Self {
        Self {
            octets,
            room: usize::MAX,
        }
    }

    fn first<const N: usize>(self) -> Option<&'f [u8; N]> {
        self.octets.first_chunk().filter(|_| self.room >= N)
    }

    fn behind(self, length: usize) -> Self {
        Self {
            octets: self.octets.get(length..).unwrap_or_default(),
            room: self.room.saturating_sub(length),
        }
    }

    fn within(self, room: usize) -> Self {
        Self {
            room: self.room.min(room),
            ..self
        }
    }
}

/// Reads a frame from its destination address on.
pub(crate) fn read(frame: &[u8]) -> Reading {
    let mut vlan = 0;
    let what = link(frame, &mut vlan).map_or_else(|what| what, What::Segment);
    Reading { vlan, what }
}

const fn hidden(what: &'static str) -> What {
    What::Hidden(what, None)
}

fn link(frame: &[u8], vlan: &mut u16) -> Read {
    const SHORT: What = hidden("truncated_link");
    let (_addresses, rest) = frame.split_at_checked(12).ok_or(SHORT)?;
    let (kind, mut rest) = rest.split_first_chunk().ok_or(SHORT)?;
    let mut kind = u16::from_be_bytes(*kind);
    for _ in 0..TAGS_READ {
        if !TAGS.contains(&kind) {
            break;
        }
        let ([t1, t2, k1, k2], behind) = rest.split_first_chunk().ok_or(SHORT)?;
        // Three bits of priority, one of drop eligibility, twelve of VLAN.
        let id = u16::from(t1 % 16) * 256 + u16::from(*t2);
        if *vlan == 0 {
            *vlan = id;
        }
        kind = u16::from_be_bytes([*k1, *k2]);
        rest = behind;
    }
    match kind {
        0x0800 => ipv4(Part::rest(rest), None),
        0x86dd => ipv6(Part::rest(rest), None),
        0x8864 => pppoe(rest),
        0x8847 | 0x8848 => mpls(Part::rest(rest)),
        // RFC 1042, and IEEE 802.1H for what bridges make of it. The length in front bounds nothing.
        0..=0x5ff => match rest {
            [0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, 0x08, 0x00, packet @ ..] => {
                ipv4(Part::rest(packet), None)
            }
            [0xaa, 0xaa, 3, 0, 0, 0 | 0xf8, 0x86, 0xdd, packet @ ..] => {
                ipv6(Part::rest(packet), None)
            }
            _ => Err(What::Nothing),
        },
        tag if TAGS.contains(&tag) => Err(hidden("too_many_tags")),
        _ => Err(What::Nothing),
    }
}

/// RFC 2516 section 4, RFC 1661 section 2.
fn pppoe(bytes: &[u8]) -> Read {
    let [_, _, _, _, l1, l2, p1, p2, ..] = bytes else {
        return Err(hidden("truncated_link"));
    };
    let length = usize::from(*l1) * 256 + usize::from(*l2);
    let session = Part::rest(bytes).behind(6).within(length);
    // All protocols are odd, and the octet before the last is even: one octet that is odd is a whole protocol.
    let (protocol, payload) = if p1 % 2 == 1 {
        (u16::from(*p1), session.behind(1))
    } else {
        (u16::from_be_bytes([*p1, *p2]), session.behind(2))
    };
    match protocol {
        0x0021 => ipv4(payload, None),
        0x0057 => ipv6(payload, None),
        // RFC 3032 section 4.
        0x0281 | 0x0283 => mpls(payload),
        // Control protocols.
        0x4000.. => Err(What::Nothing),
        _ => Err(hidden("unread_ppp")),
    }
}

/// RFC 3032 section 2.1. The labels belong to the link, and so only the frame's end counts; the packet has the session's end too.
fn mpls(mut labels: Part<'_>) -> Read {
    const SHORT: What = hidden("truncated_link");
    for _ in 0..LABELS_READ {
        let [_, _, third, _] = labels.octets.first_chunk::<4>().ok_or(SHORT)?;
        labels = labels.behind(4);
        if third % 2 == 1 {
            // A control word, if it is no packet (RFC 4385 section 3).
            let [first, ..] = labels.octets.first_chunk::<4>().ok_or(SHORT)?;
            return match first / 16 {
                4 => ipv4(labels, None),
                6 => ipv6(labels, None),
                _ => Err(hidden("unread_mpls")),
            };
        }
    }
    Err(hidden("too_many_labels"))
}

/// What a header is that ends too soon: a first fragment has to hold them all (RFC 7112).
fn cut(what: &'static str, seen: Option<Seen>) -> What {
    let tiny = seen.is_some_and(|it| it.first_fragment);
    What::Hidden(if tiny { "tiny_fragment" } else { what }, seen)
}

/// What the next header in says, beside what was known of the packet around.
fn seen(source: IpAddr, destination: IpAddr, around: Option<Seen>) -> Seen {
    Seen {
        source,
        destination,
        carrier: around.map(|it| it.source),
        routed: around.is_some_and(|it| it.routed),
        first_fragment: around.is_some_and(|it| it.first_fragment),
        port: None,
    }
}

/// A packet that says that it has `length` octets, of which 0 are none to speak of.
fn packet(part: Part<'_>, length: usize, seen: Seen) -> Result<Part<'_>, What> {
    if length == 0 || length <= part.room || seen.first_fragment {
        let length = if length == 0 { usize::MAX } else { length };
        return Ok(part.within(length));
    }
    Err(What::Hidden("bad_length", Some(seen)))
}

/// RFC 791 section 3.1.
fn ipv4(part: Part<'_>, around: Option<Seen>) -> Read {
    let header = part.first::<20>();
    let header = header.ok_or_else(|| cut("truncated_ip", around))?;
    let [
        start,
        _,
        t1,
        t2,
        _,
        _,
        f1,
        f2,
        _,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = header;
    let (version, words) = (start / 16, start % 16);
    let length = 4 * usize::from(words);
    let total = usize::from(*t1) * 256 + usize::from(*t2);
    if version != 4 || words < 5 || (1..length).contains(&total) {
        return Err(What::Hidden("bad_ip_header", around));
    }
    let [s1, s2, s3, s4, d1, d2, d3, d4] = addresses;
    let source = Ipv4Addr::new(*s1, *s2, *s3, *s4).into();
    let destination = Ipv4Addr::new(*d1, *d2, *d3, *d4).into();
    let mut seen = seen(source, destination, around);
    let packet = packet(part, total, seen)?;
    // Flags: reserved, DF, MF; then thirteen bits of offset, in eight octets.
    let offset = usize::from(f1 & 0b0001_1111) * 256 + usize::from(*f2);
    if offset > 0 {
        // Behind an authentication header may be anything.
        return Err(later(*protocol, offset, seen));
    }
    seen.first_fragment |= f1 & 0b0010_0000 != 0;
    seen.routed |= is_routed(packet.behind(20), length - 20);
    let payload = packet.behind(length);
    if *protocol == 51 {
        return extensions(51, payload, seen);
    }
    transport(*protocol, payload, seen)
}

/// Whether options of so many octets have a loose or strict source route, or are none that can be read.
fn is_routed(options: Part<'_>, mut left: usize) -> bool {
    if options.room < left {
        return true;
    }
    let mut rest = options.octets;
    while left > 0 {
        // Behind the last option comes the transport, without which nothing goes anywhere.
        let [kind, length, ..] = rest else {
            return true;
        };
        let length = match (kind, length) {
            (0, _) => return false,
            (1, _) => 1,
            (131 | 137, _) | (_, 0 | 1) => return true,
            (_, length) => usize::from(*length),
        };
        let Some(less) = left.checked_sub(length) else {
            return true;
        };
        left = less;
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// RFC 8200 section 3.
fn ipv6(part: Part<'_>, around: Option<Seen>) -> Read {
    let header = part.first::<40>();
    let header = header.ok_or_else(|| cut("truncated_ip", around))?;
    let [start, _, _, _, p1, p2, next, _, addresses @ ..] = header;
    if start / 16 != 6 {
        return Err(What::Hidden("bad_ip_header", around));
    }
    let address = |at: usize| {
        let bytes = addresses.get(at..).and_then(|it| it.first_chunk::<16>());
        // ::ffff:0:0/96 stands for IPv4 addresses and belongs on no wire (RFC 4942 section 2.2).
        Ipv6Addr::from(*bytes.expect("a header of 40 octets has two addresses")).to_canonical()
    };
    let seen = seen(address(0), address(16), around);
    let length = match usize::from(*p1) * 256 + usize::from(*p2) {
        0 => 0,
        payload => 40 + payload,
    };
    let packet = packet(part, length, seen)?;
    extensions(*next, packet.behind(40), seen)
}

/// RFC 8200 section 4, RFC 6564, and RFC 4302 section 2.2 for the length of the authentication header.
fn extensions(mut next: u8, mut rest: Part<'_>, mut seen: Seen) -> Read {
    for walked in 0.. {
        if !EXTENSIONS.contains(&next) {
            break;
        }
        if walked == EXTENSIONS_READ {
            return Err(What::Hidden("too_many_extensions", Some(seen)));
        }
        let short = || cut("truncated_extension", Some(seen));
        let length;
        (next, length) = match next {
            44 => {
                let [following, _, high, low, ..] = rest.first::<8>().ok_or_else(short)?;
                // Thirteen bits of offset, two reserved, one that says that more is to come.
                let bits = u16::from_be_bytes([*high, *low]);
                let offset = usize::from(bits / 8);
                if offset > 0 {
                    // Whatever is said to follow: the first fragment says what it is (RFC 8200 section 4.5).
                    return Err(later(4, offset, seen));
                }
                seen.first_fragment |= bits % 2 == 1;
                (*following, 8)
            }
            51 => {
                let [following, words] = rest.first::<2>().ok_or_else(short)?;
                (*following, 4 * (usize::from(*words) + 2))
            }
            _ => {
                // The fourth octet is how many stops a routing header still names (RFC 8200 section 4.4).
                let [following, units, _, left] = rest.first::<4>().ok_or_else(short)?;
                seen.routed |= next == 43 && *left > 0;
                (*following, 8 * (usize::from(*units) + 1))
            }
        };
        rest = rest.behind(length);
    }
    transport(next, rest, seen)
}

/// A fragment that is not the first. What begins with TCP has its ports and flags in 14 octets (RFC 1858 section 4.2); what begins
/// with a `chain` of headers or with a tunnel has them further in.
fn later(protocol: u8, offset: usize, seen: Seen) -> What {
    let what = match protocol {
        6 if offset == 1 => "overlapping_fragment",
        6 => "later_fragment",
        51 | 4 | 41 | 47 => {
            if offset < HEADERS_END {
                "overlapping_fragment"
            } else {
                "later_fragment"
            }
        }
        _ => return What::Nothing,
    };
    What::Hidden(what, Some(seen))
}

fn transport(protocol: u8, payload: Part<'_>, seen: Seen) -> Read {
    match protocol {
        6 => tcp(payload, seen),
        tunnel if TUNNELS.contains(&tunnel) && seen.carrier.is_some() => {
            Err(What::Hidden("nested_tunnel", Some(seen)))
        }
        // RFC 2003, and RFC 2473 over IPv6.
        4 => ipv4(payload, Some(entered(seen))),
        // RFC 4213, and RFC 2473 over IPv6.
        41 => ipv6(payload, Some(entered(seen))),
        47 => gre(payload, seen),
        _ => Err(What::Nothing),
    }
}

/// The outer packet from now on: of an inner one that cannot be read it is all that there is.
fn entered(outer: Seen) -> Seen {
    Seen {
        carrier: Some(outer.source),
        ..outer
    }
}

/// RFC 2784 section 2, with the key and the sequence number of RFC 2890.
fn gre(payload: Part<'_>, seen: Seen) -> Read {
    let start = payload.first::<4>();
    let [f1, f2, p1, p2] = start.ok_or_else(|| cut("truncated_ip", Some(seen)))?;
    // Checksum, routing, key, sequence number; five bits of RFC 1701 and RFC 2784 that say nothing here; and the version in
    // the last three.
    let (routing, version) = (f1 & 0x40 != 0, f2 % 8);
    if routing || version != 0 {
        return Err(What::Hidden("unread_tunnel", Some(seen)));
    }
    let words = [0x80, 0x20, 0x10].into_iter().filter(|it| f1 & it != 0);
    let inner = payload.behind(4 + 4 * words.count());
    match u16::from_be_bytes([*p1, *p2]) {
        0x0800 => ipv4(inner, Some(entered(seen))),
        0x86dd => ipv6(inner, Some(entered(seen))),
        // WCCP: IPv4, or four octets of its second version and then IPv4.
        0x883e => match inner.first::<4>() {
            None => Err(cut("truncated_ip", Some(seen))),
            Some([first, ..]) if first / 16 == 4 => ipv4(inner, Some(entered(seen))),
            Some(_) => ipv4(inner.behind(4), Some(entered(seen))),
        },
        _ => Err(What::Hidden("unread_tunnel", Some(seen))),
    }
}

/// RFC 9293 section 3.1.
fn tcp(payload: Part<'_>, mut seen: Seen) -> Read {
    let Some(header) = payload.first::<20>() else {
        if seen.first_fragment {
            let ports = payload.first::<4>();
            seen.port = ports.map(|[_, _, high, low]| u16::from_be_bytes([*high, *low]));
        }
        return Err(cut("truncated_tcp", Some(seen)));
    };
    let [s1, s2, d1, d2, _, _, _, _, _, _, _, _, _, flags, ..] = header;
    Ok(Segment {
        seen,
        source_port: u16::from_be_bytes([*s1, *s2]),
        destination_port: u16::from_be_bytes([*d1, *d2]),
        flags: *flags,
    })
}
