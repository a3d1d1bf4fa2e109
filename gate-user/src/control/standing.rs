//! What the daemon knows of its own reloads.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Attempt, By, Tally};
use crate::{chore::Chore, last_good::Keeping, logging::LogState, marking::Missing};

/// How the daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its process id.
    pub pid: u32,
    /// When it last looked at the data files.
    pub looked_at: Option<Timestamp>,
    /// The data file that never stays as it is, because of which no change of data is taken.
    #[serde(default)]
    pub restless: Option<PathBuf>,
    /// Whether the configuration in force is another one than that of its file, and was read by another daemon: no change of data is followed.
    #[serde(default)]
    pub unread: bool,
    /// The skb marks that are not set although connections are looked up.
    #[serde(default)]
    pub unseen: Option<Missing>,
    /// When it last deleted what is known of sources and was over.
    #[serde(default)]
    pub swept_at: Option<Timestamp>,
    /// Why it cannot.
    #[serde(default)]
    pub unswept: Option<String>,
    /// What else it could not look after when it last tried, and why.
    #[serde(default)]
    pub undone: BTreeMap<Chore, String>,
    /// How often each could not be looked after, of those that ever could not.
    #[serde(default)]
    pub chore_failures: BTreeMap<Chore, u64>,
    /// Where metrics cannot be asked for, and why.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// How its log is; nothing where one before this knew nothing of that.
    #[serde(default)]
    pub log: Option<LogState>,
    /// What is kept for the next start of the machine; nothing if the daemon was given no directory for that.
    #[serde(default)]
    pub last_good: Option<Keeping>,
    /// All reloads so far.
    #[serde(default)]
    pub reloads: Tally,
    /// The reload that goes on.
    pub reloading: Option<By>,
    /// The last reload.
    pub last: Option<Attempt>,
    /// Reloads that were refused or failed, and that no reload since has made good.
    pub refused: Vec<Attempt>,
}

impl Standing {
    /// Notes a reload, after which the configuration in force is that of the file (`current`) or is not.
    ///
    /// One that worked makes good those before it, but new data does not make good a configuration that was refused, as
    /// long as what is in force is not what the file says. What follows interfaces reads nothing, and makes nothing of that good.
    pub fn note(&mut self, attempt: Attempt, current: bool) {
        self.reloading = None;
        // What read the files: a rollback that fails, or exemptions, say nothing about them.
        let reads = matches!(attempt.by, By::Command | By::Sighup | By::Watch);
        if current
            && reads
            && attempt.outcome.cause().is_none()
            && let Some(keeping) = &mut self.last_good
        {
            keeping.instead = None;
        }
        self.reloads.count(&attempt);
        let about = About::of(&attempt);
        let works = attempt.outcome.cause().is_none();
        let by_hand = matches!(attempt.by, By::Rollback | By::Exempt);
        self.refused.retain(|before| match (works, about) {
            // Who asked to go back and could not knows that, and everything is as it was.
            (false, _) if by_hand => true,
            // What follows the files says whether other data is good now.
            (true, About::Exemptions) => true,
            (false, _) | (true, About::Interfaces) => About::of(before) != about,
            (true, About::Data | About::Configuration) => {
                About::of(before) == About::Configuration && !current
            }
        });
        if !works && !by_hand {
            self.refused.push(attempt.clone());
        }
        self.last = Some(attempt);
    }

    /// Whether the last word on data was a refusal.
    #[must_use]
    pub fn data_refused(&self) -> bool {
        self.refused.iter().any(|attempt| attempt.by == By::Watch)
    }
}

/// What a reload takes that was not in force.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Data,
    Interfaces,
    Exemptions,
    Configuration,
}

impl About {
    const fn of(attempt: &Attempt) -> Self {
        match attempt.by {
            By::Watch => Self::Data,
            By::Interfaces => Self::Interfaces,
            By::Exempt => Self::Exemptions,
            By::Sighup | By::Command | By::Rollback | By::Unconfirmed => Self::Configuration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Cause, Outcome};

    fn attempt(by: By, works: bool) -> Attempt {
        let cause = Cause {
            reason: "no".to_owned(),
            hint: None,
            generation: 1,
        };
        Attempt {
            at: Timestamp::UNIX_EPOCH,
            by,
            force: false,
            outcome: if works {
                Outcome::Unchanged { generation: 1 }
            } else {
                Outcome::Refused(cause)
            },
        }
    }

    /// Who was refused, after these reloads, of which the last left the file of the configuration in force or did not.
    fn refused(attempts: &[(By, bool)], current: bool) -> Vec<By> {
        let mut standing = Standing::default();
        for (by, works) in attempts {
            standing.note(attempt(*by, *works), current);
        }
        assert_eq!(
            standing.last.map(|it| it.by),
            attempts.last().map(|it| it.0)
        );
        standing.refused.iter().map(|it| it.by).collect()
    }

    #[test]
    fn only_what_reads_the_files_says_that_they_are_good() {
        use By::{Command, Exempt, Interfaces, Rollback, Sighup, Unconfirmed, Watch};
        let stands = |by, works, current| {
            let mut standing = Standing {
                last_good: Some(Keeping {
                    instead: Some("a mistake".to_owned()),
                    ..Keeping::default()
                }),
                ..Standing::default()
            };
            standing.note(attempt(by, works), current);
            standing.last_good.unwrap().instead.is_some()
        };
        for by in [Command, Sighup, Watch] {
            assert!(!stands(by, true, true), "{by:?}");
            assert!(stands(by, false, true), "{by:?} fails");
            assert!(stands(by, true, false), "{by:?} of another file");
        }
        for by in [Exempt, Interfaces, Rollback, Unconfirmed] {
            assert!(stands(by, true, true), "{by:?}");
        }
    }

    #[test]
    fn a_refusal_stands_until_it_is_made_good() {
        use By::{Command, Interfaces, Rollback, Sighup, Unconfirmed, Watch};
        for (attempts, current, expected) in [
            (&[(Watch, false)][..], false, &[Watch][..]),
            (&[(Watch, false), (Watch, true)], false, &[]),
            (&[(Watch, false), (Watch, false)], false, &[Watch]),
            (&[(Watch, false), (Command, true)], true, &[]),
            (&[(Command, false), (Watch, true)], false, &[Command]),
            (&[(Command, false), (Watch, true)], true, &[]),
            (
                &[(Command, false), (Watch, false)],
                false,
                &[Command, Watch],
            ),
            (&[(Watch, false), (Sighup, false)], false, &[Watch, Sighup]),
            (&[(Command, false), (Sighup, false)], false, &[Sighup]),
            (
                &[(Command, false), (Watch, false), (Watch, true)],
                false,
                &[Command],
            ),
            (
                &[(Command, false), (Watch, false), (Sighup, true)],
                true,
                &[],
            ),
            (
                &[(Command, false), (Watch, false), (Interfaces, true)],
                true,
                &[Command, Watch],
            ),
            (
                &[(Watch, false), (Interfaces, false)],
                true,
                &[Watch, Interfaces],
            ),
            (&[(Interfaces, false), (Interfaces, true)], false, &[]),
            (&[(Interfaces, false), (Watch, true)], false, &[]),
            (&[(Rollback, false)], false, &[]),
            (&[(Command, false), (Rollback, false)], false, &[Command]),
            (&[(Unconfirmed, false)], false, &[Unconfirmed]),
            (&[(Unconfirmed, false), (Unconfirmed, true)], true, &[]),
        ] {
            assert_eq!(refused(attempts, current), expected, "{attempts:?}");
        }
    }
}
