//! Packets put together at random: any link around any tunnel around any IP.

use std::net::IpAddr;

use gate_tests::packets::{
    self, Ethernet, Extension, Packet, PppoeSession, V4, V6, gre, protocol, put,
};

use crate::{
    packets::{chain, part, segment, tagged, tcp},
    random::Random,
    world::World,
};

/// An IP packet in any link.
pub(crate) fn link(random: &mut Random, packet: &Packet) -> Vec<u8> {
    let frame = match random.below(8) {
        0 => llc(random, packet),
        1 | 2 => pppoe(random, packet),
        3 => {
            let count = random.between(1, 9);
            mpls(random, packet, count)
        }
        4 => {
            let count = random.between(3, 5);
            tagged(random, count).carry(packet)
        }
        _ => tags(random).carry(packet),
    };
    // A group's address (IEEE 802 clause 8.2), to or from which no answer goes.
    match random.below(16) {
        0 => put(frame, 0, &[0x03]),
        1 => put(frame, 6, &[0x03]),
        _ => frame,
    }
}

/// Some tags; some of them only for the priority.
fn tags(random: &mut Random) -> Ethernet {
    let count = random.pick(&[0, 0, 1, 2]);
    let link = if random.once_in(4) {
        Ethernet::new().tag(packets::DOT1Q, 0)
    } else {
        Ethernet::new()
    };
    (0..count).fold(link, |link, _| link.tag(packets::DOT1AD, random.word()))
}

/// In LLC, of other organisations and with other payloads too.
pub(crate) fn llc(random: &mut Random, packet: &Packet) -> Vec<u8> {
    let organisation = random.pick(&[0, 0, 0, 0xf8, 0xf8, 1]);
    let ether_type = if random.once_in(10) {
        random.pick(&[0x0806, 0x8100, 0x8864])
    } else {
        packet.ether_type
    };
    let mut link = tags(random);
    // What is longer than a length can say starts with a length nevertheless.
    let short = packet.bytes.get(..1480).unwrap_or(&packet.bytes);
    if random.once_in(10) {
        link = link.tag(packets::DOT1Q, 1);
    }
    packets::llc(&link, organisation, ether_type, short)
}

pub(crate) fn pppoe(random: &mut Random, packet: &Packet) -> Vec<u8> {
    let link = tags(random);
    let session = PppoeSession::new();
    let session = if random.once_in(2) {
        session.compressed()
    } else {
        session
    };
    let frame = if random.once_in(8) {
        let count = u8::try_from(random.between(1, 9)).unwrap_or(1);
        let labels = packets::labels(count, &packet.bytes);
        session.carry(random.pick(&[0x0281, 0x0283]), &labels)
    } else {
        session.within(&link, packet)
    };
    if random.once_in(8) {
        // A session frame that ends elsewhere than the packet in it.
        let at = frame.len() - packet.bytes.len();
        let at = frame.windows(2).take(at).position(|it| it == [0x88, 0x64]);
        let at = at.map_or(18, |it| it + 6);
        let length = u16::try_from(packet.bytes.len() + random.below(8)).unwrap_or(0);
        return put(frame, at, &length.saturating_sub(3).to_be_bytes());
    }
    if random.once_in(8) {
        return packets::trail(frame, &tcp(random));
    }
    frame
}

/// A session with any protocol.
pub(crate) fn ppp(random: &mut Random, packet: &Packet) -> Vec<u8> {
    let number = match random.below(3) {
        0 => random.pick(&[
            0x0021, 0x0057, 0x002d, 0x002f, 0x003d, 0x00fd, 0x0281, 0x0283,
        ]),
        1 => random.pick(&[
            0x3fff, 0x4001, 0x8021, 0x8057, 0xc021, 0xc223, 0x00ff, 0xff03,
        ]),
        _ => random.word(),
    };
    PppoeSession::new().carry(number, &packet.bytes)
}

pub(crate) fn mpls(random: &mut Random, packet: &Packet, count: usize) -> Vec<u8> {
    let count = u8::try_from(count).unwrap_or(1);
    let payload = if random.once_in(10) {
        // A control word (RFC 4385), or anything.
        [&[random.byte(), 0, 0, 0][..], &packet.bytes].concat()
    } else {
        packet.bytes.clone()
    };
    let labels = packets::labels(count, &payload);
    tags(random).carry_raw(random.pick(&[0x8847, 0x8848]), &labels)
}

