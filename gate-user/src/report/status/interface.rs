//! An interface of the configuration, as `gate status` sees it.

use std::collections::{BTreeMap, HashMap};

use gate_common::{
    Reason,
    abi::{self, InterfaceKey},
};
use serde::Serialize;

use crate::{
    attach::{self, Hook, Placed},
    config::Missing,
    generation::{Manifest, manifest},
    pins::Pins,
    sys::{Device, XdpMode},
};

/// An interface and what is on it.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    pub(crate) name: String,
    /// The VLANs that it is about; nothing if it is about every frame, or about `stripped` ones.
    pub(crate) vlans: Option<String>,
    /// Whether it is about the frames that carry no VLAN ID.
    pub(crate) stripped: bool,
    /// What the text calls it.
    #[serde(skip)]
    pub(crate) label: String,
    pub(crate) index: Option<u32>,
    pub(crate) role: String,
    /// Where the program runs.
    pub(crate) mode: Option<&'static str>,
    /// Where the configuration wants it: `auto` takes `generic` where the driver has no native XDP.
    pub(crate) wanted: String,
    pub(crate) state: Link,
    /// How the skb mark is set on it; `none` where it should be and is not. Nothing where no class has a mark, or none shows here.
    pub(crate) mark: Option<&'static str>,
}

/// What stands for the way in which the skb mark is set where it is not.
const UNMARKED: &str = "none";

/// Whether packets on an interface are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    /// They are.
    Attached,
    /// They are not.
    Open,
    /// There is no such interface, and nothing that could be judged.
    Missing,
}

impl Link {
    /// Every state.
    pub(crate) const ALL: [Self; 3] = [Self::Attached, Self::Open, Self::Missing];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Open => "open",
            Self::Missing => "missing",
        }
    }
}

/// What the generation in force is made of, and where it is.
pub(super) struct Scene<'s> {
    pub(super) manifest: &'s Manifest,
    /// What the program looks interfaces up in.
    pub(super) known: &'s HashMap<InterfaceKey, abi::Interface>,
    pub(super) devices: &'s [Device],
    pub(super) links: &'s BTreeMap<String, Placed<'s>>,
    pub(super) pins: &'s Pins,
}

impl Scene<'_> {
    /// The interfaces of the configuration.
    pub(super) fn interfaces(&self, problems: &mut Vec<String>) -> Vec<Interface> {
        let named = self.manifest.interfaces.iter();
        named.map(|it| interface(it, self, problems)).collect()
    }
}

fn interface(
    named: &manifest::Interface,
    scene: &Scene<'_>,
    problems: &mut Vec<String>,
) -> Interface {
    let Scene {
        manifest,
        known,
        devices,
        links,
        pins,
    } = *scene;
    let name = &named.name;
    let link = links.get(name);
    // The device that the link is on, which may have been renamed; else the one that has the name.
    let linked = link.and_then(|link| link.device);
    let device = linked.or_else(|| devices.iter().find(|device| device.name == *name));
    let is_blind =
        |device: &Device| device.is_bond && device.xdp.is_some_and(|it| it.mode == XdpMode::Native);
    let is_known = |device: &Device| named.is_known(known, device.index);
    let unknown = linked.filter(|it| !is_known(it));
    let is_replaced = link.is_some_and(|link| link.is_replaced);
    let judging = linked
        .filter(|it| !is_blind(it) && is_known(it) && !is_replaced)
        .and_then(|device| device.xdp);
    let state = match (device, judging) {
        (None, _) => Link::Missing,
        (Some(_), None) => Link::Open,
        (Some(_), Some(_)) => Link::Attached,
    };
    let problem = match (state, device) {
        (Link::Missing, _) | (_, None) => missing(named, link),
        (Link::Open, Some(device)) if is_blind(device) => Some(format!(
            "{name}: open, nothing is judged on it: it is a bond with a program in native mode, which sees each frame as one of the port that it came by; \
             `gate run` puts it on generic; for native mode, name its ports under [[interface]]"
        )),
        (Link::Open, Some(Device { xdp: Some(xdp), .. })) if is_replaced => Some(format!(
            "{name}: open, nothing is judged on it: somebody put another program (id {}) into the gate's link; the daemon puts the gate's back, \
             and its log says why it cannot; `gate run` where none runs",
            xdp.program
        )),
        (Link::Open, Some(Device { index, .. })) if unknown.is_some() => Some(format!(
            "{name}: open, nothing is judged on it: the program is on it, but generation {} was made before it had its index {index} here, and packets are \
             counted as `passed {}`; the daemon makes a generation for it, and its log says why it cannot; `gate run` where none runs",
            manifest.number,
            Reason::NoRole.name()
        )),
        (Link::Open, Some(Device { xdp: Some(xdp), .. })) => Some(format!(
            "{name}: open, nothing is judged on it: another XDP program (id {}) is attached; once that is gone the gate gets on it",
            xdp.program
        )),
        (Link::Open, Some(_)) => Some(format!(
            "{name}: open, nothing is judged on it; the daemon tries again and its log says why it cannot, `gate run` where none runs"
        )),
        (Link::Attached, Some(device)) if device.name != *name => Some(format!(
            "{name}: is called {} now; write that into the configuration, then `gate reload`, or `gate run` where no daemon runs",
            device.name
        )),
        (Link::Attached, Some(_)) => None,
    };
    // Once a device, whatever its VLANs are.
    problems.extend(problem.filter(|it| !problems.contains(it)));
    let mark = manifest.marked.contains(name).then(|| {
        let hook = device.and_then(|device| attach::marked(device.index, pins));
        hook.map_or(UNMARKED, Hook::name)
    });
    let problem = mark.filter(|it| *it == UNMARKED).map(|_| {
        format!(
            "{name}: no skb mark is set, the program for it is not there (any more); `gate reload` attaches it again and says why it \
             cannot, or `gate run` where no daemon runs"
        )
    });
    problems.extend(problem.filter(|it| !problems.contains(it)));
    Interface {
        name: name.clone(),
        vlans: named.vlans.clone(),
        stripped: named.stripped,
        label: named.label(),
        index: device.map(|device| device.index),
        role: named.role.clone(),
        mode: judging.map(|xdp| xdp.mode.name()),
        wanted: named.mode.clone(),
        state,
        mark,
    }
}

/// What there is to say of an interface that is missing: nothing if it may be.
fn missing(named: &manifest::Interface, link: Option<&Placed<'_>>) -> Option<String> {
    let name = &named.name;
    if link.is_some_and(Placed::is_elsewhere) {
        return Some(format!(
            "{name}: is in another network namespace now, with the program on it; the gate waits for it to come back"
        ));
    }
    (named.missing != Missing::Wait.name()).then(|| {
        format!(
            "{name}: there is no such interface in this network namespace (any more); the gate gets on it when it comes. \
             `missing = \"wait\"` says that this is as it should be"
        )
    })
}
