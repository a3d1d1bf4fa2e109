//! Packets at random: of every kind there is, and then spoilt.

use gate_tests::packets::{
    self, DOT1AD, DOT1Q, Ethernet, Extension, Packet, QINQ_9100, V4, V6, protocol,
};

use crate::{compose, random::Random, world::World};

/// A frame and how it came about.
pub(crate) struct Frame {
    pub(crate) kind: &'static str,
    pub(crate) edit: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// Makes a frame of one kind.
type Make = fn(&World, &mut Random) -> Vec<u8>;

/// Changes a frame.
type Spoil = fn(&mut Random, Vec<u8>) -> Vec<u8>;

/// The kind that is not one of [`KINDS`].
pub(crate) const LARGE_KIND: &str = "several buffers";

/// Every other kind of frame.
pub(crate) const KINDS: [(&str, Make); 33] = [
    ("segment", |w, r| frame(&segment(w, r, &[]), r)),
    ("tags", |w, r| {
        let count = r.between(1, 4);
        tagged(r, count).carry(&segment(w, r, &[]))
    }),
    ("too many tags", |w, r| {
        let count = r.between(5, 8);
        tagged(r, count).carry(&segment(w, r, &[]))
    }),
    ("IPv4 options", |w, r| {
        let (source, destination) = w.between_v4(r);
        let options = V4::new(source, destination).options(r.between(1, 10));
        frame(&options.tcp(&tcp(r)), r)
    }),
    ("IPv4 first fragment", |w, r| fragment_v4(w, r, 0, true, 20)),
    ("IPv4 tiny fragment", |w, r| fragment_v4(w, r, 0, true, 0)),
    ("IPv4 fragment at offset 1", |w, r| {
        fragment_v4(w, r, 1, false, 0)
    }),
    ("IPv4 later fragment", |w, r| fragment_v4(w, r, 2, false, 0)),
    ("IPv6 extensions", |w, r| {
        let chain = chain(r, 1, 8);
        frame(&segment(w, r, &chain), r)
    }),
    ("IPv6 too many extensions", |w, r| {
        let chain = chain(r, 9, 12);
        frame(&segment(w, r, &chain), r)
    }),
    ("IPv6 long extension", |w, r| {
        let long = Extension::Uniform(protocol::DESTINATION, r.byte());
        frame(&segment(w, r, &[long]), r)
    }),
    ("IPv6 atomic fragment", |w, r| {
        fragment_v6(w, r, 0, false, 20)
    }),
    ("IPv6 first fragment", |w, r| fragment_v6(w, r, 0, true, 20)),
    ("IPv6 tiny fragment", |w, r| fragment_v6(w, r, 0, true, 0)),
    ("IPv6 fragment at offset 1", |w, r| {
        fragment_v6(w, r, 1, false, 0)
    }),
    ("IPv6 later fragment", |w, r| fragment_v6(w, r, 2, false, 0)),
    ("other protocol", |w, r| {
        let number = r.pick(&[
            protocol::UDP,
            protocol::ICMP,
            protocol::ICMPV6,
            protocol::SCTP,
            protocol::ESP,
            protocol::NONE,
            2,
            253,
        ]);
        frame(&carry(w, r, number), r)
    }),
    ("noise in a tunnel", |w, r| {
        let number = r.pick(&[protocol::IPV4, protocol::IPV6, protocol::GRE]);
        frame(&carry(w, r, number), r)
    }),
    ("tunnel", |w, r| {
        let packet = compose::tunnel(w, r, 1);
        frame(&packet, r)
    }),
    ("nested tunnel", |w, r| {
        let packet = compose::tunnel(w, r, 2);
        frame(&packet, r)
    }),
    ("later fragment of a tunnel", |w, r| {
        let packet = compose::later(w, r);
        frame(&packet, r)
    }),
    ("inner packet too long", |w, r| {
        let packet = compose::overlong(w, r);
        compose::link(r, &packet)
    }),
    ("authentication header", |w, r| {
        let packet = compose::authenticated(w, r);
        frame(&packet, r)
    }),
    ("source route", |w, r| {
        let packet = compose::routed(w, r);
        frame(&packet, r)
    }),
    ("LLC", |w, r| {
        let packet = segment(w, r, &[]);
        compose::llc(r, &packet)
    }),
    ("PPPoE", |w, r| {
        let packet = compose::packet(w, r);
        compose::pppoe(r, &packet)
    }),
    ("PPP protocol", |w, r| {
        let packet = segment(w, r, &[]);
        compose::ppp(r, &packet)
    }),
    ("MPLS", |w, r| {
        let packet = compose::packet(w, r);
        let count = r.between(1, 8);
        compose::mpls(r, &packet, count)
    }),
    ("too many labels", |w, r| {
        let packet = segment(w, r, &[]);
        let count = r.between(9, 11);
        compose::mpls(r, &packet, count)
    }),
    ("composition", |w, r| {
        let packet = compose::packet(w, r);
        compose::link(r, &packet)
    }),
    ("padding that imitates", |w, r| {
        let cut = r.below(20);
        let (source, destination) = w.between_v4(r);
        let short = tcp(r);
        let packet = V4::new(source, destination).tcp(short.get(..cut).unwrap_or_default());
        packets::trail(frame(&packet, r), &tcp(r))
    }),
    ("other EtherType", |w, r| {
        let ether_type = r.pick(&[
            0x0806, 0x88cc, 0x8863, 0x8864, 0x8847, 0x8848, 0x88e5, 46, 0x9200, 0,
        ]);
        let payload = segment(w, r, &[]).bytes;
        let count = r.below(6);
        tagged(r, count).carry_raw(ether_type, &payload)
    }),
    ("noise", |_, r| {
        let length = r.between(0, 120);
        let ether_type = r.pick(&[0x0800, 0x86dd, 0x8100]);
        let first = r.pick(&[0x45, 0x4f, 0x60]);
        let mut payload = r.bytes(length);
        payload.insert(0, first);
        Ethernet::new().carry_raw(ether_type, &payload)
    }),
];

/// What is done to a frame afterwards; half of them stay as they are.
const EDITS: [(&str, Spoil); 10] = [
    ("none", |_, frame| frame),
    ("none", |_, frame| frame),
    ("none", |_, frame| frame),
    ("none", |_, frame| frame),
    ("none", |_, frame| frame),
    ("octets", |r, mut frame| {
        for _ in 0..r.between(1, 3) {
            let at = header_offset(r, &frame);
            frame = packets::put(frame, at, &[r.byte()]);
        }
        frame
    }),
    ("bits", |r, mut frame| {
        let at = header_offset(r, &frame);
        if let Some(octet) = frame.get_mut(at) {
            *octet ^= 1 << r.below(8);
        }
        frame
    }),
    ("cut", |r, frame| {
        let length = r.below(frame.len() + 1);
        packets::cut(frame, length)
    }),
    ("longer", |r, frame| {
        let length = r.between(1, 60);
        packets::trail(frame, &r.bytes(length))
    }),
    ("length", |r, frame| {
        // Around the length that is there, or anything, or nothing; where an untagged frame has it.
        let version = frame.get(14).map_or(0, |first| first >> 4);
        let (at, header) = if version == 4 { (16, 14) } else { (18, 54) };
        let exact = u16::try_from(frame.len().saturating_sub(header)).unwrap_or(0);
        let near = u16::try_from(r.below(48)).unwrap_or(0);
        let length = match r.below(4) {
            0 => 0,
            1 => near,
            2 => exact.saturating_sub(near),
            _ => r.word(),
        };
        packets::put(frame, at, &length.to_be_bytes())
    }),
];

/// One kind in so many frames is of several buffers, which take their time.
const LARGE: usize = 100;
/// One frame in so many is cut at every octet, if it is not longer than that.
const CUTS: usize = 300;
const LONGEST_CUT: usize = 400;

/// Frames one after another.
#[derive(Default)]
pub(crate) struct Packets {
    /// What is left of a frame that is cut at every octet.
    cuts: Vec<Frame>,
}

impl Packets {
    /// The next frame.
    pub(crate) fn next(&mut self, world: &World, random: &mut Random) -> Frame {
        if let Some(frame) = self.cuts.pop() {
            return frame;
        }
        let (kind, make) = if random.once_in(LARGE) {
            (LARGE_KIND, compose::large as Make)
        } else {
            random.pick(&KINDS)
        };
        let bytes = make(world, random);
        if random.once_in(CUTS) && bytes.len() <= LONGEST_CUT {
            self.cuts = (0..bytes.len())
                .map(|length| Frame {
                    kind,
                    edit: "every cut",
                    bytes: packets::cut(bytes.clone(), length),
                })
                .collect();
        }
        let (edit, spoil) = random.pick(&EDITS);
        Frame {
            kind,
            edit,
            bytes: spoil(random, bytes),
        }
    }
}

/// Mostly in the headers that are read, and not in the MAC addresses.
fn header_offset(random: &mut Random, frame: &[u8]) -> usize {
    let reach = random.pick(&[40, 80, 120, 250]);
    12 + random.below(frame.len().clamp(13, reach) - 12)
}

/// Ethernet with tags now and then.
pub(crate) fn frame(packet: &Packet, random: &mut Random) -> Vec<u8> {
    let count = if random.once_in(6) {
        random.between(1, 2)
    } else {
        0
    };
    tagged(random, count).carry(packet)
}

pub(crate) fn tagged(random: &mut Random, count: usize) -> Ethernet {
    (0..count).fold(Ethernet::new(), |link, _| {
        let ether_type = random.pick(&[DOT1Q, DOT1Q, DOT1AD, QINQ_9100]);
        link.tag(ether_type, random.word())
    })
}

/// A TCP packet of either family; of IPv6 if it has extension headers.
pub(crate) fn segment(world: &World, random: &mut Random, extensions: &[Extension]) -> Packet {
    let segment = tcp(random);
    if extensions.is_empty() && random.once_in(2) {
        let (source, destination) = world.between_v4(random);
        return V4::new(source, destination).tcp(&segment);
    }
    let (source, destination) = world.between_v6(random);
    V6::new(source, destination)
        .with_all(extensions)
        .tcp(&segment)
}

/// A packet of another protocol, with what could be a TCP header in it.
fn carry(world: &World, random: &mut Random, number: u8) -> Packet {
    let payload = tcp(random);
    if random.once_in(2) {
        let (source, destination) = world.between_v4(random);
        let offset = u16::from(random.once_in(8));
        return V4::new(source, destination)
            .fragment(offset, random.once_in(8))
            .carry(number, &payload);
    }
    let (source, destination) = world.between_v6(random);
    let extensions = if random.once_in(2) {
        chain(random, 1, 3)
    } else {
        Vec::new()
    };
    V6::new(source, destination)
        .with_all(&extensions)
        .carry(number, &payload)
}

/// A TCP header, mostly one that opens a connection to a port of interest.
pub(crate) fn tcp(random: &mut Random) -> Vec<u8> {
    let port = match random.below(8) {
        0..=3 => 25,
        4 => 587,
        5 => 465,
        6 => random.pick(&[24, 26, 80, 586, 588, 464, 466, 2525, 0x1900, 0x4b02, 0xd101]),
        _ => random.word(),
    };
    let flags = if random.once_in(2) {
        0x02
    } else {
        random.byte()
    };
    let options = if random.once_in(4) {
        random.below(11)
    } else {
        0
    };
    let mut segment = packets::tcp_with_options(random.word(), port, flags, options);
    if random.once_in(3) {
        let length = random.below(40);
        segment.extend(random.bytes(length));
    }
    segment
}

/// Extension headers, none of which is a fragment of more than one.
pub(crate) fn chain(random: &mut Random, least: usize, most: usize) -> Vec<Extension> {
    let one = |random: &mut Random| {
        let units = u8::try_from(random.pick(&[0, 0, 0, 1, 2, 5])).unwrap_or(0);
        match random.below(9) {
            0 => Extension::Uniform(protocol::HOP_BY_HOP, units),
            1 => Extension::Uniform(protocol::ROUTING, units),
            2 => Extension::Uniform(protocol::MOBILITY, units),
            3 => Extension::Uniform(protocol::HIP, units),
            4 => Extension::Uniform(protocol::SHIM6, units),
            5 => Extension::Authentication(units),
            6 => Extension::Fragment(0, false),
            _ => Extension::Uniform(protocol::DESTINATION, units),
        }
    };
    (0..random.between(least, most))
        .map(|_| one(random))
        .collect()
}

/// The length of what a fragment carries: at least so much, or anything.
pub(crate) fn part(random: &mut Random, least: usize) -> Vec<u8> {
    let whole = tcp(random);
    let length = if least == 0 {
        random.below(20)
    } else {
        whole.len()
    };
    whole.get(..length).unwrap_or_default().to_vec()
}

/// A fragment at `offset`; 2 stands for that or any later one.
fn fragment_v4(
    world: &World,
    random: &mut Random,
    offset: u16,
    more: bool,
    least: usize,
) -> Vec<u8> {
    let (source, destination) = world.between_v4(random);
    let (offset, more) = place(random, offset, more);
    let number = if random.once_in(6) {
        protocol::UDP
    } else {
        protocol::TCP
    };
    let payload = part(random, least);
    let packet = V4::new(source, destination)
        .fragment(offset, more)
        .carry(number, &payload);
    frame(&packet, random)
}

fn fragment_v6(
    world: &World,
    random: &mut Random,
    offset: u16,
    more: bool,
    least: usize,
) -> Vec<u8> {
    let (source, destination) = world.between_v6(random);
    let (offset, more) = place(random, offset, more);
    let mut extensions = if random.once_in(3) {
        chain(random, 1, 3)
    } else {
        Vec::new()
    };
    extensions.push(Extension::Fragment(offset, more));
    if random.once_in(3) {
        extensions.extend(chain(random, 1, 3));
    }
    let number = if random.once_in(6) {
        protocol::UDP
    } else {
        protocol::TCP
    };
    let payload = part(random, least);
    let packet = V6::new(source, destination)
        .with_all(&extensions)
        .carry(number, &payload);
    frame(&packet, random)
}

pub(crate) fn place(random: &mut Random, offset: u16, more: bool) -> (u16, bool) {
    match offset {
        0 => (0, more),
        1 => (1, random.once_in(2)),
        _ => (
            random.pick(&[2, 3, 185, 256, 257, 0x1000, 0x1fff]),
            random.once_in(2),
        ),
    }
}
