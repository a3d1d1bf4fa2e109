//! Whether the skb marks that are due are set.
//!
//! The XDP program puts a mark before the frame, and `gate_mark` takes it from there. A driver of an older kernel may take the metadata from
//! the one and not hand it to the other (only some call `skb_metadata_set`), and so does a program of traffic control in front that has the kernel
//! copy the head of a packet (`pskb_expand_head`). No call fails then, on either side; but both sides count. Where marks are missing, the
//! loader has `gate_mark` look connections up, and sees by the counters whether that helps: it does not help where packets never get
//! to `gate_mark`.

use std::fmt;

use gate_common::{Shown, abi::NoMetadata};
use serde::{Deserialize, Serialize};

use crate::kernel::{KernelError, Maps};

/// So many marks have to be missing: some packets are always on their way between the two programs, and some are dropped there.
const MISSING: u64 = 16;
/// And more than one in so many.
const ONE_IN: u64 = 16;
/// After so many that were due, with fewer missing, marks are set.
const ENOUGH: u64 = 256;
/// After so many without a look-up, none is needed any more: what loses metadata may come and go.
const SETTLED: u64 = 1024;

/// What both programs have counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    due: u64,
    marked: u64,
    looked_up: u64,
}

/// How many marks are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Packets that were to be marked.
    pub due: u64,
    /// Those of them that were not.
    pub missing: u64,
}

/// What became of the marks since it was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// They are set, as the metadata says, or by look-up where a driver has no room for metadata.
    Set,
    /// The metadata is lost, as it seems, and connections are looked up.
    Lost(Missing),
    /// They are not set although connections are looked up: packets do not get to `gate_mark`.
    Unseen(Missing),
}

/// What operators read about lost metadata.
pub const LOST: &str = "the metadata that says which skb mark a packet gets is lost between the XDP program and `gate_mark`: connections are looked \
                        up instead, which costs a glance at every packet; drivers of older kernels lose it, as does a program of traffic \
                        control in front of `gate_mark` that has the kernel copy packets (`bpftool net` lists them): upgrade the kernel, or put that \
                        program behind; `gate_mark` stops looking up once the metadata arrives";

impl Tally {
    /// Reads the counters: first what is due, so that what goes on meanwhile counts for the marks.
    pub fn of(maps: &Maps) -> Result<Self, KernelError> {
        let due = maps.shown(Shown::Metadata)? + maps.shown(Shown::NoMetadata)?;
        Ok(Self {
            due,
            marked: maps.shown(Shown::Marked)?,
            looked_up: maps.shown(Shown::MarkedByLookup)?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            due: self.due.saturating_sub(before.due),
            marked: self.marked.saturating_sub(before.marked),
            looked_up: self.looked_up.saturating_sub(before.looked_up),
        }
    }

    /// How many marks are missing, if they are so many that it cannot be chance.
    #[must_use]
    pub fn missing(self) -> Option<Missing> {
        let Self {
            due,
            marked,
            looked_up,
        } = self;
        let missing = due.saturating_sub(marked + looked_up);
        (missing >= MISSING && missing > due / ONE_IN).then_some(Missing { due, missing })
    }

    /// What that means where `why` says whether connections are looked up; nothing as long as there is too little to tell by.
    fn finding(self, why: NoMetadata) -> Option<Finding> {
        if let Some(missing) = self.missing() {
            return Some(match why {
                NoMetadata::Never => Finding::Lost(missing),
                NoMetadata::NoRoom | NoMetadata::Lost => Finding::Unseen(missing),
            });
        }
        let enough = match why {
            NoMetadata::Lost if self.looked_up == 0 => SETTLED,
            NoMetadata::Never | NoMetadata::NoRoom | NoMetadata::Lost => ENOUGH,
        };
        if self.due < enough {
            return None;
        }
        Some(match why {
            NoMetadata::Lost if self.looked_up > 0 => Finding::Lost(Missing {
                due: self.due,
                missing: self.looked_up,
            }),
            NoMetadata::Never | NoMetadata::NoRoom | NoMetadata::Lost => Finding::Set,
        })
    }
}

impl Finding {
    /// Whether `gate_mark` has to look up, if that changes.
    #[must_use]
    pub const fn changes(self, why: NoMetadata) -> Option<NoMetadata> {
        match (self, why) {
            (Self::Lost(_), NoMetadata::Never) => Some(NoMetadata::Lost),
            (Self::Set, NoMetadata::Lost) => Some(NoMetadata::Never),
            (Self::Set | Self::Lost(_) | Self::Unseen(_), _) => None,
        }
    }
}

impl Missing {
    /// What operators read about marks that are missing while connections are looked up.
    #[must_use]
    pub fn unseen(self) -> String {
        format!(
            "{self} did not get to `gate_mark`, which sets it: another program of traffic control ends the chain before it, or packets are dropped \
             there; `bpftool net` and `tc filter show dev INTERFACE ingress` list what is in front, and `gate status` the interfaces that have no `gate_mark`"
        )
    }

    /// What operators read about marks that are missing where no daemon looks after them.
    #[must_use]
    pub fn unattended(self) -> String {
        format!(
            "since the gate was loaded, {self} did not get one: the metadata is lost between the XDP program and `gate_mark`, or another program of traffic \
             control ends the chain before it; `gate run` finds out which, and has `gate_mark` look connections up instead"
        )
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { due, missing } = self;
        write!(
            f,
            "{missing} of {due} connections that were to get an skb mark"
        )
    }
}

/// Looks after the marks of a gate.
#[derive(Debug)]
pub struct Marking {
    since: Tally,
    last: Finding,
}

impl Marking {
    /// From now on.
    #[must_use]
    pub const fn new(now: Tally) -> Self {
        Self {
            since: now,
            last: Finding::Set,
        }
    }

