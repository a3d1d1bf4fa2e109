//! The programs that count answers that failed to leave, on their tracepoints.
//!
//! The gate judges without them: where they cannot be had, that is said, and nothing else is different. The link of a daemon before is
//! replaced by a new one, which is there before the old one goes: an answer that fails in that instant can be counted twice, and none is
//! missed.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
};

use aya::{
    pin::PinError,
    programs::{ProgramError, links::FdLink},
};
use gate_common::abi::{DEVICES, DeviceKey, TRACEPOINTS, maps};

use super::{Placed, Target};
use crate::{
    error::whole,
    kernel::{Gate, KernelError},
    pins::{Pins, PinsError},
    sys::{Access, Device, Map, TracepointLink},
};

/// The network namespace of this process.
const NETNS: &str = "/proc/self/ns/net";

/// Why answers that fail to leave are not counted, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum UnsentError {
    /// The program cannot know which interface it is about.
    #[error("{0}")]
    Blind(String),
    /// The network namespace has no number.
    #[error("{NETNS}: {0}")]
    Netns(io::Error),
    /// The map of counters cannot be changed.
    #[error(transparent)]
    Map(#[from] KernelError),
    /// A program cannot be loaded, or cannot be put on its tracepoint.
    #[error("tracepoint {tracepoint}: {}", whole(&**.error))]
    Tracepoint {
        /// The tracepoint.
        tracepoint: &'static str,
        /// What the kernel said.
        error: Box<ProgramError>,
    },
    /// A link cannot be pinned.
    #[error("tracepoint {tracepoint}: cannot pin the link: {}", whole(.error))]
    Pin {
        /// The tracepoint.
        tracepoint: &'static str,
        /// What the kernel said.
        error: PinError,
    },
    /// The pins could not be changed.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

impl UnsentError {
    /// What the operator reads about it.
    #[must_use]
    pub fn warning(&self) -> String {
        let hint = match self {
            Self::Blind(_) => {
                "the kernel has to be built with CONFIG_DEBUG_INFO_BTF=y".to_owned()
            }
            Self::Tracepoint { .. } => {
                "the kernel has to be built with CONFIG_BPF_EVENTS=y, and the gate needs CAP_BPF and CAP_PERFMON".to_owned()
            }
            Self::Map(KernelError::Map { error, .. })
                if error.raw_os_error() == Some(libc::E2BIG) =>
            {
                format!("there are counters for {DEVICES} interfaces, and `gate status` names those that have none")
            }
            Self::Map(error) => error.hint(),
            Self::Pins(error) => error.hint(),
            Self::Netns(_) | Self::Pin { .. } => "`gate reload` tries again".to_owned(),
        };
        format!("answers that fail to leave are not all counted: {self}; {hint}")
    }
}

/// Counts answers that fail to leave by these interfaces, and by no others: from zero where the gate is new, whoever had the index
/// before.
pub fn count_unsent(gate: &mut Gate, targets: &[Target], pins: &Pins) -> Result<(), UnsentError> {
    if let Some(error) = gate.blind() {
        return Err(UnsentError::Blind(error.to_string()));
    }
    let netns = netns().map_err(UnsentError::Netns)?;
    let key = |target: &Target| DeviceKey {
        netns,
        index: target.index,
    };
    let adopted = targets.iter().filter(|it| it.linked()).map(key);
    let entries = gate
        .maps
        .count_unsent(&adopted.collect::<Vec<_>>())
        .and_then(|()| {
            let all = targets.iter().map(key).collect::<Vec<_>>();
            gate.maps.count_unsent(&all)
        });
    // Each counts on its own: what is missing keeps nothing else from it.
    let attached = TRACEPOINTS.map(|tracepoint| attach(gate, tracepoint, pins));
    entries?;
    attached.into_iter().collect()
}

/// What is not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncounted {
    /// No program of the gate is on this tracepoint.
    Tracepoint(&'static str),
    /// There are no counters for these interfaces, which the gate is on.
    Interfaces(Vec<String>),
}

impl fmt::Display for Uncounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint(name) => {
                write!(f, "no program of the gate is on the tracepoint {name}")
            }
            Self::Interfaces(names) => write!(f, "there is no counter for {}", names.join(", ")),
        }
    }
}

/// What of the answers that fail to leave is not counted.
pub fn uncounted(links: &BTreeMap<String, Placed<'_>>, pins: &Pins) -> Vec<Uncounted> {
    let missing = |name: &&str| TracepointLink::open(&pins.tracepoint(name)).is_err();
    let tracepoints: Vec<_> = TRACEPOINTS.into_iter().filter(missing).collect();
    // What cannot be read counts nothing that anybody could see.
    let counted: HashMap<DeviceKey, u64> = Map::open(&pins.map(maps::UNSENT), Access::Read)
        .and_then(|map| map.entries())
        .unwrap_or_default();
    let has_counter = |device: &Device| counted.keys().any(|key| key.index == device.index);
    let names: Vec<String> = links
        .iter()
        .filter(|(_, link)| link.device.is_some_and(|it| !has_counter(it)))
        .map(|(name, _)| name.clone())
        .collect();
    // Without any program nobody needs a counter.
    let needed = tracepoints.len() < TRACEPOINTS.len() && !names.is_empty();
    let interfaces = needed.then_some(Uncounted::Interfaces(names));
    tracepoints
        .into_iter()
        .map(Uncounted::Tracepoint)
        .chain(interfaces)
        .collect()
}

/// The number of this process's network namespace.
fn netns() -> io::Result<u32> {
    u32::try_from(fs::metadata(NETNS)?.ino()).map_err(io::Error::other)
}

fn attach(gate: &mut Gate, tracepoint: &'static str, pins: &Pins) -> Result<(), UnsentError> {
    let failed = |error| UnsentError::Tracepoint {
        tracepoint,
        error: Box::new(error),
    };
    let program = gate.tracepoint(tracepoint).map_err(failed)?;
    let own = program.info().map_err(failed)?.id();
    if TracepointLink::open(&pins.tracepoint(tracepoint)).is_ok_and(|it| it.program == own) {
        return Ok(());
    }
    // What a start that was cut short left.
    let next = pins.next_tracepoint(tracepoint);
    pins.remove(&next)?;
    let id = program.attach(tracepoint).map_err(failed)?;
    let link = FdLink::from(program.take_link(id).map_err(failed)?);
    link.pin(&next)
        .map_err(|error| UnsentError::Pin { tracepoint, error })?;
    Ok(pins.settle_tracepoint(tracepoint)?)
}
