//! The program on interfaces: by pinned BPF links, replaced in place, in a mode that is never a silent fallback.

mod links;
mod stripped;
mod unsent;

use std::{collections::BTreeMap, io};

use aya::programs::{
    ProgramError, Xdp,
    links::{FdLink, LinkError, PinnedLink},
    loaded_programs,
    xdp::{XdpLink as AyaXdpLink, XdpMode as AyaXdpMode},
};

use self::links::{Pinned, pinned};
pub use self::{
    links::{Places, arrange, detach_others},
    stripped::check_stripped,
    unsent::{Uncounted, UnsentError, count_unsent, uncounted},
};
use crate::{
    config::{Config, InterfaceConfig, Mode},
    error::whole,
    pins::{Pins, PinsError},
    sys::{Device, XdpMode},
};

/// An interface that the program cannot be put on.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It does not exist.
    #[error("{interface}: there is no such interface in this network namespace (there are: {})", known.join(", "))]
    NoInterface {
        /// Its name.
        interface: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// Somebody else's program is on it.
    #[error("{interface}: another XDP program (id {program}{name}, {mode} mode) is attached", name = named(.name.as_ref()), mode = mode.name())]
    Foreign {
        /// Its name.
        interface: String,
        /// The program's name; nothing if this process may not ask.
        name: Option<String>,
        /// The kernel's number for the program.
        program: u32,
        /// Where it runs.
        mode: XdpMode,
    },
    /// It runs in another mode than the configuration wants.
    #[error("{interface}: the gate runs in {found} mode, and the configuration wants {wanted}", found = found.name(), wanted = wanted.name())]
    OtherMode {
        /// Its name.
        interface: String,
        /// The mode in force.
        found: XdpMode,
        /// The mode wanted.
        wanted: XdpMode,
    },
    /// The driver cannot run it.
    #[error(
        "{interface}: the driver has no native XDP, or not with this MTU or these offloads: {error}"
    )]
    NoNative {
        /// Its name.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// Roles go by VLAN, and the device takes VLAN tags off.
    #[error(
        "{interface}: its `vlans` have roles, but the device takes VLAN tags off frames before the program sees them (rx-vlan-offload is on)"
    )]
    Stripped {
        /// Its name.
        interface: String,
    },
    /// Whether the device takes VLAN tags off cannot be asked.
    #[error("{interface}: cannot ask whether the device takes VLAN tags off frames: {error}")]
    Ethtool {
        /// Its name.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// It is not on it, although nothing failed.
    #[error("{interface}: the program was attached, and is not there any more")]
    Gone {
        /// Its name.
        interface: String,
    },
    /// The kernel would attach it in a way that cannot outlive the daemon.
    #[error(
        "{interface}: the kernel offers no BPF link for XDP here, only an attachment by netlink that cannot be pinned"
    )]
    NetlinkOnly {
        /// Its name.
        interface: String,
    },
    /// The kernel refused for another reason.
    #[error("{interface}: cannot attach the program: {}", whole(&**.error))]
    Refused {
        /// Its name.
        interface: String,
        /// What the kernel said.
        error: Box<ProgramError>,
    },
    /// A pinned link could not be read or made.
    #[error("{interface}: cannot use the pinned link: {}", whole(.error))]
    Link {
        /// Its name.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The pins could not be changed.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

impl AttachError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoInterface { .. } => "check `name` under [[interface]]; `ip link` lists the interfaces".to_owned(),
            Self::Foreign { interface, program, .. } => format!(
                "`bpftool prog show id {program}` says whose it is; `ip link set dev {interface} xdp off` removes one that was attached by ip"
            ),
            Self::OtherMode { .. } => {
                "a mode cannot be changed in place: `gate detach`, which opens the gate, then start again; or set `mode` to the one in force".to_owned()
            }
            Self::NoNative { .. } => "set `mode = \"generic\"` or `mode = \"auto\"` for it under [[interface]]".to_owned(),
            Self::Stripped { interface } => format!(
                "`ethtool -K {interface} rxvlan off` leaves the tags in the frames; or say under its [[interface]] what frames without a tag are: `stripped = \"access\"`, \"uplink\" or \"pass\""
            ),
            Self::Ethtool { interface, .. } => format!("`ethtool -k {interface}` asks the same"),
            Self::NetlinkOnly { .. } => "the gate needs Linux 6.1 or later and a device that takes XDP links".to_owned(),
            Self::Gone { interface } | Self::Refused { interface, .. } => format!("`ip -details link show {interface}` and the kernel log may say more"),
            Self::Link { .. } => "`gate detach` removes the gate's pins; then start again".to_owned(),
            Self::Pins(error) => error.hint(),
        }
    }
}

