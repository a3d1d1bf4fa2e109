//! The program that sets the skb mark, on the uplinks: by a pinned TCX link, or, where the kernel has none (before 6.6), as a filter of
//! clsact.
//!
//! The gate judges without it: where it cannot be had, that is said, and nothing else is different. It runs before the programs that are
//! there already, and hands every packet on to them. A filter of clsact cannot be pinned, but stays until it is removed: it is known by
//! its priority, its handle and its name, and nobody else's is touched.

use std::{fs, io, mem, path::Path};

use aya::programs::{
    LinkOrder, ProgramError, TcAttachType,
    links::{FdLink, LinkError, PinnedLink},
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact},
};
use gate_common::abi::MARKER;
use serde::Serialize;

use super::Target;
use crate::{
    error::whole,
    kernel::Gate,
    pins::{Pins, PinsError},
    sys::{Device, TcxLink, devices, ingress_filters, remove_empty_clsact},
};

/// The priority of the gate's filter: before those of most others, behind those that must come first.
const PRIORITY: u16 = 2;
/// Its handle, which no tool chooses by itself: they count from 1.
const HANDLE: TcHandle = TcHandle::new(0, 0x6761);
/// What the pins say of a filter.
const CLSACT: &str = "clsact";
/// The same, where the gate made the queueing discipline that it is on.
const MADE: &str = "made-clsact";

/// How the program is on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// By a TCX link.
    Tcx,
    /// As a filter of clsact.
    Clsact,
}

impl Hook {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// Why the skb mark is not set, or not everywhere.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The program cannot be loaded or attached.
    #[error("{interface}: {}", whole(&**.error))]
    Refused {
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: Box<ProgramError>,
    },
    /// A link, or a filter, cannot be read, made or removed.
    #[error("{interface}: {}", whole(.error))]
    System {
        /// The interface.
        interface: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The pins could not be changed.
    #[error(transparent)]
    Pins(#[from] PinsError),
}

impl MarkError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Refused { .. } | Self::System { .. } => {
                "the kernel has to be built with CONFIG_NET_XGRESS=y, or before 6.6 with CONFIG_NET_CLS_ACT=y and CONFIG_NET_CLS_BPF; \
                 `gate reload` tries again"
                    .to_owned()
            }
            Self::Pins(error) => error.hint(),
        }
    }

    /// What the operator reads about it.
    #[must_use]
    pub fn warning(&self) -> String {
        format!(
            "the skb mark is not set everywhere: {self}; {}",
            self.hint()
        )
    }

    fn refused(interface: &str) -> impl FnOnce(ProgramError) -> Self {
        let interface = interface.to_owned();
        move |error| Self::Refused {
            interface,
            error: Box::new(error),
        }
    }

    fn system(interface: &str) -> impl FnOnce(io::Error) -> Self {
        let interface = interface.to_owned();
        move |error| Self::System { interface, error }
    }
}

/// Has the skb mark set on the targets of these names, and nowhere else.
pub fn mark(
    gate: &mut Gate,
    targets: &[Target],
    wanted: &[String],
    pins: &Pins,
) -> Result<(), MarkError> {
    let wanted: Vec<&Target> = targets
        .iter()
        .filter(|it| wanted.contains(&it.name))
        .collect();
    let marked = pins.marked()?;
    let needless = marked
        .iter()
        .filter(|index| wanted.iter().all(|it| it.index != **index));
    for index in needless {
        take_off(*index, pins)?;
    }
    // Each on its own: what is missing on one keeps no other from it.
    let put: Vec<_> = wanted
        .into_iter()
        .map(|it| put_on(gate, &it.name, it.index, None, pins))
        .collect();
    put.into_iter().collect()
}

/// Takes the program off every interface, and returns their names.
pub fn unmark(pins: &Pins) -> Result<Vec<String>, MarkError> {
    let names = pins.marked()?.into_iter().map(|it| take_off(it, pins));
    let names: Vec<Option<String>> = names.collect::<Result<_, _>>()?;
    Ok(names.into_iter().flatten().collect())
}

/// How the program is on the interface with this index, if it is.
#[must_use]
pub fn marked(index: u32, pins: &Pins) -> Option<Hook> {
    let path = pins.mark(index);
    if path.is_symlink() {
        return has_filter(index).is_ok_and(|it| it).then_some(Hook::Clsact);
    }
    TcxLink::open(&path)
        .is_ok_and(|link| link.interface == index)
        .then_some(Hook::Tcx)
}

/// Those of the targets on which the program should be, since they are among `wanted`, and is not.
#[must_use]
pub fn unmarked<'t>(wanted: &[String], targets: &'t [Target], pins: &Pins) -> Vec<&'t str> {
    let wanted = targets.iter().filter(|it| wanted.contains(&it.name));
    wanted
        .filter(|it| marked(it.index, pins).is_none())
        .map(Target::name)
        .collect()
}

