//! `gate events`: packets as they are refused or tagged, one line each, for as long as somebody listens.
//!
//! | module | what it is |
//! |---|---|
//! | `wanted` | which events, and on which terms |
//! | `line` | from the program's record to names |
//! | `write` | the lines |
//! | `error` | why nobody can listen |
//!
//! The program tells only while a lease holds, which is renewed here and given back at the end; what is left of a process that is killed is over within
//! seconds by itself, and the daemon clears it away (`sweep`). The ring is this process's. Nothing of what is heard is pinned or written to a file.
//! Whatever is not told is counted: nothing is lost in silence.

mod error;
mod line;
mod wanted;
mod write;

use std::{
    fmt, io, thread,
    time::{Duration, Instant},
};

use gate_common::{Told, abi::maps};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    error::EventsError,
    wanted::{RATES, SAMPLES, Wanted},
    write::Form,
};
use self::{
    line::{ByOutcome, Ended, Line, Lost, Names, Summary, millisecond, wall_offset},
    write::{Writer, untold},
};
use crate::{
    error::{Error, Exit},
    floor,
    geoip::Cancelled,
    kernel::{self, Maps, Ring, Tale},
    object, person,
    pins::{Claim, Note, Pins},
    privilege, retention,
    sys::{Access, Map},
    view,
};

/// For how long the program tells without hearing from whoever listens.
const LEASE: Duration = Duration::from_secs(5);
/// How often the lease is renewed, and losses are told.
const RENEW: Duration = Duration::from_secs(1);
/// How often the ring is looked into.
const LOOK: Duration = Duration::from_millis(50);
/// How many events are taken from it before anything else is looked at.
const AT_ONCE: usize = 4096;

/// Somebody who listens, for everybody who looks at the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Who, if that is known.
    pub by: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// What had become of events before.
    #[serde(default)]
    before: Tale,
}

/// Somebody who listens, and what was told to him.
#[derive(Clone, Debug, Serialize)]
pub struct Heard {
    by: Option<String>,
    since: Timestamp,
    events: ByOutcome,
}

impl Heard {
    /// Since when, and what was not told, without who.
    pub(crate) fn unnamed(&self) -> String {
        let Self {
            by: _,
            since,
            events,
        } = self;
        format!("since {since:.0}; not told: {}", untold(events))
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(by) = &self.by {
            write!(f, "{by}, ")?;
        }
        f.write_str(&self.unnamed())
    }
}

/// Who listens now, and what became of events since; nothing if nobody does.
pub fn heard(pins: &Pins) -> Result<Option<Heard>, Error> {
    let Some(Listening { by, since, before }) = underway(pins)? else {
        return Ok(None);
    };
    let told = Maps::open(pins, Access::Read)?.told()?;
    Ok(Some(Heard {
        by,
        since,
        events: told.since(&before).into(),
    }))
}

/// Who listens now; nothing if nobody does.
pub fn underway(pins: &Pins) -> Result<Option<Listening>, Error> {
    Ok(if pins.is_claimed(Claim::Events)? {
        noted(pins)
    } else {
        None
    })
}

/// What the one who listens, or did last, has said of it.
fn noted(pins: &Pins) -> Option<Listening> {
    kernel::read_note(pins, Note::Events).ok().flatten()
}

/// Clears away what is left of a listener that was killed; says whether there was anything. Needs no lock on the pins.
pub(crate) fn sweep(pins: &Pins, maps: &Maps) -> Result<bool, Error> {
    let Some(_lock) = pins.claim_left(Claim::Events)? else {
        return Ok(false);
    };
    if !maps.has_listener()? && !pins.note(Note::Events).exists() {
        return Ok(false);
    }
    clear(pins, maps)?;
    Ok(true)
}

/// Takes the ring away, and removes the note only then: it tells whoever looks after the gate next that there is something to clear.
fn clear(pins: &Pins, maps: &Maps) -> Result<(), Error> {
    maps.clear_listener()?;
    // A gate that came after a `gate detach` has notes of its own.
    if !are_pinned(maps, pins) {
        return Ok(());
    }
    Ok(kernel::remove_note(pins, Note::Events)?)
}

/// Whether these maps are still those of the gate at `pins`.
fn are_pinned(maps: &Maps, pins: &Pins) -> bool {
    Map::open(&pins.map(maps::TOTALS), Access::Read).is_ok_and(|it| it.id() == maps.totals_id())
}

