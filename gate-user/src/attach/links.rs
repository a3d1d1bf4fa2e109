//! The pins of the links, and which name each has.
//!
//! A link is on a device; its pin has the name that the device had. Devices change their names, also two of them with
//! one another, so that the name of one pin can be the name that another one needs. A pin that is overwritten or removed
//! takes its link along, and the device is open: therefore pins change their names in two passes, the first to names
//! that no device can have, and none is replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::{Absent, AttachError, Target, Targets};
use crate::{
    pins::Pins,
    sys::{Device, XdpLink, program_id},
};

/// A link and the name of its pin.
#[derive(Clone, Debug)]
struct Pinned {
    name: String,
    link: XdpLink,
}

/// A link of the gate, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'d> {
    /// The link.
    pub link: XdpLink,
    /// The device that it is on; nothing if that is gone, or in another network namespace.
    pub device: Option<&'d Device>,
    /// Whether somebody put a program of their own into it, by the pin.
    pub is_replaced: bool,
}

impl Placed<'_> {
    /// Whether it is on a device of another network namespace.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.device.is_none() && self.link.interface != 0
    }
}

/// The gate's links by the names of their pins.
pub fn placed<'d>(
    devices: &'d [Device],
    pins: &Pins,
) -> Result<BTreeMap<String, Placed<'d>>, AttachError> {
    // What is replaced while this looks is pinned before it, or after it.
    let mut own = programs(pins)?;
    let links = pinned(pins)?;
    own.extend(programs(pins)?);
    Ok(place(devices, links, &own))
}

/// The gate's programs, by the kernel's numbers. What is no program is none of them; that it is in the place of one shows when that is to be replaced.
fn programs(pins: &Pins) -> Result<BTreeSet<u32>, AttachError> {
    let paths = pins.programs()?;
    Ok(paths.iter().filter_map(|it| program_id(it).ok()).collect())
}

/// A link tells the index of its device, and not the namespace in which that is its index: two links can tell the same one, of which only one can be
/// on the device that has it here. That is the one with the name of the device, whose pin was named after it, or whoever was there first.
///
/// Where no program is pinned any more, no link can be held against it.
fn place<'d>(
    devices: &'d [Device],
    links: Vec<Pinned>,
    own: &BTreeSet<u32>,
) -> BTreeMap<String, Placed<'d>> {
    let on = |device: &Device| {
        let here = |it: &&Pinned| {
            let runs = device.xdp.is_some_and(|xdp| xdp.program == it.link.program);
            it.link.interface == device.index && runs
        };
        let first = |it: &&Pinned| (it.name != device.name, it.link.id);
        let link = links.iter().filter(here).min_by_key(first)?;
        Some(link.link.id)
    };
    let homes: BTreeMap<u32, &Device> = devices
        .iter()
        .filter_map(|device| Some((on(device)?, device)))
        .collect();
    let place = |Pinned { name, link }| {
        let device = homes.get(&link.id).copied();
        let is_replaced = link.interface != 0 && !own.is_empty() && !own.contains(&link.program);
        let placed = Placed {
            link,
            device,
            is_replaced,
        };
        (name, placed)
    };
    links.into_iter().map(place).collect()
}

/// The gate's links.
fn pinned(pins: &Pins) -> Result<Vec<Pinned>, AttachError> {
    let open = |name: String| match XdpLink::open(&pins.link(&name)) {
        Ok(link) => Ok(Pinned { name, link }),
        Err(error) => Err(AttachError::Link {
            interface: name,
            error,
        }),
    };
    pins.linked()?.into_iter().map(open).collect()
}

/// Which link is pinned under which name, by the kernel's number for the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<u32, String>);

impl Places {
    /// As they are.
    pub fn now(pins: &Pins) -> Result<Self, AttachError> {
        let places = pinned(pins)?.into_iter().map(|it| (it.link.id, it.name));
        Ok(Self(places.collect()))
    }

    /// Puts each link back to where it was; those that are gone stay so.
    pub fn restore(&self, pins: &Pins) -> Result<(), AttachError> {
        let taken = self.0.values().map(String::as_str).collect();
        rename(&self.0, &taken, pins)
    }
}

