//! `gate rehearse`: the generation that a configuration would make decides about real packets beside the one in force, and nothing comes of it but
//! a report of what it would have treated otherwise.
//!
//! | module | what it is |
//! |---|---|
//! | `report` | what was found, in the words of both generations |
//! | `text` | the same, for people |
//! | `error` | why a configuration cannot be rehearsed |
//!
//! The process that is asked fills the candidate's slot, and empties it: the daemon goes on with everything else. What is left of one that is
//! killed is over at its deadline, which the program goes by itself, and the daemon clears it away (`sweep`). Nothing of what was found is
//! pinned or written to a file.

mod error;
mod report;
mod text;

use std::{
    collections::HashMap,
    io,
    path::{self, Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::{
    error::RehearseError,
    report::{Difference, Ended, Outcome, Rehearsal, Source, Totals, Treated, Unseen},
};
use self::{report::Both, text::Described};
use crate::{
    bypass,
    error::Error,
    floor,
    geoip::Cancelled,
    guard, kernel,
    kernel::{Loaded, Maps},
    load::{self, Base},
    object, person,
    pins::{Claim, Note, Pins},
    privilege,
    progress::Progress,
    sys::{Access, devices},
    view::{self, View},
};

/// The longest rehearsal, in seconds: a day has all hours of mail.
const LONGEST_S: u64 = 24 * 60 * 60;
/// How often is looked whether it is over.
const PAUSE: Duration = Duration::from_millis(100);

/// What somebody wants rehearsed.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    /// The configuration.
    pub config: &'w Path,
    /// For how long.
    pub length: Duration,
    /// How many sources of each difference to list.
    pub listed: usize,
}

/// A rehearsal that goes on, for everybody who looks at the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underway {
    /// The configuration.
    pub config: PathBuf,
    /// Who asked for it, if that is known.
    pub by: Option<String>,
    /// When it began.
    pub since: Timestamp,
    /// When it ends at the latest.
    pub until: Timestamp,
    /// The generation in force that the configuration is compared with.
    pub against: u32,
}

/// The rehearsal that goes on; nothing if there is none, or no gate.
pub fn underway(pins: &Pins) -> Result<Option<Underway>, Error> {
    let in_force = Maps::pinned_generation(pins)?.number();
    if in_force == 0 {
        return Ok(None);
    }
    let going_on = Maps::pinned_rehearsal(pins)?;
    let noted = noted(pins).filter(|it| going_on == Some(it.against) && it.against == in_force);
    // What a process left that was killed goes on for nobody, although the program compares until its deadline.
    Ok(match noted {
        Some(noted) if pins.is_claimed(Claim::Rehearsal)? => Some(noted),
        _ => None,
    })
}

/// What the one who rehearses, or did last, has said of it.
fn noted(pins: &Pins) -> Option<Underway> {
    kernel::read_note(pins, Note::Rehearsal).ok().flatten()
}

/// Clears away what is left of a rehearsal whose process was killed; says whether there was anything. Needs no lock on the pins.
pub(crate) fn sweep(pins: &Pins, maps: &Maps) -> Result<bool, Error> {
    let Some(_lock) = pins.claim_left(Claim::Rehearsal)? else {
        return Ok(false);
    };
    if !maps.has_rehearsal()? && !pins.note(Note::Rehearsal).exists() {
        return Ok(false);
    }
    clear(pins, maps)?;
    Ok(true)
}

/// Empties the slots, and removes the note only then: it tells whoever looks after the gate next that there is something to clear.
fn clear(pins: &Pins, maps: &Maps) -> Result<(), Error> {
    maps.clear_rehearsal()?;
    Ok(kernel::remove_note(pins, Note::Rehearsal)?)
}

/// Rehearses a configuration until its time is over, `ended` says so, or what it is compared with is no more in force.
pub fn rehearse(pins: &Pins, wanted: Wanted<'_>, ended: Cancelled<'_>) -> Result<Rehearsal, Error> {
    floor::check()?;
    privilege::check()?;
    let seconds = wanted.length.as_secs();
    if !(1..=LONGEST_S).contains(&seconds) {
        return Err(RehearseError::Length { seconds }.into());
    }
    let directory = view::current(pins)?;
    pins.check_ownership()?;
    kernel::check_pins(object::OBJECT, pins)?;
    let Some(_lock) = pins.claim(Claim::Rehearsal)? else {
        return Err(RehearseError::Busy(noted(pins)).into());
    };
    if let Some(bypass) = bypass::in_force(pins)? {
        return Err(RehearseError::Bypassed(bypass).into());
    }
    let result = beside(pins, wanted, &directory, ended);
    let cleared = match &result {
        Ok(_) => kernel::remove_note(pins, Note::Rehearsal).map_err(Error::from),
        Err(_) => Maps::open(pins, Access::Write)
            .map_err(Error::from)
            .and_then(|maps| clear(pins, &maps)),
    };
    match result {
        Ok(rehearsal) => cleared.map(|()| rehearsal),
        Err(error) => Err(error.after(cleared)),
    }
}

