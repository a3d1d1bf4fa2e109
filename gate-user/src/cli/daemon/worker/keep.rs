//! What is in force, kept for the next start of the machine.

use std::time::{Duration, Instant};

use gate_user::last_good::{Keeping, Store};

use super::{super::back_off::BackOff, Worker, locked, say};

/// How long at most it waits until it tries again: a disk that is full may have room any time.
const LONGEST: Duration = Duration::from_mins(1);

/// What the worker knows of it.
pub(super) struct Keeper {
    store: Store,
    /// The generation that is kept.
    kept: Option<u32>,
    back_off: BackOff,
}

impl Worker {
    /// Has what is in force kept from now on; `instead` says why the last good configuration is in force, if it is.
    pub(in super::super) fn keep_in(&mut self, store: Store, instead: Option<String>) {
        locked(&self.standing).last_good = Some(Keeping::of(&store, instead));
        self.keeper = Some(Keeper {
            store,
            kept: None,
            back_off: BackOff::up_to(LONGEST),
        });
    }

    /// Keeps what is in force, if it is not kept yet and waits for no confirmation.
    pub(super) fn keep(&mut self) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let generation = self.running.manifest().number;
        let now = Instant::now();
        if keeper.kept == Some(generation)
            || !keeper.back_off.is_over(now)
            || !matches!(self.running.pending(), Ok(None))
        {
            return;
        }
        let result = self.running.keep(&keeper.store);
        if let Some(keeping) = &mut locked(&self.standing).last_good {
            keeping.note(&keeper.store, result.as_ref().err());
        }
        match result {
            Ok(()) => {
                if keeper.back_off.failed() {
                    say::log(&format!(
                        "generation {generation} is kept as last good in {}",
                        keeper.store.directory().display()
                    ));
                }
                keeper.kept = Some(generation);
                keeper.back_off.clear();
            }
            Err(error) => {
                if keeper.back_off.fail(&error.to_string(), now) {
                    say::log(&format!(
                        "warning: generation {generation} is not kept as last good: {error}; {}",
                        error.hint()
                    ));
                }
            }
        }
    }
}