/// A segment, or one in a tunnel.
pub(crate) fn packet(world: &World, random: &mut Random) -> Packet {
    match random.below(6) {
        0 => tunnel(world, random, 1),
        1 => tunnel(world, random, 2),
        2 => authenticated(world, random),
        _ => {
            let payload = piece(random);
            ip(world, random, protocol::TCP, &payload)
        }
    }
}

/// A segment in so many tunnels.
pub(crate) fn tunnel(world: &World, random: &mut Random, depth: usize) -> Packet {
    let payload = piece(random);
    let mut packet = ip(world, random, protocol::TCP, &payload);
    for _ in 0..depth {
        packet = around(world, random, &packet);
    }
    packet
}

fn around(world: &World, random: &mut Random, inner: &Packet) -> Packet {
    let v4 = inner.ether_type == 0x0800;
    let number = match random.below(20) {
        // A version that does not fit, sometimes.
        0 => random.pick(&[protocol::IPV4, protocol::IPV6]),
        1..=12 if v4 => protocol::IPV4,
        1..=12 => protocol::IPV6,
        _ => protocol::GRE,
    };
    let payload = if number == protocol::GRE {
        let fields = random.pick(&[0, 0, 0x8000, 0x2000, 0x1000, 0xa000, 0xb000]);
        // Routing, what RFC 2784 wants ignored, versions.
        let others = random.pick(&[0, 0, 0, 0, 0x4000, 0x0800, 0x0400, 0x0100, 0x0008, 1, 7]);
        let ether_type = random.pick(&[inner.ether_type, inner.ether_type, 0x6558]);
        gre(fields | others, ether_type, &inner.bytes)
    } else {
        inner.bytes.clone()
    };
    // A first fragment that ends in the headers, sometimes.
    let payload = if random.once_in(6) {
        let length = random.below(payload.len().min(100) + 1);
        payload.get(..length).unwrap_or_default().to_vec()
    } else {
        payload
    };
    ip(world, random, number, &payload)
}

/// A fragment from the inside of a tunnel or of a chain of headers.
pub(crate) fn later(world: &World, random: &mut Random) -> Packet {
    let number = random.pick(&[
        protocol::IPV4,
        protocol::IPV6,
        protocol::GRE,
        protocol::AUTHENTICATION,
        protocol::DESTINATION,
    ]);
    let offset = random.pick(&[1, 2, 5, 6, 7, 8, 9, 185]);
    let payload = random.bytes(64);
    if random.once_in(2) {
        let (source, destination) = world.between_v4(random);
        return V4::new(source, destination)
            .fragment(offset, random.once_in(2))
            .carry(number, &payload);
    }
    let (source, destination) = world.between_v6(random);
    V6::new(source, destination)
        .with(Extension::Fragment(offset, random.once_in(2)))
        .carry(number, &payload)
}

/// A tunnel in which the inner packet says that it is longer than there is room, or shorter.
pub(crate) fn overlong(world: &World, random: &mut Random) -> Packet {
    let payload = piece(random);
    let inner = ip(world, random, protocol::TCP, &payload);
    let inner = stretched(random, inner);
    around(world, random, &inner)
}

/// With another length than it has.
fn stretched(random: &mut Random, packet: Packet) -> Packet {
    let (at, exact) = if packet.ether_type == 0x0800 {
        (2, packet.bytes.len())
    } else {
        (4, packet.bytes.len().saturating_sub(40))
    };
    let near = (exact + random.below(16)).saturating_sub(4);
    let length = match random.below(6) {
        0 => 0,
        1 => random.word(),
        _ => u16::try_from(near).unwrap_or(0),
    };
    Packet {
        bytes: put(packet.bytes, at, &length.to_be_bytes()),
        ..packet
    }
}

/// A segment, or a tunnel, behind an authentication header of either version.
pub(crate) fn authenticated(world: &World, random: &mut Random) -> Packet {
    let (number, payload) = if random.once_in(3) {
        let inner = segment(world, random, &[]);
        let number = if inner.ether_type == 0x0800 {
            protocol::IPV4
        } else {
            protocol::IPV6
        };
        (number, inner.bytes)
    } else {
        (
            random.pick(&[protocol::TCP, protocol::TCP, protocol::TCP, protocol::UDP]),
            piece(random),
        )
    };
    let words = random.pick(&[1, 4, 4, 6, 0]);
    let mut header = vec![number, words];
    header.resize(4 * (usize::from(words) + 2), 0);
    ip(
        world,
        random,
        protocol::AUTHENTICATION,
        &[header, payload].concat(),
    )
}

