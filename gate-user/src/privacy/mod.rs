//! `gate privacy`: what is kept of whom, where, for how long, and who can read it.
//!
//! Everything comes from the generation in force and from the pins as they are, entries and permissions included: what the configuration promises is not
//! taken for what is there. `list` says what each map holds.

mod list;
mod text;

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use gate_common::abi::{FLOW_TTL_NS, Settings, began_ns};
use jiff::{SignedDuration, Timestamp};
use nix::unistd::{Gid, Group, Uid, User};
use serde::Serialize;

use self::list::{Holds, Store};
use crate::{
    clock,
    config::Counters,
    error::Error,
    events::{self, Listening},
    generation::Manifest,
    kernel::{self, KernelError, Maps},
    last_good,
    pins::Pins,
    rehearse::{self, Underway},
    retention, run,
    sys::Access,
    view,
};

/// What is kept, and who can read it.
#[derive(Clone, Debug, Serialize)]
pub struct Privacy {
    /// The generation in force.
    pub generation: u32,
    /// Whether a daemon runs, without which nothing is deleted.
    pub daemon: bool,
    /// What is known of single addresses.
    pub stores: Vec<Kept>,
    /// What the operator wrote, and what persons asked for.
    pub others: Vec<Other>,
    /// Maps and other pins that hold nothing about any person.
    pub impersonal: Vec<String>,
    /// Pins of which this version does not know what they hold.
    pub unknown: Vec<PathBuf>,
    /// Where else something of it can get to.
    pub elsewhere: Vec<Elsewhere>,
}

/// Something that is known of single addresses.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// What it is called.
    pub store: &'static str,
    /// Whether anything is written to it.
    pub on: bool,
    /// What an entry has.
    pub holds: &'static str,
    /// How much of an address.
    pub unit: String,
    /// What it is there for.
    pub purpose: &'static str,
    /// For how long, at most.
    pub kept: String,
    /// The same in seconds.
    pub kept_seconds: u64,
    /// How many entries there are that are not over; nothing where that is not known.
    pub entries: Option<u64>,
    /// How many are over and not deleted yet.
    pub over: u64,
    /// Since when the oldest of all has been there; nothing where entries have no such time, or there is none.
    pub oldest: Option<Timestamp>,
    /// Where.
    pub path: PathBuf,
    /// Who can read it there; nothing if it is not there.
    pub readers: Option<Readers>,
}

/// Something that people wrote.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    /// What it is called.
    pub store: String,
    /// What it holds.
    pub holds: &'static str,
    /// For how long.
    pub kept: &'static str,
    /// Where.
    pub path: PathBuf,
    /// Who can read it there; nothing if it is not there.
    pub readers: Option<Readers>,
}

/// A way on which something leaves the maps.
#[derive(Clone, Debug, Serialize)]
pub struct Elsewhere {
    /// Where it gets to.
    pub place: &'static str,
    /// What does.
    pub holds: String,
}

/// Who can read a pin, by its owner, group and permissions. Who is to open it has to get through the directories above, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readers {
    /// Its owner.
    pub owner: String,
    /// Its group.
    pub group: String,
    /// Its permissions.
    pub mode: String,
    /// Whether members of the group can read it.
    pub group_reads: bool,
    /// Whether everybody can.
    pub others_read: bool,
}

