//! From another version of the map ABI to this one: no packet is judged by nobody meanwhile, and none is counted twice.
//!
//! A link may be pinned twice, and a map as well. So everything of the other version that means the same in this one is pinned among our
//! pins too, beside where it was: links, counters, tags, notes. The start then finds links that run another program, as after any
//! upgrade, makes a generation in maps of its own, and replaces the program on each link in place. Both programs count in the same maps all the
//! time. The other version's directory goes last.
//!
//! Whoever is killed in between leaves links that are pinned, each with a program that judges; the next start of either version takes the
//! same steps again, and finds some of them done. Programs of version 5 from before there was this module refuse to start instead, beside
//! pins of any other version.
//!
//! What the other version must have in common with this one: where links, marks, tracepoints and notes are pinned ([`Pins`]), a manifest to which new
//! versions only add, the first words of the map of state, and the note that says what its maps mean (`layout`).

mod layout;
mod zero;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use gate_common::abi::{State, TRACEPOINTS};

use self::layout::Layout;
pub use self::zero::FromZero;
pub(crate) use self::{layout::leave, zero::from_zero};
use crate::{
    control,
    error::Error,
    generation::{Manifest, SourceMap},
    kernel::{self, KernelError, Maps},
    object,
    pins::{Note, Pins, PinsError},
    sys::{Access, Map, XdpLink},
};

/// The first version that is understood.
const OLDEST: u32 = 5;

/// Why what another version put in force cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// It is too old.
    #[error("{path}: pins of a gate with a map ABI before version {OLDEST}, which this one does not understand", path = path.display())]
    TooOld {
        /// Its directory.
        path: PathBuf,
    },
    /// There are several.
    #[error("{root}: pins of gates with the map ABIs {versions:?} at once: a start of one of them was cut short", root = root.display())]
    Several {
        /// The directory of all.
        root: PathBuf,
        /// Their versions.
        versions: Vec<u32>,
    },
    /// What it left cannot be read.
    #[error("what a gate with the map ABI {version} put in force cannot be taken over: {error}")]
    Unread {
        /// Its version.
        version: u32,
        /// What is wrong.
        error: Box<KernelError>,
    },
    /// A person has to decide first, and what there is to decide about is in tables of the other version.
    #[error(
        "generation {generation} of the gate with the map ABI {version} was rolled back to, or waits for a confirmation: only that gate can go back from it"
    )]
    Undecided {
        /// The version.
        version: u32,
        /// The generation in force.
        generation: u32,
    },
}

impl MigrateError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        const DETACH: &str =
            "`gate detach`, which opens the gate until the next start, removes them";
        match self {
            Self::TooOld { .. } => DETACH.to_owned(),
            Self::Several { versions, .. } => format!(
                "`gate run` of the gate with one of these map ABIs, the newest ({}) if there is one, finishes that; {DETACH}",
                versions.last().copied().unwrap_or_default()
            ),
            Self::Unread { version, .. } => {
                format!("start the gate with the map ABI {version} again, which closes nothing and opens nothing; {DETACH}")
            }
            Self::Undecided { .. } => {
                "start the gate that made it; its `gate reload --confirmed` keeps what waits, and its `gate reload` takes what the files say; then start this one".to_owned()
            }
        }
    }
}

/// What this version goes by of what another one put in force.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// The version, where there is one.
    pub(crate) version: u32,
    /// What was in force; nothing if this version has a generation already.
    pub(crate) manifest: Option<Manifest>,
    /// Where its prefixes came from.
    pub(crate) sources: Option<SourceMap>,
    /// Words of state that are not about a generation.
    pub(crate) words: Vec<(State, u64)>,
}

/// What became of it, once all is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The version that was in force.
    pub from: u32,
    /// What starts from zero.
    pub lost: Vec<FromZero>,
}

/// Pins of another version, which are to become ours.
#[derive(Debug)]
pub(crate) struct Migration {
    other: Pins,
    /// Whether an earlier start of this version had put a generation in force already.
    begun: bool,
    lost: Vec<FromZero>,
}

impl Migration {
    /// Looks whether there are any, and whether they are understood; changes nothing. Needs the lock on the pins.
    pub(crate) fn find(pins: &Pins) -> Result<Option<(Self, Inherited)>, Error> {
        let others = pins.others()?;
        let [other] = others.as_slice() else {
            if others.is_empty() {
                return Ok(None);
            }
            return Err(Error::Migrate(MigrateError::Several {
                root: pins.root().to_owned(),
                versions: others.iter().map(Pins::abi).collect(),
            }));
        };
        if other.abi() < OLDEST {
            return Err(Error::Migrate(MigrateError::TooOld {
                path: other.directory(),
            }));
        }
        let begun = Maps::pinned_generation(pins)?.number() != 0;
        let migration = Self {
            other: other.clone(),
            begun,
            lost: Vec::new(),
        };
        let inherited = migration.inherited().map_err(|error| {
            Error::Migrate(MigrateError::Unread {
                version: other.abi(),
                error: Box::new(error),
            })
        })?;
        Ok(Some((migration, inherited)))
    }