/// Rehearses it beside the generation in `directory`; needs the lock. Where it fails, something may be left in the slots.
fn beside(
    pins: &Pins,
    wanted: Wanted<'_>,
    directory: &Path,
    ended: Cancelled<'_>,
) -> Result<Rehearsal, Error> {
    let live = View::pinned(directory)?;
    let now_until = || {
        let since = Timestamp::now();
        let length = SignedDuration::try_from(wanted.length).unwrap_or(SignedDuration::MAX);
        (since, since.checked_add(length).unwrap_or(Timestamp::MAX))
    };
    let (since, until) = now_until();
    let mut note = Underway {
        config: path::absolute(wanted.config)
            .map_err(Error::system("find the working directory"))?,
        by: person::name(),
        since,
        until,
        against: live.manifest.number,
    };
    // Whoever wants to rehearse something while data is read is told who does already.
    kernel::write_note(pins, Note::Rehearsal, &note)?;
    let sources = kernel::source_map(directory)?;
    let base = Base {
        manifest: Some(&live.manifest),
        sources: Some(&sources),
        number: live.manifest.number,
    };
    let mut progress = Progress::until(ended);
    let loaded = load::load(load::Source::Named(wanted.config), base, &mut progress);
    progress.finish();
    let load::Loaded { config, plan, .. } = loaded?;
    let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let violations = guard::violations(&config.guards, &live.manifest, &plan.manifest);
    let refused = violations.into_iter().map(|it| {
        format!("a guard refuses this data, and a reload with it would want --force: {it}")
    });
    warnings.extend(refused);
    let linked = pins.linked()?;
    let mut unattached: Vec<String> = plan
        .manifest
        .interfaces
        .iter()
        .map(|it| it.name.clone())
        .filter(|name| !linked.contains(name))
        .collect();
    unattached.dedup();

    let maps = Maps::open(pins, Access::Write)?;
    let indices = indices()?;
    let loaded = Loaded {
        directory,
        manifest: &live.manifest,
    };
    (note.since, note.until) = now_until();
    kernel::write_note(pins, Note::Rehearsal, &note)?;
    let begun = maps.begin_rehearsal(
        &plan,
        &|name| indices.get(name).copied(),
        live.manifest.number,
        Some(loaded),
        wanted.length,
    );
    let rehearsal = begun?;
    let why = watch(pins, &live, wanted.length, ended);
    let found = maps.end_rehearsal(&rehearsal)?;
    let why = why?;
    let both = Both {
        live,
        candidate: View::planned(plan),
    };
    let period = (note.since, Timestamp::now());
    let mut rehearsal = both.report(&found, why, period, wanted.listed);
    rehearsal.unattached = unattached;
    rehearsal.warnings = warnings;
    Ok(rehearsal)
}

/// Waits for the end, and says why it has come.
fn watch(
    pins: &Pins,
    live: &View,
    length: Duration,
    ended: &dyn Fn() -> bool,
) -> Result<Ended, Error> {
    let begun = Instant::now();
    loop {
        let generation = Maps::pinned_generation(pins)?.number();
        if generation == 0 {
            return Ok(Ended::Detached);
        }
        if generation != live.manifest.number {
            return Ok(Ended::Replaced { generation });
        }
        if let Some(bypass) = bypass::in_force(pins)? {
            return Ok(Ended::Bypassed {
                since: bypass.since,
            });
        }
        if ended() {
            return Ok(Ended::Interrupted);
        }
        let Some(rest) = length.checked_sub(begun.elapsed()) else {
            return Ok(Ended::Over);
        };
        thread::sleep(rest.min(PAUSE));
    }
}

/// The indices of the devices by their names.
fn indices() -> Result<HashMap<String, u32>, Error> {
    let devices = devices().map_err(Error::system("list the network interfaces"))?;
    Ok(devices.into_iter().map(|it| (it.name, it.index)).collect())
}

impl std::fmt::Display for Underway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            config,
            by,
            since,
            until,
            against: _,
        } = self;
        write!(f, "of {}", config.display())?;
        if let Some(by) = by {
            write!(f, " by {by}")?;
        }
        write!(f, ", since {since:.0}, until {until:.0}")
    }
}

impl crate::report::Report for Rehearsal {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        Described(self).write(out)
    }
}
