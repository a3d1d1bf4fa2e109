//! How long to wait before data that could not be put in force is tried again.
//!
//! A device that is missing for a moment, or memory that is short, has nothing to do with the data: what failed so is
//! tried until it works, ever less often, and told once for each reason.

use std::time::{Duration, Instant};

/// The first wait: an interface that is made anew is back in no time.
const FIRST: Duration = Duration::from_secs(5);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(10);

/// The failure that is waited for to pass.
#[derive(Debug)]
pub(super) struct BackOff {
    failure: Option<Failure>,
    longest: Duration,
}

impl Default for BackOff {
    fn default() -> Self {
        Self::up_to(LONGEST)
    }
}

#[derive(Debug)]
struct Failure {
    reason: String,
    wait: Duration,
    until: Instant,
}

impl BackOff {
    /// One that never waits longer than that.
    pub(super) const fn up_to(longest: Duration) -> Self {
        Self {
            failure: None,
            longest,
        }
    }

    /// Nothing failed, or it is over.
    pub(super) fn clear(&mut self) {
        self.failure = None;
    }

    /// Whether the last attempt failed.
    pub(super) fn failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Whether it is time for an attempt.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.failure.as_ref().is_none_or(|it| now >= it.until)
    }

    /// Notes that an attempt failed; says whether the reason is another one than that of the attempt before.
    pub(super) fn fail(&mut self, reason: &str, now: Instant) -> bool {
        let before = self.failure.take();
        let wait = before
            .as_ref()
            .map_or(FIRST, |it| (it.wait * 2).min(self.longest));
        let another = before.is_none_or(|it| it.reason != reason);
        self.failure = Some(Failure {
            reason: reason.to_owned(),
            wait,
            until: now + wait,
        });
        another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let mut now = Instant::now();
        let mut back_off = BackOff::default();
        assert!(back_off.is_over(now) && !back_off.failed());
        for seconds in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            back_off.fail("no memory", now);
            let early = Duration::from_millis(seconds * 1000 - 1);
            assert!(!back_off.is_over(now + early), "{seconds}");
            now += Duration::from_secs(seconds);
            assert!(back_off.is_over(now) && back_off.failed(), "{seconds}");
        }
    }

    #[test]
    fn a_reason_is_told_once() {
        let now = Instant::now();
        let mut back_off = BackOff::default();
        let told = ["a", "a", "b", "b", "a"].map(|reason| back_off.fail(reason, now));
        assert_eq!(told, [true, false, true, false, true]);
    }
}
