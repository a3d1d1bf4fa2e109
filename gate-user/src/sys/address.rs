//! Addresses of devices, and which devices a default route goes out of, by rtnetlink.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rtnetlink has hundreds of messages and attributes, of which few matter here"
)]

use std::{collections::BTreeSet, io, net::IpAddr};

use ipnet::IpNet;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage, AddressScope},
    route::{RouteAttribute, RouteMessage, RouteType},
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

/// The devices that a default route goes out of.
pub fn default_routes() -> io::Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let request = || {
            let mut route = RouteMessage::default();
            route.header.address_family = family;
            RouteNetlinkMessage::GetRoute(route)
        };
        let devices = dump(request, |message| match message {
            RouteNetlinkMessage::NewRoute(route) => default_route(route),
            _ => None,
        })?;
        found.extend(devices.into_iter().flatten());
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

/// The devices of a default route, of which one by several ways has several.
fn default_route(message: &RouteMessage) -> Option<Vec<u32>> {
    let header = &message.header;
    if header.destination_prefix_length != 0 || header.kind != RouteType::Unicast {
        return None;
    }
    let devices = message.attributes.iter().flat_map(|it| match it {
        RouteAttribute::Oif(index) => vec![*index],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|it| it.interface_index).collect(),
        _ => Vec::new(),
    });
    Some(devices.collect())
}
