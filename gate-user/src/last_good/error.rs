//! Why the last good configuration cannot be kept, or cannot be had.

use std::{io, path::Path, path::PathBuf};

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum LastGoodError {
    /// Nothing is kept.
    #[error("{}: no last good configuration is kept here", directory.display())]
    Nothing {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// The copy is not what was copied.
    #[error("{}: the copy is damaged: its content is another one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// What is in force was made of something that is nowhere any more.
    #[error("{}: the file is not what the generation in force was made of", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// All that is kept was rolled back.
    #[error("{}: what is kept here was rolled back", directory.display())]
    RolledBack {
        /// Where it is.
        directory: PathBuf,
    },
    /// The process was told to end.
    #[error("told to end before all was kept")]
    Cancelled,
    /// The system failed.
    #[error("{}: cannot {action} this: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl LastGoodError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            action,
            path: path.to_owned(),
            error,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Nothing { .. } => {
                "`gate run --config FILE --state DIR` keeps what it puts in force".to_owned()
            }
            Self::Damaged { .. } => {
                "remove the directory of the copy; `gate run --state DIR` makes another one"
                    .to_owned()
            }
            Self::RolledBack { .. } => {
                "`gate run --config FILE --state DIR` with another configuration keeps that one"
                    .to_owned()
            }
            Self::Cancelled => "the next `gate run` keeps it".to_owned(),
            Self::Changed { .. } => "`gate reload` reads it again".to_owned(),
            Self::Io { error, path, .. } if error.kind() == io::ErrorKind::StorageFull => format!(
                "make room, `df {}` shows how much there is",
                path.parent().unwrap_or(path).display()
            ),
            Self::Io { path, .. } => format!(
                "`ls -la {}` shows what is there",
                path.parent().unwrap_or(path).display()
            ),
        }
    }
}
