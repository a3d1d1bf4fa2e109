//! Network devices and the XDP program on each, by rtnetlink.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "rtnetlink has hundreds of messages and attributes, of which few matter here"
)]

use std::io;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp, XdpAttached},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// Where an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum XdpMode {
    /// In the driver, before the kernel has a socket buffer.
    Native,
    /// In the network stack, after it.
    Generic,
}

impl XdpMode {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// An XDP program on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachedXdp {
    /// The kernel's number for the program.
    pub program: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// A network device of this network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// The XDP program on it.
    pub xdp: Option<AttachedXdp>,
    /// If it is a VLAN device, the index of the device that carries it.
    pub vlan_of: Option<u32>,
    /// Whether it is a bond: a program in native mode would run on its ports, for frames that arrive by those.
    pub is_bond: bool,
}

/// How often a listing that devices came or went under is begun anew.
const TRIES: u32 = 10;

/// Every device of this network namespace.
pub fn devices() -> io::Result<Vec<Device>> {
    links(device)
}

/// What `of` makes of every device of this network namespace.
pub(super) fn links<T>(of: impl Fn(&LinkMessage) -> Option<T>) -> io::Result<Vec<T>> {
    dump(
        || RouteNetlinkMessage::GetLink(LinkMessage::default()),
        |message| match message {
            RouteNetlinkMessage::NewLink(link) => of(link),
            _ => None,
        },
    )
}

/// What `of` makes of every message that answers this request for all there is.
pub(super) fn dump<T>(
    request: impl Fn() -> RouteNetlinkMessage,
    of: impl Fn(&RouteNetlinkMessage) -> Option<T>,
) -> io::Result<Vec<T>> {
    for _ in 0..TRIES {
        if let Some(found) = list(request(), &of)? {
            return Ok(found);
        }
    }
    Err(io::Error::other(
        "devices come and go too fast to list them",
    ))
}

/// All of it; `None` if some came or went meanwhile.
fn list<T>(
    request: RouteNetlinkMessage,
    of: impl Fn(&RouteNetlinkMessage) -> Option<T>,
) -> io::Result<Option<Vec<T>>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut request = NetlinkMessage::from(request);
    request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut found = Vec::new();
    let mut interrupted = false;
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let mut rest = datagram.as_slice();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(io::Error::other)?;
            let length = (message.header.length as usize)
                .next_multiple_of(4)
                .min(rest.len());
            rest = rest.get(length..).unwrap_or_default();
            interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(found)),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(message) => found.extend(of(&message)),
                _ => {}
            }
            if length == 0 {
                break;
            }
        }
    }
}

pub(super) fn device(link: &LinkMessage) -> Option<Device> {
    let name = link
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        })?;
    let xdp = link
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::Xdp(xdp) => Some(xdp.as_slice()),
            _ => None,
        });
    Some(Device {
        index: link.header.index,
        name,
        xdp: xdp.and_then(attached),
        vlan_of: vlan_of(&link.attributes),
        is_bond: is_of(&link.attributes, &InfoKind::Bond),
    })
}

fn is_of(attributes: &[LinkAttribute], kind: &InfoKind) -> bool {
    attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(info) => info.contains(&LinkInfo::Kind(kind.clone())),
        _ => false,
    })
}

/// The index of the device that carries a VLAN device; nothing if that one is in another network namespace.
fn vlan_of(attributes: &[LinkAttribute]) -> Option<u32> {
    let is_vlan = is_of(attributes, &InfoKind::Vlan);
    let elsewhere = attributes
        .iter()
        .any(|attribute| matches!(attribute, LinkAttribute::LinkNetNsId(_)));
    let lower = attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    });
    lower.filter(|_| is_vlan && !elsewhere)
}

fn attached(attributes: &[LinkXdp]) -> Option<AttachedXdp> {
    let mode = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(XdpMode::Generic),
        LinkXdp::Attached(XdpAttached::None) => None,
        LinkXdp::Attached(_) => Some(XdpMode::Native),
        _ => None,
    })?;
    let program = attributes
        .iter()
        .find_map(|attribute| match (attribute, mode) {
            (LinkXdp::ProgId(id), _)
            | (LinkXdp::DrvProgId(id), XdpMode::Native)
            | (LinkXdp::SkbProgId(id), XdpMode::Generic) => Some(*id),
            _ => None,
        })?;
    Some(AttachedXdp { program, mode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_device_is_known_by_its_kind_and_what_carries_it() {
        let kind = |kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]);
        let lower = LinkAttribute::Link(7);
        assert_eq!(vlan_of(&[lower.clone(), kind(InfoKind::Vlan)]), Some(7));
        // The other end of a veth is no lower device.
        assert_eq!(vlan_of(&[lower.clone(), kind(InfoKind::Veth)]), None);
        let elsewhere = LinkAttribute::LinkNetNsId(0);
        assert_eq!(vlan_of(&[lower, kind(InfoKind::Vlan), elsewhere]), None);
    }
}