/// Writes events until there were as many as are wanted, the time is over, `ended` says so, nobody reads any more, or the gate is gone.
pub fn events(
    pins: &Pins,
    wanted: &Wanted,
    form: Form,
    out: &mut dyn io::Write,
    ended: Cancelled<'_>,
) -> Result<Exit, Error> {
    floor::check()?;
    privilege::check()?;
    wanted.check()?;
    let manifest = view::with_current(pins, |directory| Ok(kernel::manifest(directory)?))?;
    pins.check_ownership()?;
    kernel::check_pins(object::OBJECT, pins)?;
    if !manifest.counters.sources {
        return Err(EventsError::Off.into());
    }
    wanted.filter.check(&manifest)?;
    let Some(_lock) = pins.claim(Claim::Events)? else {
        return Err(EventsError::Busy(noted(pins)).into());
    };
    let maps = Maps::open(pins, Access::Write)?;
    if maps.has_listener()? {
        maps.clear_listener()?;
    }
    let since = Timestamp::now();
    let by = person::name();
    let before = maps.told()?;
    kernel::write_note(pins, Note::Events, &Listening { by, since, before })?;
    let ring = maps.listen(wanted.terms(), LEASE).map_err(Error::from);
    let result = ring.and_then(|ring| {
        let mut listener = Listener {
            pins,
            wanted,
            maps: &maps,
            ring,
            names: Names::new(pins, manifest),
            writer: Writer::new(out, form),
            begun: Instant::now(),
            before,
            told: before,
            summary: Summary::default(),
        };
        listener.listen(ended)
    });
    // Whatever became of it, nothing is told from here on.
    let cleared = clear(pins, &maps);
    match result {
        Ok(why) => cleared.and_then(|()| why.outcome()),
        Err(error) => Err(error.after(cleared)),
    }
}

impl Ended {
    fn outcome(self) -> Result<Exit, Error> {
        match self {
            Self::Interrupted | Self::Over | Self::Enough | Self::Closed => Ok(Exit::Ok),
            Self::Detached => Ok(Exit::Degraded),
            Self::Off => Err(EventsError::Off.into()),
        }
    }
}

struct Listener<'l> {
    pins: &'l Pins,
    wanted: &'l Wanted,
    maps: &'l Maps,
    ring: Ring,
    names: Names<'l>,
    writer: Writer<'l>,
    begun: Instant,
    /// What had become of events before.
    before: Tale,
    /// What had, when it was looked at last.
    told: Tale,
    summary: Summary,
}

impl Listener<'_> {
    fn listen(&mut self, ended: &dyn Fn() -> bool) -> Result<Ended, Error> {
        let why = self.go_on(ended)?;
        self.maps.end_listening(&self.ring)?;
        // What was told until then is still to be read.
        while self.take(usize::MAX)? {}
        let told = self.maps.told()?;
        let summary = Summary {
            at: millisecond(Timestamp::now()),
            why,
            seconds: self.begun.elapsed().as_secs_f64().round(),
            tale: told.since(&self.before).into(),
            ..self.summary
        };
        let is_read = self.writer.write([&Line::End(summary)])?;
        Ok(if is_read { why } else { Ended::Closed })
    }

    fn go_on(&mut self, ended: &dyn Fn() -> bool) -> Result<Ended, Error> {
        let mut renewed = Instant::now();
        loop {
            let is_all = !self.take(AT_ONCE)?;
            if self.summary.closed {
                return Ok(Ended::Closed);
            }
            if self.has_enough() {
                return Ok(Ended::Enough);
            }
            if ended() {
                return Ok(Ended::Interrupted);
            }
            let length = self.wanted.length;
            if length.is_some_and(|length| self.begun.elapsed() >= length) {
                return Ok(Ended::Over);
            }
            if renewed.elapsed() >= RENEW {
                renewed = Instant::now();
                if let Some(why) = self.look_up()? {
                    return Ok(why);
                }
            }
            if is_all {
                thread::sleep(LOOK);
            }
        }
    }

    fn has_enough(&self) -> bool {
        let shown = self.summary.shown;
        self.wanted.count.is_some_and(|count| shown >= count)
    }

    /// Writes up to so many events of those in the ring; whether there may be more.
    fn take(&mut self, most: usize) -> Result<bool, Error> {
        let now_ns = retention::now_ns()?;
        let clock = wall_offset()?;
        let mut lines = Vec::new();
        let mut taken = 0;
        while taken < most.min(AT_ONCE) {
            let Some(event) = self.ring.take() else {
                break;
            };
            taken += 1;
            if self.has_enough() {
                self.summary.unread += 1;
                continue;
            }
            let retention = self.names.retention().as_nanos();
            if u128::from(now_ns.saturating_sub(event.time_ns)) >= retention {
                self.summary.expired += 1;
                continue;
            }
            let line = self.names.line(&event, clock);
            if self.wanted.filter.takes(&line) {
                self.summary.shown += 1;
                lines.push(Line::Event(line));
            } else {
                self.summary.filtered += 1;
            }
        }
        if !self.writer.write(&lines)? {
            self.summary.closed = true;
        }
        Ok(taken == AT_ONCE)
    }

    /// Looks after the lease, and at everything that can end it.
    fn look_up(&mut self) -> Result<Option<Ended>, Error> {
        let is_same = are_pinned(self.maps, self.pins);
        let generation = self.maps.generation()?.number();
        if !is_same || generation == 0 {
            return Ok(Some(Ended::Detached));
        }
        if !self.names.follow(generation)? {
            return Ok(Some(Ended::Off));
        }
        self.maps.renew_lease(LEASE)?;
        let told = self.maps.told()?;
        let tale = told.since(&self.told);
        self.told = told;
        let is_lost = [Told::OverRate, Told::NoRoom, Told::Lapsed]
            .into_iter()
            .any(|it| tale.count(it) > 0);
        if is_lost {
            let lost = Lost {
                at: millisecond(Timestamp::now()),
                tale: tale.into(),
            };
            self.summary.closed |= !self.writer.write([&Line::Lost(lost)])?;
        }
        Ok(None)
    }
}