/// Looks at the pins.
pub fn privacy(pins: &Pins) -> Result<Privacy, Error> {
    let (manifest, settings) = view::with_current(pins, |directory| {
        Ok((kernel::manifest(directory)?, view::settings(directory)?))
    })?;
    let maps = Maps::open(pins, Access::Read)?;
    let rehearsal = Holder::find(|| rehearse::underway(pins), || maps.has_rehearsal())?;
    let listening = Holder::find(|| events::underway(pins), || maps.has_listener())?;
    let seen = Seen {
        maps,
        counters: manifest.counters,
        settings: Box::new(settings),
        rehearsal,
        listening,
        now_ns: retention::now_ns()?,
    };
    let stores: Result<_, Error> = Store::ALL
        .map(|it| seen.kept(it, pins))
        .into_iter()
        .collect();
    let pinned = files(&pins.directory());
    let (unknown, known): (Vec<_>, Vec<_>) = pinned
        .iter()
        .map(|path| (path, list::holds(&path.to_string_lossy())))
        .partition(|(_, holds)| holds.is_none());
    let impersonal = known
        .iter()
        .filter(|(_, holds)| *holds == Some(Holds::Nothing));
    Ok(Privacy {
        generation: manifest.number,
        daemon: pins.locked()?,
        stores: stores?,
        others: others(pins)?,
        impersonal: impersonal
            .map(|(path, _)| path.display().to_string())
            .collect(),
        unknown: unknown
            .iter()
            .map(|(path, _)| pins.directory().join(path))
            .collect(),
        elsewhere: elsewhere(&manifest),
    })
}

/// What there is to be seen.
struct Seen {
    maps: Maps,
    counters: Counters,
    settings: Box<Settings>,
    rehearsal: Holder<Underway>,
    listening: Holder<Listening>,
    now_ns: u64,
}

/// Who has a store that one process makes for itself.
enum Holder<T> {
    /// There is none.
    Nobody,
    /// A process that was killed: it is left in the kernel, and nobody looks at it.
    Killed,
    /// A process that goes on.
    Running(T),
}

impl<T> Holder<T> {
    fn find(
        running: impl Fn() -> Result<Option<T>, Error>,
        is_left: impl Fn() -> Result<bool, KernelError>,
    ) -> Result<Self, Error> {
        if let Some(it) = running()? {
            return Ok(Self::Running(it));
        }
        if !is_left()? {
            return Ok(Self::Nobody);
        }
        // One may have begun meanwhile.
        Ok(running()?.map_or(Self::Killed, Self::Running))
    }

    const fn is_there(&self) -> bool {
        !matches!(self, Self::Nobody)
    }
}

/// What is said of the store of a [`Holder::Killed`].
const LEFT: &str = "left by a process that was killed: a daemon takes it away at its next look, and without one it stays until `gate run` or `gate detach`";

impl Seen {
    fn kept(&self, store: Store, pins: &Pins) -> Result<Kept, Error> {
        let count = self.count(store)?;
        let (kept_seconds, kept) = self.time(store);
        let path = pins.map(store.map());
        let wall_offset = self.maps.wall_offset()?;
        Ok(Kept {
            store: store.name(),
            on: match store {
                Store::Sources => self.counters.sources,
                Store::Buckets | Store::Flows => true,
                Store::Differences | Store::RehearsedBuckets => self.rehearsal.is_there(),
                Store::Events => self.listening.is_there(),
            },
            holds: store.fields(),
            unit: self.unit(store),
            purpose: store.purpose(),
            kept,
            kept_seconds,
            entries: count.entries,
            over: count.over,
            oldest: count.oldest_ns.map(|it| clock::timestamp(it, wall_offset)),
            readers: readers(&path),
            path,
        })
    }

    fn count(&self, store: Store) -> Result<Count, Error> {
        let mut count = Count::default();
        match store {
            Store::Sources => {
                for (key, source) in self.maps.sources()? {
                    let is_over = self.counters.is_over(&key, &source, self.now_ns);
                    count.add(is_over, Some(began_ns(source.first)));
                }
            }
            Store::Buckets => {
                for is_over in self.maps.spent_buckets(&self.settings, self.now_ns)? {
                    count.add(is_over, None);
                }
            }
            Store::Flows => {
                for opened_ns in self.maps.flow_times()? {
                    let age_ns = self.now_ns.saturating_sub(opened_ns);
                    count.add(age_ns >= FLOW_TTL_NS, Some(opened_ns));
                }
            }
            // They are the process's that rehearses or listens; what is left of one that was killed is cleared at the next look of a daemon.
            Store::Differences | Store::RehearsedBuckets | Store::Events => count.entries = None,
        }
        Ok(count)
    }

