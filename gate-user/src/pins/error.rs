//! What can be wrong with the pins, and what to do about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use gate_common::abi::ABI_VERSION;

/// What is wrong with the directory of the pins.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// The file system is not bpffs.
    #[error("{path}: not on a BPF file system", path = path.display())]
    NotBpffs {
        /// The directory looked at.
        path: PathBuf,
    },
    /// Others can change what is in the directory.
    #[error("{path}: the directory belongs to somebody else, or others may write to it", path = path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else is changing what is pinned.
    #[error("{path}: another gate holds the lock{by}", path = path.display(), by = pid.map_or_else(String::new, |pid| format!(" (process {pid})")))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it; nothing if the kernel does not tell.
        pid: Option<u32>,
    },
    /// An operation on the directory or on a file in it failed.
    #[error("{path}: cannot {action}: {error}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// A pin cannot be given to the group of readers.
    #[error("{path}: cannot give it to the group {group} of `tags.group`: {error}", path = path.display())]
    Group {
        /// The pin, or a directory above it.
        path: PathBuf,
        /// The number of the group.
        group: u32,
        /// What the kernel said.
        error: io::Error,
    },
    /// Something that the gate did not put there.
    #[error("{path}: not a pin of the gate", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Pins of another version of the map ABI.
    #[error("{path}: pins of a gate with another map ABI than this one's version {ABI_VERSION}", path = path.display())]
    OtherVersion {
        /// The directory.
        path: PathBuf,
    },
}

impl PinsError {
    pub(crate) fn pin(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io("pin", path)
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotBpffs { .. } => {
                "mount one with `mount -t bpf bpf /sys/fs/bpf`, or name one with --pins".to_owned()
            }
            Self::Locked { path, pid: None } => {
                format!(
                    "`fuser {path}` shows who holds it: wait for it, or, if it is `gate run`, end it, which opens nothing; then start again",
                    path = path.display()
                )
            }
            Self::Locked { pid: Some(pid), .. } => {
                format!("process {pid} holds it: wait for it, or, if it is `gate run`, `kill {pid}` ends it, which opens nothing; then start again")
            }
            Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON".to_owned()
            }
            Self::Group { .. } => {
                "run the daemon as root, with CAP_CHOWN, or as a member of that group (`SupplementaryGroups=` of its service)".to_owned()
            }
            Self::Io { .. } => {
                "look at the directory with `ls -la`; it must be on bpffs and writable".to_owned()
            }
            Self::Unsafe { path } => format!(
                "find out who made it; `rm -r {path}` if it is nobody's, or name another directory with --pins",
                path = path.display()
            ),
            Self::Foreign { path } => format!(
                "find out who pinned it; remove it with `rm {path}`, or name another directory with --pins",
                path = path.display()
            ),
            Self::OtherVersion { .. } => {
                "`gate run` takes over what they put in force, and does not open the gate; `gate detach` removes them, and opens it".to_owned()
            }
        }
    }
}
