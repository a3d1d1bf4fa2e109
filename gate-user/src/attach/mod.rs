//! The program on interfaces: by pinned BPF links, replaced in place, in a mode that is never a silent fallback.

mod above;
mod error;
mod links;
mod marks;
mod stripped;
#[cfg(test)]
mod tests;
mod unsent;

use std::{collections::BTreeMap, io, path::Path};

use aya::programs::{
    ProgramError, Xdp,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    xdp::{XdpLink as AyaXdpLink, XdpMode as AyaXdpMode},
};

pub use self::{
    error::AttachError,
    links::{Placed, Places, arrange, detach_others, placed, unblind},
    marks::{Hook, MarkError, mark, marked, put_on, unmark, unmarked},
    stripped::{check_stripped, unseen_vlans},
    unsent::{Uncounted, UnsentError, count_unsent, uncounted},
};
use crate::{
    config::{Config, Missing, Mode},
    pins::Pins,
    sys::{AttachedXdp, Device, XdpLink, XdpMode, details},
};

/// What is to be done on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: String,
    index: u32,
    mode: Mode,
    /// The kernel's number for the gate's link to it.
    link: Option<u32>,
    /// Whether that is pinned under its name.
    settled: bool,
    /// The pin of a link of the gate that has the program run where it judges nothing, and that has to go first.
    blind: Option<String>,
    /// Whether somebody put another program into the link.
    replaced: bool,
}

impl Target {
    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Whether the gate is on it already.
    #[must_use]
    pub fn linked(&self) -> bool {
        self.link.is_some()
    }

    /// Whether the gate was on it in a mode in which nothing is judged.
    #[must_use]
    pub fn was_blind(&self) -> bool {
        self.blind.is_some()
    }

    /// Whether somebody had put another program into the gate's link to it.
    #[must_use]
    pub fn was_replaced(&self) -> bool {
        self.replaced
    }

    /// Whether the gate is on it already, with a link that is pinned under its name and runs the gate's program.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.settled
    }
}

/// An interface that the gate is to be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'n> {
    /// Its name.
    pub name: &'n str,
    /// Which kind of XDP it gets.
    pub mode: Mode,
    /// What is to be done while it does not exist.
    pub missing: Missing,
}

/// Which interfaces of a configuration may be missing.
#[derive(Clone, Copy, Debug)]
pub enum Tolerance<'a> {
    /// Those that may wait, and these, which there were when the generation in force was made: what somebody just wrote may name an interface that
    /// never was. One that was renamed is not missing, and would be opened.
    Known(&'a [String]),
    /// All, and those on which the gate cannot be, which keep it off no other one: nobody asked who could do something about it. What is in force stays in
    /// force, whatever becomes of interfaces. One that was renamed keeps its program.
    Blocked,
}

/// The interfaces of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// Those that there are.
    pub found: Vec<Target>,
    /// Those that are missing.
    pub missing: Vec<Absent>,
    /// Those on which the gate cannot be, by name, and why.
    pub blocked: BTreeMap<String, String>,
}

/// An interface that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// Whether the gate is on it nevertheless: it is in another network namespace.
    pub elsewhere: bool,
}

impl Targets {
    /// Whether the configuration names this interface, although the gate cannot be on it now.
    fn is_wanted(&self, name: &str) -> bool {
        self.blocked.contains_key(name) || self.missing.iter().any(|it| it.name == name)
    }

    /// The index of each, by name.
    #[must_use]
    pub fn indices(&self) -> BTreeMap<String, u32> {
        let index = |target: &Target| (target.name.clone(), target.index);
        self.found.iter().map(index).collect()
    }

    /// The index of the interface of this name; nothing if it is missing.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<u32> {
        let target = self.found.iter().find(|target| target.name == name)?;
        Some(target.index)
    }

    /// Whether nothing is to be done on any: each has its link, pinned under its name, and there are no other pins.
    pub fn settled(&self, pins: &Pins) -> Result<bool, AttachError> {
        let elsewhere = self.missing.iter().filter(|it| it.elsewhere).count();
        Ok(self.found.iter().all(Target::settled)
            && pins.linked()?.len() == self.found.len() + elsewhere)
    }
}

