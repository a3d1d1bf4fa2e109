//! How many reloads a daemon has seen, by who asked and what became of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, By, Outcome};

/// All reloads since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Those that came up.
    pub counts: Vec<Count>,
    /// When the last one was over after which all that was asked for is in force.
    pub succeeded_at: Option<Timestamp>,
}

/// Reloads of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Who asked.
    pub by: By,
    /// What became of them.
    pub ended: Ended,
    /// How many.
    pub reloads: u64,
}

/// What became of a reload, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// [`Outcome::Loaded`].
    Loaded,
    /// [`Outcome::Confirmed`].
    Confirmed,
    /// [`Outcome::Unchanged`].
    Unchanged,
    /// [`Outcome::Refused`].
    Refused,
    /// [`Outcome::Failed`].
    Failed,
}

impl Ended {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Confirmed => "confirmed",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl From<&Outcome> for Ended {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Loaded { .. } => Self::Loaded,
            Outcome::Confirmed { .. } => Self::Confirmed,
            Outcome::Unchanged { .. } => Self::Unchanged,
            Outcome::Refused(_) => Self::Refused,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

impl Tally {
    /// Counts one more.
    pub(super) fn count(&mut self, attempt: &Attempt) {
        let (by, ended) = (attempt.by, Ended::from(&attempt.outcome));
        let mut known = self.counts.iter_mut();
        match known.find(|it| it.by == by && it.ended == ended) {
            Some(it) => it.reloads += 1,
            None => self.counts.push(Count {
                by,
                ended,
                reloads: 1,
            }),
        }
        if attempt.outcome.cause().is_none() {
            self.succeeded_at = Some(attempt.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Cause;

    #[test]
    fn reloads_count_by_who_asked_and_what_became_of_them() {
        let mut tally = Tally::default();
        let attempt = |second, outcome| Attempt {
            at: Timestamp::from_second(second).unwrap(),
            by: By::Watch,
            force: false,
            outcome,
        };
        let refused = || {
            Outcome::Refused(Cause {
                reason: "no".to_owned(),
                hint: None,
                generation: 1,
            })
        };
        tally.count(&attempt(1, Outcome::Unchanged { generation: 1 }));
        tally.count(&attempt(2, refused()));
        tally.count(&attempt(3, refused()));
        let counts: Vec<_> = tally
            .counts
            .iter()
            .map(|it| (it.by, it.ended, it.reloads))
            .collect();
        assert_eq!(
            counts,
            [
                (By::Watch, Ended::Unchanged, 1),
                (By::Watch, Ended::Refused, 2)
            ]
        );
        assert_eq!(tally.succeeded_at, Timestamp::from_second(1).ok());
    }
}
