//! What a frame is, by a reading of the RFCs.
//!
//! The reader takes slices off the front; it counts octets only to know what starts too deep in the frame. A header that is not all there is blamed on whoever had to read
//! it: options that lead past the end leave an empty slice, in which TCP then finds no header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Customer tag, service tag, and the old number of the latter.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Hop-by-hop, routing, fragment, authentication, destination, mobility, HIP, Shim6: IANA's list of IPv6 extension headers, without
/// ESP, behind which nothing can be read, and without the two for experiments.
const EXTENSIONS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];
/// How deep the gate promises to look.
const TAGS_READ: usize = 4;
const EXTENSIONS_READ: usize = 8;
/// How many octets into the frame a header may start.
const OCTETS_READ: usize = 2047;

/// What a frame is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nothing that can be TCP.
    Nothing,
    /// Something that may be TCP, of which not all can be seen; and what can, if anything.
    Hidden(&'static str, Option<Seen>),
    /// A TCP segment.
    Segment(Segment),
}

/// What can be seen of something hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The destination port of a fragment that has it, though not all of the header.
    pub(crate) port: Option<u16>,
}

impl Seen {
    const fn between((source, destination): (IpAddr, IpAddr)) -> Self {
        Self {
            source,
            destination,
            port: None,
        }
    }
}

/// What matters of a TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: u8,
    /// The first of several fragments.
    pub(crate) first_fragment: bool,
}

/// Reads a frame from its destination address on.
pub(crate) fn read(frame: &[u8]) -> Reading {
    let hidden = |what| Reading::Hidden(what, None);
    let Some((_addresses, mut rest)) = frame.split_at_checked(12) else {
        return hidden("truncated_link");
    };
    let mut tags = 0;
    loop {
        let Some(([high, low], behind)) = rest.split_first_chunk() else {
            return hidden("truncated_link");
        };
        let ether_type = u16::from_be_bytes([*high, *low]);
        if !TAGS.contains(&ether_type) {
            return match ether_type {
                0x0800 => ipv4(behind),
                0x86dd => ipv6(behind, 14 + 4 * tags),
                0x8864 => hidden("pppoe_session"),
                0x8847 | 0x8848 => hidden("mpls"),
                _ => Reading::Nothing,
            };
        }
        if tags == TAGS_READ {
            return hidden("too_many_tags");
        }
        tags += 1;
        let Some((_vlan, behind)) = behind.split_at_checked(2) else {
            return hidden("truncated_link");
        };
        rest = behind;
    }
}

/// RFC 791 section 3.1.
fn ipv4(bytes: &[u8]) -> Reading {
    let Some(header) = bytes.first_chunk::<20>() else {
        return Reading::Hidden("truncated_ip", None);
    };
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
        return Reading::Hidden("bad_ip_header", None);
    }
    let [s1, s2, s3, s4, d1, d2, d3, d4] = addresses;
    let between = (
        IpAddr::from(Ipv4Addr::new(*s1, *s2, *s3, *s4)),
        IpAddr::from(Ipv4Addr::new(*d1, *d2, *d3, *d4)),
    );
    // Without a total length the frame's end is the packet's.
    let packet = if total == 0 {
        bytes
    } else {
        prefix(bytes, total)
    };
    let payload = packet.get(length..).unwrap_or_default();
    // Flags: reserved, DF, MF; then thirteen bits of offset, in eight octets.
    let more = f1 & 0b0010_0000 != 0;
    let offset = usize::from(f1 & 0b0001_1111) * 256 + usize::from(*f2);
    if offset > 0 {
        return later(*protocol == 6, *protocol == 6, offset, between);
    }
    transport(*protocol, payload, more, between)
}