/// Gives each target's link the target's name, and keeps that name free for those that have none yet. No link is lost.
pub fn arrange(targets: &[Target], pins: &Pins) -> Result<(), AttachError> {
    let linked = targets
        .iter()
        .filter_map(|target| Some((target.link?, target.name.clone())));
    let taken = targets.iter().map(Target::name).collect();
    rename(&linked.collect(), &taken, pins)
}

fn rename(
    wanted: &BTreeMap<u32, String>,
    taken: &BTreeSet<&str>,
    pins: &Pins,
) -> Result<(), AttachError> {
    let Moves { aside, home } = moves(&Places::now(pins)?.0, wanted, taken);
    for (from, to) in aside.iter().chain(&home) {
        pins.rename_link(from, to)?;
    }
    Ok(())
}

/// What is renamed to what: first out of the way, then to where it belongs.
#[derive(Debug, PartialEq, Eq)]
struct Moves {
    aside: Vec<(String, String)>,
    home: Vec<(String, String)>,
}

fn moves(
    now: &BTreeMap<u32, String>,
    wanted: &BTreeMap<u32, String>,
    taken: &BTreeSet<&str>,
) -> Moves {
    let mut moves = Moves {
        aside: Vec::new(),
        home: Vec::new(),
    };
    for (id, name) in now {
        let to = wanted.get(id);
        if to == Some(name) || (to.is_none() && !taken.contains(name.as_str())) {
            continue;
        }
        let aside = aside(*id);
        if *name != aside {
            moves.aside.push((name.clone(), aside.clone()));
        }
        moves.home.extend(to.map(|to| (aside, to.clone())));
    }
    moves
}

/// A name for the pin of a link that no interface has: theirs have no colon.
fn aside(id: u32) -> String {
    format!("link:{id}")
}

/// Takes the gate off what it judges nothing on, so that it can be put there in another way.
pub fn unblind(targets: &[Target], pins: &Pins) -> Result<(), AttachError> {
    for target in targets {
        let Some(pin) = &target.blind else { continue };
        let path = pins.link(pin);
        // A link goes some time after its pin; nothing else can be attached until it has.
        XdpLink::detach(&path).map_err(|error| AttachError::Link {
            interface: target.name.clone(),
            error,
        })?;
        pins.remove(&path)?;
    }
    Ok(())
}

