//! Why there is no answer about a tag, and what to do about it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gate_common::abi::ABI_VERSION;

use crate::{kernel::KernelError, pins::Pins};

/// Versions of the map ABI that are looked for where there are no pins of this one. (Readers cannot list the directory.)
const VERSIONS: u32 = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// No generation is in force.
    #[error("{pins}: no gate is loaded here", pins = pins.display())]
    NotLoaded {
        /// Where it was looked for.
        pins: PathBuf,
    },
    /// A gate of another version is loaded.
    #[error(
        "{pins}: the gate that is loaded here has map ABI {found}; this reader has map ABI {ABI_VERSION}",
        pins = pins.display()
    )]
    OtherVersion {
        /// Where it is.
        pins: PathBuf,
        /// The version of its map ABI.
        found: u32,
    },
    /// The process may not get to a pin.
    #[error("{path}: this process may not read it{}", barrier(path))]
    Denied {
        /// The pin.
        path: PathBuf,
    },
    /// A pin could not be opened.
    #[error("{path}: cannot open the pin: {error}", path = path.display())]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// A map could not be read.
    #[error("the map {map} cannot be read: {error}")]
    Read {
        /// Its name.
        map: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// What is pinned is not what a gate of this version pins.
    #[error(transparent)]
    Kernel(KernelError),
    /// The configuration in force gives no classes.
    #[error("the configuration in force has no [[class]]: addresses have no tags")]
    NoClasses,
    /// The clock could not be read.
    #[error("cannot read the clock: {0}")]
    Clock(#[source] io::Error),
}

impl TagError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotLoaded { .. } => "start it with `gate run --config FILE`".to_owned(),
            Self::OtherVersion { .. } => {
                "build the reader with the version of gate that runs; `gate --version` shows it".to_owned()
            }
            Self::Denied { .. } => {
                "run it as a member of the group of [tags]; `gate status`, as root, says which that is and whether it gets to the pins".to_owned()
            }
            Self::Kernel(error) => error.hint(),
            Self::NoClasses => {
                "give the configuration an interface with `role = \"uplink\"` and a [[class]]".to_owned()
            }
            Self::Open { .. } | Self::Read { .. } | Self::Clock(_) => {
                "`gate status`, as root, shows what is in force".to_owned()
            }
        }
    }

    /// That something below `pins` could not be opened.
    pub(super) fn of(pins: &Pins, path: PathBuf, error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::PermissionDenied {
            Self::Denied { path }
        } else if error.kind() == io::ErrorKind::NotFound {
            Self::absent(pins)
        } else {
            Self::Open { path, error }
        }
    }

    pub(super) fn read(map: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Read { map, error }
    }

    fn absent(pins: &Pins) -> Self {
        let root = pins.root();
        let found = (1..=VERSIONS)
            .filter(|version| *version != ABI_VERSION)
            .find(|version| root.join(format!("v{version}")).is_dir());
        let pins = root.to_owned();
        match found {
            Some(found) if !root.join(format!("v{ABI_VERSION}")).is_dir() => {
                Self::OtherVersion { pins, found }
            }
            _ => Self::NotLoaded { pins },
        }
    }
}

impl From<KernelError> for TagError {
    fn from(error: KernelError) -> Self {
        if let KernelError::Open { path, error } = &error
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return Self::Denied { path: path.clone() };
        }
        Self::Kernel(error)
    }
}

/// The directory at which the way to `path` ends for this process.
fn barrier(path: &Path) -> String {
    let above: Vec<&Path> = path.ancestors().skip(1).collect();
    let inner = above.iter().rev().zip(above.iter().rev().skip(1));
    let denied = |path: &Path| {
        fs::symlink_metadata(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    // What is in a directory that one may not go through cannot be looked at.
    let closed = inner
        .clone()
        .find(|(_, inner)| denied(inner))
        .map(|(outer, _)| *outer)
        .or_else(|| denied(path).then(|| path.parent()).flatten());
    closed.map_or_else(String::new, |closed| {
        format!(", nor go through {}", closed.display())
    })
}
