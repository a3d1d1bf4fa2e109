//! What is in force, kept for the next start of the machine.

use std::time::{Duration, Instant};

use gate_user::{
    last_good::{Keeping, LastGoodError, Store},
    logging::{Entry, Event, Field},
    run::{Instead, Reason},
};

use super::{super::back_off::BackOff, Worker, locked, say};

/// How long at most it waits until it tries again: a disk that is full may have room any time.
const LONGEST: Duration = Duration::from_mins(1);

/// What the worker knows of it.
pub(super) struct Keeper {
    store: Store,
    /// The generation that is kept.
    kept: Option<u32>,
    /// Whether what is kept was looked through for damage.
    checked: bool,
    back_off: BackOff,
}

impl Keeper {
    /// What is in force is to be kept now, whatever failed before.
    pub(super) fn urge(&mut self) {
        self.back_off.clear();
    }
}

impl Worker {
    /// Has what is in force kept from now on.
    pub(in super::super) fn keep_in(&mut self, store: Store) {
        let instead = self.running.instead().map(Instead::words);
        locked(&self.standing).last_good = Some(Keeping::of(&store, instead));
        self.keeper = Some(Keeper {
            store,
            kept: None,
            checked: false,
            back_off: BackOff::up_to(LONGEST),
        });
    }

    /// Whether the file has a configuration that only `gate reload` puts in force.
    pub(super) fn is_held(&self) -> bool {
        let standing = locked(&self.standing);
        let instead = standing.last_good.as_ref().map(|it| it.instead.is_some());
        let doubted = self.running.instead().map(|it| &it.reason);
        instead == Some(true) && matches!(doubted, Some(Reason::Doubt(_)))
    }

    /// Keeps what is in force, if it is not kept yet and waits for no confirmation.
    pub(super) fn keep(&mut self) {
        let held = self.is_held();
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
        let ended = self.ended.clone();
        let result = self
            .running
            .keep(&keeper.store, held, !keeper.checked, &|| ended.is_set());
        if matches!(result, Err(LastGoodError::Cancelled)) {
            return;
        }
        if let Some(keeping) = &mut locked(&self.standing).last_good {
            keeping.note(&keeper.store, result.as_ref().err());
        }
        match result {
            Ok(()) => {
                if keeper.back_off.failed() {
                    let directory = keeper.store.directory().display();
                    let kept =
                        format!("generation {generation} is kept as last good in {directory}");
                    let kept = Entry::new(Event::LastGoodKept, kept);
                    let kept = kept.number(Field::Generation, generation);
                    say::log(kept.text(Field::File, directory));
                }
                keeper.kept = Some(generation);
                keeper.checked = true;
                keeper.back_off.clear();
            }
            Err(error) => {
                if keeper.back_off.fail(&error.to_string(), now) {
                    let unkept = format!(
                        "generation {generation} is not kept as last good, which is tried again: {error}"
                    );
                    let unkept = Entry::new(Event::LastGoodUnkept, unkept)
                        .number(Field::Generation, generation)
                        .text(Field::Reason, &error)
                        .text(Field::Hint, error.hint());
                    say::log(unkept);
                }
            }
        }
    }
}