    /// What became of the marks, once there is enough to tell by.
    pub fn look(&mut self, now: Tally, why: NoMetadata) -> Option<Finding> {
        if now.due < self.since.due {
            // Other maps, which count from zero.
            self.since = Tally::default();
        }
        let finding = now.since(self.since).finding(why)?;
        self.since = now;
        Some(finding)
    }

    /// Whether it is another one than the last, which is worth a line in the log.
    pub fn is_news(&mut self, finding: Finding) -> bool {
        let before = std::mem::replace(&mut self.last, finding);
        std::mem::discriminant(&before) != std::mem::discriminant(&finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tally(due: u64, marked: u64, looked_up: u64) -> Tally {
        Tally {
            due,
            marked,
            looked_up,
        }
    }

    #[test]
    fn what_is_missing_is_told_from_what_is_on_its_way() {
        use NoMetadata::{Lost, Never, NoRoom};
        let missing = |due, missing| Missing { due, missing };
        for (counted, why, expected) in [
            // Too few to tell.
            (tally(0, 0, 0), Never, None),
            (tally(15, 0, 0), Never, None),
            (tally(255, 255, 0), Never, None),
            (tally(255, 240, 0), Never, None),
            // All of them, or nearly.
            (tally(256, 256, 0), Never, Some(Finding::Set)),
            (tally(256, 240, 0), Never, Some(Finding::Set)),
            (tally(100_000, 93_750, 0), Never, Some(Finding::Set)),
            (tally(256, 0, 256), NoRoom, Some(Finding::Set)),
            (tally(256, 300, 20), Never, Some(Finding::Set)),
            // None, or those of one interface of several.
            (tally(16, 0, 0), Never, Some(Finding::Lost(missing(16, 16)))),
            (
                tally(255, 239, 0),
                Never,
                Some(Finding::Lost(missing(255, 16))),
            ),
            (
                tally(100_000, 93_749, 0),
                Never,
                Some(Finding::Lost(missing(100_000, 6251))),
            ),
            (tally(20, 0, 2), Never, Some(Finding::Lost(missing(20, 18)))),
            // Looked up, in vain.
            (
                tally(16, 0, 0),
                Lost,
                Some(Finding::Unseen(missing(16, 16))),
            ),
            (
                tally(16, 0, 0),
                NoRoom,
                Some(Finding::Unseen(missing(16, 16))),
            ),
            (
                tally(300, 100, 100),
                Lost,
                Some(Finding::Unseen(missing(300, 100))),
            ),
            // Looked up, and found.
            (tally(255, 0, 255), Lost, None),
            (
                tally(256, 0, 256),
                Lost,
                Some(Finding::Lost(missing(256, 256))),
            ),
            (
                tally(256, 255, 1),
                Lost,
                Some(Finding::Lost(missing(256, 1))),
            ),
            // Not needed any more.
            (tally(1023, 1023, 0), Lost, None),
            (tally(1024, 1024, 0), Lost, Some(Finding::Set)),
        ] {
            assert_eq!(counted.finding(why), expected, "{counted:?}, {why:?}");
        }
    }

    #[test]
    fn look_ups_begin_with_a_loss_and_end_when_none_is_needed() {
        use NoMetadata::{Lost, Never, NoRoom};
        let missing = Missing {
            due: 16,
            missing: 16,
        };
        for (finding, why, expected) in [
            (Finding::Lost(missing), Never, Some(Lost)),
            (Finding::Lost(missing), Lost, None),
            (Finding::Lost(missing), NoRoom, None),
            (Finding::Unseen(missing), Lost, None),
            (Finding::Unseen(missing), NoRoom, None),
            (Finding::Set, Lost, Some(Never)),
            // The program itself found no room, and nobody else knows whether there is some now.
            (Finding::Set, NoRoom, None),
            (Finding::Set, Never, None),
        ] {
            assert_eq!(finding.changes(why), expected, "{finding:?}, {why:?}");
        }
    }

    #[test]
    fn little_by_little_it_adds_up_and_begins_anew() {
        let mut marking = Marking::new(tally(1000, 990, 0));
        assert_eq!(marking.look(tally(1008, 990, 0), NoMetadata::Never), None);
        let lost = Finding::Lost(Missing {
            due: 16,
            missing: 16,
        });
        assert_eq!(
            marking.look(tally(1016, 990, 0), NoMetadata::Never),
            Some(lost)
        );
        assert!(marking.is_news(lost) && !marking.is_news(lost));
        // What was missing before is not missing again.
        assert_eq!(marking.look(tally(1031, 990, 15), NoMetadata::Lost), None);
        let found = marking.look(tally(1272, 990, 256), NoMetadata::Lost);
        assert_eq!(
            found,
            Some(Finding::Lost(Missing {
                due: 256,
                missing: 256
            }))
        );
        assert!(!marking.is_news(lost));
        let found = marking.look(tally(2296, 2014, 256), NoMetadata::Lost);
        assert_eq!(found, Some(Finding::Set));
        assert!(marking.is_news(Finding::Set));
        // Maps that were made anew.
        assert_eq!(marking.look(tally(16, 0, 0), NoMetadata::Never), Some(lost));
    }
}
