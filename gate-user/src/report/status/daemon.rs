//! The daemon, as `gate status` sees it.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    control::{Attempt, By, Cause, Client, ControlError, Outcome, Standing},
    error::Error,
    last_good::Keeping,
    logging::LogState,
    marking::Missing,
    pins::Pins,
    retention,
};

/// Whether the daemon lives, and what it says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Daemon {
    /// Whether there is one: somebody holds the lock.
    pub(super) alive: bool,
    pub(super) state: DaemonState,
    pub(super) pid: Option<u32>,
    /// The skb marks that it found missing.
    #[serde(skip)]
    pub(super) unseen: Option<Missing>,
    /// When it last looked at the data files.
    pub(super) looked_at: Option<Timestamp>,
    /// When it last deleted what is known of sources and was over.
    pub(super) swept_at: Option<Timestamp>,
    /// Who asked for the reload that goes on.
    pub(super) reloading: Option<By>,
    pub(super) last_reload: Option<Attempt>,
    /// Reloads that were refused or failed, and that no reload since has made good.
    pub(super) refused: Vec<Attempt>,
    /// How its log is.
    pub(super) log: Option<LogState>,
    /// What is kept for the next start of the machine.
    pub(super) last_good: Option<Keeping>,
}

/// How the daemon is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DaemonState {
    /// It answers.
    Alive,
    /// It has no control socket: it is starting, or ending.
    Closed,
    /// It does not answer.
    Silent,
    /// There is none.
    Absent,
}

impl DaemonState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Closed => "starting or ending",
            Self::Silent => "does not answer",
            Self::Absent => "not running",
        }
    }
}

/// Asks the daemon, if there is one.
pub(super) fn daemon(pins: &Pins, problems: &mut Vec<String>) -> Result<Daemon, Error> {
    if !pins.locked()? {
        return Ok(Daemon::without_words(DaemonState::Absent));
    }
    let error = match Client::new(pins).and_then(|client| client.status()) {
        Ok(standing) => return Ok(Daemon::of(standing, problems)),
        Err(error) => error,
    };
    problems.push(format!("{error}; {}", error.hint()));
    Ok(Daemon::without_words(match error {
        ControlError::Closed => DaemonState::Closed,
        ControlError::Unsafe { .. }
        | ControlError::Io { .. }
        | ControlError::Silent { .. }
        | ControlError::Garbled(_)
        | ControlError::Told(_) => DaemonState::Silent,
    }))
}

impl Daemon {
    /// Whether there is one: somebody holds the lock.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// Its process id, where it says it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    fn without_words(state: DaemonState) -> Self {
        Self {
            alive: state != DaemonState::Absent,
            state,
            pid: None,
            unseen: None,
            looked_at: None,
            swept_at: None,
            reloading: None,
            last_reload: None,
            refused: Vec::new(),
            log: None,
            last_good: None,
        }
    }

    pub(super) fn of(standing: Standing, problems: &mut Vec<String>) -> Self {
        let Standing {
            pid,
            looked_at,
            restless,
            unread,
            unseen,
            swept_at,
            unswept,
            undone,
            chore_failures: _,
            metrics,
            log,
            last_good,
            reloads: _,
            reloading,
            last,
            refused,
        } = standing;
        problems.extend(metrics);
        problems.extend(log.as_ref().and_then(LogState::problem));
        problems.extend(unswept.as_deref().map(retention::unswept));
        problems.extend(undone.iter().map(|(chore, failure)| chore.undone(failure)));
        if let Some(Keeping {
            problem, instead, ..
        }) = &last_good
        {
            problems.extend(instead.clone());
            problems.extend(problem.clone());
        }
        problems.extend(restless.map(|path| {
            format!(
                "{}: changes all the time, and no change of data is taken while it does; write a file elsewhere, then rename it into its place",
                path.display()
            )
        }));
        problems.extend(unread.then(|| {
            "the configuration in force is not that of its file any more, and was read by a daemon before this one: changes of data are not followed; \
             `gate reload` takes what the file says now"
                .to_owned()
        }));
        for attempt in &refused {
            problems.extend(attempt.outcome.cause().map(|cause| refusal(attempt, cause)));
        }
        Self {
            alive: true,
            state: DaemonState::Alive,
            pid: Some(pid),
            unseen,
            looked_at,
            swept_at,
            reloading,
            last_reload: last,
            refused,
            log,
            last_good,
        }
    }
}

fn refusal(attempt: &Attempt, cause: &Cause) -> String {
    let Cause {
        reason,
        hint,
        generation,
    } = cause;
    let hint = hint
        .as_ref()
        .map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    format!(
        "reload ({}, {:.0}) {}, generation {generation} is in force: {reason}{hint}",
        attempt.by,
        attempt.at,
        word(&attempt.outcome)
    )
}

pub(crate) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Loaded { .. } => "loaded",
        Outcome::Confirmed { .. } => "confirmed",
        Outcome::Unchanged { .. } => "nothing changed",
        Outcome::Refused(_) => "refused",
        Outcome::Failed(_) => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chore::Chore, logging::Form};

    #[test]
    fn sources_that_cannot_be_deleted_are_a_problem() {
        let mut problems = Vec::new();
        let standing = Standing {
            unswept: Some("the map SOURCES cannot be written: EPERM".to_owned()),
            ..Standing::default()
        };
        Daemon::of(standing, &mut problems);
        assert!(
            matches!(&problems[..], [one] if one.contains("kept beyond their retention") && one.contains("EPERM")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_log_that_nobody_reads_is_a_problem() {
        let mut problems = Vec::new();
        let flows = LogState {
            form: Form::Journal,
            to: "/run/systemd/journal/socket".to_owned(),
            lost: 3,
            waiting: 1,
            blocked_since: None,
            cause: None,
        };
        let standing = |log: &LogState| Standing {
            log: Some(log.clone()),
            ..Standing::default()
        };
        Daemon::of(standing(&flows), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let blocked = LogState {
            blocked_since: Some(Timestamp::UNIX_EPOCH),
            ..flows
        };
        Daemon::of(standing(&blocked), &mut problems);
        assert!(
            matches!(&problems[..], [one] if one.starts_with("the log (/run/systemd/journal/socket) takes no lines since 1970-")),
            "{problems:?}"
        );
    }

    #[test]
    fn what_cannot_be_looked_after_is_a_problem() {
        let mut problems = Vec::new();
        let standing = Standing {
            undone: Chore::ALL.map(|it| (it, "EPERM".to_owned())).into(),
            ..Standing::default()
        };
        // As it comes over the control socket.
        let text = serde_json::to_string(&standing).unwrap();
        Daemon::of(serde_json::from_str(&text).unwrap(), &mut problems);
        assert_eq!(problems.len(), Chore::ALL.len(), "{problems:?}");
        assert!(
            problems.iter().all(|it| it.contains("EPERM")),
            "{problems:?}"
        );
    }

    #[test]
    fn a_file_that_never_stays_as_it_is_is_a_problem() {
        let mut problems = Vec::new();
        let mut standing = Standing::default();
        Daemon::of(standing.clone(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        standing.restless = Some("/etc/gate/static.txt".into());
        Daemon::of(standing, &mut problems);
        assert!(
            matches!(&problems[..], [one] if one.starts_with("/etc/gate/static.txt: ")),
            "{problems:?}"
        );
    }
}
