//! An interface of the configuration, as `gate status` sees it.

use std::io;

use serde::Serialize;

use crate::{
    error::Error,
    generation::manifest,
    pins::Pins,
    sys::{Device, XdpLink},
};

/// An interface and what is on it.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    pub(super) name: String,
    /// The VLANs that it is about; nothing if it is about every frame, or about `stripped` ones.
    pub(super) vlans: Option<String>,
    /// Whether it is about the frames that carry no VLAN ID.
    pub(super) stripped: bool,
    /// What the text calls it.
    #[serde(skip)]
    pub(super) label: String,
    pub(super) index: Option<u32>,
    pub(super) role: String,
    /// Where the program runs.
    pub(super) mode: Option<&'static str>,
    /// Where the configuration wants it: `auto` takes `generic` where the driver has no native XDP.
    pub(super) wanted: String,
    pub(super) state: Link,
}

/// Whether packets on an interface are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Link {
    /// They are.
    Attached,
    /// They are not.
    Open,
    /// There is no such interface.
    Missing,
}

impl Link {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Open => "open",
            Self::Missing => "missing",
        }
    }
}

pub(super) fn interface(
    named: &manifest::Interface,
    devices: &[Device],
    pins: &Pins,
    problems: &mut Vec<String>,
) -> Result<Interface, Error> {
    let name = &named.name;
    let link = open_link(pins, name)?;
    // The device that the link is on, which may have been renamed; else the one that has the name.
    let linked = link.and_then(|link| devices.iter().find(|device| device.index == link.interface));
    let device = linked.or_else(|| devices.iter().find(|device| device.name == *name));
    let judging = device
        .and_then(|device| device.xdp)
        .filter(|xdp| linked.is_some() && link.is_some_and(|link| link.program == xdp.program));
    let state = match (device, judging) {
        (None, _) => Link::Missing,
        (Some(_), None) => Link::Open,
        (Some(_), Some(_)) => Link::Attached,
    };
    let problem = match (state, device) {
        (Link::Missing, _) | (_, None) => Some(format!(
            "{name}: there is no such interface in this network namespace"
        )),
        (Link::Open, Some(_)) => Some(format!(
            "{name}: open, nothing is judged on it; `gate reload` attaches it again, or `gate run` where no daemon runs"
        )),
        (Link::Attached, Some(device)) if device.name != *name => Some(format!(
            "{name}: is called {} now; write that into the configuration, then `gate reload`, or `gate run` where no daemon runs",
            device.name
        )),
        (Link::Attached, Some(_)) => None,
    };
    // Once a device, whatever its VLANs are.
    problems.extend(problem.filter(|it| !problems.contains(it)));
    Ok(Interface {
        name: name.clone(),
        vlans: named.vlans.clone(),
        stripped: named.stripped,
        label: named.label(),
        index: device.map(|device| device.index),
        role: named.role.clone(),
        mode: judging.map(|xdp| xdp.mode.name()),
        wanted: named.mode.clone(),
        state,
    })
}

/// The gate's link to an interface; nothing if there is none.
pub(super) fn open_link(pins: &Pins, interface: &str) -> Result<Option<XdpLink>, Error> {
    match XdpLink::open(&pins.link(interface)) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::system("look at a pinned link")(error)),
    }
}
