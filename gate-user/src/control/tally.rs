//! How many reloads a daemon has seen, by who asked and what became of them.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, By, Cause, Outcome};

/// All reloads since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Those that came up.
    pub counts: Vec<Count>,
    /// When the last one was over after which all that was asked for is in force.
    pub succeeded_at: Option<Timestamp>,
    /// The last of them, the last one at the end.
    #[serde(default)]
    pub recent: VecDeque<Brief>,
}

/// A reload in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// When it was over.
    pub at: Timestamp,
    /// Who asked.
    pub by: By,
    /// What became of it.
    pub ended: Ended,
    /// The generation in force afterwards; nothing if none is.
    pub generation: Option<u32>,
    /// Why what was asked for is not in force: the beginning of it.
    pub why: Option<String>,
}

/// How many of the last reloads are known.
const RECENT: usize = 20;
/// How much of a reason is.
const WHY_MAX: usize = 400;

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
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Brief::of(attempt));
    }
}

impl Brief {
    fn of(attempt: &Attempt) -> Self {
        let generation = match &attempt.outcome {
            Outcome::Loaded { change } => change.generation.after,
            Outcome::Confirmed { generation }
            | Outcome::Unchanged { generation }
            | Outcome::Refused(Cause { generation, .. })
            | Outcome::Failed(Cause { generation, .. }) => Some(*generation),
        };
        let why = attempt
            .outcome
            .cause()
            .map(|cause| beginning(&cause.reason));
        Self {
            at: attempt.at,
            by: attempt.by,
            ended: Ended::from(&attempt.outcome),
            generation,
            why,
        }
    }
}

/// The text, up to a word that ends in time: half an address is one that nobody knows for an address.
fn beginning(text: &str) -> String {
    let (start, rest) = text.split_at(text.floor_char_boundary(WHY_MAX));
    if rest.is_empty() {
        return start.to_owned();
    }
    let (words, _) = start.rsplit_once(char::is_whitespace).unwrap_or_default();
    format!("{words} ...")
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
        let recent: Vec<_> = tally
            .recent
            .iter()
            .map(|it| (it.ended, it.why.as_deref()))
            .collect();
        let no = Some("no");
        assert_eq!(
            recent,
            [
                (Ended::Unchanged, None),
                (Ended::Refused, no),
                (Ended::Refused, no)
            ]
        );
        for second in 4..100 {
            tally.count(&attempt(second, Outcome::Unchanged { generation: 1 }));
        }
        assert_eq!(tally.recent.len(), RECENT);
        let last = tally.recent.back().map(|it| it.at);
        assert_eq!(last, Timestamp::from_second(99).ok());
    }

    #[test]
    fn a_reason_is_cut_where_a_word_ends() {
        let cause = Cause {
            reason: "ü 100.64.9.8 ".repeat(WHY_MAX),
            hint: None,
            generation: 3,
        };
        let brief = Brief::of(&Attempt {
            at: Timestamp::UNIX_EPOCH,
            by: By::Command,
            force: false,
            outcome: Outcome::Refused(cause),
        });
        let why = brief.why.unwrap();
        let words = why.strip_suffix(" ...").unwrap();
        assert!(words.len() <= WHY_MAX && words.len() > WHY_MAX - 20);
        assert!(
            words.split(' ').all(|it| it == "ü" || it == "100.64.9.8"),
            "{why}"
        );
        assert_eq!(brief.generation, Some(3));
    }
}
