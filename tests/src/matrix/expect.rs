//! What should become of a connection.

use std::fmt;

use crate::gate::Answer;

/// What Japanese ISPs publish, in its two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Port 25 is closed to everything, the ISP's own mail hosts included.
    Closed,
    /// Port 25 is closed, except to the ISP's own relay.
    Listed,
}

impl Profile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Closed, Self::Listed];

    /// What refused clients hear.
    #[must_use]
    pub fn answer(self) -> Answer {
        match self {
            Self::Closed => Answer::Drop,
            Self::Listed => Answer::Reset,
        }
    }

    /// One word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Listed => "listed",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Closed => "own relay closed on 25 too",
            Self::Listed => "own relay listed",
        })
    }
}

/// What the gate should do with the segment that opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No rule looks at it, and no counter moves.
    Untouched,
    /// It passes, for this reason.
    Passed(&'static str),
    /// It is refused: the source is restricted.
    Refused,
    /// It passes with a class, given for this reason.
    Tagged {
        /// The class.
        class: &'static str,
        /// The reason.
        reason: &'static str,
    },
}

impl Expect {
    /// Whether the connection comes about.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Untouched | Self::Passed(_) | Self::Tagged { .. } => true,
            Self::Refused => false,
        }
    }

    /// Verdict and reason that are counted for it.
    #[must_use]
    pub fn counted(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Untouched => None,
            Self::Passed(reason) => Some(("passed", reason)),
            Self::Refused => Some(("refused", "restricted")),
            Self::Tagged { class: _, reason } => Some(("tagged", reason)),
        }
    }

    /// The class of the connection.
    #[must_use]
    pub fn class(self) -> Option<&'static str> {
        match self {
            Self::Tagged { class, reason: _ } => Some(class),
            Self::Untouched | Self::Passed(_) | Self::Refused => None,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untouched | Self::Passed(_) => f.pad("open"),
            Self::Refused => f.pad("refused"),
            Self::Tagged { class, reason: _ } => f.pad(&format!("open, {class}")),
        }
    }
}
