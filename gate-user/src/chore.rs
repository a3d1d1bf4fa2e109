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
}

impl Chore {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Clock, Self::Bypass, Self::Marks, Self::Flows];

    /// What there is to say where it failed.
    #[must_use]
    pub fn undone(self, failure: &str) -> String {
        let what = match self {
            Self::Clock => {
                "the clock is not followed: deadlines (`effective_from`, the end of a bypass) come at the time of day as it was before somebody set it"
            }
            Self::Bypass => {
                "it is not known whether a bypass is in force: one that is over may stay noted, and comes back if the clock is set back"
            }
            Self::Marks => "it is not known whether skb marks are set",
            Self::Flows => "tags of connections that are too old stay, and take room of new ones",
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
        }
    }
}
