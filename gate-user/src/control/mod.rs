//! The daemon's control socket: how `gate reload`, `gate bypass` and `gate status` speak to the daemon.
//!
//! A client connects, writes one [`Request`] as a line of JSON, and reads one [`Reply`], a line of JSON as well. Both
//! ends bound what they read and how long they wait: a client that says nothing, or anything else, holds up nobody.
//!
//! The socket is in a directory of the runtime file system; `control`, beside the pins, is a symbolic link to it. So the
//! pins stay the one place where everything about a gate is found, whatever the daemon's own view of `/run` is.

mod client;
mod place;
mod server;
mod standing;
mod tally;

use std::{fmt, io, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    client::{Client, confirm, exempt, reload, rollback},
    place::{Endpoint, clean_up},
    server::Server,
    standing::Standing,
    tally::{Brief, Count, Ended, Tally},
};
use crate::{
    bypass::{Switched, Wanted},
    change::Change,
    error::{Error, Exit},
};

/// The longest request.
const REQUEST_MAX: u64 = 64 << 10;
/// The longest reply: the parts of one are cut far below that.
const REPLY_MAX: u64 = 1 << 20;
/// How long either end waits for the other to read or write a line that it should have ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How the daemon is.
    Status,
    /// To read configuration and data again.
    Reload {
        /// Whether guards are overridden.
        #[serde(default)]
        force: bool,
        /// For how many seconds it waits for a confirmation; nothing if it needs none.
        #[serde(default)]
        confirm_seconds: Option<u64>,
    },
    /// To go back to the generation before.
    Rollback {
        /// Who asks, if known.
        by: Option<String>,
    },
    /// To keep what waits for a confirmation.
    Confirm {
        /// Who asks, if known.
        by: Option<String>,
    },
    /// To put the exemptions of their file in force, of which a person changed one.
    Exempt {
        /// Whose.
        prefix: String,
    },
    /// To have everything only observed for a time, or to end that.
    Bypass {
        /// For how long, and why; nothing ends it.
        wanted: Option<Wanted>,
    },
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<Standing>),
    /// To [`Request::Reload`], [`Request::Rollback`], [`Request::Confirm`] and [`Request::Exempt`].
    Reload(Attempt),
    /// To [`Request::Bypass`].
    Bypass(Switched),
    /// To what is no request, or cannot be done now.
    Error {
        /// Why.
        message: String,
    },
}

/// Who asks for a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The watch over data files, which reloads these and keeps the configuration.
    Watch,
    /// Interfaces that came, went, or lost the program; the configuration is kept.
    Interfaces,
    /// SIGHUP.
    Sighup,
    /// `gate reload`.
    Command,
    /// `gate rollback`.
    Rollback,
    /// `gate exempt`; configuration and databases are kept.
    Exempt,
    /// Nobody: a reload was not confirmed in time.
    Unconfirmed,
}

impl By {
    /// The word that stands for it where a program reads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Interfaces => "interfaces",
            Self::Sighup => "sighup",
            Self::Command => "command",
            Self::Rollback => "rollback",
            Self::Exempt => "exempt",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Watch => "a change of data",
            Self::Interfaces => "a change of interfaces",
            Self::Sighup => "SIGHUP",
            Self::Command => "`gate reload`",
            Self::Rollback => "`gate rollback`",
            Self::Exempt => "`gate exempt`",
            Self::Unconfirmed => "a reload that nobody confirmed in time",
        })
    }
}

/// A reload, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was over.
    pub at: Timestamp,
    /// Who asked.
    pub by: By,
    /// Whether guards were to be overridden.
    pub force: bool,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// A new generation is in force.
    Loaded {
        /// What it changed.
        change: Box<Change>,
    },
    /// What waited for a confirmation is kept.
    Confirmed {
        /// The generation in force.
        generation: u32,
    },
    /// There was nothing to change.
    Unchanged {
        /// The generation in force.
        generation: u32,
    },
    /// Configuration or data cannot be put in force.
    Refused(Cause),
    /// Something else failed.
    Failed(Cause),
}

/// Why a reload was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// What is wrong.
    pub reason: String,
    /// What to do about it, where `reason` does not say it.
    pub hint: Option<String>,
    /// The generation in force: the one before, unless the failure came after the new one was put in force.
    pub generation: u32,
}

/// The longest reason that is passed on: with more, the first problems are enough to begin with.
const REASON_MAX: usize = 16 << 10;

impl Outcome {
    /// That of a reload that failed so, after which this generation is in force.
    #[must_use]
    pub fn of(error: &Error, generation: u32) -> Self {
        let (mut reason, hint) = error.apart();
        if reason.len() > REASON_MAX {
            reason.truncate(reason.floor_char_boundary(REASON_MAX));
            reason.push_str("\n(more in the daemon's log)");
        }
        let cause = Cause {
            reason,
            hint,
            generation,
        };
        if error.exit() == Exit::Usage {
            Self::Refused(cause)
        } else {
            Self::Failed(cause)
        }
    }

    /// Leaves out what is too much to be told to everybody who asks.
    pub fn shorten(&mut self) {
        match self {
            Self::Loaded { change } => change.shorten(),
            Self::Confirmed { .. }
            | Self::Unchanged { .. }
            | Self::Refused(_)
            | Self::Failed(_) => {}
        }
    }

    /// Why what was asked for is not in force, or not wholly.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Loaded { .. } | Self::Confirmed { .. } | Self::Unchanged { .. } => None,
            Self::Refused(cause) | Self::Failed(cause) => Some(cause),
        }
    }

    /// The exit code of `gate reload`.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Loaded { .. } | Self::Confirmed { .. } | Self::Unchanged { .. } => Exit::Ok,
            Self::Refused(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
        }
    }
}

/// Why nothing can be said over the socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The directory for the socket is not safe.
    #[error("{path}: the directory of the control socket belongs to somebody else, or others may write to it", path = path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
    },
    /// The socket, the link to it or their directory could not be made, found or removed.
    #[error("{path}: cannot {action}: {error}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is a daemon, but nobody listens.
    #[error("a gate daemon runs, but has no control socket yet, or no more")]
    Closed,
    /// The daemon does not answer.
    #[error("the gate daemon does not answer within {} seconds", patience.as_secs())]
    Silent {
        /// How long it had.
        patience: Duration,
    },
    /// The daemon answers something else than it was asked.
    #[error("the gate daemon answers what this version does not understand: {0}")]
    Garbled(String),
    /// The daemon says that it cannot.
    #[error("the gate daemon says: {0}")]
    Told(String),
}

impl ControlError {
    fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
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
            Self::Unsafe { path } => format!(
                "find out who made it; `rm -r {path}` if it is nobody's, or name another directory in RUNTIME_DIRECTORY",
                path = path.display()
            ),
            Self::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
                "run as root, or as the user of the daemon".to_owned()
            }
            Self::Io { .. } => {
                "the daemon needs /run/gate, or the directory named in RUNTIME_DIRECTORY; its log says more"
                    .to_owned()
            }
            Self::Closed => {
                "it is starting or ending: try again in a moment; its log says more".to_owned()
            }
            Self::Silent { .. } => {
                "the gate stays in force; look at the daemon with `ps`, and start it again if it hangs"
                    .to_owned()
            }
            Self::Garbled(_) => {
                "the daemon is of another version: start `gate run` of this one in its place"
                    .to_owned()
            }
            Self::Told(_) => "try again in a moment; the daemon's log says more".to_owned(),
        }
    }
}
