//! Everything that can be checked before anything is changed.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use gate_common::abi::GenerationWord;

use super::{
    Order, PARTLY_LOST, Unknown, change,
    confirm::{self, Waits},
    fallback::{self, Fallback, Instead},
    force::InForce,
    kernel, list_devices,
    recall::{self, Back},
};
use crate::{
    attach::{self, Target, Targets, Tolerance},
    change::Change,
    clock::Deadline,
    config::Config,
    error::Error,
    generation::{Manifest, Plan, SourceMap},
    guard::{self, GuardError},
    kernel::{KernelError, Maps},
    load::{Base, Loaded, Source, load},
    migrate::{Inherited, MigrateError},
    pins::{Pins, Readers},
    progress::Progress,
    sys::strips_vlans,
    watch::Known,
};

/// What there was before.
#[derive(Debug)]
pub(super) struct Before {
    /// The generation that the program runs.
    pub(super) word: GenerationWord,
    /// What it is made of; nothing if nobody knows.
    pub(super) manifest: Option<Manifest>,
    /// Where its prefixes came from; nothing if that is lost.
    pub(super) sources: Option<SourceMap>,
    /// Whether the pins of a generation that is in force, or was put there by this daemon, are gone.
    pub(super) lost: bool,
    /// What another version of the map ABI had in force, of which no table can be used here.
    pub(super) inherited: Inherited,
    /// Whether nothing is in force: no generation, of whatever version of the map ABI, and the program is on no interface.
    pub(super) fresh: bool,
}

impl Before {
    /// Looks at the pins; `kept` is what the daemon put in force, and holds where somebody removed the pins that say so.
    fn look(pins: &Pins, kept: Option<&Manifest>) -> Result<Self, Error> {
        let word = Maps::pinned_generation(pins)?;
        let directory = (word.number() != 0).then(|| pins.generation(word.number()));
        let directory = directory.as_deref();
        // Guards compare with it: only what is not there is lost, and what cannot be read is an error.
        let manifest = directory
            .and_then(|it| if_there(kernel::manifest(it)).transpose())
            .transpose()?;
        let sources = directory
            .and_then(|it| if_there(kernel::source_map(it)).transpose())
            .transpose()?;
        let known = directory.is_some() || kept.is_some();
        Ok(Self {
            word,
            lost: known && (manifest.is_none() || sources.is_none()),
            manifest: manifest.or_else(|| kept.cloned()),
            sources,
            inherited: Inherited::default(),
            fresh: word.number() == 0 && pins.linked()?.is_empty(),
        })
    }

    /// The same, where what is in force may be that of another version of the map ABI.
    fn inheriting(mut self, mut inherited: Inherited) -> Self {
        if let Some(manifest) = inherited.manifest.take() {
            self.manifest = Some(manifest);
            self.sources = inherited.sources.take();
            self.inherited = inherited;
            // Also where all its interfaces are absent: what was taken over is to go on.
            self.fresh = false;
        }
        self
    }

    /// Whether the generation in force has tables that this version can use.
    fn is_usable(&self) -> bool {
        self.inherited.version == 0
    }

    /// Whether the generation in force can be put in force again.
    pub(super) fn can_stay(&self) -> bool {
        self.word.number() != 0 && self.is_usable() && !self.lost
    }

    /// The names of its interfaces.
    fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.manifest
            .iter()
            .flat_map(|it| &it.interfaces)
            .map(|it| it.name.as_str())
    }

    /// The same, after making sure that the pins are this gate's.
    pub(super) fn checked(
        pins: &Pins,
        object: &[u8],
        kept: Option<&Manifest>,
    ) -> Result<Self, Error> {
        pins.check_ownership()?;
        kernel::check_pins(object, pins)?;
        Self::look(pins, kept)
    }

    /// The same at a start, for which there may be pins of another version of the map ABI, which were looked at before.
    pub(super) fn at_start(pins: &Pins, object: &[u8]) -> Result<Self, Error> {
        pins.check_version()?;
        kernel::check_pins(object, pins)?;
        Self::look(pins, None)
    }

    /// Makes sure that the generation in force can be gone back to, once another one is.
    fn way_back(&self, pins: &Pins) -> Result<(), Error> {
        let number = self.word.number();
        match recall::plan(pins, number) {
            Ok(_) if !self.lost => Ok(()),
            _ => Err(Error::NoWayBack {
                pins: pins.root().to_owned(),
                generation: number,
            }),
        }
    }

    /// The number after which the next generation's comes. It goes on where the map that holds it was removed: within
    /// the life of a daemon no two generations have the same.
    pub(super) fn number(&self) -> u32 {
        let known = self.manifest.as_ref().map_or(0, |it| it.number);
        self.word.number().max(known)
    }
}

