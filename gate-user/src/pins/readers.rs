//! Which pins readers without privilege can open: members of the group that `[tags]` names.
//!
//! | pins | members of the group | because |
//! |---|---|---|
//! | `maps/FLOWS` | read | the tag of each submission connection |
//! | `generations/N/SETTINGS`, `CLASSES_*`, `COUNTRIES_*` | read | class and country of an address |
//! | `generations/N/LEGEND` | read | the names of the classes |
//! | the directories that these are in, and those above up to that of the pins | pass through | opening a pin takes a path; listing them would let readers take the lock |
//! | `maps/STATE` | nothing | it holds the seed of all hashes; that `current` moves tells as much as its generation word |
//! | `maps/SOURCES`, `BUCKETS`, counters | nothing | what single subscribers did |
//! | `generations/N/MANIFEST`, `SOURCE_MAP`, `ACCESS_*`, `RULES`, `RELAYS_*`, `SERVERS_*` | nothing | prefixes of subscribers, names of files, tickets: no class depends on them |
//! | `notes` | nothing | why a bypass was asked for, and by whom |
//! | everything else: the program, links, maps of maps | nothing | it changes what is in force |
//!
//! Nothing is ever readable by a group that should not: what has another group or other permissions than it should is first closed to
//! all but its owner, then given to the group, and opened last, from the innermost outwards. What is right is not touched, so that
//! readers notice no restart. Without a group everything is its owner's alone.

use std::{
    fmt,
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use gate_common::abi::maps;
use nix::unistd::{Gid, Group};

use super::{ALL, PRIVATE, Pins, PinsError, TRAVERSABLE};
use crate::{
    config::{Config, ConfigError, Listed, Problem},
    kernel::READABLE,
};

/// The permissions of a pin that is its owner's alone.
const PRIVATE_PIN: u32 = 0o600;
/// Those of a pin that the group may read.
const READABLE_PIN: u32 = 0o640;

/// The group of the system whose members may read tags; nobody if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readers(Option<Gid>);

/// A directory on the way to the pins that the group cannot go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The directory.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, mode } = self;
        write!(
            f,
            "{} has mode {mode:04o} and lets nobody else through",
            path.display()
        )
    }
}

impl Blocked {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        format!(
            "`chmod o+x {}` opens the way until it is mounted again; docs/tags.md says how to keep it open",
            self.path.display()
        )
    }
}

/// What is, or can be, for readers.
struct Entry {
    path: PathBuf,
    /// Permissions without readers, and with them.
    modes: [u32; 2],
}

impl Entry {
    fn directory(path: PathBuf) -> Self {
        Self {
            path,
            modes: [PRIVATE, TRAVERSABLE],
        }
    }

    fn pin(path: PathBuf) -> Self {
        Self {
            path,
            modes: [PRIVATE_PIN, READABLE_PIN],
        }
    }

    /// What readers have no business in.
    fn private(path: PathBuf) -> Self {
        Self {
            path,
            modes: [PRIVATE, PRIVATE],
        }
    }
}

impl Readers {
    /// Nobody but the owner of the pins.
    pub const NOBODY: Self = Self(None);

    /// Those of `config`.
    pub fn of(config: &Config) -> Result<Self, ConfigError> {
        let Some(Listed { value, origin }) = &config.tags.group else {
            return Ok(Self::NOBODY);
        };
        let problem = match Self::named(value) {
            Ok(Some(readers)) => return Ok(readers),
            Ok(None) => Problem {
                origin: Some(origin.clone()),
                message: format!("`tags.group`: this machine has no group `{value}`"),
                hint: format!(
                    "`groupadd --system {value}` makes it; `getent group` shows those that there are"
                ),
            },
            Err(error) => Problem {
                origin: Some(origin.clone()),
                message: format!("`tags.group`: the group `{value}` cannot be looked up: {error}"),
                hint: format!(
                    "`getent group {value}` has to show it; /etc/nsswitch.conf says who is asked"
                ),
            },
        };
        Err(ConfigError {
            file: config.file.clone(),
            problems: vec![problem],
        })
    }

    /// The members of the group of this name; nothing if there is no such group.
    pub fn named(group: &str) -> io::Result<Option<Self>> {
        Ok(Group::from_name(group)?.map(|group| Self(Some(group.gid))))
    }