/// Takes the gate off everything that is no target, whose pins are arranged; returns the names of those interfaces.
pub fn detach_others(
    targets: &Targets,
    devices: &[Device],
    pins: &Pins,
) -> Result<Vec<String>, AttachError> {
    let mut detached = Vec::new();
    for (name, Placed { link, device, .. }) in placed(devices, pins)? {
        let is_target = targets.found.iter().any(|target| target.name == name);
        let elsewhere = |it: &Absent| it.elsewhere && it.name == name;
        if is_target || targets.missing.iter().any(elsewhere) {
            continue;
        }
        pins.remove(&pins.link(&name))?;
        if targets.is_wanted(&name) && device.is_none() {
            // It was on nothing any more.
            continue;
        }
        if name == aside(link.id) {
            detached.extend(device.map(|it| it.name.clone()));
        } else {
            detached.push(name);
        }
    }
    Ok(detached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{AttachedXdp, XdpMode};

    /// A device with this index and the program of the gate on it.
    fn device(index: u32, name: &str) -> Device {
        Device {
            index,
            name: name.to_owned(),
            xdp: Some(AttachedXdp {
                program: 9,
                mode: XdpMode::Native,
            }),
            vlan_of: None,
            is_bond: false,
        }
    }

    #[test]
    fn two_links_that_tell_one_index_are_on_one_device() {
        let devices = [device(3, "acc-next"), device(4, "other")];
        let link = |id, name: &str, interface, program| Pinned {
            name: name.to_owned(),
            link: XdpLink {
                id,
                program,
                interface,
            },
        };
        let links = vec![
            // In another namespace, where its index is 3; it was made first.
            link(1, "acc-home", 3, 9),
            link(2, "acc-next", 3, 9),
            // Renamed.
            link(3, "acc-office", 4, 9),
            // Another namespace, and what is on the device of that index here is another program.
            link(4, "up-peer", 4, 8),
            // Its device is gone.
            link(5, "up-far", 0, 9),
        ];
        let placed = place(&devices, links.clone(), &BTreeSet::from([9]));
        let of = |name: &str| {
            let it = &placed[name];
            let device = it.device.map(|device| device.name.as_str());
            (device, it.is_elsewhere())
        };
        assert_eq!(of("acc-home"), (None, true));
        assert_eq!(of("acc-next"), (Some("acc-next"), false));
        assert_eq!(of("acc-office"), (Some("other"), false));
        assert_eq!(of("up-peer"), (None, true));
        assert_eq!(of("up-far"), (None, false));
        let replaced = |own: &[u32]| -> Vec<String> {
            let placed = place(&devices, links.clone(), &own.iter().copied().collect());
            let replaced = placed.into_iter().filter(|(_, it)| it.is_replaced);
            replaced.map(|(name, _)| name).collect()
        };
        assert_eq!(replaced(&[9]), ["up-peer"]);
        assert!(replaced(&[9, 8]).is_empty());
        assert_eq!(replaced(&[8]), ["acc-home", "acc-next", "acc-office"]);
        assert!(replaced(&[]).is_empty());
    }

    /// Where the links are after `moves`, each of which must find its place free.
    fn moved(now: &[(u32, &str)], wanted: &[(u32, &str)], taken: &[&str]) -> Vec<(u32, String)> {
        let places = |it: &[(u32, &str)]| -> BTreeMap<u32, String> {
            it.iter()
                .map(|(id, name)| (*id, (*name).to_owned()))
                .collect()
        };
        let mut now = places(now);
        let Moves { aside, home } = moves(&now, &places(wanted), &taken.iter().copied().collect());
        for (from, to) in aside.into_iter().chain(home) {
            assert!(now.values().all(|name| *name != to), "{to} is taken");
            let place = now.values_mut().find(|name| **name == from);
            *place.expect("nothing has that name") = to;
        }
        now.into_iter().collect()
    }

    #[test]
    fn every_link_comes_home_and_none_is_lost() {
        for (now, wanted, taken, expected) in [
            // Nothing to do.
            (
                &[(1, "a"), (2, "b")][..],
                &[(1, "a"), (2, "b")][..],
                &["a", "b"][..],
                &[(1, "a"), (2, "b")][..],
            ),
            // Two, and three, that changed their names with one another.
            (
                &[(1, "a"), (2, "b")],
                &[(1, "b"), (2, "a")],
                &["a", "b"],
                &[(1, "b"), (2, "a")],
            ),
            (
                &[(1, "a"), (2, "b"), (3, "c")],
                &[(1, "b"), (2, "c"), (3, "a")],
                &["a", "b", "c"],
                &[(1, "b"), (2, "c"), (3, "a")],
            ),
            // The second is gone, the first has its name, and a new device has the name of the first.
            (
                &[(1, "a"), (2, "b")],
                &[(1, "b")],
                &["a", "b"],
                &[(1, "b"), (2, "link:2")],
            ),
            // No target and in nobody's way.
            (
                &[(1, "a"), (2, "b")],
                &[(1, "a")],
                &["a"],
                &[(1, "a"), (2, "b")],
            ),
            // Cut short between the passes.
            (
                &[(1, "link:1"), (2, "b")],
                &[(1, "b"), (2, "a")],
                &["a", "b"],
                &[(1, "b"), (2, "a")],
            ),
            (&[(1, "link:1")], &[], &["a"], &[(1, "link:1")]),
        ] {
            let found = moved(now, wanted, taken);
            let found: Vec<_> = found
                .iter()
                .map(|(id, name)| (*id, name.as_str()))
                .collect();
            assert_eq!(found, expected, "{now:?} to {wanted:?}");
        }
    }
}