    fn inherited(&self) -> Result<Inherited, KernelError> {
        let mut inherited = Inherited {
            version: self.other.abi(),
            ..Inherited::default()
        };
        let number = Maps::pinned_generation(&self.other)?.number();
        if self.begun || number == 0 {
            return Ok(inherited);
        }
        let directory = self.other.generation(number);
        inherited.manifest = Some(kernel::manifest_of_another(&directory)?);
        inherited.sources = Some(kernel::source_map(&directory)?);
        inherited.words = Maps::pinned_words(&self.other)?;
        Ok(inherited)
    }

    /// Pins among `pins` what means the same in both versions. No packet is judged otherwise for it.
    pub(crate) fn take_over(&mut self, pins: &Pins, object: &[u8]) -> Result<(), Error> {
        pins.create()?;
        leave(pins)?;
        self.share_links(pins)?;
        self.share_maps(pins, object)?;
        for note in [Note::Bypass, Note::Confirmed, Note::State, Note::FromZero] {
            share(&self.other.note(note), &pins.note(note))?;
        }
        zero::note(pins, self.lost.clone())?;
        // These judge nothing, and no packet passes for the want of them.
        for path in self.movable()? {
            pins.take_over(&self.other, &path)?;
        }
        Ok(())
    }

    /// Everything that has one pin at a time.
    fn movable(&self) -> Result<Vec<PathBuf>, PinsError> {
        let marks = self
            .other
            .marked()?
            .into_iter()
            .map(|it| self.other.mark(it));
        let tracepoints = TRACEPOINTS.map(|name| self.other.tracepoint(name));
        Ok(marks.chain(tracepoints).collect())
    }

    fn share_links(&self, pins: &Pins) -> Result<(), Error> {
        let known: BTreeMap<u32, String> = links(pins)?;
        for (id, name) in links(&self.other)? {
            if known.contains_key(&id) {
                continue;
            }
            let (from, to) = (self.other.link(&name), pins.link(&name));
            // A name that another link has by now is put right when pins are arranged.
            let to = if to.exists() {
                pins.link(&format!("link:{id}"))
            } else {
                to
            };
            XdpLink::pin_again(&from, &to).map_err(PinsError::pin(&to))?;
        }
        Ok(())
    }

    fn share_maps(&mut self, pins: &Pins, object: &[u8]) -> Result<(), Error> {
        let (own, other) = (Layout::own(), Layout::of(&self.other)?);
        for name in layout::carried() {
            let (from, to) = (self.other.map(name), pins.map(name));
            let goes_on = match Map::open(&from, Access::Write) {
                Ok(map) if to.exists() => {
                    Map::open(&to, Access::Read).is_ok_and(|it| it.id() == map.id())
                }
                Ok(map) => {
                    let same = own.agrees(&other, name)
                        && object::map_spec(object, name).map_err(KernelError::from)?
                            == Some(map.spec());
                    if same {
                        map.pin(&to).map_err(PinsError::pin(&to))?;
                    }
                    same
                }
                // What the other version never had is lost to nobody.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    to.exists() || !other.has(name)
                }
                Err(error) => return Err(Error::Kernel(KernelError::Open { path: from, error })),
            };
            // Where we had a generation in force already, it is our counts that go on.
            if !goes_on && !self.begun {
                let lost = FromZero::now(name, self.other.abi(), pins.abi());
                self.lost.push(lost);
            }
        }
        Ok(())
    }

    /// Takes back what was done, unless a generation of this version is in force.
    pub(crate) fn undo(&self, pins: &Pins) -> Result<(), Error> {
        if self.begun || Maps::pinned_generation(pins)?.number() != 0 {
            return Ok(());
        }
        let back = Self {
            other: pins.clone(),
            begun: false,
            lost: Vec::new(),
        };
        for path in back.movable()? {
            self.other.take_over(pins, &path)?;
        }
        // The links are pinned where they were as well.
        Ok(pins.remove_version()?)
    }

    /// Removes what is left of the other version, whose links all run the program of this one.
    pub(crate) fn finish(self) -> Result<Migrated, Error> {
        control::clean_up(&self.other)?;
        self.other.remove_version()?;
        Ok(Migrated {
            from: self.other.abi(),
            lost: self.lost,
        })
    }
}

/// The links that are pinned, by the kernel's number.
fn links(pins: &Pins) -> Result<BTreeMap<u32, String>, Error> {
    let mut links = BTreeMap::new();
    for name in pins.linked()? {
        let path = pins.link(&name);
        let link = XdpLink::open(&path).map_err(|error| PinsError::Io {
            action: "open the link",
            path,
            error,
        })?;
        links.insert(link.id, name);
    }
    Ok(links)
}

/// Pins the map at `from`, if there is one, at `to` too, if there is none.
fn share(from: &Path, to: &Path) -> Result<(), PinsError> {
    if to.exists() {
        return Ok(());
    }
    match Map::open(from, Access::Read) {
        Ok(map) => map.pin(to).map_err(PinsError::pin(to)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(PinsError::Io {
            action: "open the note",
            path: from.to_owned(),
            error,
        }),
    }
}
