//! What else rtnetlink says of a device: what it is, what it is a port of, and how large its packets are.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rtnetlink has hundreds of attributes, of which few matter here"
)]

use std::io;

use netlink_packet_route::link::{
    BondMode, InfoBond, InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use super::device::{Device, device, links};

/// What kind of device it is, as far as it matters where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A port, or a kind that says nothing about where packets are seen.
    Plain,
    /// A bond, with its mode as `ip -details link` has it.
    Bond(String),
    /// A team.
    Team,
    /// A bridge.
    Bridge,
    /// A VLAN device.
    Vlan,
    /// A macvlan device.
    Macvlan,
    /// One end of a veth pair.
    Veth,
    /// A device without Ethernet headers, by the name of its kind.
    Headless(String),
}

/// A device and what surrounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Details {
    /// The device.
    pub device: Device,
    /// Whether somebody switched it on.
    pub up: bool,
    /// The size of its largest packet.
    pub mtu: u32,
    /// What it is.
    pub kind: Kind,
    /// The index of the bond, team or bridge that it is a port of.
    pub master: Option<u32>,
    /// The index of the device that carries it, or of the other end of a veth pair; nothing if that is in another network namespace.
    pub lower: Option<u32>,
}

/// Every device of this network namespace.
pub fn details() -> io::Result<Vec<Details>> {
    links(|link| {
        Some(Details {
            device: device(link)?,
            up: link.header.flags.contains(LinkFlags::Up),
            mtu: first(link, |it| match it {
                LinkAttribute::Mtu(mtu) => Some(*mtu),
                _ => None,
            })
            .unwrap_or_default(),
            kind: kind(&link.attributes),
            master: first(link, |it| match it {
                LinkAttribute::Controller(index) => Some(*index),
                _ => None,
            }),
            lower: lower(&link.attributes),
        })
    })
}

fn first<T>(link: &LinkMessage, of: impl Fn(&LinkAttribute) -> Option<T>) -> Option<T> {
    link.attributes.iter().find_map(of)
}

fn lower(attributes: &[LinkAttribute]) -> Option<u32> {
    let elsewhere = attributes
        .iter()
        .any(|it| matches!(it, LinkAttribute::LinkNetNsId(_)));
    let lower = attributes.iter().find_map(|it| match it {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    });
    lower.filter(|_| !elsewhere)
}

fn kind(attributes: &[LinkAttribute]) -> Kind {
    let info = attributes.iter().find_map(|it| match it {
        LinkAttribute::LinkInfo(info) => Some(info.as_slice()),
        _ => None,
    });
    let info = info.unwrap_or_default();
    let named = info.iter().find_map(|it| match it {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    match named {
        Some(InfoKind::Bond) => Kind::Bond(bond_mode(info)),
        Some(InfoKind::Bridge) => Kind::Bridge,
        Some(InfoKind::Vlan) => Kind::Vlan,
        Some(InfoKind::MacVlan) => Kind::Macvlan,
        Some(InfoKind::Veth) => Kind::Veth,
        Some(
            kind @ (InfoKind::Wireguard
            | InfoKind::IpIp
            | InfoKind::Ip6Tnl
            | InfoKind::SitTun
            | InfoKind::GreTun
            | InfoKind::GreTun6),
        ) => Kind::Headless(kind.to_string()),
        Some(InfoKind::Other(name)) if name == "team" => Kind::Team,
        Some(InfoKind::Other(name)) if name == "ppp" => Kind::Headless(name.clone()),
        Some(_) | None => Kind::Plain,
    }
}

fn bond_mode(info: &[LinkInfo]) -> String {
    let data = info.iter().find_map(|it| match it {
        LinkInfo::Data(InfoData::Bond(data)) => Some(data.as_slice()),
        _ => None,
    });
    let mode = data.unwrap_or_default().iter().find_map(|it| match it {
        InfoBond::Mode(mode) => Some(*mode),
        _ => None,
    });
    mode.map_or_else(|| "unknown".to_owned(), |mode: BondMode| mode.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(kind: InfoKind) -> Vec<LinkAttribute> {
        vec![LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])]
    }

    #[test]
    fn kinds_are_told_apart() {
        let bond = vec![LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Bond),
            LinkInfo::Data(InfoData::Bond(vec![InfoBond::Mode(BondMode::Ieee8023Ad)])),
        ])];
        assert_eq!(kind(&bond), Kind::Bond("802.3ad".to_owned()));
        for (info, expected) in [
            (InfoKind::Bridge, Kind::Bridge),
            (InfoKind::Veth, Kind::Veth),
            (InfoKind::Vlan, Kind::Vlan),
            (InfoKind::MacVlan, Kind::Macvlan),
            (InfoKind::Other("team".to_owned()), Kind::Team),
            (InfoKind::Tun, Kind::Plain),
        ] {
            assert_eq!(kind(&of_kind(info)), expected);
        }
        assert_eq!(kind(&[]), Kind::Plain);
    }

    #[test]
    fn what_is_in_another_namespace_has_no_index_here() {
        let here = [LinkAttribute::Link(7)];
        assert_eq!(lower(&here), Some(7));
        let elsewhere = [LinkAttribute::Link(7), LinkAttribute::LinkNetNsId(0)];
        assert_eq!(lower(&elsewhere), None);
    }
}
