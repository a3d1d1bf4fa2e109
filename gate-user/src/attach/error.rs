//! Why the program cannot be on an interface, and what to do about it.

use std::io;

use aya::programs::ProgramError;

use crate::{error::whole, pins::PinsError, sys::XdpMode};

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
    #[error("{interface}: another XDP program (id {program}{name}, {mode} mode) is attached", name = described(.name.as_ref()), mode = mode.name())]
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
    /// It is a bond, and the mode is native: the bond has the program run on its ports, and each frame is one of the port that it came by.
    #[error(
        "{interface}: is a bond, which runs a program in native mode on its ports, as if frames came by those: what has the name of the bond is never asked"
    )]
    BlindBond {
        /// Its name.
        interface: String,
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
    /// A device on top of it has a program, such as the bond that it is a port of.
    #[error(
        "{interface}: {above}, which is on top of it, has an XDP program (id {program}): the kernel takes no other one below that"
    )]
    Below {
        /// Its name.
        interface: String,
        /// The name of the other device.
        above: String,
        /// The kernel's number for the program there.
        program: u32,
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
            Self::NoInterface { .. } => {
                "check `name` under [[interface]]; `ip link` lists the interfaces. One that comes later may say `missing = \"wait\"`".to_owned()
            }
            Self::Foreign { interface, program, .. } => format!(
                "`bpftool prog show id {program}` says whose it is; `ip link set dev {interface} xdp off` removes one that was attached by ip"
            ),
            Self::OtherMode { .. } => {
                "a mode cannot be changed in place: `gate detach`, which opens the gate, then start again; or set `mode` to the one in force".to_owned()
            }
            Self::BlindBond { interface } => format!(
                "name its ports under [[interface]] instead (`ip link show master {interface}` lists them); or set `mode = \"generic\"` or `\"auto\"` for the bond"
            ),
            Self::Below { above, program, .. } => format!(
                "name {above} instead; or take that program off first: if it is the gate's (`gate status` names {above}), `gate detach`, which opens the gate, then start again. \
                 The rules of `gate boot-rules` keep port 25 closed meanwhile; `bpftool prog show id {program}` says whose it is"
            ),
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

fn described(name: Option<&String>) -> String {
    name.map_or_else(String::new, |name| format!(", {name}"))
}
