//! What the daemon looks after beside reloads, over and over. None of it is worth its end: what fails is a degraded state with a name, and is tried again.

use serde::{Deserialize, Serialize};

/// Something that the daemon looks after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chore {
    /// That the program's deadlines go by the time of day.
    Clock,
    /// That a bypass which is over does not come back.
    Bypass,
    /// That skb marks are set.
    Marks,
    /// That tags of connections which are too old go.
    Flows,
    /// That what a rehearsal leaves whose command was killed goes.
    Rehearsal,
    /// That what a listener to events leaves that was killed goes.
    Listener,
}

impl Chore {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Clock,
        Self::Bypass,
        Self::Marks,
        Self::Flows,
        Self::Rehearsal,
        Self::Listener,
    ];

    /// Its word in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::Bypass => "bypass",
            Self::Marks => "marks",
            Self::Flows => "flows",
            Self::Rehearsal => "rehearsal",
            Self::Listener => "listener",
        }
    }

    /// What there is to say where it failed.
    #[must_use]
    pub fn undone(self, failure: &str) -> String {
        let what = match self {
            Self::Clock => {
                "the clock is not followed: deadlines (`effective_from`, the end of a bypass) come at the time of day as it was before somebody set it"
            }
            Self::Bypass => {
                "bypasses are not looked after: one that is over may stay noted, and comes back if the clock is set back"
            }
            Self::Marks => "it is not known whether skb marks are set",
            Self::Flows => "tags of connections that are too old stay, and take room of new ones",
            Self::Rehearsal => {
                "what is left of a rehearsal whose command was killed cannot be cleared away: it judges no packet, and takes memory"
            }
            Self::Listener => {
                "what is left of a listener to events that was killed cannot be cleared away: nobody hears it, and it takes memory"
            }
        };
        format!(
            "{what}: {failure}; it is tried again all the time, and `gate run` makes pins anew that are gone"
        )
    }

    /// What there is to say where it no longer fails.
    #[must_use]
    pub const fn done_again(self) -> &'static str {
        match self {
            Self::Clock => "the clock is followed again",
            Self::Bypass => "bypasses are looked after again",
            Self::Marks => "skb marks are looked after again",
            Self::Flows => "tags of connections that are too old are removed again",
            Self::Rehearsal => "rehearsals whose command was killed are cleared away again",
            Self::Listener => "listeners to events that were killed are cleared away again",
        }
    }
}
