//! What tshark found in a frame, as far as the gate promises to look, and what it found beyond.
//!
//! This is the other half of the promise: what the gate reads is written here a second time, in terms of tshark's layers, and where a
//! packet leads on beyond it, the row of the threat model that says so.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Kind, Row, Segment,
    layers::{Extension, Ipv4, Layer},
};

/// How deep the gate promises to look.
const TAGS: usize = 4;
const LABELS: usize = 8;
const EXTENSIONS: usize = 8;

/// What of tshark's layers the gate has to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Source and destination of the innermost IP header within the promise.
    pub between: Option<(IpAddr, IpAddr)>,
    /// The ports of a TCP header within the promise, also where that is all that could be read.
    pub ports: Option<(u16, u16)>,
    /// The TCP segment within the promise, if there is one whose header is all there.
    pub segment: Option<Segment>,
    /// Why the promise ends where tshark reads on.
    pub end: Option<Row>,
    /// A TCP segment that tshark found beyond.
    pub beyond: Option<Segment>,
    /// What was passed on the way.
    pub passed: Passed,
}

/// What a frame has of each kind of header, up to where the reading ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many VLAN tags.
    pub tags: usize,
    /// How many MPLS labels.
    pub labels: usize,
    /// How many IPv6 extension headers.
    pub extensions: usize,
    /// The versions of the IP headers, outermost first.
    pub versions: Vec<u8>,
    /// What is there or not.
    pub kinds: BTreeSet<Kind>,
}

impl Passed {
    fn note(&mut self, kind: Kind, there: bool) {
        if there {
            self.kinds.insert(kind);
        }
    }
}

/// The walk along the layers.
#[derive(Default)]
struct Walk {
    reading: Reading,
    /// IP headers that were read, less one: tunnels.
    tunnels: usize,
    /// Extension headers of the IP header at hand.
    extensions: usize,
    /// How many octets are left for the packet that comes, where what carries it says so. A fragment carries a part of it only.
    room: Option<u64>,
    /// The layer before.
    before: Before,
}

/// What the layer before decides about the next one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Before {
    /// Ethernet and tags: what comes is an EtherType.
    #[default]
    Link,
    Snap,
    Ppp,
    Mpls,
    Network,
    Gre,
}

impl Reading {
    /// Reads the layers of a frame.
    #[must_use]
    pub fn of(layers: &[Layer]) -> Self {
        let mut walk = Walk::default();
        for (index, layer) in layers.iter().enumerate() {
            match walk.step(layer) {
                Step::On => {}
                Step::Done => break,
                Step::End(row) => {
                    walk.reading.end = Some(row);
                    walk.reading.beyond = beyond(layers, index, walk.reading.between);
                    break;
                }
            }
        }
        walk.reading
    }
}

/// The length of a TCP header without options.
const TCP_HEADER: u64 = 20;

enum Step {
    /// The next layer.
    On,
    /// There is nothing more that matters.
    Done,
    /// The gate does not look here, because of this row.
    End(Row),
}