    fn unit(&self, store: Store) -> String {
        match store {
            Store::Sources | Store::Events => {
                let Counters {
                    source_v4,
                    source_v6,
                    ..
                } = self.counters;
                format!(
                    "source_prefix of the pool or class, at most /{source_v4} of IPv4 and /{source_v6} of IPv6"
                )
            }
            Store::Buckets | Store::Differences | Store::RehearsedBuckets => {
                "source_prefix of the pool or class".to_owned()
            }
            Store::Flows => "whole addresses".to_owned(),
        }
    }

    /// For how long an entry is kept, in seconds and in words.
    fn time(&self, store: Store) -> (u64, String) {
        match store {
            Store::Sources => {
                let retention = self.counters.retention;
                let words = format!(
                    "{} from its first packet on; read by nobody afterwards, and deleted within 11 s while a daemon runs",
                    length(retention)
                );
                (retention.as_secs(), words)
            }
            Store::Buckets => {
                let longest = Duration::from_nanos(longest_burst(&self.settings));
                let words = format!(
                    "until its limit is whole again, {} after the last packet at most; deleted within 10 s while a daemon runs",
                    length(longest)
                );
                (longest.as_secs(), words)
            }
            Store::Flows => {
                let ttl = Duration::from_nanos(FLOW_TTL_NS);
                let words = format!(
                    "{} from the segment on that opened it; means nothing afterwards, and is deleted within an hour while a daemon runs",
                    length(ttl)
                );
                (ttl.as_secs(), words)
            }
            Store::Differences | Store::RehearsedBuckets => match &self.rehearsal {
                Holder::Running(it) => {
                    let left = it.until.duration_since(Timestamp::now());
                    let seconds = u64::try_from(left.as_secs()).unwrap_or_default();
                    (
                        seconds,
                        format!("until the rehearsal ends, {:.0} at the latest", it.until),
                    )
                }
                Holder::Killed => (0, LEFT.to_owned()),
                Holder::Nobody => (0, "no rehearsal goes on".to_owned()),
            },
            Store::Events => match &self.listening {
                Holder::Running(it) => {
                    let retention = self.counters.retention;
                    let words = format!(
                        "until it is read, which it is no more {} after it came; in the memory of the process that listens: {it}",
                        length(retention)
                    );
                    (retention.as_secs(), words)
                }
                Holder::Killed => (0, LEFT.to_owned()),
                Holder::Nobody => (0, "nobody listens".to_owned()),
            },
        }
    }
}

#[derive(Debug)]
struct Count {
    entries: Option<u64>,
    over: u64,
    oldest_ns: Option<u64>,
}

impl Default for Count {
    fn default() -> Self {
        Self {
            entries: Some(0),
            over: 0,
            oldest_ns: None,
        }
    }
}

impl Count {
    fn add(&mut self, is_over: bool, since_ns: Option<u64>) {
        if is_over {
            self.over += 1;
        } else {
            self.entries = self.entries.map(|it| it + 1);
        }
        self.oldest_ns = self.oldest_ns.into_iter().chain(since_ns).min();
    }
}

/// How long it takes at most until a bucket is whole again.
fn longest_burst(settings: &Settings) -> u64 {
    let classes = settings.classes.iter().map(|it| it.connections);
    let all = classes.chain([settings.throttle, settings.answer_source]);
    all.map(|it| it.burst_ns).max().unwrap_or_default()
}

fn length(length: Duration) -> String {
    match SignedDuration::try_from(length) {
        Ok(length) => format!("{length:#}"),
        Err(_) => format!("{} s", length.as_secs()),
    }
}

