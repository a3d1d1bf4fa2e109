//! What a daemon looks after beside reloads: the clock, skb marks, bypasses, rehearsals, and what is too old.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gate_common::abi::FLOW_TTL_NS;

use crate::{
    bypass::{self, Switched, Wanted},
    clock,
    error::Error,
    events,
    kernel::Maps,
    marking::{Finding, Marking, Tally},
    pins::Pins,
    rehearse,
    retention::Sweeper,
    sys::Access,
};

/// What a daemon does beside reloads, whatever else it is busy with. Clones are of one: a reload that has to make maps anew
/// gives it those.
#[derive(Clone, Debug)]
pub struct Upkeep {
    pins: Pins,
    maps: Arc<Mutex<Maps>>,
}

impl Upkeep {
    pub(super) fn new(pins: &Pins, maps: Maps) -> Self {
        Self {
            pins: pins.clone(),
            maps: Arc::new(Mutex::new(maps)),
        }
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        // Nothing is done under this lock that could leave the maps half changed.
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the maps that are pinned now.
    pub(super) fn follow(&self) -> Result<(), Error> {
        let maps = Maps::open(&self.pins, Access::Write)?;
        *self.maps() = maps;
        Ok(())
    }

    /// Tells the program the time of day if the clock was set since it was told last; says whether it was.
    pub fn follow_clock(&self) -> Result<bool, Error> {
        bypass::set_clock(&self.pins, &self.maps())
    }

    /// Has connections looked up where the metadata is lost, and no longer where it arrives; says what became of the marks, once there is
    /// enough to tell by. What was counted before the first look says nothing.
    pub fn follow_marks(&self, marking: &mut Option<Marking>) -> Result<Option<Finding>, Error> {
        let maps = self.maps();
        let why = maps.no_metadata()?;
        let tally = Tally::of(&maps)?;
        let Some(marking) = marking else {
            *marking = Some(Marking::new(tally));
            return Ok(None);
        };
        let Some(finding) = marking.look(tally, why) else {
            return Ok(None);
        };
        if let Some(why) = finding.changes(why) {
            maps.set_no_metadata(why)?;
        }
        Ok(Some(finding))
    }

    /// Begins a bypass, or ends the one in force.
    pub fn switch(&self, wanted: Option<&Wanted>) -> Result<Switched, Error> {
        let maps = self.maps();
        match wanted {
            Some(wanted) => bypass::begin_locked(&self.pins, &maps, wanted),
            None => bypass::end_locked(&self.pins, &maps),
        }
    }

    /// Looks whether there is a bypass, and clears one that is over.
    pub fn follow_bypass(&self) -> Result<bypass::Found, Error> {
        bypass::follow(&self.pins, &self.maps())
    }

    /// Clears away what is left of a rehearsal whose process was killed; says whether there was anything.
    pub fn follow_rehearsal(&self) -> Result<bool, Error> {
        rehearse::sweep(&self.pins, &self.maps())
    }

    /// Clears away what is left of a listener that was killed; says whether there was anything.
    pub fn follow_events(&self) -> Result<bool, Error> {
        events::sweep(&self.pins, &self.maps())
    }

    /// Deletes what is known of sources and is over; how many were.
    pub fn sweep_sources(&self, sweeper: &mut Sweeper) -> Result<u64, Error> {
        sweeper.sweep(&self.pins, &self.maps())
    }

    /// Removes the tags of connections that are too old to mean anything.
    pub fn sweep(&self) -> Result<(), Error> {
        sweep(&self.maps())
    }
}

/// Removes the tags of connections that are too old to mean anything.
pub(super) fn sweep(maps: &Maps) -> Result<(), Error> {
    let now =
        clock::monotonic_ns().map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(maps.sweep_flows(now.saturating_sub(FLOW_TTL_NS))?)
}