/// Puts the program on an interface: replaces the gate's own in place, or attaches it anew, by `hook` if one is given.
pub fn put_on(
    gate: &mut Gate,
    name: &str,
    index: u32,
    hook: Option<Hook>,
    pins: &Pins,
) -> Result<(), MarkError> {
    let path = pins.mark(index);
    let noted = path.is_symlink();
    if !noted && marked(index, pins).is_some() {
        return update(gate, name, &path);
    }
    if !noted {
        // A link that is on nothing any more.
        pins.remove(&path)?;
    }
    let by_filter = match hook {
        Some(hook) => hook == Hook::Clsact,
        None => noted,
    };
    if !by_filter {
        match link(gate, name, &path) {
            Err(MarkError::Refused { error, .. }) if hook.is_none() && lacks_tcx(&error) => {}
            result => return result,
        }
    }
    filter(gate, name, index, pins)
}

/// What the kernel says where it has no TCX.
fn lacks_tcx(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::EINVAL))
}

fn link(gate: &mut Gate, name: &str, path: &Path) -> Result<(), MarkError> {
    let program = gate.marker().map_err(MarkError::refused(name))?;
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program
        .attach_with_options(name, TcAttachType::Ingress, options)
        .map_err(MarkError::refused(name))?;
    let link = program.take_link(id).map_err(MarkError::refused(name))?;
    let failed = |error: LinkError| MarkError::system(name)(io::Error::other(error));
    let pinned = FdLink::try_from(link).map_err(failed)?.pin(path);
    pinned.map_err(|error| MarkError::system(name)(io::Error::other(error)))?;
    Ok(())
}

fn update(gate: &mut Gate, name: &str, path: &Path) -> Result<(), MarkError> {
    let failed = |error: LinkError| MarkError::system(name)(io::Error::other(error));
    let link = FdLink::from(PinnedLink::from_pin(path).map_err(failed)?);
    let link = SchedClassifierLink::try_from(link).map_err(failed)?;
    let program = gate.marker().map_err(MarkError::refused(name))?;
    let id = program
        .attach_to_link(link)
        .map_err(MarkError::refused(name))?;
    // The pin keeps the link; this descriptor of it is not needed any more.
    drop(program.take_link(id).map_err(MarkError::refused(name))?);
    Ok(())
}

fn filter(gate: &mut Gate, name: &str, index: u32, pins: &Pins) -> Result<(), MarkError> {
    let made = match qdisc_add_clsact(name) {
        Ok(()) => true,
        Err(error) if exists(&error) => noted(index, pins).as_deref() == Some(MADE),
        Err(error) => return Err(MarkError::refused(name)(error.into())),
    };
    // Before the filter: what is noted and not there is put there again, and what is there and not noted would stay for good.
    pins.note_mark(index, if made { MADE } else { CLSACT })?;
    let program = gate.marker().map_err(MarkError::refused(name))?;
    let id = if has_filter(index).map_err(MarkError::system(name))? {
        let link = known_filter(name).map_err(MarkError::system(name))?;
        program.attach_to_link(link)
    } else {
        let options = NlOptions {
            priority: PRIORITY,
            handle: HANDLE,
            classid: None,
        };
        program.attach_with_options(
            name,
            TcAttachType::Ingress,
            TcAttachOptions::Netlink(options),
        )
    };
    let id = id.map_err(MarkError::refused(name))?;
    // Dropped, it would take the filter away.
    mem::forget(program.take_link(id).map_err(MarkError::refused(name))?);
    Ok(())
}

fn exists(error: &TcError) -> bool {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error() == Some(libc::EEXIST),
        TcError::IoError(error) => error.raw_os_error() == Some(libc::EEXIST),
        TcError::AlreadyAttached => true,
        TcError::NulError(_) | TcError::InvalidTcxAttach(_) | TcError::InvalidLinkOperation => {
            false
        }
    }
}

/// The word that the pins have for the filter on an interface.
fn noted(index: u32, pins: &Pins) -> Option<String> {
    let word = fs::read_link(pins.mark(index)).ok()?;
    Some(word.to_string_lossy().into_owned())
}

fn known_filter(name: &str) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(name, TcAttachType::Ingress, PRIORITY, HANDLE, None)
}

/// Whether the gate's filter is on the interface.
fn has_filter(index: u32) -> io::Result<bool> {
    let filters = ingress_filters(index)?;
    let handle = u32::from(HANDLE);
    Ok(filters
        .iter()
        .any(|it| (it.priority, it.handle) == (PRIORITY, handle) && it.name == MARKER))
}

/// Takes the program off the interface with this index, and returns its name if there is such an interface.
fn take_off(index: u32, pins: &Pins) -> Result<Option<String>, MarkError> {
    let devices = devices().map_err(MarkError::system("the network interfaces"))?;
    let device = devices.into_iter().find(|it| it.index == index);
    let Some(Device { name, .. }) = device else {
        pins.remove(&pins.mark(index))?;
        return Ok(None);
    };
    if let Some(word) = noted(index, pins) {
        if has_filter(index).map_err(MarkError::system(&name))? {
            // What detaches is dropping it; said aloud, for the error.
            let link = known_filter(&name).map_err(MarkError::system(&name))?;
            aya::programs::links::Link::detach(link).map_err(MarkError::refused(&name))?;
        }
        if word == MADE {
            remove_empty_clsact(index).map_err(MarkError::system(&name))?;
        }
    }
    pins.remove(&pins.mark(index))?;
    Ok(Some(name))
}