impl Walk {
    fn step(&mut self, layer: &Layer) -> Step {
        let Self {
            reading, before, ..
        } = self;
        let passed = &mut reading.passed;
        match (*before, layer) {
            (Before::Link, Layer::Tag) => {
                passed.tags += 1;
                if passed.tags > TAGS {
                    return Step::End(Row::TooManyTags);
                }
            }
            // RFC 1042 and IEEE 802.1H.
            (
                Before::Link,
                Layer::Llc {
                    oui: Some(0 | 0xf8),
                    ..
                },
            ) => {
                passed.note(Kind::Snap, true);
                *before = Before::Snap;
            }
            (Before::Link, Layer::Pppoe { length }) => {
                passed.note(Kind::Pppoe, true);
                *before = Before::Ppp;
                // The protocol field is one octet where it is compressed: the shorter one is the stricter reading.
                self.room = length.map(|length| length.saturating_sub(1));
            }
            (Before::Ppp, Layer::Ppp) => {}
            (Before::Link | Before::Ppp, Layer::Mpls { labels }) => {
                passed.labels = *labels;
                *before = Before::Mpls;
                if *labels > LABELS {
                    return Step::End(Row::TooManyLabels);
                }
            }
            (_, Layer::Ipv4(None)) => return Step::End(Row::OtherVersion),
            (_, Layer::Ipv6(None)) => return Step::Done,
            (_, Layer::Ipv4(Some(ip))) => return self.ipv4(ip),
            (_, Layer::Ipv6(Some(ip))) => {
                let step = self.network(6, ip.between, 40 + ip.payload, 40);
                if ip.payload == 0 && matches!(step, Step::On) {
                    self.reading.end = Some(Row::NoLength);
                    self.room = None;
                }
                return step;
            }
            (Before::Network, Layer::Extension(extension)) => return self.extension(*extension),
            (Before::Network, Layer::Gre) => {
                passed.note(Kind::Gre, true);
                *before = Before::Gre;
                // The shortest of its headers.
                self.room = self.room.map(|room| room.saturating_sub(4));
            }
            (Before::Network, Layer::Tcp(tcp)) => {
                if tcp.ports.is_some() {
                    reading.end = None;
                }
                reading.ports = tcp.ports;
                reading.segment = reading.between.and_then(|between| tcp.segment(between));
                passed.note(Kind::PartOfTcp, reading.segment.is_none());
                if tcp.header.is_some_and(|header| header < TCP_HEADER) {
                    reading.end = Some(Row::BadDataOffset);
                }
                return Step::Done;
            }
            (Before::Network, Layer::Other(name)) => {
                return Step::End(match name.as_str() {
                    "udp" | "udplite" => Row::InUdp,
                    "icmp" | "icmpv6" => Row::Quoted,
                    _ => Row::InOtherProtocol,
                });
            }
            (Before::Network, _) => return Step::End(Row::InOtherProtocol),
            (Before::Gre, _) => return Step::End(Row::UnreadTunnel),
            (Before::Mpls, _) => return Step::End(Row::UnreadMpls),
            (Before::Ppp, _) => return Step::End(Row::UnreadPpp),
            (Before::Link, Layer::Llc { .. }) | (Before::Snap, _) => {
                return Step::End(Row::InLlc);
            }
            (Before::Link, _) => return Step::End(Row::InOtherEtherType),
        }
        Step::On
    }

    fn ipv4(&mut self, ip: &Ipv4) -> Step {
        let passed = &mut self.reading.passed;
        passed.note(Kind::Options, ip.header > 20);
        passed.note(Kind::FirstV4, ip.more && ip.offset == 0);
        passed.note(Kind::LaterV4, ip.offset > 0);
        let step = self.network(4, ip.between, ip.total, ip.header);
        if ip.more {
            self.room = None;
        }
        step
    }

    fn network(&mut self, version: u8, between: (IpAddr, IpAddr), total: u64, header: u64) -> Step {
        if !self.reading.passed.versions.is_empty() {
            self.tunnels += 1;
        }
        self.reading.passed.versions.push(version);
        if self.tunnels > 1 {
            return Step::End(Row::NestedTunnel);
        }
        self.reading.between = Some(between);
        if self.room.is_some_and(|room| total > room) {
            return Step::End(Row::BadLength);
        }
        self.reading.end = None;
        // No length of its own, as the kernel shows segments of more than 64 KiB that it merged itself.
        self.room = (total > 0).then(|| total.saturating_sub(header));
        self.extensions = 0;
        self.before = Before::Network;
        Step::On
    }

    fn extension(&mut self, extension: Extension) -> Step {
        let passed = &mut self.reading.passed;
        passed.extensions += 1;
        self.extensions += 1;
        if self.extensions > EXTENSIONS {
            return Step::End(Row::TooManyExtensions);
        }
        match extension {
            Extension::Fragment { offset, more } => {
                passed.note(Kind::Atomic, offset == 0 && !more);
                passed.note(Kind::FirstV6, offset == 0 && more);
                passed.note(Kind::LaterV6, offset > 0);
                if more {
                    self.room = None;
                }
            }
            Extension::Authentication => passed.note(Kind::Authentication, true),
            Extension::Routing => passed.note(Kind::Routing, true),
            Extension::Plain => {}
            Extension::Final => return Step::End(Row::BehindMobility),
        }
        Step::On
    }
}

/// The first TCP segment among the layers from `index` on, and the addresses of the IP header before it.
fn beyond(
    layers: &[Layer],
    index: usize,
    mut between: Option<(IpAddr, IpAddr)>,
) -> Option<Segment> {
    for layer in layers.iter().skip(index) {
        match layer {
            Layer::Ipv4(Some(ip)) => between = Some(ip.between),
            Layer::Ipv6(Some(ip)) => between = Some(ip.between),
            Layer::Tcp(tcp) => return between.and_then(|between| tcp.segment(between)),
            Layer::Tag
            | Layer::Llc { .. }
            | Layer::Pppoe { .. }
            | Layer::Ppp
            | Layer::Mpls { .. }
            | Layer::Ipv4(None)
            | Layer::Ipv6(None)
            | Layer::Extension(_)
            | Layer::Gre
            | Layer::Other(_) => {}
        }
    }
    None
}
