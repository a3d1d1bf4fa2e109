//! `gate bypass`: for a time that ends by itself, everything is only observed.
//!
//! What counts is one word of the state map, which the program compares with the clock: the bypass begins with a store and ends at its
//! instant, whether anybody is there or not. That is the clock as the program was told it last: where somebody sets the clock of the machine, the instant
//! moves with it (`set_clock`), and where nobody is there to do that, neither moves. A bypass is as long as was asked for. Why, since when and for whom is a note beside the other pins, written before the word;
//! a word without its note is shown without them. Where somebody removed the pinned maps, the maps that are made anew have no bypass.

mod wanted;

use std::io;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::wanted::{Span, Wanted, WantedError};
use crate::{
    clock,
    control::Client,
    error::Error,
    kernel::{self, Maps},
    pins::{Note, Pins},
    report::Report,
    sys::Access,
    view,
};

/// A bypass that is in force, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// When it ends by itself.
    pub until: Timestamp,
    /// When it began; nothing where its note is gone.
    pub since: Option<Timestamp>,
    /// Why, likewise.
    pub reason: Option<String>,
    /// Who asked for it, if that is known.
    pub by: Option<String>,
}

/// What the switch was turned from and to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// What was in force.
    pub before: Option<Bypass>,
    /// What is in force now.
    pub now: Option<Bypass>,
}

/// What somebody who looks after the gate finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The bypass in force.
    pub now: Option<Bypass>,
    /// One that has ended since somebody looked last.
    pub ended: Option<Bypass>,
}

/// The bypass in force; nothing if there is none, or no gate.
pub fn in_force(pins: &Pins) -> Result<Option<Bypass>, Error> {
    let until_ns = Maps::pinned_bypass(pins)?;
    if until_ns <= program_now(Maps::pinned_wall_offset(pins)?)? {
        return Ok(None);
    }
    Ok(described(pins, until_ns))
}

/// The UNIX time in nanoseconds that the program goes by.
fn program_now(wall_offset_ns: u64) -> Result<u64, Error> {
    let monotonic_ns = clock::monotonic_coarse_ns()
        .map_err(|errno| Error::system("read the clock")(errno.into()))?;
    Ok(monotonic_ns.wrapping_add(wall_offset_ns))
}

/// Tells the program the time of day if the clock was set since it was told last, and moves the end of a bypass by as much; says whether it was set. Needs
/// the lock on the pins.
pub(crate) fn set_clock(pins: &Pins, maps: &Maps) -> Result<bool, Error> {
    let offset =
        clock::wall_offset_ns().map_err(|errno| Error::system("read the clock")(errno.into()))?;
    let before = maps.wall_offset()?;
    if offset.abs_diff(before) < clock::SET_NS {
        return Ok(false);
    }
    let until_ns = maps.bypass_until()?;
    // Nobody told it the time yet, or there is none to move.
    if before == 0 || until_ns <= program_now(before)? {
        maps.set_wall_offset(offset)?;
        return Ok(true);
    }
    let moved_ns = until_ns.wrapping_add(offset.wrapping_sub(before));
    // In the order in which the bypass is in force between the two as well.
    if moved_ns > until_ns {
        maps.set_bypass_until(moved_ns)?;
        maps.set_wall_offset(offset)?;
    } else {
        maps.set_wall_offset(offset)?;
        maps.set_bypass_until(moved_ns)?;
    }
    let by = SignedDuration::from_nanos(offset.wrapping_sub(before).cast_signed());
    if let Some(noted) = kernel::read_note::<Bypass>(pins, Note::Bypass)? {
        let moved = |it: Timestamp| it.checked_add(by).unwrap_or(it);
        let now = Bypass {
            until: moved(noted.until),
            since: noted.since.map(moved),
            ..noted
        };
        kernel::write_note(pins, Note::Bypass, &now)?;
    }
    Ok(true)
}

/// `gate bypass --for`: has the daemon begin one, or does it where there is none.
pub fn begin(pins: &Pins, wanted: &Wanted) -> Result<Switched, Error> {
    wanted.check()?;
    if let Some(daemon) = daemon(pins)? {
        return Ok(daemon.bypass(Some(wanted))?);
    }
    alone(pins, |maps| begin_locked(pins, maps, wanted))
}

/// `gate bypass off`: has the daemon end the one in force, or does it where there is none.
pub fn end(pins: &Pins) -> Result<Switched, Error> {
    if let Some(daemon) = daemon(pins)? {
        return Ok(daemon.bypass(None)?);
    }
    alone(pins, |maps| end_locked(pins, maps))
}

/// The daemon, if one runs; one of another version of the map ABI cannot be asked.
fn daemon(pins: &Pins) -> Result<Option<Client>, Error> {
    if Maps::pinned_generation(pins)?.number() == 0 {
        pins.check_no_other()?;
    }
    if pins.locked()? {
        Ok(Some(Client::new(pins)?))
    } else {
        Ok(None)
    }
}

