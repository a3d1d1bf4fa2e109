//! What a check found.

use serde::Serialize;

/// How bad it is. What is worse is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It could not be asked, and why.
    NotAsked,
    /// The gate does its job, but something threatens that, or is weaker than it could be.
    Warning,
    /// The gate does not do its job, or would not once it is started.
    Degraded,
}

impl Outcome {
    /// What output calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::NotAsked => "not asked",
            Self::Warning => "warning",
            Self::Degraded => "degraded",
        }
    }
}

/// What a check found at one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of the check, which stays.
    pub check: &'static str,
    /// How bad it is.
    pub outcome: Outcome,
    /// What was looked at.
    pub object: String,
    /// What was found.
    pub found: String,
    /// Why that matters.
    pub why: Option<String>,
    /// A command, or a line of the configuration, that mends it.
    pub fix: Option<String>,
}

/// Where and by which check something was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    check: &'static str,
    object: &'a str,
}

impl<'a> At<'a> {
    pub(super) const fn new(check: &'static str, object: &'a str) -> Self {
        Self { check, object }
    }

    fn finding(self, outcome: Outcome, found: impl Into<String>) -> Finding {
        Finding {
            check: self.check,
            outcome,
            object: self.object.to_owned(),
            found: found.into(),
            why: None,
            fix: None,
        }
    }

    pub(super) fn ok(self, found: impl Into<String>) -> Finding {
        self.finding(Outcome::Ok, found)
    }

    pub(super) fn note(self, found: impl Into<String>, why: impl Into<String>) -> Finding {
        Finding {
            why: Some(why.into()),
            ..self.finding(Outcome::Note, found)
        }
    }

    pub(super) fn not_asked(self, reason: impl Into<String>) -> Finding {
        self.finding(Outcome::NotAsked, reason)
    }

    pub(super) fn warning(
        self,
        found: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            why: Some(why.into()),
            fix: Some(fix.into()),
            ..self.finding(Outcome::Warning, found)
        }
    }

    pub(super) fn degraded(
        self,
        found: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            outcome: Outcome::Degraded,
            ..self.warning(found, why, fix)
        }
    }
}