/// What people wrote.
fn others(pins: &Pins) -> Result<Vec<Other>, Error> {
    let mut others = Vec::new();
    for number in pins.pinned_generations()? {
        let path = pins.generation(number);
        others.push(Other {
            store: format!("generation {number}"),
            holds: "what the configuration says: prefixes of pools, relays, servers and classes, lines and tickets of list files, exemptions",
            kept: "while it is in force, and until the second reload after it was: it is the way back",
            readers: readers(&path.join("SOURCE_MAP")),
            path,
        });
    }
    let path = pins.directory().join("notes");
    others.push(Other {
        store: "notes".to_owned(),
        holds: "reasons of bypasses, and who asked for a bypass, a confirmation or a rehearsal, or listens to events",
        kept: "until the next one of its kind",
        readers: readers(&path),
        path,
    });
    if let Some(path) = run::kept_in(pins) {
        // The directory may have other things in it, and be everybody's to read.
        let last = last_good::Store::new(&path).ok().and_then(|it| it.last());
        others.push(Other {
            store: "last good".to_owned(),
            holds: "copies of what is in force and of what was before: the configuration, its list files with prefixes, tickets and exemptions, its databases",
            kept: "until the second change after it; a reboot deletes nothing, `rm -r` of the directory all",
            readers: readers(last.as_ref().unwrap_or(&path)),
            path,
        });
    }
    Ok(others)
}

/// What a build for debugging can be asked for.
#[cfg(feature = "log")]
const LOG_PACKETS: &str =
    ", but with `gate run --log-packets`, which logs both addresses of each packet that is judged";
#[cfg(not(feature = "log"))]
const LOG_PACKETS: &str = "";

fn elsewhere(manifest: &Manifest) -> Vec<Elsewhere> {
    let metrics = &manifest.metrics;
    let listen = metrics.listen.iter().map(ToString::to_string);
    let listen = listen.collect::<Vec<_>>().join(", ");
    let told = match (metrics.sources, listen.is_empty()) {
        (_, true) => "switched off".to_owned(),
        (0, false) => format!("no source; totals, to whoever can connect to {listen}"),
        (sources, false) => format!(
            "the {sources} sources with most packets, as labels, to whoever can connect to {listen}; how long a monitoring system keeps them is its own"
        ),
    };
    let counters = if manifest.counters.sources {
        "sources, to whoever can open the pin, and nothing that is over"
    } else {
        "no source"
    };
    [
        ("gate counters", counters.to_owned()),
        ("metrics", told),
        (
            "log of the daemon",
            format!(
                "no address of a packet{LOG_PACKETS}; names of files, prefixes that the configuration or a person named, who asked"
            ),
        ),
        (
            "control socket",
            "as the log, to root; nothing that was seen".to_owned(),
        ),
        (
            "gate events",
            if manifest.counters.sources {
                "single packets that are refused or tagged, to root, while it runs; where it is written to is that person's"
            } else {
                "switched off, as sources are"
            }
            .to_owned(),
        ),
        (
            "explain, rehearse, replay",
            "what the person who asks is shown; nothing stays".to_owned(),
        ),
    ]
    .map(|(place, holds)| Elsewhere { place, holds })
    .into()
}

/// Who can read what is there; nothing if there is nothing.
fn readers(path: &Path) -> Option<Readers> {
    let found = fs::symlink_metadata(path).ok()?;
    let user = User::from_uid(Uid::from_raw(found.uid())).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten();
    let mode = found.mode() & 0o7777;
    Some(Readers {
        owner: user.map_or_else(|| found.uid().to_string(), |it| it.name),
        group: group.map_or_else(|| found.gid().to_string(), |it| it.name),
        mode: format!("{mode:04o}"),
        group_reads: mode & 0o040 != 0,
        others_read: mode & 0o004 != 0,
    })
}

/// Everything below a directory that is none itself, by its path from there; what goes away meanwhile is left out.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                left.push(path);
            } else if let Ok(path) = path.strip_prefix(directory) {
                files.push(path.to_owned());
            }
        }
    }
    files.sort_unstable();
    files
}
