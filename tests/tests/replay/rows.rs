//! Packets, and what becomes of them, from docs/config.md and the RFCs; the configuration is `tests/fixtures/replay/gate.toml`.

use std::time::Duration;

use gate_tests::packets::{self, DOT1AD, DOT1Q, Ethernet, V4, V6, cut, flag, protocol, trail};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};

/// 2026-06-01T00:00:00Z, a month before a deadline.
pub(crate) const JUNE: u64 = 1_780_272_000;
/// 2026-07-01T00:00:00Z, the deadline.
pub(crate) const JULY: u64 = 1_782_864_000;

/// What becomes of a packet.
pub(crate) struct Expect {
    /// Verdict and reason; nothing if the gate has no business with it.
    pub(crate) judged: Option<(&'static str, &'static str)>,
    /// What decided: kind, name, prefix.
    pub(crate) rule: Option<(&'static str, Option<&'static str>, &'static str)>,
    /// Country and class.
    pub(crate) tag: (Option<&'static str>, Option<&'static str>),
    /// What it turned out to be.
    pub(crate) shape: &'static str,
}

/// A packet.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    /// When it came.
    pub(crate) second: u64,
    pub(crate) frame: Vec<u8>,
    /// How many octets it had on the wire, if more than were captured.
    pub(crate) length: Option<usize>,
    pub(crate) expect: Expect,
    /// Whether only the kernel does not take it.
    pub(crate) kernel_skips: bool,
}

impl Row {
    fn new(what: &'static str, frame: Vec<u8>, expect: Expect) -> Self {
        Self {
            what,
            second: JUNE,
            frame,
            length: None,
            expect,
            kernel_skips: false,
        }
    }

    fn at(self, second: u64) -> Self {
        Self { second, ..self }
    }
}

fn judged(verdict: &'static str, reason: &'static str) -> Expect {
    Expect {
        judged: Some((verdict, reason)),
        rule: None,
        tag: (None, None),
        shape: "tcp",
    }
}

fn untouched(shape: &'static str) -> Expect {
    Expect {
        judged: None,
        shape,
        ..judged("", "")
    }
}

impl Expect {
    fn by(self, kind: &'static str, name: Option<&'static str>, prefix: &'static str) -> Self {
        Self {
            rule: Some((kind, name, prefix)),
            ..self
        }
    }

    fn tag(self, country: Option<&'static str>, class: &'static str) -> Self {
        Self {
            tag: (country, Some(class)),
            ..self
        }
    }

    fn of_shape(self, shape: &'static str) -> Self {
        Self { shape, ..self }
    }
}

const DYNAMIC: [u8; 4] = [100, 64, 1, 2];
const RELAY: [u8; 4] = [192, 0, 2, 25];
const SERVER: [u8; 4] = [192, 0, 2, 7];
const FAR: [u8; 4] = [198, 51, 100, 7];

fn v4(source: [u8; 4], destination: [u8; 4], port: u16, flags: u8) -> packets::Packet {
    V4::new(source.into(), destination.into()).tcp(&packets::tcp(40_000, port, flags))
}

fn syn(source: [u8; 4], destination: [u8; 4], port: u16) -> Vec<u8> {
    Ethernet::new().carry(&v4(source, destination, port, flag::SYN))
}

fn restricted() -> Expect {
    judged("refused", "restricted").by("pool", Some("dynamic"), "100.64.0.0/10")
}

/// What subscribers send.
pub(crate) fn access() -> Vec<Row> {
    [pools(), shapes(), lengths()]
        .into_iter()
        .flatten()
        .collect()
}

/// Whole segments, from pools of every kind.
fn pools() -> Vec<Row> {
    let six = V6::new(
        "2001:db8:100::5".parse().expect("an address"),
        "2001:db8:ffff::25".parse().expect("an address"),
    );
    let exempt = |line: &'static str| judged("passed", "exempt").by("pool", Some("static"), line);
    vec![
        Row::new("to port 25", syn(DYNAMIC, FAR, 25), restricted()),
        Row::new(
            "to a relay",
            syn(DYNAMIC, RELAY, 25),
            judged("passed", "relay").by("relay", None, "192.0.2.25/32"),
        ),
        Row::new("submission", syn(DYNAMIC, SERVER, 587), untouched("tcp")),
        Row::new(
            "no SYN, where only those are judged",
            Ethernet::new().carry(&v4(DYNAMIC, FAR, 25, flag::ACK)),
            untouched("tcp"),
        ),
        Row::new(
            "exempt until July",
            syn([100, 64, 9, 8], FAR, 25),
            exempt("100.64.9.8/32"),
        ),
        Row::new(
            "in the last second of June",
            syn([100, 64, 9, 8], FAR, 25),
            exempt("100.64.9.8/32"),
        )
        .at(JULY - 1),
        Row::new("in July", syn([100, 64, 9, 8], FAR, 25), restricted()).at(JULY),
        Row::new(
            "exempt for good",
            syn([100, 64, 9, 9], FAR, 25),
            exempt("100.64.9.9/32"),
        )
        .at(JULY),
        Row::new(
            "a capture is not always in order",
            syn([100, 64, 9, 8], FAR, 25),
            exempt("100.64.9.8/32"),
        ),
        Row::new(
            "observed",
            syn([203, 0, 113, 9], FAR, 25),
            judged("observed", "restricted").by("pool", Some("trial"), "203.0.113.0/24"),
        ),
        Row::new(
            "in no pool",
            syn([10, 0, 0, 1], FAR, 25),
            judged("passed", "unlisted"),
        ),
        Row::new(
            "IPv6",
            Ethernet::new().carry(&six.tcp(&packets::tcp(40_000, 25, flag::SYN))),
            judged("refused", "restricted").by("pool", Some("dynamic"), "2001:db8:100::/40"),
        ),
    ]
}