/// Finds out what is to be done on each device, or why it cannot be; changes nothing.
pub fn targets(
    wanted: &[Wanted<'_>],
    devices: &[Device],
    pins: &Pins,
    tolerance: Tolerance<'_>,
) -> Result<Targets, AttachError> {
    targets_of(wanted, devices, &placed(devices, pins)?, tolerance)
}

fn targets_of(
    wanted: &[Wanted<'_>],
    devices: &[Device],
    links: &BTreeMap<String, Placed<'_>>,
    tolerance: Tolerance<'_>,
) -> Result<Targets, AttachError> {
    let mut targets = Targets::default();
    for it in wanted {
        let own = links.get(it.name);
        let on = own.and_then(|it| it.device);
        // Not one whose new name is that of another interface of the configuration: it has that one's role.
        let renamed = on.filter(|device| {
            matches!(tolerance, Tolerance::Blocked)
                && wanted.iter().all(|other| other.name != device.name)
        });
        if let Some(device) = named(it.name, devices).or(renamed) {
            match target(*it, device, links, tolerance) {
                Ok(target) => targets.found.push(target),
                Err(error) if is_borne(tolerance, &error) => {
                    targets
                        .blocked
                        .insert(it.name.to_owned(), error.to_string());
                }
                Err(error) => return Err(error),
            }
        } else if tolerates(tolerance, *it, on.is_some()) {
            targets.missing.push(Absent {
                name: it.name.to_owned(),
                elsewhere: own.is_some_and(Placed::is_elsewhere),
            });
        } else {
            return Err(no_interface(it.name, devices));
        }
    }
    Ok(targets)
}

/// Makes sure that each device exists that may not be missing, which anybody may ask.
pub fn check_present(config: &Config, devices: &[Device]) -> Result<(), AttachError> {
    config.wanted().try_for_each(|it| {
        if named(it.name, devices).is_some() || tolerates(Tolerance::Known(&[]), it, false) {
            Ok(())
        } else {
            Err(no_interface(it.name, devices))
        }
    })
}

fn named<'a>(name: &str, devices: &'a [Device]) -> Option<&'a Device> {
    devices.iter().find(|device| device.name == name)
}

fn tolerates(tolerance: Tolerance<'_>, wanted: Wanted<'_>, renamed: bool) -> bool {
    match tolerance {
        Tolerance::Blocked => true,
        Tolerance::Known(known) => {
            let is_known = known.iter().any(|name| name == wanted.name);
            !renamed && (wanted.missing == Missing::Wait || is_known)
        }
    }
}

/// Whether the others go on without the interface that this keeps the gate off. What was in force on a bond that is blind judged nothing, and keeps no
/// daemon from looking after all the others.
fn is_borne(tolerance: Tolerance<'_>, error: &AttachError) -> bool {
    let AttachError::BlindBond { interface } = error else {
        return matches!(tolerance, Tolerance::Blocked);
    };
    match tolerance {
        Tolerance::Blocked => true,
        Tolerance::Known(known) => known.contains(interface),
    }
}

fn no_interface(name: &str, devices: &[Device]) -> AttachError {
    AttachError::NoInterface {
        interface: name.to_owned(),
        known: devices.iter().map(|device| device.name.clone()).collect(),
    }
}

