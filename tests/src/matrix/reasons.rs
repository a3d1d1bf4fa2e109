//! By how much which counter moved.

use std::fmt;

use crate::gate::{Counters, ReasonPackets};

/// The reasons whose counters moved between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(Vec<ReasonPackets>);

impl Reasons {
    /// What moved from `before` to `after`.
    #[must_use]
    pub fn between(before: &Counters, after: &Counters) -> Self {
        Self(
            after
                .reasons
                .iter()
                .map(|now| {
                    let then = before
                        .reasons
                        .iter()
                        .find(|then| then.verdict == now.verdict && then.reason == now.reason)
                        .map_or(0, |then| then.packets);
                    ReasonPackets {
                        packets: now.packets.saturating_sub(then),
                        ..now.clone()
                    }
                })
                .filter(|moved| moved.packets > 0)
                .collect(),
        )
    }

    /// Whether no counter moved.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// The reasons alone.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|moved| moved.reason.as_str()).collect();
        names.join(", ")
    }

    /// Whether exactly what `counted` says moved, by one packet: or nothing, for `None`.
    #[must_use]
    pub fn are(&self, counted: Option<(&str, &str)>) -> bool {
        match (self.0.as_slice(), counted) {
            ([], None) => true,
            ([moved], Some((verdict, reason))) => {
                moved.packets == 1 && moved.verdict == verdict && moved.reason == reason
            }
            _ => false,
        }
    }
}

impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, moved) in self.0.iter().enumerate() {
            let ReasonPackets {
                verdict,
                reason,
                packets,
            } = moved;
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{packets} {verdict}/{reason}")?;
        }
        Ok(())
    }
}
