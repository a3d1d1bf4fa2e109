//! Why a capture cannot be replayed.

use std::{io, path::PathBuf};

use gate_common::Role;

use crate::{capture::CaptureError, error::Exit, privilege::NEEDED};

/// Why a capture cannot be replayed, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be opened.
    #[error("{path}: {error}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file cannot be read, or not to its end.
    #[error("{path}: {error}", path = path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: CaptureError,
    },
    /// The configuration has interfaces of both roles.
    #[error("{config} has interfaces of both roles, and a capture does not say where its packets arrived", config = config.display())]
    Where {
        /// The configuration.
        config: PathBuf,
    },
    /// No interface has this role, or any.
    #[error("{config} has no interface with {}", role.map_or_else(|| "a role".to_owned(), |it| format!("the role {it}")), config = config.display())]
    NoRole {
        /// The configuration.
        config: PathBuf,
        /// The role, if one was asked for.
        role: Option<Role>,
    },
    /// There is no interface of this name, or it has another role.
    #[error("{config} has no interface {name}{}", role.map_or_else(String::new, |it| format!(" with the role {it}")), config = config.display())]
    NoInterface {
        /// The configuration.
        config: PathBuf,
        /// The name.
        name: String,
        /// The role, if one was asked for.
        role: Option<Role>,
    },
    /// The kernel does not let this process load programs.
    #[error("the engine kernel needs the capabilities {}, and the process lacks {}", NEEDED.join(", "), missing.join(", "))]
    Privilege {
        /// Those that are missing.
        missing: Vec<&'static str>,
    },
}

impl ReplayError {
    /// The exit code of a command that fails so.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Open { .. }
            | Self::Capture { .. }
            | Self::Where { .. }
            | Self::NoRole { .. }
            | Self::NoInterface { .. } => Exit::Usage,
            Self::Privilege { .. } => Exit::Failed,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Open { .. } => {
                "name a capture, or `-` for standard input; `ls -l` shows who may read it".to_owned()
            }
            Self::Capture { error, .. } => error.hint(),
            Self::Where { .. } => {
                "say it with `--role access` (subscribers sent them), `--role uplink` (the Internet did) or `--interface NAME`"
                    .to_owned()
            }
            Self::NoRole { .. } | Self::NoInterface { .. } => {
                "`gate check --config FILE` lists the interfaces and their roles".to_owned()
            }
            Self::Privilege { .. } => {
                "run it as root, or with `--engine host`, which needs no privileges".to_owned()
            }
        }
    }
}