/// What is pinned; nothing if it is not.
fn if_there<T>(read: Result<T, KernelError>) -> Result<Option<T>, KernelError> {
    match read {
        Err(KernelError::Open { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

/// A generation that nothing speaks against.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) before: Before,
    pub(super) plan: Plan,
    /// What was read from files; nothing if nothing was.
    pub(super) read: Option<Read>,
    pub(super) warnings: Vec<String>,
    /// Whether an interface that the program cannot be put on keeps it off no other one.
    pub(super) lenient: bool,
    /// Why it is not what was named, if it is not.
    pub(super) instead: Option<Instead>,
    pub(super) targets: Targets,
    /// Who may read tags.
    pub(super) readers: Readers,
    /// The generation that is pinned already, and may have some of its tables.
    pub(super) shared: Option<Shared>,
}

/// What a generation is made of, as it was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// The text of the configuration.
    pub(super) text: String,
    /// The data files that it names.
    pub(super) files: BTreeMap<PathBuf, Known>,
}

/// A generation that is pinned.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    pub(super) manifest: Manifest,
}

impl Ready {
    /// What a daemon that starts is to put in force: what the order names, unless a person has to decide first
    /// about what is in force; then that, again.
    pub(super) fn start(
        pins: &Pins,
        order: Order<'_>,
        fallback: Option<Fallback<'_>>,
        inherited: Inherited,
        progress: &mut Progress,
    ) -> Result<Self, Error> {
        let before = Before::at_start(pins, order.object)?.inheriting(inherited);
        match waits(pins, &before, order.source.path())? {
            Some(_) if !before.is_usable() => Err(Error::Migrate(MigrateError::Undecided {
                version: before.inherited.version,
                generation: before.number(),
            })),
            None => match fallback {
                Some(it) => fallback::ready(pins, order, it, before, progress),
                None => Self::new(pins, order, before, progress),
            },
            Some(Waits::Nobody) if recall::is_kept(pins, &before) => {
                recall::previous(pins, before, &Back::Unconfirmed)
            }
            // Also where there is nothing to go back to: the daemon says so, which nobody would without one.
            Some(Waits::Person | Waits::Nobody) => recall::again(pins, before),
        }
    }

    /// Reads everything that `order` names, and compares it with what is in force and what the system has.
    pub(super) fn new(
        pins: &Pins,
        order: Order<'_>,
        before: Before,
        progress: &mut Progress,
    ) -> Result<Self, Error> {
        let base = Base {
            manifest: before.manifest.as_ref(),
            sources: before.sources.as_ref(),
            number: before.number(),
        };
        let Loaded {
            config,
            text,
            files,
            mut plan,
        } = load(order.source, base, progress)?;
        plan.manifest.forced = guarded(&before, &config, &plan.manifest, order.force)?;
        match &before.manifest {
            // There is no way back to tables of another version.
            Some(_) if !before.is_usable() => {}
            // Made of the same, it is no other one to go back from; and no way back takes exemptions back.
            Some(old) if change::same_but_exemptions(old, &plan.manifest) => {
                plan.manifest.previous = old.previous;
            }
            Some(old) => {
                plan.manifest.previous = Some(old.number);
                // The files are read; nobody has to be quicker because that took its time.
                plan.manifest.confirm_until = order.confirm.map(later).transpose()?;
            }
            None => {}
        }
        if plan.manifest.confirm_until.is_some() {
            before.way_back(pins)?;
        }
        let readers = Readers::of(&config)?;
        let devices = list_devices()?;
        let known: Vec<String> = before.interfaces().map(ToOwned::to_owned).collect();
        let tolerance = match order.source {
            Source::Kept { .. } | Source::LastGood(_) => Tolerance::Blocked,
            Source::Named(_) | Source::Again(_) => Tolerance::Known(&known),
        };
        let wanted: Vec<_> = config.wanted().collect();
        let targets = attach::targets(&wanted, &devices, pins, tolerance)?;
        if let Source::LastGood(copy) = order.source {
            plan.manifest
                .rolled_back
                .clone_from(&copy.index().rolled_back);
        }
        let mut warnings = config.warnings.clone();
        warnings.extend(attach::check_stripped(&config, &devices, strips_vlans)?);
        warnings.extend(readers.warning(&config, pins)?);
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        if let Source::LastGood(copy) = order.source {
            warnings.extend(copy.warning().map(str::to_owned));
            warnings.extend(recall::absent(&targets));
        } else {
            warnings.extend(targets.blocked.values().cloned());
        }
        let usable = before.manifest.clone().filter(|_| before.is_usable());
        let shared = usable.map(|manifest| Shared {
            directory: pins.generation(manifest.number),
            manifest,
        });
        Ok(Self {
            before,
            plan,
            read: Some(Read { text, files }),
            warnings,
            lenient: matches!(tolerance, Tolerance::Blocked),
            instead: None,
            targets,
            readers,
            shared,
        })
    }

    /// The interfaces that the program is on, and that the generation before does not know by the index that they have: nothing is judged on them until
    /// this one is in force. What its tables do not tell, because somebody removed their pins or they are of another version, is not known here.
    pub(super) fn unknown(&self, pins: &Pins) -> Option<Unknown> {
        let number = self.before.word.number();
        let before = self.before.manifest.as_ref().filter(|_| number != 0)?;
        let known = kernel::interfaces(&pins.generation(number)).ok()?;
        let unknown = |target: &&Target| {
            let mut named = before
                .interfaces
                .iter()
                .filter(|it| it.name == target.name());
            target.linked() && named.any(|it| !it.is_known(&known, target.index()))
        };
        let interfaces: Vec<Target> = self.targets.found.iter().filter(unknown).cloned().collect();
        (!interfaces.is_empty()).then_some(Unknown {
            generation: number,
            interfaces,
        })
    }

    /// What it changed, once it is in force.
    pub(super) fn change(self, in_force: InForce) -> Change {
        let Self {
            before,
            plan,
            warnings,
            ..
        } = self;
        let undone = in_force.warnings();
        let InForce {
            modes: _,
            blocked,
            attached,
            removed,
            memory,
            unsent: _,
            marks: _,
            unswept: _,
            mended: _,
            untidy: _,
        } = in_force;
        let mut change = Change::between(before.manifest.as_ref(), &plan.manifest);
        change.attached = attached;
        change.detached = removed;
        change.warnings = warnings;
        change.warnings.extend(blocked.into_values());
        match memory {
            Ok(memory) => change.memory = Some(memory),
            Err(error) => change.warnings.push(error.to_string()),
        }
        change.warnings.extend(undone);
        change
            .warnings
            .extend(before.lost.then(|| PARTLY_LOST.to_owned()));
        change
    }

    /// Whether it would be made from what the generation in force is made from, nothing of which is lost, answers that fail
    /// to leave are counted, skb marks set, readers of tags can read what they may, and it would be for the same interfaces: one that was made anew, or has a name that another one had, has another index.
    pub(super) fn changes_nothing(&self, pins: &Pins) -> Result<bool, Error> {
        let Before { manifest, lost, .. } = &self.before;
        let devices = list_devices()?;
        let same = |old: &Manifest| {
            old.rolled_back.is_none() && change::same_inputs(old, &self.plan.manifest)
        };
        Ok(!lost
            && attach::uncounted(&attach::placed(&devices, pins)?, pins).is_empty()
            && self.readers.settled(pins)?
            && attach::unmarked(&self.plan.manifest.marked, &self.targets.found, pins).is_empty()
            && manifest.as_ref().is_some_and(same)
            && self.targets.settled(pins)?)
    }
}

fn later(length: Duration) -> Result<Deadline, Error> {
    Deadline::after(length).map_err(|errno| Error::system("read the clock")(errno.into()))
}

/// Who has to decide about what is in force before a start puts the configuration at `path` in force: only where that is the one that
/// it was made from, and only where all of it is there.
fn waits(pins: &Pins, before: &Before, path: &Path) -> Result<Option<Waits>, Error> {
    let Some(manifest) = before.manifest.as_ref().filter(|_| !before.lost) else {
        return Ok(None);
    };
    let path = std::path::absolute(path).map_err(Error::system("find the working directory"))?;
    if path != manifest.config {
        return Ok(None);
    }
    confirm::waits(pins, manifest)
}

/// What the guards say that is overridden; an error if it is not.
fn guarded(
    before: &Before,
    config: &Config,
    new: &Manifest,
    force: bool,
) -> Result<Vec<String>, Error> {
    let Some(old) = &before.manifest else {
        return Ok(Vec::new());
    };
    let violations = guard::violations(&config.guards, old, new);
    if violations.is_empty() || force {
        Ok(violations)
    } else {
        Err(GuardError { violations }.into())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{config, generation::Inputs};

    fn manifest() -> Manifest {
        let text = r#"
            [[interface]]
            name = "eth1"
            role = "access"
            missing = "wait"
            [[access]]
            name = "dynamic"
            policy = "restrict"
            prefixes = ["100.64.0.0/16"]
        "#;
        let read = |_: &Path| Ok(text.to_owned());
        let now = Timestamp::UNIX_EPOCH;
        let config = config::load_at(Path::new("gate.toml"), &read, now).unwrap();
        let inputs = Inputs {
            config: &config,
            countries: None,
            previous: None,
            previous_sources: None,
            directory: Path::new("/"),
            number: 7,
            now,
        };
        Plan::new(inputs).unwrap().manifest
    }

    #[test]
    fn a_gate_of_another_abi_is_in_force_where_it_has_no_link() {
        let before = || Before {
            word: GenerationWord::default(),
            manifest: None,
            sources: None,
            lost: false,
            inherited: Inherited::default(),
            fresh: true,
        };
        let nothing = before().inheriting(Inherited::default());
        assert!(nothing.fresh && nothing.is_usable());
        let taken_over = before().inheriting(Inherited {
            version: 5,
            manifest: Some(manifest()),
            ..Inherited::default()
        });
        assert!(!taken_over.fresh && !taken_over.is_usable());
        assert_eq!(taken_over.number(), 7);
    }
}
