//! The layers that tshark found in a frame, from the fields that it is asked for.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context as _, Result};

use super::Segment;

/// What tshark is asked for, in this order.
pub(super) const FIELDS: [&str; 24] = [
    "frame.number",
    "frame.protocols",
    "llc.dsap",
    "llc.oui",
    "pppoe.payload_length",
    "mpls.label",
    "ip.src",
    "ip.dst",
    "ip.cur_rt",
    "ip.proto",
    "ip.hdr_len",
    "ip.len",
    "ip.frag_offset",
    "ip.flags.mf",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.plen",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.hdr_len",
    "tcp.urgent_pointer",
];

/// A layer that tshark found in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A VLAN tag.
    Tag,
    /// IEEE 802.2 LLC: the destination service access point, and the organisation if SNAP follows.
    Llc {
        /// DSAP.
        dsap: Option<u64>,
        /// OUI.
        oui: Option<u64>,
    },
    /// A PPPoE session header, with its length field.
    Pppoe {
        /// Octets behind it.
        length: Option<u64>,
    },
    /// The protocol field of PPP.
    Ppp,
    /// A stack of so many MPLS labels.
    Mpls {
        /// How many.
        labels: usize,
    },
    /// An IPv4 header; `None` if it could not be read, or the header is that of another version.
    Ipv4(Option<Ipv4>),
    /// An IPv6 header; `None` if it could not be read.
    Ipv6(Option<Ipv6>),
    /// An IPv6 extension header, or an authentication header.
    Extension(Extension),
    /// GRE.
    Gre,
    /// A TCP header.
    Tcp(Tcp),
    /// Anything else, by tshark's name.
    Other(String),
}

/// Fields of an IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source and destination of the header itself, also where a source route says that it goes on from there.
    pub between: (IpAddr, IpAddr),
    /// The protocol number.
    pub protocol: Option<u64>,
    /// Of the header, in octets.
    pub header: u64,
    /// Of the packet, in octets.
    pub total: u64,
    /// Of the fragment, in whatever unit: 0 is the first one.
    pub offset: u64,
    /// Whether more fragments follow.
    pub more: bool,
}

/// Fields of an IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source and destination.
    pub between: (IpAddr, IpAddr),
    /// Octets behind the header.
    pub payload: u64,
}

/// Kinds of extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// A fragment header.
    Fragment {
        /// 0 is the first one.
        offset: u64,
        /// Whether more follow.
        more: bool,
    },
    /// An authentication header.
    Authentication,
    /// A routing header.
    Routing,
    /// Hop-by-hop, destination options, or Shim6.
    Plain,
    /// Mobility or HIP, behind which tshark does not look.
    Final,
}

/// What could be read of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
    /// The flags.
    pub flags: Option<u64>,
    /// Whether the last field of the header is there.
    pub whole: bool,
    /// The length that the header says it has, in octets.
    pub header: Option<u64>,
}

impl Tcp {
    /// The segment, if the header is all there.
    pub(super) fn segment(self, between: (IpAddr, IpAddr)) -> Option<Segment> {
        let (source, destination) = between;
        let ((source_port, destination_port), flags) = (self.ports?, self.flags?);
        self.whole.then_some(Segment {
            source,
            destination,
            source_port,
            destination_port,
            syn: flags & 2 != 0,
        })
    }
}

/// The values of one field, in the order in which the layers have them.
struct Values<'a>(VecDeque<&'a str>);

impl<'a> Values<'a> {
    fn new(text: &'a str) -> Self {
        Self(text.split(',').filter(|value| !value.is_empty()).collect())
    }

    fn number(&mut self) -> Option<u64> {
        self.0.pop_front().and_then(number)
    }
}

/// Numbers come in decimal, in hexadecimal, and, where they are flags, as words in newer versions.
fn number(text: &str) -> Option<u64> {
    match text {
        "True" => Some(1),
        "False" => Some(0),
        text => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
    }
}

/// Takes one line of tshark's answer apart: the number of the frame, and its layers from the outermost one on.
pub fn read(line: &str) -> Result<(u64, Vec<Layer>)> {
    let mut columns = line.split('\t');
    let mut text = || columns.next().unwrap_or_default();
    let frame = text().parse().context("no frame number")?;
    let protocols = text();
    let mut values = || Values::new(text());
    let mut fields = Fields {
        dsap: values(),
        oui: values(),
        pppoe: values(),
        labels: values(),
        v4_source: values(),
        v4_destination: values(),
        current_route: values(),
        protocol: values(),
        header: values(),
        total: values(),
        offset: values(),
        more: values(),
        v6_source: values(),
        v6_destination: values(),
        payload: values(),
        v6_offset: values(),
        v6_more: values(),
        source_port: values(),
        destination_port: values(),
        flags: values(),
        tcp_header: values(),
        urgent: values(),
    };
    // All frames are Ethernet: another one further in is a frame in a frame.
    let protocols = protocols.strip_prefix("eth").unwrap_or(protocols);
    let names: Vec<&str> = protocols.split(':').filter(|it| !it.is_empty()).collect();
    let layers = names.iter().enumerate().filter_map(|(index, name)| {
        let at = |index: Option<usize>| names.get(index?).copied();
        fields.layer(name, at(index.checked_sub(1)), at(index.checked_add(1)))
    });
    Ok((frame, layers.collect()))
}