/// RFC 8200 section 3.
fn ipv6(bytes: &[u8], start_of_packet: usize) -> Reading {
    let Some((header, mut rest)) = bytes.split_first_chunk::<40>() else {
        return Reading::Hidden("truncated_ip", None);
    };
    let [start, _, _, _, p1, p2, next, _, addresses @ ..] = header;
    if start / 16 != 6 {
        return Reading::Hidden("bad_ip_header", None);
    }
    let address = |at: usize| {
        let bytes = addresses.get(at..).and_then(|it| it.first_chunk::<16>());
        // ::ffff:0:0/96 stands for IPv4 addresses and belongs on no wire (RFC 4942 section 2.2).
        Ipv6Addr::from(*bytes.expect("a header of 40 octets has two addresses")).to_canonical()
    };
    let between = (address(0), address(16));
    let payload = usize::from(*p1) * 256 + usize::from(*p2);
    if payload != 0 {
        rest = prefix(rest, payload);
    }
    extensions(*next, rest, start_of_packet + 40, between)
}

/// RFC 8200 section 4, RFC 6564, and RFC 4302 section 2.2 for the length of the authentication header.
fn extensions(mut next: u8, mut rest: &[u8], mut at: usize, between: (IpAddr, IpAddr)) -> Reading {
    let mut more = false;
    for walked in 0.. {
        if !EXTENSIONS.contains(&next) {
            break;
        }
        if walked == EXTENSIONS_READ {
            return Reading::Hidden("too_many_extensions", Some(Seen::between(between)));
        }
        if at > OCTETS_READ {
            return Reading::Hidden("beyond_reach", Some(Seen::between(between)));
        }
        // A first fragment has to hold the whole chain (RFC 7112).
        let cut = if more {
            "tiny_fragment"
        } else {
            "truncated_extension"
        };
        let cut = Reading::Hidden(cut, Some(Seen::between(between)));
        let length = match (next, rest) {
            (44, [following, _, high, low, _, _, _, _, ..]) => {
                // Thirteen bits of offset, two reserved, one that says that more is to come.
                let bits = u16::from_be_bytes([*high, *low]);
                let offset = usize::from(bits / 8);
                if offset > 0 {
                    let tcp = *following == 6;
                    return later(tcp || EXTENSIONS.contains(following), tcp, offset, between);
                }
                more |= bits % 2 == 1;
                8
            }
            (44, _) => return cut,
            (51, [_, words, ..]) => 4 * (usize::from(*words) + 2),
            (_, [_, units, ..]) => 8 * (usize::from(*units) + 1),
            _ => return cut,
        };
        next = rest.first().copied().unwrap_or_default();
        rest = rest.get(length..).unwrap_or_default();
        at += length;
    }
    if next == 6 && at > OCTETS_READ {
        return Reading::Hidden("beyond_reach", Some(Seen::between(between)));
    }
    transport(next, rest, more, between)
}

/// A fragment that is not the first.
fn later(may_be_tcp: bool, is_tcp: bool, offset: usize, between: (IpAddr, IpAddr)) -> Reading {
    match (may_be_tcp, is_tcp && offset == 1) {
        (false, _) => Reading::Nothing,
        // RFC 1858 section 4.2.
        (true, true) => Reading::Hidden("overlapping_fragment", Some(Seen::between(between))),
        (true, false) => Reading::Hidden("later_fragment", Some(Seen::between(between))),
    }
}

fn transport(protocol: u8, payload: &[u8], more: bool, between: (IpAddr, IpAddr)) -> Reading {
    match (protocol, payload.first_chunk::<20>()) {
        (6, Some([s1, s2, d1, d2, _, _, _, _, _, _, _, _, _, flags, ..])) => {
            Reading::Segment(Segment {
                source: between.0,
                destination: between.1,
                source_port: u16::from_be_bytes([*s1, *s2]),
                destination_port: u16::from_be_bytes([*d1, *d2]),
                flags: *flags,
                first_fragment: more,
            })
        }
        (6, None) if more => {
            let port = match payload {
                [_, _, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
                _ => None,
            };
            let seen = Seen {
                port,
                ..Seen::between(between)
            };
            Reading::Hidden("tiny_fragment", Some(seen))
        }
        (6, None) => Reading::Hidden("truncated_tcp", Some(Seen::between(between))),
        // RFC 2003, RFC 4213, RFC 2784.
        (4 | 41 | 47, _) => Reading::Hidden("tunnel", Some(Seen::between(between))),
        _ => Reading::Nothing,
    }
}

/// The first `length` octets, or all there are.
fn prefix(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}