/// What lies around a segment, or is none.
fn shapes() -> Vec<Row> {
    let to_port_25 = v4(DYNAMIC, FAR, 25, flag::SYN);
    let fragment = |offset, more, payload: &[u8]| {
        let packet = V4::new(DYNAMIC.into(), FAR.into()).fragment(offset, more);
        Ethernet::new().carry(&packet.carry(protocol::TCP, payload))
    };
    vec![
        Row::new(
            "behind two tags",
            Ethernet::new()
                .tag(DOT1AD, 7)
                .tag(DOT1Q, 8)
                .carry(&to_port_25),
            restricted(),
        ),
        // RFC 1858 section 3: nobody honest cuts a TCP header.
        Row::new(
            "a fragment too small for its ports",
            fragment(0, true, &[]),
            judged("refused", "tiny_fragment")
                .by("pool", Some("dynamic"), "100.64.0.0/10")
                .of_shape("tiny_fragment"),
        ),
        Row::new(
            "a later fragment",
            fragment(100, false, &[0; 8]),
            judged("unparsed", "later_fragment").of_shape("later_fragment"),
        ),
        Row::new(
            "UDP",
            Ethernet::new().carry(
                &V4::new(DYNAMIC.into(), FAR.into())
                    .carry(protocol::UDP, &packets::udp(40_000, 25, 8)),
            ),
            untouched("unrelated"),
        ),
        Row::new(
            "ARP",
            Ethernet::new().carry_raw(0x0806, &[0; 28]),
            untouched("unrelated"),
        ),
    ]
}

/// Frames of which a part was captured, and frames of lengths that no interface has.
fn lengths() -> Vec<Row> {
    vec![
        Row {
            length: Some(1500),
            ..Row::new(
                "captured in part, all of its headers",
                syn(DYNAMIC, FAR, 25),
                restricted(),
            )
        },
        Row {
            length: Some(54),
            ..Row::new(
                "captured in part",
                cut(syn(DYNAMIC, FAR, 25), 40),
                judged("unparsed", "truncated_tcp").of_shape("truncated_tcp"),
            )
        },
        Row {
            kernel_skips: true,
            ..Row::new(
                "shorter than an Ethernet header",
                cut(syn(DYNAMIC, FAR, 25), 13),
                judged("unparsed", "truncated_link").of_shape("truncated_link"),
            )
        },
        Row {
            kernel_skips: true,
            ..Row::new(
                "longer than any frame",
                trail(syn(DYNAMIC, FAR, 25), &vec![0; 150_000]),
                restricted(),
            )
        },
        Row::new("and one more", syn(DYNAMIC, FAR, 25), restricted()),
    ]
}

