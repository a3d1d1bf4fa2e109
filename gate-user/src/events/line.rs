//! What is told of an event: the program's record, with the names of the generation that decided.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use gate_common::{
    Country, Reason, Role, Told, Verdict,
    abi::{Event, FlowTag},
};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::{
    clock,
    error::Error,
    generation::Manifest,
    kernel::{self, Tale},
    pins::Pins,
};

/// How many generations' names are remembered.
const REMEMBERED: usize = 8;

/// A line of output.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Line {
    /// A packet.
    Event(EventLine),
    /// What was not told, since the last of these.
    Lost(Lost),
    /// What became of all of them.
    End(Summary),
}

/// A packet that was refused, would have been, or was tagged. What does not apply to it is nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct EventLine {
    pub(super) at: Timestamp,
    pub(super) generation: u32,
    pub(super) interface: Option<String>,
    pub(super) role: Option<&'static str>,
    pub(super) verdict: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) pool: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) class: Option<String>,
    pub(super) country: Option<String>,
    /// Whether the class is only observed.
    pub(super) observed: Option<bool>,
    pub(super) source: Option<Source>,
    pub(super) source_port: Option<u16>,
    pub(super) destination: Option<IpAddr>,
    pub(super) destination_port: Option<u16>,
}

/// Who sent it, as rows of counters have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source(pub(super) IpNet);

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

/// What became of events, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ByOutcome {
    pub(super) written: u64,
    pub(super) unsampled: u64,
    pub(super) over_rate: u64,
    pub(super) no_room: u64,
    pub(super) lapsed: u64,
}

impl From<Tale> for ByOutcome {
    fn from(tale: Tale) -> Self {
        Self {
            written: tale.count(Told::Written),
            unsampled: tale.count(Told::Unsampled),
            over_rate: tale.count(Told::OverRate),
            no_room: tale.count(Told::NoRoom),
            lapsed: tale.count(Told::Lapsed),
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Lost {
    pub(super) at: Timestamp,
    #[serde(flatten)]
    pub(super) tale: ByOutcome,
}

/// Why nobody listens any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    /// Whoever listened ended it.
    #[default]
    Interrupted,
    /// Its time was over.
    Over,
    /// There were as many as were wanted.
    Enough,
    /// Nobody reads what is written.
    Closed,
    /// The gate was taken out of the kernel.
    Detached,
    /// The configuration has sources counted no more.
    Off,
}

impl Ended {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Over => "the time is over",
            Self::Enough => "as many as were wanted",
            Self::Closed => "nobody reads any more",
            Self::Detached => "the gate was detached",
            Self::Off => "[counters] sources = false came into force",
        }
    }
}

/// What became of everything. Of what was `written`, each is in one of the last four.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) at: Timestamp,
    pub(super) why: Ended,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) tale: ByOutcome,
    pub(super) shown: u64,
    /// Not asked for.
    pub(super) filtered: u64,
    /// Older than the retention when it was read.
    pub(super) expired: u64,
    /// After there were as many as were wanted.
    pub(super) unread: u64,
    /// Whether nobody reads what is written any more.
    #[serde(skip)]
    pub(super) closed: bool,
}

/// The names of generations, as they come up.
pub(super) struct Names<'p> {
    pins: &'p Pins,
    known: BTreeMap<u32, Option<Manifest>>,
    in_force: u32,
    retention: Duration,
}

impl<'p> Names<'p> {
    pub(super) fn new(pins: &'p Pins, manifest: Manifest) -> Self {
        Self {
            pins,
            in_force: manifest.number,
            retention: manifest.counters.retention,
            known: BTreeMap::from([(manifest.number, Some(manifest))]),
        }
    }

    pub(super) const fn retention(&self) -> Duration {
        self.retention
    }

    /// Goes by the generation that is in force now; whether that lets anybody listen.
    pub(super) fn follow(&mut self, generation: u32) -> Result<bool, Error> {
        if generation == self.in_force {
            return Ok(true);
        }
        let manifest = kernel::manifest(&self.pins.generation(generation))?;
        self.in_force = generation;
        self.retention = manifest.counters.retention;
        let is_on = manifest.counters.sources;
        self.remember(generation, Some(manifest));
        Ok(is_on)
    }

    fn remember(&mut self, generation: u32, manifest: Option<Manifest>) {
        while self.known.len() >= REMEMBERED {
            self.known.pop_first();
        }
        self.known.insert(generation, manifest);
    }

    pub(super) fn line(&mut self, event: &Event, wall_offset_ns: u64) -> EventLine {
        if !self.known.contains_key(&event.generation) {
            // One that is retired already has no names any more.
            let found = kernel::manifest(&self.pins.generation(event.generation)).ok();
            self.remember(event.generation, found);
        }
        let manifest = self.known.get(&event.generation).and_then(Option::as_ref);
        line(event, manifest, wall_offset_ns)
    }
}

fn line(event: &Event, manifest: Option<&Manifest>, wall_offset_ns: u64) -> EventLine {
    let Event {
        time_ns,
        source,
        destination,
        generation,
        sport,
        dport,
        interface,
        group,
        prefix,
        country,
        verdict,
        reason,
        role,
        flags,
        v4_length,
        v6_length,
        reserved: _,
    } = *event;
    let role = Role::from_number(role);
    let is_uplink = role == Some(Role::Uplink);
    let source = source.to_ip();
    let length = match source {
        IpAddr::V4(_) => v4_length,
        IpAddr::V6(_) => v6_length,
    };
    let has_source = (v4_length, v6_length) != (0, 0) && !source.is_unspecified();
    let destination = destination.to_ip();
    let named = |counter: u16, of: fn(&Manifest, u32) -> Option<&str>| {
        let found = manifest.and_then(|it| of(it, counter.into()));
        found.map(str::to_owned)
    };
    EventLine {
        at: millisecond(clock::timestamp(time_ns, wall_offset_ns)),
        generation,
        interface: named(interface, |it, counter| {
            let mut all = it.interfaces.iter();
            Some(&all.find(|it| it.counter == counter)?.name)
        }),
        role: role.map(Role::name),
        verdict: Verdict::from_number(verdict).map(Verdict::name),
        reason: Reason::all()
            .find(|it| it.number() == reason)
            .map(Reason::name),
        pool: named(if is_uplink { 0 } else { group }, |it, counter| {
            let mut all = it.pools.iter();
            Some(&all.find(|it| it.counter == counter)?.name)
        }),
        prefix: named(prefix, |it, counter| {
            let mut all = it.prefixes.iter();
            Some(&all.find(|it| it.counter == counter)?.prefix)
        }),
        class: named(if is_uplink { group } else { 0 }, |it, counter| {
            let mut all = it.classes.iter();
            Some(&all.find(|it| it.counter == counter)?.name)
        }),
        country: Country::from_number(country)
            .code()
            .map(|code| code.to_string()),
        observed: is_uplink.then_some(flags & FlowTag::OBSERVED != 0),
        source: if has_source {
            IpNet::new(source, length).ok().map(Source)
        } else {
            None
        },
        source_port: Some(sport).filter(|it| *it != 0),
        destination: Some(destination).filter(|it| !it.is_unspecified()),
        destination_port: Some(dport).filter(|it| *it != 0),
    }
}

/// What to add to the program's clock for the time of day.
pub(super) fn wall_offset() -> Result<u64, Error> {
    clock::wall_offset_ns().map_err(|errno| Error::system("read the clock")(errno.into()))
}

/// As fine as the program's clock is, and no finer.
pub(super) fn millisecond(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}
