//! What the kernel can refuse, and what to do about it.

use std::{io, path::PathBuf};

use aya::{EbpfError, programs::ProgramError};

use crate::{error::whole, memory::Limit, pins::PinsError, sys::MapSpec};

/// Something that the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The object is damaged.
    #[error("the embedded BPF object cannot be read: {0}")]
    Object(#[from] aya_obj::ParseError),
    /// The object could not be loaded.
    #[error("the kernel does not take the gate's maps: {}", whole(&**.0))]
    Load(Box<EbpfError>),
    /// The program could not be loaded.
    #[error("the kernel does not take the gate's program: {}", whole(&**.0))]
    Program(Box<ProgramError>),
    /// A map is missing or is not what the program needs.
    #[error("{path}: the pinned map has {found}; this program needs {wanted}", path = path.display())]
    Incompatible {
        /// The pin.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: MapSpec,
    },
    /// A map could not be opened.
    #[error("{path}: cannot open the pinned map: {error}", path = path.display())]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// A table could not be made or filled.
    #[error("the table {table} of {size} bytes cannot be made: {error}")]
    Table {
        /// Its map.
        table: String,
        /// How many bytes it needs.
        size: usize,
        /// What the kernel said.
        error: io::Error,
    },
    /// A map could not be read or written.
    #[error("the map {map} cannot be {action}: {error}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Read or written.
        action: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// A frame could not be run through the program.
    #[error("a frame of {octets} octets cannot be run through the program: {error}")]
    TestRun {
        /// Its length.
        octets: usize,
        /// What the kernel said.
        error: io::Error,
    },
    /// The log of packets could not be opened.
    #[cfg(feature = "log")]
    #[error("the log of packets cannot be opened: {0}")]
    Log(#[source] aya_log::Error),
    /// A note could not be read or written.
    #[error("{path}: the note cannot be understood: {error}", path = path.display())]
    Note {
        /// Its pin.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A pin could not be made.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The manifest could not be made or read.
    #[error(transparent)]
    Manifest(#[from] crate::generation::manifest::ManifestError),
    /// The source map could not be made or read.
    #[error(transparent)]
    SourceMap(#[from] crate::generation::SourceMapError),
}

impl KernelError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        if self.lacks_memory() {
            return no_memory(Limit::of_this_process().as_ref());
        }
        match self {
            Self::Object(_) => "the binary is damaged or was built wrongly: build it again with `cargo xtask build`".to_owned(),
            Self::Load(_) | Self::Program(_) => {
                "the gate needs Linux 6.1 or later and CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; the kernel log may say more"
                    .to_owned()
            }
            Self::Incompatible { .. } => {
                "another program or version made this pin: `gate detach` removes the gate's pins, then start again".to_owned()
            }
            Self::Open { error, .. } if error.kind() == io::ErrorKind::NotFound => {
                "no gate is loaded here: start it with `gate run --config FILE`".to_owned()
            }
            Self::Pins(error) => error.hint(),
            #[cfg(feature = "log")]
            Self::Log(_) => "the program in force was not built with `cargo xtask build --log`".to_owned(),
            Self::TestRun { .. } => "`gate replay --engine host` decides without the kernel".to_owned(),
            Self::Note { path, .. } => format!(
                "another version wrote it; `rm {path}` forgets it",
                path = path.display()
            ),
            Self::Open { .. } | Self::Table { .. } | Self::Map { .. } | Self::Manifest(_) | Self::SourceMap(_) => "run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON; `gate status` shows what is in force".to_owned(),
        }
    }

    /// Whether there was no memory for it. The kernel charges maps and programs to the control group of the process that makes them.
    fn lacks_memory(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = match self {
            Self::Load(error) => Some(&**error),
            Self::Program(error) => Some(&**error),
            Self::Table { error, .. } | Self::Map { error, .. } | Self::Open { error, .. } => {
                Some(error)
            }
            Self::Object(_)
            | Self::Incompatible { .. }
            | Self::TestRun { .. }
            | Self::Note { .. }
            | Self::Pins(_)
            | Self::Manifest(_)
            | Self::SourceMap(_) => None,
            #[cfg(feature = "log")]
            Self::Log(_) => None,
        };
        while let Some(error) = source {
            if let Some(error) = error.downcast_ref::<io::Error>()
                && error.raw_os_error() == Some(libc::ENOMEM)
            {
                return true;
            }
            source = error.source();
        }
        false
    }

    pub(super) fn map(map: &'static str, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Map { map, action, error }
    }
}

/// What to do where a limit, or nothing but the machine, leaves too little memory.
fn no_memory(limit: Option<&Limit>) -> String {
    let room = "a new generation has to fit beside the one in force, which goes on";
    match limit {
        Some(limit) => format!(
            "{limit}; {room}: {} gives it more, then try again",
            limit.hint()
        ),
        None => format!(
            "no control group limits this process, so the machine lacks memory (`free -m`); {room}"
        ),
    }
}