/// What the Internet sends.
pub(crate) fn uplink() -> Vec<Row> {
    let country =
        |name, prefix| judged("tagged", "class_country").by("country", Some(name), prefix);
    vec![
        Row::new(
            "from Japan",
            syn([133, 1, 2, 3], SERVER, 587),
            country("JP", "133.0.0.0/8").tag(Some("JP"), "domestic"),
        ),
        Row::new(
            "from Germany",
            syn([5, 1, 65, 3], SERVER, 465),
            country("DE", "5.1.64.0/20").tag(Some("DE"), "foreign"),
        ),
        Row::new(
            "the same again",
            syn([5, 1, 65, 3], SERVER, 465),
            country("DE", "5.1.64.0/20").tag(Some("DE"), "foreign"),
        ),
        Row::new(
            "and again, over the limit of its class",
            syn([5, 1, 65, 3], SERVER, 465),
            judged("refused", "over_limit")
                .by("country", Some("DE"), "5.1.64.0/20")
                .tag(Some("DE"), "foreign"),
        ),
        Row::new(
            "and again, with the port hidden",
            tiny([5, 1, 65, 3], SERVER, &[]),
            judged("refused", "over_limit")
                .by("country", Some("DE"), "5.1.64.0/20")
                .tag(Some("DE"), "foreign")
                .of_shape(TINY),
        ),
        Row::new(
            "the next day",
            syn([5, 1, 65, 3], SERVER, 465),
            country("DE", "5.1.64.0/20").tag(Some("DE"), "foreign"),
        )
        .at(JUNE + 86_400),
        Row::new(
            "within an observed limit",
            syn([198, 51, 100, 9], SERVER, 587),
            judged("tagged", "class_prefix")
                .by("class", Some("hosters"), "198.51.100.0/26")
                .tag(None, "hosters"),
        ),
        Row::new(
            "over an observed limit",
            syn([198, 51, 100, 9], SERVER, 587),
            judged("observed", "over_limit")
                .by("class", Some("hosters"), "198.51.100.0/26")
                .tag(None, "hosters"),
        ),
        Row::new(
            "from a class by prefix",
            syn([198, 51, 100, 200], SERVER, 587),
            judged("tagged", "class_prefix")
                .by("class", Some("own-service"), "198.51.100.128/25")
                .tag(None, "own-service"),
        ),
        Row::new(
            "from nowhere",
            syn([10, 1, 2, 3], SERVER, 587),
            judged("tagged", "class_unknown")
                .by("unknown", None, "")
                .tag(None, "domestic"),
        ),
        Row::new(
            "to no server",
            syn([133, 1, 2, 3], FAR, 587),
            untouched("tcp"),
        ),
        Row::new(
            "mail to the ISP",
            syn([133, 1, 2, 3], SERVER, 25),
            untouched("tcp"),
        ),
    ]
    .into_iter()
    .chain(hidden())
    .collect()
}

const TINY: &str = "tiny_fragment";

/// A first fragment with so much of a TCP header.
fn tiny(source: [u8; 4], destination: [u8; 4], part: &[u8]) -> Vec<u8> {
    let header = V4::new(source.into(), destination.into());
    Ethernet::new().carry(&header.fragment(0, true).tcp(part))
}

/// What the Internet sends so that nobody sees the port.
fn hidden() -> Vec<Row> {
    let head = cut(packets::tcp(40_000, 587, flag::SYN), 8);
    let classed = || judged("tagged", TINY).of_shape(TINY);
    vec![
        Row::new(
            "a tiny fragment from Japan",
            tiny([133, 1, 2, 3], SERVER, &[]),
            classed()
                .by("country", Some("JP"), "133.0.0.0/8")
                .tag(Some("JP"), "domestic"),
        ),
        Row::new(
            "with the port in it",
            tiny([133, 1, 2, 3], SERVER, &head),
            classed()
                .by("country", Some("JP"), "133.0.0.0/8")
                .tag(Some("JP"), "domestic"),
        ),
        Row::new(
            "from a class by prefix",
            tiny([198, 51, 100, 200], SERVER, &[]),
            classed()
                .by("class", Some("own-service"), "198.51.100.128/25")
                .tag(None, "own-service"),
        ),
        Row::new(
            "from nowhere",
            tiny([10, 1, 2, 3], SERVER, &[]),
            classed().by("unknown", None, "").tag(None, "domestic"),
        ),
        Row::new(
            "over an observed limit",
            tiny([198, 51, 100, 9], SERVER, &[]),
            judged("observed", "over_limit")
                .by("class", Some("hosters"), "198.51.100.0/26")
                .tag(None, "hosters")
                .of_shape(TINY),
        ),
        Row::new(
            "to no server",
            tiny([133, 1, 2, 3], FAR, &[]),
            judged("unparsed", TINY).of_shape(TINY),
        ),
    ]
}

/// A capture of rows.
pub(crate) fn pcap(rows: &[Row]) -> Vec<u8> {
    pcap_of(rows.iter().map(|row| {
        let length = row.length.unwrap_or(row.frame.len());
        (row.second, length, row.frame.as_slice())
    }))
}

/// A capture of frames, each with when it came and how many octets it had on the wire.
pub(crate) fn pcap_of<'f>(frames: impl IntoIterator<Item = (u64, usize, &'f [u8])>) -> Vec<u8> {
    let header = PcapHeader {
        snaplen: 262_144,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).expect("memory");
    for (second, length, frame) in frames {
        let length = u32::try_from(length).expect("a frame's length");
        let packet = PcapPacket::new(Duration::from_secs(second), length, frame);
        writer.write_packet(&packet).expect("memory");
    }
    writer.into_writer()
}