/// A segment with a source route, or options that look alike.
pub(crate) fn routed(world: &World, random: &mut Random) -> Packet {
    let payload = piece(random);
    // The only place where a route makes a difference.
    let is_v4 = random.once_in(2);
    let relay = world.relay(is_v4, random);
    if is_v4 {
        let (source, mut destination) = world.between_v4(random);
        if let Some(IpAddr::V4(relay)) = relay {
            destination = relay;
        }
        let words = random.between(1, 10);
        let fragment = random.once_in(4);
        let packet = V4::new(source, destination)
            .options(words)
            .fragment(0, fragment)
            .tcp(&payload);
        let at = 20 + random.below(4 * words);
        let kind = random.pick(&[131, 137, 7, 68, 148, 0, 3]);
        let length = random.pick(&[0, 1, 2, 3, 7, 11, 39, 255]);
        return Packet {
            // Of the last octet only the kind is an option's.
            bytes: if at + 1 < 20 + 4 * words {
                put(packet.bytes, at, &[kind, length])
            } else {
                put(packet.bytes, at, &[kind])
            },
            ..packet
        };
    }
    let (source, mut destination) = world.between_v6(random);
    if let Some(IpAddr::V6(relay)) = relay {
        destination = relay;
    }
    let mut extensions = vec![Extension::ROUTING];
    extensions.extend(chain(random, 1, 3));
    let packet = V6::new(source, destination)
        .with_all(&extensions)
        .tcp(&payload);
    Packet {
        bytes: put(packet.bytes, 43, &[random.pick(&[0, 1, 255])]),
        ..packet
    }
}

/// A frame of several kilobytes, whose headers are near the end of the first buffer or behind it.
pub(crate) fn large(world: &World, random: &mut Random) -> Vec<u8> {
    let (source, destination) = world.between_v6(random);
    // With 40 octets of IPv6 and 14 of Ethernet the first buffer ends at 3,520 of the frame, as `BPF_PROG_TEST_RUN` cuts it.
    let units = u8::try_from(random.between(165, 182)).unwrap_or(0);
    let extensions = match random.below(6) {
        0 => vec![],
        1 => vec![Extension::Uniform(protocol::DESTINATION, 255)],
        2 => vec![Extension::Uniform(protocol::DESTINATION, 255); random.between(2, 8)],
        _ => vec![
            Extension::Uniform(protocol::HOP_BY_HOP, 255),
            Extension::Uniform(protocol::DESTINATION, units),
        ],
    };
    let outer = V6::new(source, destination).with_all(&extensions);
    if random.once_in(3) {
        let inner = segment(world, random, &[]);
        let number = if inner.ether_type == 0x0800 {
            protocol::IPV4
        } else {
            protocol::IPV6
        };
        return finished(random, &outer.carry(number, &inner.bytes));
    }
    let mut payload = tcp(random);
    if random.once_in(2) {
        let more = random.pick(&[1000, 4000, 9000, 20_000]);
        payload.resize(payload.len() + more, 0x55);
    }
    finished(random, &outer.tcp(&payload))
}

/// With some tags, and sometimes cut somewhere near the headers.
fn finished(random: &mut Random, packet: &Packet) -> Vec<u8> {
    let frame = tags(random).carry(packet);
    if random.once_in(4) {
        let length = frame.len().saturating_sub(random.below(80));
        return packets::cut(frame, length);
    }
    frame
}

/// A segment, or the beginning of one.
fn piece(random: &mut Random) -> Vec<u8> {
    let least = if random.once_in(6) { 0 } else { 20 };
    part(random, least)
}

/// An IP packet of either version with whatever it may have.
fn ip(world: &World, random: &mut Random, number: u8, payload: &[u8]) -> Packet {
    let fragment = random.once_in(6);
    let (offset, more) = if fragment {
        (random.pick(&[0, 0, 0, 0, 0, 1, 7, 8]), random.once_in(2))
    } else {
        (0, false)
    };
    let packet = if random.once_in(2) {
        let (source, destination) = world.between_v4(random);
        let words = random.pick(&[0, 0, 0, 1, 3, 10]);
        V4::new(source, destination)
            .options(words)
            .fragment(offset, more)
            .carry(number, payload)
    } else {
        let (source, destination) = world.between_v6(random);
        let mut extensions = if random.once_in(3) {
            chain(random, 1, 4)
        } else {
            Vec::new()
        };
        if fragment {
            extensions.push(Extension::Fragment(offset, more));
        }
        V6::new(source, destination)
            .with_all(&extensions)
            .carry(number, payload)
    };
    if random.once_in(24) {
        return stretched(random, packet);
    }
    packet
}
