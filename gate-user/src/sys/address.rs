//! Addresses of devices, and the routes that go out of them, by rtnetlink.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rtnetlink has hundreds of messages and attributes, of which few matter here"
)]

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType},
};

use super::device::dump;

/// The addresses that hosts beyond the link may have to do with, with the device of each.
pub fn addresses() -> io::Result<Vec<(u32, IpNet)>> {
    dump(
        || RouteNetlinkMessage::GetAddress(AddressMessage::default()),
        |message| match message {
            RouteNetlinkMessage::NewAddress(address) => connected(address),
            _ => None,
        },
    )
}

/// A way out of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The device; a route that has several ways out is several of these.
    pub device: u32,
    /// Whom it leads to.
    pub to: IpNet,
    /// Whether it is in the main table, which packets meet without a rule of their own.
    pub main: bool,
}

/// The routes that lead out of a device; none that refuse or are local.
pub fn routes() -> io::Result<Vec<Route>> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let request = || {
            let mut route = RouteMessage::default();
            route.header.address_family = family;
            RouteNetlinkMessage::GetRoute(route)
        };
        let routes = dump(request, |message| match message {
            RouteNetlinkMessage::NewRoute(route) => ways(route),
            _ => None,
        })?;
        found.extend(routes.into_iter().flatten());
    }
    Ok(found)
}

fn connected(message: &AddressMessage) -> Option<(u32, IpNet)> {
    if message.header.scope != AddressScope::Universe {
        return None;
    }
    // Of a point-to-point link, ADDRESS is the other end.
    let own = |it: &AddressAttribute| match it {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    };
    let any = |it: &AddressAttribute| match it {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    };
    let attributes = &message.attributes;
    let address: IpAddr = attributes
        .iter()
        .find_map(own)
        .or_else(|| attributes.iter().find_map(any))?;
    let net = IpNet::new(address, message.header.prefix_len).ok()?;
    Some((message.header.index, net))
}

/// The ways of a route, of which one by several next hops has several.
fn ways(message: &RouteMessage) -> Option<Vec<Route>> {
    let header = &message.header;
    if header.kind != RouteType::Unicast {
        return None;
    }
    let attributes = &message.attributes;
    let to = attributes.iter().find_map(|it| match it {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(IpAddr::from(*address)),
        RouteAttribute::Destination(RouteAddress::Inet6(address)) => Some(IpAddr::from(*address)),
        _ => None,
    });
    // A default route names no destination.
    let to = match (to, &header.address_family) {
        (Some(to), _) => to,
        (None, AddressFamily::Inet) => Ipv4Addr::UNSPECIFIED.into(),
        (None, _) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let to = IpNet::new(to, header.destination_prefix_length).ok()?;
    // The attribute holds numbers that the field of the header has no room for.
    let table = attributes.iter().find_map(|it| match it {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let main = table.unwrap_or(u32::from(header.table)) == u32::from(RouteHeader::RT_TABLE_MAIN);
    let devices = attributes.iter().flat_map(|it| match it {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|it| it.interface_index).collect(),
        _ => Vec::new(),
    });
    let way = |device| Route { device, to, main };
    Some(devices.map(way).collect())
}
