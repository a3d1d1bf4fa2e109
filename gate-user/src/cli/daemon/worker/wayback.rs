//! Rollbacks and confirmations.

use std::time::Instant;

use gate_user::{
    control::{Attempt, By, Outcome},
    run::{Back, Means},
};

use super::{Worker, said, say};

impl Worker {
    /// Goes back, if nobody confirmed in time what is in force.
    pub(super) fn take_back(&mut self) {
        match self.running.is_overdue() {
            Ok(false) => {}
            // One that failed is tried again, ever less often.
            Ok(true) if !self.overdue.is_over(Instant::now()) => {}
            Ok(true) => drop(self.rollback(&Back::Unconfirmed)),
            Err(error) => say::error(&error),
        }
    }

    pub(super) fn rollback(&mut self, back: &Back) -> Attempt {
        let by = match back {
            Back::Asked(_) => By::Rollback,
            Back::Unconfirmed => By::Unconfirmed,
        };
        self.begin(by);
        let again = by == By::Unconfirmed && self.overdue.failed();
        if !again {
            say::begin(by, false);
        }
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let means = Means {
            object: self.object,
            cancelled: &|| ended.is_set(),
        };
        let result = self.running.rollback(back, means);
        let replaced = self.running.manifest().number != before;
        let mut tell = true;
        let outcome = match result {
            Ok(change) => Outcome::Loaded {
                change: Box::new(change),
            },
            Err(error) => {
                if by == By::Unconfirmed {
                    tell = self.overdue.fail(&error.to_string(), Instant::now());
                }
                if tell {
                    say::error(&error);
                }
                Outcome::of(&error, self.running.manifest().number)
            }
        };
        if replaced {
            self.replaced();
            if let Some(keeper) = &mut self.keeper {
                keeper.urge();
            }
        }
        let attempt = self.note(by, false, outcome, tell);
        if replaced {
            self.say_who_waits();
        }
        attempt
    }

    pub(super) fn confirm(&mut self, by: Option<&str>) -> Attempt {
        let generation = self.running.manifest().number;
        let outcome = match self.running.confirm(by) {
            Ok(()) => Outcome::Confirmed { generation },
            Err(error) => {
                say::error(&error);
                Outcome::of(&error, generation)
            }
        };
        said(By::Command, false, outcome)
    }

    pub(super) fn say_who_waits(&self) {
        match self.running.pending() {
            Ok(pending) => say::waits(self.running.manifest(), pending),
            Err(error) => say::error(&error),
        }
    }
}