    /// The first directory above the pins that the group cannot go through; nothing where there is none, or no group.
    pub fn blocked(self, pins: &Pins) -> Result<Option<Blocked>, PinsError> {
        let Some(group) = self.0 else {
            return Ok(None);
        };
        let above: Vec<&Path> = pins.root.ancestors().skip(1).collect();
        for path in above.into_iter().rev() {
            let found = match fs::metadata(path) {
                // What is not there yet is made in a way that everybody goes through.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                found => found.map_err(PinsError::io("look at", path))?,
            };
            let theirs = found.gid() == group.as_raw() && found.mode() & 0o010 != 0;
            if !theirs && found.mode() & 0o001 == 0 {
                return Ok(Some(Blocked {
                    path: path.to_owned(),
                    mode: found.mode() & ALL,
                }));
            }
        }
        Ok(None)
    }

    /// [`Readers::blocked`], as a warning about a configuration.
    pub fn warning(self, config: &Config, pins: &Pins) -> Result<Option<Problem>, PinsError> {
        let Some(Listed { value, origin }) = &config.tags.group else {
            return Ok(None);
        };
        Ok(self.blocked(pins)?.map(|blocked| Problem {
            origin: Some(origin.clone()),
            message: format!("the group `{value}` cannot get to the pins: {blocked}"),
            hint: blocked.hint(),
        }))
    }

    /// Lets them read a generation, whose directory nobody else can look into yet.
    pub(crate) fn admit(self, generation: &Path) -> Result<(), PinsError> {
        self.apply(&of_generation(generation))
    }

    /// Gives everything that is pinned the group and the permissions that it should have.
    pub(crate) fn settle(self, pins: &Pins) -> Result<(), PinsError> {
        self.apply(&entries(pins))
    }

    /// Whether [`Readers::settle`] would change nothing.
    pub(crate) fn settled(self, pins: &Pins) -> Result<bool, PinsError> {
        for entry in entries(pins) {
            if !self.is_right(&entry)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn mode(self, entry: &Entry) -> u32 {
        let [without, with] = entry.modes;
        if self.0.is_some() { with } else { without }
    }

    fn is_right(self, entry: &Entry) -> Result<bool, PinsError> {
        let found = match fs::metadata(&entry.path) {
            // A pin that is missing is found missing elsewhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            found => found.map_err(PinsError::io("look at", &entry.path))?,
        };
        let [without, _] = entry.modes;
        let mode = self.mode(entry);
        // Of what is its owner's alone, the group means nothing.
        let group = mode == without || self.0.is_none_or(|it| it.as_raw() == found.gid());
        Ok(group && found.mode() & ALL == mode)
    }

    /// Closes what is not right, from the outermost on; then gives it away and opens it, the other way round.
    fn apply(self, entries: &[Entry]) -> Result<(), PinsError> {
        let mut wrong = Vec::new();
        for entry in entries {
            if !self.is_right(entry)? {
                let [without, _] = entry.modes;
                set_mode(&entry.path, without)?;
                wrong.push(entry);
            }
        }
        for entry in wrong.into_iter().rev() {
            let [without, _] = entry.modes;
            let mode = self.mode(entry);
            if let Some(group) = self.0
                && mode != without
            {
                let path = &entry.path;
                chown(path, None, Some(group.as_raw())).map_err(|error| PinsError::Group {
                    path: path.clone(),
                    group: group.as_raw(),
                    error,
                })?;
                set_mode(path, mode)?;
            }
        }
        Ok(())
    }
}

fn set_mode(path: &Path, mode: u32) -> Result<(), PinsError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(PinsError::io("change the permissions of", path))
}

/// What is pinned, from the outermost on.
fn entries(pins: &Pins) -> Vec<Entry> {
    let mut entries = vec![
        Entry::directory(pins.root.clone()),
        Entry::directory(pins.version()),
        Entry::private(pins.links()),
        Entry::private(pins.marks()),
        Entry::private(pins.tracepoints()),
        Entry::private(pins.notes()),
        Entry::directory(pins.maps()),
        Entry::pin(pins.map(maps::FLOWS)),
        Entry::directory(pins.generations()),
    ];
    // Another generation than that in force is being made, and opened by whoever makes it.
    if let Ok(generation) = fs::read_link(pins.current()) {
        entries.extend(of_generation(&pins.version().join(generation)));
    }
    entries
}

fn of_generation(directory: &Path) -> Vec<Entry> {
    let pins = READABLE.map(|name| Entry::pin(directory.join(name)));
    [Entry::directory(directory.to_owned())]
        .into_iter()
        .chain(pins)
        .collect()
}