/// The values of all fields that are not taken yet.
struct Fields<'a> {
    dsap: Values<'a>,
    oui: Values<'a>,
    pppoe: Values<'a>,
    labels: Values<'a>,
    v4_source: Values<'a>,
    v4_destination: Values<'a>,
    current_route: Values<'a>,
    protocol: Values<'a>,
    header: Values<'a>,
    total: Values<'a>,
    offset: Values<'a>,
    more: Values<'a>,
    v6_source: Values<'a>,
    v6_destination: Values<'a>,
    payload: Values<'a>,
    v6_offset: Values<'a>,
    v6_more: Values<'a>,
    source_port: Values<'a>,
    destination_port: Values<'a>,
    flags: Values<'a>,
    tcp_header: Values<'a>,
    urgent: Values<'a>,
}

impl Fields<'_> {
    fn layer(&mut self, name: &str, previous: Option<&str>, next: Option<&str>) -> Option<Layer> {
        Some(match name {
            // What EtherTypes are looked up in, and what is left over.
            "ethertype" | "data" => return None,
            "vlan" | "ieee8021ad" => Layer::Tag,
            "llc" => {
                let dsap = self.dsap.number();
                // SNAP has an organisation, nothing else does.
                let oui = (dsap == Some(0xaa)).then(|| self.oui.number()).flatten();
                if previous == Some("ethertype") {
                    // Found by EtherType 0x8870, not by a length.
                    return Some(Layer::Other(name.to_owned()));
                }
                Layer::Llc { dsap, oui }
            }
            "pppoes" => Layer::Pppoe {
                length: self.pppoe.number(),
            },
            "ppp" => Layer::Ppp,
            "mpls" => Layer::Mpls {
                labels: std::mem::take(&mut self.labels.0).len(),
            },
            "ip" => Layer::Ipv4(self.ipv4(next)),
            "ipv6" => Layer::Ipv6(self.ipv6()),
            "ipv6.fraghdr" => Layer::Extension(Extension::Fragment {
                offset: self.v6_offset.number().unwrap_or_default(),
                more: self.v6_more.number().unwrap_or_default() != 0,
            }),
            "ah" => Layer::Extension(Extension::Authentication),
            "ipv6.routing" => Layer::Extension(Extension::Routing),
            "ipv6.hopopts" | "ipv6.dstopts" | "shim6" => Layer::Extension(Extension::Plain),
            "mipv6" | "hip" => Layer::Extension(Extension::Final),
            "gre" => Layer::Gre,
            "tcp" => Layer::Tcp(self.tcp()),
            other => Layer::Other(other.to_owned()),
        })
    }

    fn ipv4(&mut self, next: Option<&str>) -> Option<Ipv4> {
        // Where the version is 6, tshark hands on to IPv6 without a field of its own.
        let first = self.protocol.0.front().copied().and_then(number);
        if next == Some("ipv6") && first != Some(41) {
            return None;
        }
        let source: Ipv4Addr = self.v4_source.0.pop_front()?.parse().ok()?;
        let header = self.header.number().unwrap_or_default();
        // Where a source route has stops left, tshark's destination is the last of them, and this the header's own.
        let route = (header > 20).then(|| self.current_route.0.pop_front());
        let last = self.v4_destination.0.pop_front();
        let destination: Ipv4Addr = route.flatten().or(last)?.parse().ok()?;
        Some(Ipv4 {
            between: (source.into(), destination.into()),
            protocol: self.protocol.number(),
            header,
            total: self.total.number().unwrap_or_default(),
            offset: self.offset.number().unwrap_or_default(),
            more: self.more.number().unwrap_or_default() != 0,
        })
    }

    fn ipv6(&mut self) -> Option<Ipv6> {
        let source: Ipv6Addr = self.v6_source.0.pop_front()?.parse().ok()?;
        let destination: Ipv6Addr = self.v6_destination.0.pop_front()?.parse().ok()?;
        Some(Ipv6 {
            // The gate takes IPv4-mapped addresses for the IPv4 addresses that they name.
            between: (source.to_canonical(), destination.to_canonical()),
            payload: self.payload.number().unwrap_or_default(),
        })
    }

    fn tcp(&mut self) -> Tcp {
        let mut port = |values: fn(&mut Self) -> Option<u64>| {
            values(self).and_then(|port| u16::try_from(port).ok())
        };
        let source = port(|fields| fields.source_port.number());
        let destination = port(|fields| fields.destination_port.number());
        Tcp {
            ports: source.zip(destination),
            flags: self.flags.number(),
            header: self.tcp_header.number(),
            whole: self.urgent.number().is_some(),
        }
    }
}
