//! What can go wrong with an exemption.

use std::{io, path::PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::error::Exit;

/// Why an exemption is not as somebody wants it.
#[derive(Debug, thiserror::Error)]
pub enum ExemptError {
    /// There is no file for it.
    #[error("the configuration in force, {config}, names no file of exemptions", config = config.display())]
    NotConfigured {
        /// The configuration.
        config: PathBuf,
    },
    /// A list file cannot hold such a note.
    #[error("the ticket {ticket:?} cannot stand in a list file: {why}")]
    Ticket {
        /// The note.
        ticket: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It would be over before it begins.
    #[error("an exemption until {until}, which has passed: it would open nothing")]
    Past {
        /// When it would end.
        until: Timestamp,
    },
    /// There is nothing to delete.
    #[error("{file}: no exemption of {prefix}{}", around(.near), file = file.display())]
    NotThere {
        /// The file.
        file: PathBuf,
        /// What was looked for.
        prefix: IpNet,
        /// Those that lie around it or in it.
        near: Vec<IpNet>,
    },
    /// Other exemptions would go as well.
    #[error(
        "{file}: without exemptions that are in force and that nobody asked to delete: {}",
        others.join(", "),
        file = file.display()
    )]
    OthersGo {
        /// The file.
        file: PathBuf,
        /// Their prefixes.
        others: Vec<String>,
    },
    /// What was written is not taken, and was taken back.
    #[error("{file} is as it was before, and so is what is in force: {reason}", file = file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What was written is not in force.
    #[error("{file} is written, but what it says is not in force: {reason}", file = file.display())]
    NotInForce {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// What was written is in force, and something failed then.
    #[error("{file} is written and in force, but then something failed: {reason}", file = file.display())]
    Failed {
        /// The file.
        file: PathBuf,
        /// What.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Somebody else is at the file, and does not end.
    #[error("{lock}: another `gate exempt` holds the lock, and the wait for it is over", lock = lock.display())]
    Busy {
        /// The lock.
        lock: PathBuf,
    },
    /// The file cannot be read or written.
    #[error("{path}: cannot {action}: {error}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

fn around(prefixes: &[IpNet]) -> String {
    if prefixes.is_empty() {
        return String::new();
    }
    let names: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
    format!("; near it are {}", names.join(", "))
}

impl ExemptError {
    pub(super) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }

    /// The exit code of a command that fails so.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotConfigured { .. }
            | Self::Ticket { .. }
            | Self::Past { .. }
            | Self::OthersGo { .. }
            | Self::Refused { .. } => Exit::Usage,
            Self::NotInForce { .. } => Exit::Degraded,
            Self::NotThere { .. } | Self::Failed { .. } | Self::Busy { .. } | Self::Io { .. } => {
                Exit::Failed
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotConfigured { config } => format!(
                "add the lines `[exemptions]` and `file = \"/var/lib/gate/exemptions\"` to {}, then `gate reload`",
                config.display()
            ),
            Self::Ticket { .. } => {
                "write one line without double quotes, for example `--ticket \"NOC-4711, until the new server\"`"
                    .to_owned()
            }
            Self::Past { .. } => {
                "write a time that is still to come, or a length such as `--until 30d`".to_owned()
            }
            Self::NotThere { .. } => {
                "`gate exempt list` shows all of them; name the prefix as it stands there".to_owned()
            }
            Self::OthersGo { file, .. } => format!(
                "put their lines back into {}, or take the file as it is with `gate reload`, with `--force` if none is left",
                file.display()
            ),
            Self::Refused { hint, .. } | Self::Failed { hint, .. } => hint
                .clone()
                .unwrap_or_else(|| "`gate status` shows what is in force".to_owned()),
            Self::NotInForce { hint, .. } => {
                let first = hint.iter().map(|it| format!("{it}; "));
                let last = "`gate exempt list` shows what is in force; the same command again puts it in force";
                first.chain([last.to_owned()]).collect()
            }
            Self::Busy { lock } => format!(
                "`fuser --verbose {}` shows who holds it; nothing was changed, so ask again once that one has ended",
                lock.display()
            ),
            Self::Io { error, path, .. } if error.kind() == io::ErrorKind::NotFound => format!(
                "make its directory: `mkdir -p {}`",
                path.parent().unwrap_or(path).display()
            ),
            Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "run it as root, for example with sudo".to_owned()
            }
            Self::Io { .. } => "the file is as it was; `df` and `ls -ld` show whether there is room, and who may write".to_owned(),
        }
    }
}