/// Changes what is pinned, without a daemon.
fn alone<T>(pins: &Pins, change: impl FnOnce(&Maps) -> Result<T, Error>) -> Result<T, Error> {
    if Maps::pinned_generation(pins)?.number() == 0 {
        return Err(view::not_loaded(pins));
    }
    let _lock = pins.lock()?;
    pins.check_version()?;
    let maps = Maps::open(pins, Access::Write)?;
    // What the program compares the end with is what a daemon left that may be long gone.
    set_clock(pins, &maps)?;
    change(&maps)
}

/// Begins one; needs the lock on the pins.
pub(crate) fn begin_locked(pins: &Pins, maps: &Maps, wanted: &Wanted) -> Result<Switched, Error> {
    wanted.check()?;
    let before = in_force(pins)?;
    let since = Timestamp::now();
    let seconds = i64::try_from(wanted.seconds).unwrap_or(i64::MAX);
    let until = since
        .checked_add(SignedDuration::from_secs(seconds))
        .map_err(|error| Error::system("reckon when the bypass ends")(io::Error::other(error)))?;
    let now = Bypass {
        until,
        since: Some(since),
        reason: Some(wanted.reason.clone()),
        by: wanted.by.clone(),
    };
    kernel::write_note(pins, Note::Bypass, &now)?;
    maps.set_bypass_until(u64::try_from(until.as_nanosecond()).unwrap_or(0))?;
    Ok(Switched {
        before,
        now: Some(now),
    })
}

/// Ends the one in force; needs the lock on the pins.
pub(crate) fn end_locked(pins: &Pins, maps: &Maps) -> Result<Switched, Error> {
    let before = in_force(pins)?;
    maps.set_bypass_until(0)?;
    kernel::remove_note(pins, Note::Bypass)?;
    Ok(Switched { before, now: None })
}

/// Looks whether there is one, and clears one that is over, so that no clock that is set back brings it back; needs the lock on the
/// pins.
pub(crate) fn follow(pins: &Pins, maps: &Maps) -> Result<Found, Error> {
    let Some(found) = described(pins, maps.bypass_until()?) else {
        // Of one that ended, and whose note could not be removed.
        let ended: Option<Bypass> = kernel::read_note(pins, Note::Bypass).ok().flatten();
        if ended.is_some() {
            kernel::remove_note(pins, Note::Bypass)?;
        }
        return Ok(Found { now: None, ended });
    };
    if maps.bypass_until()? > program_now(maps.wall_offset()?)? {
        return Ok(Found {
            now: Some(found),
            ended: None,
        });
    }
    maps.set_bypass_until(0)?;
    kernel::remove_note(pins, Note::Bypass)?;
    Ok(Found {
        now: None,
        ended: Some(found),
    })
}

/// What is known of the bypass until this UNIX time in nanoseconds; nothing if that is none.
fn described(pins: &Pins, until_ns: u64) -> Option<Bypass> {
    if until_ns == 0 {
        return None;
    }
    let until = Timestamp::from_nanosecond(until_ns.into()).unwrap_or(Timestamp::MAX);
    // A note that cannot be read is as good as none: that there is a bypass matters more.
    let noted: Option<Bypass> = kernel::read_note(pins, Note::Bypass).ok().flatten();
    Some(noted.filter(|it| it.until == until).unwrap_or(Bypass {
        until,
        since: None,
        reason: None,
        by: None,
    }))
}

impl std::fmt::Display for Bypass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            until,
            since,
            reason,
            by,
        } = self;
        write!(f, "until {until:.0}")?;
        if let Some(since) = since {
            write!(f, ", since {since:.0}")?;
        }
        if let Some(by) = by {
            write!(f, ", by {by}")?;
        }
        match reason {
            Some(reason) => write!(f, ": {reason}"),
            None => f.write_str(", for a reason that nobody noted"),
        }
    }
}

impl Report for Switched {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { before, now } = self;
        match (before, now) {
            (Some(before), Some(now)) if before == now => writeln!(out, "bypassed {now}"),
            (before, Some(now)) => {
                writeln!(out, "bypassed {now}")?;
                writeln!(
                    out,
                    "  everything is observed and nothing refused; `gate bypass off` ends that before its time"
                )?;
                before
                    .iter()
                    .try_for_each(|before| writeln!(out, "  in place of the one {before}"))
            }
            (Some(before), None) => {
                writeln!(out, "the bypass is over; it was {before}")?;
                writeln!(out, "  verdicts are as configured again")
            }
            (None, None) => writeln!(out, "no bypass: verdicts are as configured"),
        }
    }
}