/// What is to be done on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    name: String,
    index: u32,
    mode: Mode,
    /// The gate's link to it.
    link: Option<Pinned>,
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

    /// Whether the gate is on it already, with a link that is pinned under its name.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.link.as_ref().is_some_and(|it| it.name == self.name)
    }
}

/// Finds out what is to be done on each device, or why it cannot be; changes nothing.
pub fn targets(
    config: &Config,
    devices: &[Device],
    pins: &Pins,
) -> Result<Vec<Target>, AttachError> {
    config
        .devices()
        .map(|interface| target(interface, find(interface, devices)?, pins))
        .collect()
}

/// Makes sure that each device exists, which anybody may ask.
pub fn check_present(config: &Config, devices: &[Device]) -> Result<(), AttachError> {
    config
        .devices()
        .try_for_each(|interface| find(interface, devices).map(|_| ()))
}

fn find<'a>(interface: &InterfaceConfig, devices: &'a [Device]) -> Result<&'a Device, AttachError> {
    let device = devices.iter().find(|device| device.name == interface.name);
    device.ok_or_else(|| AttachError::NoInterface {
        interface: interface.name.clone(),
        known: devices.iter().map(|device| device.name.clone()).collect(),
    })
}

fn target(
    interface: &InterfaceConfig,
    device: &Device,
    pins: &Pins,
) -> Result<Target, AttachError> {
    let name = interface.name.clone();
    // A link is known by its device, since the device may have been renamed.
    let link = pinned(pins)?
        .into_iter()
        .find(|it| it.link.interface == device.index);
    match (device.xdp, &link) {
        (Some(xdp), Some(Pinned { link, .. })) if xdp.program == link.program => {
            check_mode(interface, xdp.mode)?;
        }
        (Some(xdp), _) => {
            return Err(AttachError::Foreign {
                interface: name,
                name: program_name(xdp.program),
                program: xdp.program,
                mode: xdp.mode,
            });
        }
        (None, _) => {}
    }
    Ok(Target {
        name,
        index: device.index,
        mode: interface.mode,
        link,
    })
}

/// The name of somebody's program, which takes `CAP_SYS_ADMIN` to learn.
fn program_name(id: u32) -> Option<String> {
    let program = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)?;
    Some(program.name_as_str()?.to_owned())
}

fn named(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!(", {name}"))
}

/// Where the program runs on each interface, by name; an error if it does not.
pub fn modes(
    targets: &[Target],
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
    targets.iter().map(mode).collect()
}

fn check_mode(interface: &InterfaceConfig, found: XdpMode) -> Result<(), AttachError> {
    let wanted = match interface.mode {
        Mode::Auto => found,
        Mode::Native => XdpMode::Native,
        Mode::Generic => XdpMode::Generic,
    };
    if wanted == found {
        Ok(())
    } else {
        Err(AttachError::OtherMode {
            interface: interface.name.clone(),
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
        return update(program, target, &path);
    }
    let refused = |error| AttachError::Refused {
        interface: target.name.clone(),
        error: Box::new(error),
    };
    let id = match target.mode {
        Mode::Native => program
            .attach_to_if_index(target.index, AyaXdpMode::Driver)
            .map_err(|error| native(target, error))?,
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

fn update(program: &mut Xdp, target: &Target, path: &std::path::Path) -> Result<(), AttachError> {
    let failed = |error: LinkError| AttachError::Link {
        interface: target.name.clone(),
        error: io::Error::other(error),
    };
    let link = FdLink::from(PinnedLink::from_pin(path).map_err(failed)?);
    let link = AyaXdpLink::try_from(link).map_err(failed)?;
    let refused = |error| AttachError::Refused {
        interface: target.name.clone(),
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