fn target(
    wanted: Wanted<'_>,
    device: &Device,
    links: &BTreeMap<String, Placed<'_>>,
    tolerance: Tolerance<'_>,
) -> Result<Target, AttachError> {
    let Wanted { name, mode, .. } = wanted;
    let name = name.to_owned();
    // A link is known by its device, since the device may have been renamed.
    let is_on = |it: &Placed<'_>| it.device.is_some_and(|on| on.index == device.index);
    let link = links.iter().find(|(_, it)| is_on(it));
    let native = |it: AttachedXdp| it.mode == XdpMode::Native;
    let own = device.xdp.filter(|_| link.is_some());
    if device.is_bond && mode == Mode::Native && own.is_none_or(native) {
        return Err(AttachError::BlindBond { interface: name });
    }
    let is_blind = device.is_bond && own.is_some_and(native);
    let mode = match mode {
        // The program would get on it, and judge nothing.
        Mode::Auto if device.is_bond => Mode::Generic,
        Mode::Native | Mode::Generic | Mode::Auto => mode,
    };
    match (device.xdp, link) {
        // It judges nothing, and goes.
        (Some(_), Some(_)) if is_blind => {}
        // What is in force stays so, in whatever mode.
        (Some(_), Some(_)) if matches!(tolerance, Tolerance::Blocked) => {}
        (Some(xdp), Some(_)) => check_mode(&name, mode, xdp.mode)?,
        (Some(xdp), _) => {
            return Err(foreign(name, xdp));
        }
        (None, _) => {}
    }
    Ok(Target {
        name,
        index: device.index,
        mode,
        link: link.filter(|_| !is_blind).map(|(_, it)| it.link.id),
        settled: link.is_some_and(|(pin, it)| *pin == wanted.name && !is_blind && !it.is_replaced),
        replaced: link.is_some_and(|(_, it)| it.is_replaced && !is_blind),
        blind: link.filter(|_| is_blind).map(|(pin, _)| pin.clone()),
    })
}

/// The error that somebody's program is on an interface.
fn foreign(interface: String, AttachedXdp { program, mode }: AttachedXdp) -> AttachError {
    AttachError::Foreign {
        interface,
        name: program_name(program),
        program,
        mode,
    }
}

/// The name of somebody's program, which takes `CAP_SYS_ADMIN` to learn.
fn program_name(id: u32) -> Option<String> {
    let program = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)?;
    // One that was loaded without a name has an empty one.
    let name = program.name_as_str().filter(|name| !name.is_empty())?;
    Some(name.to_owned())
}

/// Where the program runs on each interface, by name; an error if it does not.
pub fn modes<'t>(
    targets: impl Iterator<Item = &'t Target>,
    devices: &[Device],
) -> Result<BTreeMap<String, XdpMode>, AttachError> {
    let mode = |target: &Target| {
        let device = devices.iter().find(|device| device.index == target.index);
        let xdp = device.and_then(|device| device.xdp);
        let name = target.name.clone();
        match xdp {
            Some(xdp) => Ok((name, xdp.mode)),
            None => Err(AttachError::Gone { interface: name }),
        }
    };
    targets.map(mode).collect()
}

fn check_mode(name: &str, mode: Mode, found: XdpMode) -> Result<(), AttachError> {
    let wanted = match mode {
        Mode::Auto => found,
        Mode::Native => XdpMode::Native,
        Mode::Generic => XdpMode::Generic,
    };
    if wanted == found {
        Ok(())
    } else {
        Err(AttachError::OtherMode {
            interface: name.to_owned(),
            found,
            wanted,
        })
    }
}

