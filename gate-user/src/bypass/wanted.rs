//! What a person asks for, and what speaks against it.

use std::{error, str::FromStr, time::Duration};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// The longest bypass, in seconds: who needs another day asks again.
const LONGEST_S: u64 = 24 * 60 * 60;
/// The longest reason, in characters.
const REASON_MAX: usize = 200;

/// A bypass that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// For how many seconds.
    pub seconds: u64,
    /// Why.
    pub reason: String,
    /// Who asks, if known.
    pub by: Option<String>,
}

/// What is wrong with a bypass that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedError {
    /// It lasts no time, or too long.
    #[error(
        "a bypass of {seconds} seconds: it lasts from 1 second to {} hours",
        LONGEST_S / 3600
    )]
    Length {
        /// For how long it was asked for.
        seconds: u64,
    },
    /// Nobody would know why.
    #[error("a bypass without a reason: --reason says why, for whoever looks at the gate next")]
    NoReason,
    /// It is too long to be shown everywhere.
    #[error("a reason of {length} characters: {REASON_MAX} at most; the ticket may say more")]
    LongReason {
        /// How many characters it has.
        length: usize,
    },
    /// It would not stay in its line of the log.
    #[error("a reason with control characters, line breaks or tabs: it is shown in one line")]
    Control,
}

impl Wanted {
    /// Makes sure that it can be had.
    pub fn check(&self) -> Result<(), WantedError> {
        let Self {
            seconds,
            reason,
            by: _,
        } = self;
        let length = reason.chars().count();
        if !(1..=LONGEST_S).contains(seconds) {
            Err(WantedError::Length { seconds: *seconds })
        } else if reason.trim().is_empty() {
            Err(WantedError::NoReason)
        } else if reason.chars().any(char::is_control) {
            Err(WantedError::Control)
        } else if length > REASON_MAX {
            Err(WantedError::LongReason { length })
        } else {
            Ok(())
        }
    }
}

/// A length of time as people write it, such as `30m`, `1h30m` or `90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = Box<dyn error::Error + Send + Sync>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "is no length of time such as 30m, 1h30m or 90s";
        let length: SignedDuration = text.parse().map_err(|_| wrong)?;
        let length = Duration::try_from(length).map_err(|_| wrong)?;
        Ok(Self(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(seconds: u64, reason: &str) -> Result<(), WantedError> {
        let wanted = Wanted {
            seconds,
            reason: reason.to_owned(),
            by: None,
        };
        wanted.check()
    }

    #[test]
    fn a_bypass_has_an_end_and_a_reason() {
        for seconds in [1, 1800, LONGEST_S] {
            assert_eq!(wanted(seconds, "mail of customers is lost"), Ok(()));
        }
        for seconds in [0, LONGEST_S + 1, u64::MAX] {
            assert_eq!(wanted(seconds, "x"), Err(WantedError::Length { seconds }));
        }
        for reason in ["", " ", "\u{a0}"] {
            assert_eq!(wanted(60, reason), Err(WantedError::NoReason));
        }
        for reason in ["a\nb", "a\tb", "\u{1b}[2J", "\u{85}x"] {
            assert_eq!(wanted(60, reason), Err(WantedError::Control));
        }
        assert_eq!(wanted(60, &"ü".repeat(REASON_MAX)), Ok(()));
        let length = REASON_MAX + 1;
        assert_eq!(
            wanted(60, &"ü".repeat(length)),
            Err(WantedError::LongReason { length })
        );
    }

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("30m", 1800),
            ("1h30m", 5400),
            ("90s", 90),
            ("2 hours", 7200),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().0.as_secs(), seconds, "{text}");
        }
        for text in ["", "30", "m", "-30m", "30m ago", "forever", "1 fortnight"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
