//! Why a database was not fetched.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::unpack::UnpackError;
use crate::{
    error::Exit,
    fetch::{CredentialsError, Failure, FetchError},
    geoip::Cause,
    geoip::GeoipError,
};

/// Why the database that was there is still there.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// There are credentials, and they cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// It does not come.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Its checksum does not come.
    #[error("its checksum: {0}")]
    Checksum(FetchError),
    /// What comes from where the checksum should be is none.
    #[error("{origin}: what `checksum` names does not begin with a SHA-256")]
    NoChecksum {
        /// Whom it was asked of.
        origin: String,
    },
    /// It is not what it should be.
    #[error("its SHA-256 is {found}, and should be {wanted}")]
    OtherChecksum {
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// There is no database in what came.
    #[error("what came from {origin} is no database: {error}")]
    Unpack {
        /// Whom it was asked of.
        origin: String,
        /// Why.
        error: UnpackError,
    },
    /// It is a database that cannot be used.
    #[error("what came from {origin} cannot be used: {cause}", cause = error.cause)]
    Unusable {
        /// Whom it was asked of.
        origin: String,
        /// What is wrong with it.
        error: GeoipError,
    },
    /// It is too unlike the one that is there.
    #[error("what came is too unlike what is there: {}", violations.join("; "))]
    Guard {
        /// What the guards say; never empty.
        violations: Vec<String>,
    },
    /// Somebody else is at it.
    #[error("{lock}: another `gate geoip update` holds the lock", lock = lock.display())]
    Busy {
        /// The lock.
        lock: PathBuf,
    },
    /// The new one is there, and might not be after a crash.
    #[error("{path}: the disk does not say that it will stay so: {error}", path = path.display())]
    Unsynced {
        /// The database.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file cannot be written.
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

impl UpdateError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io {
            action,
            path,
            error,
        }
    }

    /// A fetch into the file at `path` that failed.
    pub(super) fn fetch(path: &Path) -> impl FnOnce(FetchError) -> Self {
        let path = path.to_owned();
        move |FetchError { origin, failure }| {
            if let Failure::Write(error) = failure {
                Self::io("write", &path)(error)
            } else {
                Self::Fetch(FetchError { origin, failure })
            }
        }
    }

    /// The exit code of a command that fails so.
    #[must_use]
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Credentials(_)
            | Self::NoChecksum { .. }
            | Self::OtherChecksum { .. }
            | Self::Unpack { .. }
            | Self::Unusable { .. }
            | Self::Guard { .. } => Exit::Usage,
            Self::Fetch(_)
            | Self::Checksum(_)
            | Self::Busy { .. }
            | Self::Unsynced { .. }
            | Self::Io { .. } => Exit::Failed,
        }
    }

    /// What to do about it.
    #[must_use]
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Credentials(error) => error.hint(),
            Self::Checksum(FetchError {
                failure: Failure::TooLarge { .. },
                ..
            })
            | Self::NoChecksum { .. } => {
                "name the URL of a file such as sha256sum(1) writes, or leave `checksum` out".to_owned()
            }
            Self::Fetch(error) | Self::Checksum(error) => error.hint(),
            Self::OtherChecksum { .. } => {
                "the provider may be publishing just now: try again later; if it stays, `checksum` is not that of `url`".to_owned()
            }
            Self::Unpack { error, .. } => match error {
                UnpackError::TooLarge { .. } => {
                    "check that `url` is of a country edition; if it is, raise `max_mib` under [[geoip.update]]".to_owned()
                }
                UnpackError::Page => {
                    "compare `url` with the provider's documentation: such a page often says that credentials are wrong or missing".to_owned()
                }
                UnpackError::Damaged => "try again later".to_owned(),
                UnpackError::None | UnpackError::Several => {
                    "name an archive with one database: .mmdb, .mmdb.gz or .tar.gz".to_owned()
                }
                UnpackError::Write(_) => "`df` shows whether there is room".to_owned(),
            },
            Self::Unusable { error, .. } => match error.cause {
                Cause::Damaged(_) | Cause::Empty | Cause::Unreadable(_) => {
                    "check that `url` is of a file .mmdb, .mmdb.gz or .tar.gz; if it is, try again later".to_owned()
                }
                Cause::Cancelled
                | Cause::NoCountries { .. }
                | Cause::SameFamily { .. }
                | Cause::NoFamily { .. }
                | Cause::NoTable(_)
                | Cause::Disagrees { .. } => error.hint(),
            },
            Self::Guard { .. } => {
                "look at what the provider says; `gate geoip update --force` takes it all the same, and `gate reload --force` has the daemon take it"
                    .to_owned()
            }
            Self::Busy { lock } => format!("`fuser --verbose {}` shows who holds it; wait until that has ended", lock.display()),
            Self::Unsynced { path, .. } => format!(
                "look for errors of the disk with `dmesg`; `gate geoip info {}` shows what is there",
                path.display()
            ),
            Self::Io { error, path, .. } => {
                let kind = error.kind();
                let directory = path.parent().unwrap_or(path).display();
                if matches!(
                    kind,
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) {
                    format!("run it as whoever may write to {directory}")
                } else if kind == io::ErrorKind::NotFound {
                    format!("make the directory: `mkdir -p {directory}`")
                } else {
                    format!("`df {directory}` shows whether there is room")
                }
            }
        }
    }
}