/// Puts the program on an interface: replaces the gate's own in place, or attaches it anew and pins the link. The pins
/// of all targets have to be arranged before.
pub fn attach(program: &mut Xdp, target: &Target, pins: &Pins) -> Result<(), AttachError> {
    let path = pins.link(&target.name);
    if target.linked() {
        return update(program, &target.name, &path);
    }
    let refused = |error| {
        taken(target).unwrap_or_else(|| AttachError::Refused {
            interface: target.name.clone(),
            error: Box::new(error),
        })
    };
    let id = match target.mode {
        Mode::Native => program
            .attach_to_if_index(target.index, AyaXdpMode::Driver)
            .map_err(|error| taken(target).unwrap_or_else(|| native(target, error)))?,
        Mode::Generic => program
            .attach_to_if_index(target.index, AyaXdpMode::Skb)
            .map_err(refused)?,
        Mode::Auto => match program.attach_to_if_index(target.index, AyaXdpMode::Driver) {
            Err(error) if lacks_native(&error).is_some() => program
                .attach_to_if_index(target.index, AyaXdpMode::Skb)
                .map_err(refused)?,
            result => result.map_err(refused)?,
        },
    };
    let link = program.take_link(id).map_err(refused)?;
    // aya falls back to netlink where the kernel has no link to offer. What it attached that way is detached again when
    // the link is dropped here.
    let link = FdLink::try_from(link).map_err(|_: LinkError| AttachError::NetlinkOnly {
        interface: target.name.clone(),
    })?;
    link.pin(&path).map_err(|error| AttachError::Link {
        interface: target.name.clone(),
        error: io::Error::other(error),
    })?;
    Ok(())
}

/// That somebody's program is on the interface now, which had none when it was looked at, or on a device on top of it. Whatever the kernel says then
/// (`EBUSY`, `EEXIST`, or what becomes of aya's attempt by netlink), this is why.
fn taken(target: &Target) -> Option<AttachError> {
    let devices = details().ok()?;
    let device = devices.iter().find(|it| it.device.index == target.index)?;
    let interface = target.name.clone();
    if let Some(xdp) = device.device.xdp {
        return Some(foreign(interface, xdp));
    }
    let (above, program) = above::program(&devices, device)?;
    Some(AttachError::Below {
        interface,
        above,
        program,
    })
}

/// Replaces the gate's own program on interfaces that are in another network namespace, which a look at the devices here does not find. A link takes
/// a program from any namespace.
pub fn replace_elsewhere(
    program: &mut Xdp,
    targets: &Targets,
    pins: &Pins,
) -> Result<(), AttachError> {
    for absent in targets.missing.iter().filter(|it| it.elsewhere) {
        let path = pins.link(&absent.name);
        let result = update(program, &absent.name, &path);
        // Unless it went meanwhile.
        if result.is_err() && XdpLink::open(&path).is_ok_and(|it| it.interface == 0) {
            continue;
        }
        result?;
    }
    Ok(())
}

fn update(program: &mut Xdp, interface: &str, path: &Path) -> Result<(), AttachError> {
    let failed = |error: LinkError| AttachError::Link {
        interface: interface.to_owned(),
        error: io::Error::other(error),
    };
    let link = FdLink::from(PinnedLink::from_pin(path).map_err(failed)?);
    let link = AyaXdpLink::try_from(link).map_err(failed)?;
    let refused = |error| AttachError::Refused {
        interface: interface.to_owned(),
        error: Box::new(error),
    };
    let id = program.attach_to_link(link).map_err(refused)?;
    // The pin keeps the link; this descriptor of it is not needed any more.
    drop(program.take_link(id).map_err(refused)?);
    Ok(())
}

fn native(target: &Target, error: ProgramError) -> AttachError {
    let interface = target.name.clone();
    match lacks_native(&error) {
        Some(error) => AttachError::NoNative { interface, error },
        None => AttachError::Refused {
            interface,
            error: Box::new(error),
        },
    }
}

/// What the kernel says where a driver has no native XDP, or not with the MTU, the offloads or the queues (`ENOSPC`: veth) that the
/// device has now.
fn lacks_native(error: &ProgramError) -> Option<io::Error> {
    // aya tries netlink after EINVAL, so that the number can be anywhere in the chain.
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let number = error.raw_os_error()?;
            let native = matches!(
                number,
                libc::EOPNOTSUPP | libc::ERANGE | libc::EINVAL | libc::ENOSPC
            );
            return native.then(|| io::Error::from_raw_os_error(number));
        }
        source = error.source();
    }
    None
}
