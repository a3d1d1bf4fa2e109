//! Interfaces that come and go.

use std::{sync::atomic::Ordering, time::Instant};

use gate_user::{
    Error,
    control::{By, Outcome},
    run::Means,
};

use super::{Worker, say};

impl Worker {
    /// Puts the gate back on interfaces that came back, or were made anew.
    pub(super) fn look_at_interfaces(&mut self) {
        self.wanted.store(false, Ordering::Release);
        let unsettled = self.running.is_unsettled();
        match unsettled.and_then(|it| self.say_unknown(it).map(|()| it)) {
            Ok(unsettled) => {
                self.trouble = None;
                if !unsettled {
                    self.unsettled.clear();
                } else if self.unsettled.is_over(Instant::now()) {
                    self.settle();
                }
            }
            // To look again costs little, so that it waits for nothing.
            Err(error) => {
                let trouble = error.to_string();
                if self.trouble.as_ref() != Some(&trouble) {
                    say::error(&error);
                }
                self.trouble = Some(trouble);
            }
        }
    }

    /// Says once on which interfaces the program is to no effect.
    fn say_unknown(&mut self, unsettled: bool) -> Result<(), Error> {
        let unknown = if unsettled {
            self.running.unknown()?
        } else {
            Vec::new()
        };
        let generation = self.running.manifest().number;
        for interface in unknown.iter().filter(|it| !self.unknown.contains(it)) {
            say::unknown(interface, generation);
        }
        self.unknown = unknown;
        Ok(())
    }

    /// Makes a generation for the interfaces that there are now.
    pub(super) fn settle(&mut self) {
        let by = By::Interfaces;
        self.begin(by);
        let again = self.unsettled.failed();
        if !again {
            say::begin(by, false);
        }
        let before = self.running.manifest().number;
        let ended = self.ended.clone();
        let means = Means {
            object: self.object,
            cancelled: &|| ended.is_set(),
        };
        let result = self.running.settle(means);
        let replaced = self.running.manifest().number != before;
        let now = Instant::now();
        let (outcome, tell) = match result {
            Ok(change) => {
                // The gate could not get on one of them.
                let tell = if self.running.is_unsettled().unwrap_or(true) {
                    self.unsettled.fail(&change.warnings.join("\n"), now)
                } else {
                    self.unsettled.clear();
                    true
                };
                let change = Box::new(change);
                (Outcome::Loaded { change }, tell)
            }
            Err(error) => {
                let tell = self.unsettled.fail(&error.to_string(), now);
                if tell {
                    say::error(&error);
                }
                let outcome = Outcome::of(&error, self.running.manifest().number);
                (outcome, tell)
            }
        };
        if replaced && let Err(error) = self.open_packet_log() {
            say::error(&error);
        }
        self.note(by, false, outcome, tell);
    }
}
