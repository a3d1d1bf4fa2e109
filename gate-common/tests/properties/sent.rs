//! TCP packets that etherparse writes, and what was put into them.

use std::net::IpAddr;

use etherparse::{
    IpAuthHeader, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv4Options,
    Ipv6Extensions, Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions,
    PacketBuilder, TcpHeader, VlanHeader, VlanId,
};
use gate_common::Flow;
use proptest::{collection::vec, option, prelude::*};

/// A frame and what was put into it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) frame: Vec<u8>,
    /// Where the IP header starts.
    pub(crate) ip: usize,
    /// Where the TCP header starts.
    pub(crate) tcp: usize,
    pub(crate) flow: Flow,
}

/// Tagged or not, of either family, with options and extension headers.
pub(crate) fn sent() -> impl Strategy<Value = Sent> {
    let network = prop_oneof![v4(), v6()];
    let vlan = option::of((0..4096u16, option::of(0..4096u16)));
    (vlan, network, tcp(), vec(any::<u8>(), 0..40))
        .prop_map(|(vlan, network, tcp, data)| write(vlan, network, &tcp, &data))
}

type Vlan = Option<(u16, Option<u16>)>;

fn write(vlan: Vlan, network: IpHeaders, tcp: &TcpHeader, data: &[u8]) -> Sent {
    let id = |number| VlanId::try_new(number).unwrap();
    let link = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let (source, destination) = match &network {
        IpHeaders::Ipv4(header, _) => (
            IpAddr::from(header.source),
            IpAddr::from(header.destination),
        ),
        IpHeaders::Ipv6(header, _) => (
            IpAddr::from(header.source),
            IpAddr::from(header.destination),
        ),
    };
    let builder = match vlan {
        None => link.ip(network).tcp_header(tcp.clone()),
        Some((outer, None)) => link
            .vlan(VlanHeader::Single(etherparse::SingleVlanHeader {
                vlan_id: id(outer),
                ..Default::default()
            }))
            .ip(network)
            .tcp_header(tcp.clone()),
        Some((outer, Some(inner))) => link
            .double_vlan(id(outer), id(inner))
            .ip(network)
            .tcp_header(tcp.clone()),
    };
    let mut frame = Vec::new();
    builder.write(&mut frame, data).unwrap();
    let bytes = tcp.to_bytes();
    let tags = vlan.map_or(0, |(_, inner)| 1 + usize::from(inner.is_some()));
    let ip = 14 + 4 * tags;
    let segment = frame.len() - data.len() - bytes.len();
    let (outer, inner) = vlan.map_or((0, 0), |(outer, inner)| (outer, inner.unwrap_or(0)));
    Sent {
        ip,
        tcp: segment,
        frame,
        flow: Flow {
            src: source.into(),
            dst: destination.into(),
            sport: tcp.source_port,
            dport: tcp.destination_port,
            flags: bytes[13],
            vlan: if outer == 0 { inner } else { outer },
            network: ip.try_into().unwrap(),
            transport: segment.try_into().unwrap(),
            ..Flow::default()
        },
    }
}

fn v4() -> impl Strategy<Value = IpHeaders> {
    let addresses = any::<([u8; 4], [u8; 4])>();
    (addresses, 0..=10usize, any::<u16>()).prop_map(|((source, destination), words, id)| {
        let header = Ipv4Header {
            source,
            destination,
            identification: id,
            protocol: IpNumber::TCP,
            options: Ipv4Options::try_from(vec![1; 4 * words].as_slice()).unwrap(),
            ..Default::default()
        };
        IpHeaders::Ipv4(header, Ipv4Extensions::default())
    })
}

fn v6() -> impl Strategy<Value = IpHeaders> {
    // Global unicast: an IPv4-mapped address would come out as IPv4.
    let address = any::<[u8; 16]>().prop_map(|mut octets| {
        octets[0] = 0x20;
        octets
    });
    let raw = || option::of((0..6usize).prop_map(|units| raw(6 + 8 * units)));
    let auth = option::of((0..4usize).prop_map(|words| {
        IpAuthHeader::new(IpNumber::TCP, 1, 1, &vec![0; 8 * words + 4]).unwrap()
    }));
    let atomic = option::of(Just(Ipv6FragmentHeader::new(
        IpNumber::TCP,
        IpFragOffset::ZERO,
        false,
        7,
    )));
    (address.clone(), address, raw(), raw(), raw(), atomic, auth).prop_map(
        |(
            source,
            destination,
            hop_by_hop_options,
            destination_options,
            routing,
            fragment,
            auth,
        )| {
            let header = Ipv6Header {
                source,
                destination,
                next_header: IpNumber::TCP,
                ..Default::default()
            };
            let extensions = Ipv6Extensions {
                hop_by_hop_options,
                destination_options,
                routing: routing.map(|routing| Ipv6RoutingExtensions {
                    routing,
                    final_destination_options: None,
                }),
                fragment,
                auth,
            };
            IpHeaders::Ipv6(header, extensions)
        },
    )
}

fn raw(length: usize) -> Ipv6RawExtHeader {
    Ipv6RawExtHeader::new_raw(IpNumber::TCP, &vec![0; length]).unwrap()
}

fn tcp() -> impl Strategy<Value = TcpHeader> {
    let port = prop_oneof![Just(25), Just(587), Just(465), any::<u16>()];
    (any::<u16>(), port, any::<u8>(), 0..=10usize).prop_map(
        |(source, destination, flags, words)| {
            let mut header = TcpHeader::new(source, destination, 1, 1024);
            let flag = |bit: u8| flags & (1 << bit) != 0;
            (header.fin, header.syn, header.rst, header.psh) = (flag(0), flag(1), flag(2), flag(3));
            (header.ack, header.urg, header.ece, header.cwr) = (flag(4), flag(5), flag(6), flag(7));
            header.set_options_raw(&vec![1; 4 * words]).unwrap();
            header
        },
    )
}
