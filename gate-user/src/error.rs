//! Everything that can go wrong, and what it means for the exit code.

use crate::{
    attach::{AttachError, MarkError},
    bypass::WantedError,
    config::ConfigError,
    control::ControlError,
    events::EventsError,
    exempt::ExemptError,
    explain::ExplainError,
    export::ExportError,
    file::FileError,
    filter::UnknownName,
    generation::{ListError, PlanError, manifest::ManifestError},
    geoip::{Cause, GeoipError},
    guard::GuardError,
    init::InitError,
    judge::InstanceError,
    kernel::KernelError,
    last_good::LastGoodError,
    migrate::MigrateError,
    pins::PinsError,
    rehearse::RehearseError,
    replay::ReplayError,
    tags::TagError,
    top::TopError,
};

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It worked, and all is well.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command line, the configuration or the data that it names is wrong.
    Usage = 2,
    /// The gate is degraded or open, or its daemon is dead.
    Degraded = 3,
    /// Another program, or another gate, is in the way.
    Conflict = 4,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A country database cannot be used.
    #[error(transparent)]
    Geoip(GeoipError),
    /// A data file is not even read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Data is too unlike that in force.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The configuration asks for more than the tables hold.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The pins are not in order.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The kernel refused something.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What another version of the map ABI put in force cannot be taken over.
    #[error(transparent)]
    Migrate(MigrateError),
    /// An interface cannot have the program.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The program that sets the skb mark cannot be taken off.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The kernel lacks what the program needs.
    #[error("this kernel is Linux {major}.{minor}; the gate needs Linux 6.1 or later")]
    OldKernel {
        /// Its first number.
        major: u32,
        /// Its second number.
        minor: u32,
    },
    /// A bypass cannot be had.
    #[error(transparent)]
    Bypass(#[from] WantedError),
    /// An exemption cannot be changed.
    #[error(transparent)]
    Exempt(#[from] ExemptError),
    /// The daemon cannot be asked, or cannot be made to listen.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A configuration cannot be rehearsed.
    #[error(transparent)]
    Rehearse(#[from] RehearseError),
    /// A capture cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// There is nothing to draw on.
    #[error(transparent)]
    Top(#[from] TopError),
    /// There is no configuration to begin with.
    #[error(transparent)]
    Init(#[from] InitError),
    /// Nobody can listen to events.
    #[error(transparent)]
    Events(#[from] EventsError),
    /// The counters cannot be exported so.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Nothing can be of what is asked for.
    #[error(transparent)]
    Filter(#[from] UnknownName),
    /// A start was to put in force what waits for a person, and nothing else can be.
    #[error("{}: the configuration {why}, and there is nothing to put in force instead", config.display())]
    Doubted {
        /// The configuration.
        config: std::path::PathBuf,
        /// What happened to it.
        why: &'static str,
        /// Where that is noted.
        note: std::path::PathBuf,
    },
    /// The last good configuration cannot be had.
    #[error(transparent)]
    LastGood(#[from] LastGoodError),
    /// There is no generation to go back to.
    #[error("{pins}: no generation is kept that generation {generation} could be rolled back to", pins = pins.display())]
    NoWayBack {
        /// Where it was looked for.
        pins: std::path::PathBuf,
        /// The generation in force.
        generation: u32,
    },
    /// What is in force has to be confirmed first.
    #[error(
        "generation {generation} waits for a confirmation until {until:.0}; nothing else is put in force before"
    )]
    Unconfirmed {
        /// The generation.
        generation: u32,
        /// Until when.
        until: jiff::Timestamp,
    },
    /// Nothing waits for a confirmation.
    #[error("generation {generation} waits for no confirmation")]
    NothingToConfirm {
        /// The generation in force.
        generation: u32,
    },
    /// The program in the kernel contradicts itself.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The gate in force cannot be asked about a packet.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// There is no daemon to ask.
    #[error("{pins}: no gate daemon runs here{}", if config.is_some() { "; the gate itself stays in force" } else { "" }, pins = pins.display())]
    NoDaemon {
        /// Where it was looked for.
        pins: std::path::PathBuf,
        /// The configuration in force, if one is known.
        config: Option<std::path::PathBuf>,
    },
    /// A capability is missing.
    #[error("this needs the capabilities {}, and the process lacks {}", crate::privilege::NEEDED.join(", "), missing.join(", "))]
    Privilege {
        /// Those that are missing.
        missing: Vec<&'static str>,
    },
    /// The process was told to end before anything new was in force.
    #[error("told to end: nothing new was put in force")]
    Cancelled,
    /// Something failed, and taking back what was done before failed as well.
    #[error("{error}; and taking back what was done failed: {clean_up}")]
    HalfDone {
        /// What failed first.
        error: Box<Error>,
        /// What failed then.
        clean_up: Box<Error>,
    },
    /// No generation is loaded.
    #[error("{pins}: no gate is loaded here", pins = pins.display())]
    NotLoaded {
        /// Where it was looked for.
        pins: std::path::PathBuf,
    },
    /// Tags cannot be read.
    #[error(transparent)]
    Tags(#[from] TagError),
    /// A connection has no tag.
    #[error(
        "{connection}: no tag: not a submission connection that this gate saw, or one too long ago"
    )]
    NoTag {
        /// The connection.
        connection: String,
    },
    /// The system failed at something that hardly ever fails.
    #[error("cannot {action}: {error}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

impl From<GeoipError> for Error {
    fn from(error: GeoipError) -> Self {
        if matches!(error.cause, Cause::Cancelled) {
            Self::Cancelled
        } else {
            Self::Geoip(error)
        }
    }
}

impl Error {
    /// The exit code of a command that fails so.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            // The gate's own fault, not that of the data.
            Self::Geoip(GeoipError {
                cause: Cause::Disagrees { .. },
                ..
            })
            | Self::Plan(PlanError::List(ListError::Wrong { .. })) => Exit::Failed,
            Self::Config(_)
            | Self::Geoip(_)
            | Self::File(_)
            | Self::Filter(_)
            | Self::Guard(_)
            | Self::Plan(_)
            | Self::Bypass(_)
            | Self::Unconfirmed { .. }
            | Self::Doubted { .. } => Exit::Usage,
            Self::NoDaemon { .. } | Self::LastGood(_) => Exit::Degraded,
            Self::HalfDone { error, .. } => error.exit(),
            Self::Rehearse(error) => error.exit(),
            Self::Replay(error) => error.exit(),
            Self::Instance(error) => error.exit(),
            Self::Explain(error) => error.exit(),
            Self::Exempt(error) => error.exit(),
            Self::Export(error) => error.exit(),
            Self::Events(error) => error.exit(),
            Self::Pins(
                PinsError::Unsafe { .. }
                | PinsError::Locked { .. }
                | PinsError::Foreign { .. }
                | PinsError::OtherVersion { .. },
            )
            | Self::Kernel(KernelError::Incompatible { .. })
            | Self::Migrate(_)
            | Self::Tags(TagError::OtherVersion { .. })
            | Self::Attach(AttachError::Foreign { .. }) => Exit::Conflict,
            Self::Pins(_)
            | Self::Kernel(_)
            | Self::Attach(_)
            | Self::Mark(_)
            | Self::Control(_)
            | Self::Top(_)
            | Self::Init(_)
            | Self::OldKernel { .. }
            | Self::Privilege { .. }
            | Self::Cancelled
            | Self::NotLoaded { .. }
            | Self::NoWayBack { .. }
            | Self::NothingToConfirm { .. }
            | Self::Tags(_)
            | Self::NoTag { .. }
            | Self::System { .. } => Exit::Failed,
        }
    }

    /// What is wrong, and by itself what to do about it.
    #[must_use]
    pub fn apart(&self) -> (String, Option<String>) {
        if let Self::Config(error) = self {
            let (reason, hint) = error.told();
            return (reason, Some(hint));
        }
        (self.to_string(), self.hint())
    }

    /// What to do about it; nothing where the message says it already.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            // Each problem of a configuration carries its own.
            Self::Config(_) | Self::Cancelled => None,
            Self::Geoip(error) => Some(error.hint()),
            Self::File(_) => Some(
                "name a country database of that size at most; `ls -lL` shows what is there"
                    .to_owned(),
            ),
            Self::Guard(_) => Some(
                "check the data; if it is right, `gate reload --force` takes it all the same, and \
                 `gate run --force --config FILE` where no daemon runs"
                    .to_owned(),
            ),
            Self::Bypass(_) => {
                Some("for example `gate bypass --for 30m --reason \"ticket 4711\"`".to_owned())
            }
            Self::Control(error) => Some(error.hint()),
            Self::Exempt(error) => Some(error.hint()),
            Self::Export(error) => Some(error.hint()),
            Self::Filter(error) => Some(error.hint()),
            Self::Events(error) => Some(error.hint()),
            Self::Rehearse(error) => Some(error.hint()),
            Self::Replay(error) => Some(error.hint()),
            Self::LastGood(error) => Some(error.hint()),
            Self::Doubted { note, .. } => Some(format!(
                "put another configuration there; or, if it is the right one, remove {}; then `gate run` puts it in force",
                note.display()
            )),
            Self::Init(error) => Some(error.hint().to_owned()),
            Self::Instance(error) => Some(error.hint()),
            Self::Explain(error) => Some(error.hint()),
            Self::Top(error) => Some(error.hint().to_owned()),
            Self::NoDaemon { config, .. } => Some(format!(
                "start one with `gate run --config {}`",
                config
                    .as_ref()
                    .map_or_else(|| "FILE".to_owned(), |it| it.display().to_string())
            )),
            Self::Plan(error) => Some(error.hint()),
            Self::Pins(error) => Some(error.hint()),
            Self::Kernel(error) => Some(error.hint()),
            Self::Migrate(error) => Some(error.hint()),
            Self::Tags(error) => Some(error.hint()),
            Self::Attach(error) => Some(error.hint()),
            Self::Mark(error) => Some(error.hint()),
            Self::OldKernel { .. } => {
                Some("Debian 12 and later have one; `uname -r` shows the one that runs".to_owned())
            }
            Self::Privilege { .. } => Some("run it as root, for example with sudo".to_owned()),
            Self::NoWayBack { .. } => Some(
                "put the configuration or the data from before in place, then `gate reload`, which keeps a way back; what waits for a confirmation \
                 wants `gate reload --confirmed` first"
                    .to_owned(),
            ),
            Self::Unconfirmed { .. } => Some(
                "`gate reload --confirmed` keeps it, `gate rollback` goes back now".to_owned(),
            ),
            Self::NothingToConfirm { .. } => Some(
                "it was confirmed or taken back already, or was no `gate reload --confirm`; `gate status` shows what is in force"
                    .to_owned(),
            ),
            Self::NotLoaded { .. } => Some("start it with `gate run --config FILE`".to_owned()),
            Self::NoTag { .. } => {
                Some("`gate lookup ADDRESS` says what class the source address has now".to_owned())
            }
            Self::HalfDone { .. } | Self::System { .. } => {
                Some("`gate status` shows what is in force".to_owned())
            }
        }
    }

    /// This error, after an attempt to take back what was done before.
    pub(crate) fn after<E: Into<Self>>(self, clean_up: Result<(), E>) -> Self {
        match clean_up {
            Ok(()) => self,
            Err(clean_up) => Self::HalfDone {
                error: Box::new(self),
                clean_up: Box::new(clean_up.into()),
            },
        }
    }

    pub(crate) fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::System { action, error }
    }
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Self {
        Self::Kernel(error.into())
    }
}

/// An error of a library with everything that lies behind it: the cause is often at the end of the chain.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
