//! Why the gate in force cannot be asked about a packet.

use std::net::IpAddr;

use etherparse::err::packet::BuildWriteError;

use crate::error::Exit;

/// Why the gate in force cannot be asked about a packet.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No packet goes from one family to the other.
    #[error(
        "no packet goes from {from} to {to}: one is an IPv4 address, the other an IPv6 address"
    )]
    Families {
        /// Where it comes from.
        from: IpAddr,
        /// Where it goes to.
        to: IpAddr,
    },
    /// Several interfaces are possible.
    #[error("it could arrive at {}", list(.interfaces))]
    Where {
        /// What they are called.
        interfaces: Vec<String>,
    },
    /// The generation has no such interface.
    #[error("generation {generation} has no {wanted}; it has {}", list(.interfaces))]
    NoInterface {
        /// Its number.
        generation: u32,
        /// What was asked for.
        wanted: String,
        /// What the interfaces are called that it has.
        interfaces: Vec<String>,
    },
    /// The device is open.
    #[error(
        "{interface}: open, no program of the gate is on it: every packet passes there, unjudged"
    )]
    Open {
        /// The device.
        interface: String,
    },
    /// The program is on the device, and the generation does not know it.
    #[error(
        "{interface}: open, generation {generation} was made before it had its index {index}: every packet passes there, unjudged"
    )]
    Unknown {
        /// The device.
        interface: String,
        /// Its index.
        index: u32,
        /// The generation in force.
        generation: u32,
    },
    /// The device is not here.
    #[error(
        "{interface}: the device that the gate is attached to is not in this network namespace"
    )]
    Elsewhere {
        /// The device.
        interface: String,
    },
    /// What is attached is another program.
    #[error(
        "{interface}: the attached program has the tag {attached}, that of this gate has {own}: another build put it in force"
    )]
    OtherProgram {
        /// The device.
        interface: String,
        /// The tag of the program that judges there.
        attached: String,
        /// The tag of the program that this binary has.
        own: String,
    },
    /// The kernel and the host disagree.
    #[error(
        "the program in the kernel says {kernel}, and the same decision in this process says {host}"
    )]
    Disagree {
        /// What the program did.
        kernel: String,
        /// What this process came to.
        host: String,
    },
    /// The packet cannot be made.
    #[error("the packet cannot be made: {0}")]
    Packet(#[source] BuildWriteError),
}

impl ExplainError {
    /// The exit code of a command that fails so.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Families { .. } | Self::Where { .. } | Self::NoInterface { .. } => Exit::Usage,
            Self::Open { .. } | Self::Unknown { .. } => Exit::Degraded,
            Self::OtherProgram { .. } => Exit::Conflict,
            Self::Elsewhere { .. } | Self::Disagree { .. } | Self::Packet(_) => Exit::Failed,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Families { .. } => {
                "ask about each family by itself: name two IPv4 addresses, or two IPv6 addresses"
            }
            Self::Where { .. } => {
                "say where with `--in NAME`, and with `--vlan ID` where VLANs have roles"
            }
            Self::NoInterface { .. } => "`gate status` lists the interfaces and their roles",
            Self::Open { .. } => {
                "`gate reload` attaches it again, or `gate run --config FILE` where no daemon runs; `gate status` shows all that is open"
            }
            Self::Unknown { .. } => {
                "the daemon makes a generation for it, and its log says why it cannot; `gate run --config FILE` does where no daemon runs"
            }
            Self::Elsewhere { .. } => {
                "run it in the daemon's network namespace, for example with `nsenter --net=/run/netns/NAME`; `gate status` says whether the \
                 device is gone"
            }
            Self::OtherProgram { .. } => {
                "ask with the binary that runs, or put this one in force by starting its daemon anew (`gate run --config FILE`), which replaces \
                 the program without a gap"
            }
            Self::Disagree { .. } => {
                "this is a fault of the gate or of this machine's memory: ask again, and report it with both answers if it stays"
            }
            Self::Packet(_) => "this is a fault of the gate: report it with the addresses and the port",
        }
        .to_owned()
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
