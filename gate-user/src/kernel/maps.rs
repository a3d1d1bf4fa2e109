//! The maps: what they say, and how a generation gets in, into force and out again.

mod delete;
mod events;
mod occupancy;
mod rehearsal;
mod shared;

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
    thread,
};

use gate_common::{
    Answered, Bucket, Country, Reason, Shown, Verdict,
    abi::{
        self, DeviceKey, FlowKey, FlowTag, GenerationWord, Limited, List, NoMetadata, Packets,
        Source, SourceKey, SourceSet, State, maps,
    },
    sets::{Hash, Tag},
};

pub use self::{
    delete::Deleted,
    events::{Ring, Tale, Terms},
    occupancy::Occupancy,
    rehearsal::{Found, Rehearsal},
    shared::Buckets,
};
use super::{
    KernelError,
    tables::{self, Loaded, Part},
};
use crate::{
    generation::Plan,
    pins::{Pins, PinsError},
    sys::{Access, Map},
};

/// The maps of a gate, pinned or private.
#[derive(Debug)]
pub struct Maps {
    state: Map,
    totals: Map,
    counters: Map,
    countries: Map,
    sources: Map,
    expired: Map,
    flows: Map,
    answers: Map,
    shown: Map,
    limited: Map,
    buckets: Map,
    total_bucket: Map,
    unsent: Map,
    rehearsed: Map,
    judged: Map,
    differences: Map,
    rehearsed_buckets: Map,
    events: Map,
    event_bucket: Map,
    told: Map,
    /// In the order of [`maps::SLOTTED`].
    slotted: Vec<Map>,
}

impl Maps {
    /// Opens what is pinned.
    pub fn open(pins: &Pins, access: Access) -> Result<Self, KernelError> {
        Self::open_each(|name| {
            let path = pins.map(name);
            Map::open(&path, access).map_err(|error| KernelError::Open { path, error })
        })
    }

    pub(super) fn open_each(
        mut open: impl FnMut(&'static str) -> Result<Map, KernelError>,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            state: open(maps::STATE)?,
            totals: open(maps::TOTALS)?,
            counters: open(maps::COUNTERS)?,
            countries: open(maps::COUNTRIES)?,
            sources: open(maps::SOURCES)?,
            expired: open(maps::EXPIRED)?,
            flows: open(maps::FLOWS)?,
            answers: open(maps::ANSWERS)?,
            shown: open(maps::SHOWN)?,
            limited: open(maps::LIMITED)?,
            buckets: open(maps::BUCKETS)?,
            total_bucket: open(maps::TOTAL_BUCKET)?,
            unsent: open(maps::UNSENT)?,
            rehearsed: open(maps::REHEARSED)?,
            judged: open(maps::JUDGED)?,
            differences: open(maps::DIFFERENCES)?,
            rehearsed_buckets: open(maps::REHEARSED_BUCKETS)?,
            events: open(maps::EVENTS)?,
            event_bucket: open(maps::EVENT_BUCKET)?,
            told: open(maps::TOLD)?,
            slotted: maps::SLOTTED
                .into_iter()
                .map(open)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The kernel's number for the totals: a gate that was loaded anew has others, which begin at nothing.
    pub(crate) fn totals_id(&self) -> u32 {
        self.totals.id()
    }

    /// The names of the maps and the kernel's numbers for them.
    pub(super) fn ids(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let states = [
            &self.state,
            &self.totals,
            &self.counters,
            &self.countries,
            &self.sources,
            &self.expired,
            &self.flows,
            &self.answers,
            &self.shown,
            &self.limited,
            &self.buckets,
            &self.total_bucket,
            &self.unsent,
            &self.rehearsed,
            &self.judged,
            &self.differences,
            &self.rehearsed_buckets,
            &self.events,
            &self.event_bucket,
            &self.told,
        ];
        let named = maps::STATES.into_iter().chain(maps::SLOTTED);
        named.zip(states.into_iter().chain(&self.slotted).map(Map::id))
    }

    /// The generation that a pinned gate runs; none, if nothing is pinned.
    pub fn pinned_generation(pins: &Pins) -> Result<GenerationWord, KernelError> {
        Ok(GenerationWord(pinned_word(pins, State::Generation)?))
    }

    /// [`Maps::bypass_until`] of a pinned gate; 0 if nothing is pinned.
    pub fn pinned_bypass(pins: &Pins) -> Result<u64, KernelError> {
        pinned_word(pins, State::Bypass)
    }

    /// [`Maps::wall_offset`] of a pinned gate; 0 if nothing is pinned.
    pub fn pinned_wall_offset(pins: &Pins) -> Result<u64, KernelError> {
        pinned_word(pins, State::WallOffset)
    }

    /// Words of a pinned gate's state that are about no generation, and mean the same in every version of the map ABI.
    pub fn pinned_words(pins: &Pins) -> Result<Vec<(State, u64)>, KernelError> {
        let words = [
            State::Seed,
            State::NoMetadata,
            State::Bypass,
            State::WallOffset,
        ];
        let read = |word| Ok((word, pinned_word(pins, word)?));
        words.into_iter().map(read).collect()
    }

    /// Goes by these words of another gate's state, before the first generation.
    pub fn inherit(&self, words: &[(State, u64)]) -> Result<(), KernelError> {
        words
            .iter()
            .try_for_each(|(word, value)| self.set(*word, *value))
    }

    /// The generation in force.
    pub fn generation(&self) -> Result<GenerationWord, KernelError> {
        Ok(GenerationWord(word(&self.state, State::Generation)?))
    }

    /// What to add to `CLOCK_MONOTONIC` for UNIX time, as the program sees it.
    pub fn wall_offset(&self) -> Result<u64, KernelError> {
        word(&self.state, State::WallOffset)
    }

    fn set(&self, word: State, value: u64) -> Result<(), KernelError> {
        self.state
            .update(&(word as u32), &value)
            .map_err(KernelError::map(maps::STATE, "written"))
    }

    /// Tells the program how far its clock is from UNIX time.
    pub fn set_wall_offset(&self, offset_ns: u64) -> Result<(), KernelError> {
        self.set(State::WallOffset, offset_ns)
    }

    /// The UNIX time in nanoseconds until which everything is only observed; 0 is no bypass.
    pub fn bypass_until(&self) -> Result<u64, KernelError> {
        word(&self.state, State::Bypass)
    }

    /// Has everything only observed until this UNIX time in nanoseconds, by one store; 0 ends that.
    pub fn set_bypass_until(&self, until_ns: u64) -> Result<(), KernelError> {
        self.set(State::Bypass, until_ns)
    }

    /// Makes it this UNIX time for the program, whatever the clock says. For instances that are attached to nothing.
    pub fn set_now(&self, now_ns: u64) -> Result<(), KernelError> {
        self.set(State::Now, now_ns)
    }

    /// Why packets that are to be marked have no metadata, as far as that is known.
    pub fn no_metadata(&self) -> Result<NoMetadata, KernelError> {
        Ok(NoMetadata::of(word(&self.state, State::NoMetadata)?))
    }

    /// Tells the program that marks whether to look up what has no metadata.
    pub fn set_no_metadata(&self, why: NoMetadata) -> Result<(), KernelError> {
        self.set(State::NoMetadata, why as u64)
    }

    /// How many packets got this verdict for this reason.
    pub fn total(&self, verdict: Verdict, reason: Reason) -> Result<u64, KernelError> {
        let index = abi::total_index(verdict, reason);
        let values: Option<Vec<u64>> = self
            .totals
            .lookup_per_cpu(&index)
            .map_err(KernelError::map(maps::TOTALS, "read"))?;
        Ok(values.iter().flatten().sum())
    }

    /// Every total, by [`abi::total_index`].
    pub fn totals(&self) -> Result<Vec<u64>, KernelError> {
        let values: Vec<Vec<u64>> = self
            .totals
            .read_all_per_cpu()
            .map_err(KernelError::map(maps::TOTALS, "read"))?;
        Ok(values.iter().map(|of_cpus| of_cpus.iter().sum()).collect())
    }

    /// How many packets this counter counted, one value a CPU.
    pub fn counter(&self, counter: u32) -> Result<Vec<Packets>, KernelError> {
        let values = self
            .counters
            .lookup_per_cpu(&counter)
            .map_err(KernelError::map(maps::COUNTERS, "read"))?;
        Ok(values.unwrap_or_default())
    }

    /// How many packets from this country were tagged.
    pub fn country(&self, country: Country) -> Result<u64, KernelError> {
        let index = u32::from(country.number());
        let values: Option<Vec<u64>> = self
            .countries
            .lookup_per_cpu(&index)
            .map_err(KernelError::map(maps::COUNTRIES, "read"))?;
        Ok(values.iter().flatten().sum())
    }

    /// Every source that has an entry.
    pub fn sources(&self) -> Result<HashMap<SourceKey, Source>, KernelError> {
        let read = self.sources.read_all();
        let sets: Vec<SourceSet> = read.map_err(KernelError::map(maps::SOURCES, "read"))?;
        let seed = word(&self.state, State::Seed)?;
        let mut sources: HashMap<SourceKey, Source> = HashMap::new();
        for source in sets.iter().flat_map(|it| it.ways) {
            let Source { tag, address, .. } = source;
            // Where the way became another address's while it was copied, tag and address may not be of one. Its counts may still be the other's, for
            // this one time.
            let hash = Hash::new(seed, address, tag.kind());
            if !tag.is_live() || !tag.is(Tag::new(hash, tag.kind())) {
                continue;
            }
            let known = sources.entry(SourceKey::of(tag, address));
            known
                .and_modify(|it| {
                    for (sum, count) in it.packets.iter_mut().zip(source.packets) {
                        *sum += count;
                    }
                    it.first = it.first.min(source.first);
                    it.last = it.last.max(source.last);
                })
                .or_insert(source);
        }
        Ok(sources)
    }

    /// Makes up the seed of hashes, which is done once: before there is anything that was hashed.
    pub(super) fn seed(&self) -> Result<(), KernelError> {
        if self.generation()? != GenerationWord::default() || word(&self.state, State::Seed)? != 0 {
            return Ok(());
        }
        // The standard library's hashes are keyed from the system's random numbers.
        self.set(State::Seed, RandomState::new().hash_one(()))
    }

    /// How many answers to refused clients came out so.
    pub fn answered(&self, answered: Answered) -> Result<u64, KernelError> {
        let values: Option<Vec<u64>> = self
            .answers
            .lookup_per_cpu(&u32::from(answered as u8))
            .map_err(KernelError::map(maps::ANSWERS, "read"))?;
        Ok(values.iter().flatten().sum())
    }

    /// How many packets showed the tag of their connection so.
    pub fn shown(&self, shown: Shown) -> Result<u64, KernelError> {
        let values: Option<Vec<u64>> = self
            .shown
            .lookup_per_cpu(&u32::from(shown as u8))
            .map_err(KernelError::map(maps::SHOWN, "read"))?;
        Ok(values.iter().flatten().sum())
    }

    /// What token buckets of this kind said, one value a CPU.
    pub fn limited(&self, bucket: Bucket) -> Result<Vec<Limited>, KernelError> {
        let values = self
            .limited
            .lookup_per_cpu(&u32::from(bucket as u8))
            .map_err(KernelError::map(maps::LIMITED, "read"))?;
        Ok(values.unwrap_or_default())
    }

    /// How many answers failed to leave, by interface.
    pub fn unsent(&self) -> Result<HashMap<DeviceKey, u64>, KernelError> {
        self.unsent
            .entries()
            .map_err(KernelError::map(maps::UNSENT, "read"))
    }

    /// Has answers counted that fail to leave by these interfaces, and by no others. Counts go on.
    pub fn count_unsent(&self, devices: &[DeviceKey]) -> Result<(), KernelError> {
        let failed = KernelError::map(maps::UNSENT, "written");
        let counted = self.unsent()?;
        let gone = counted.keys().filter(|it| !devices.contains(it));
        let new = devices.iter().filter(|it| !counted.contains_key(it));
        gone.map(|key| self.unsent.delete::<_>(key))
            .chain(new.map(|key| self.unsent.update(key, &0u64)))
            .collect::<io::Result<()>>()
            .map_err(failed)
    }

    /// The tag of a connection, however old.
    pub fn flow(&self, key: &FlowKey) -> Result<Option<FlowTag>, KernelError> {
        self.flows
            .lookup(key)
            .map_err(KernelError::map(maps::FLOWS, "read"))
    }

    /// Removes the tags of connections that were opened before `monotonic_ns`.
    pub fn sweep_flows(&self, monotonic_ns: u64) -> Result<(), KernelError> {
        let failed = |action| KernelError::map(maps::FLOWS, action);
        for (key, tag) in self
            .flows
            .entries::<FlowKey, FlowTag>()
            .map_err(failed("read"))?
        {
            if tag.time_ns < monotonic_ns {
                self.flows.delete(&key).map_err(failed("written"))?;
            }
        }
        Ok(())
    }

    /// Puts a generation into a slot that no program looks at.
    ///
    /// `index` gives the index of an interface by its name; interfaces without one are left out. Tables that `loaded` has
    /// too are shared with it.
    pub fn prepare(
        &self,
        plan: &Plan,
        index: &dyn Fn(&str) -> Option<u32>,
        loaded: Option<Loaded<'_>>,
    ) -> Result<Prepared, KernelError> {
        let current = self.generation()?;
        let slot = u32::from(current.number() != 0 && current.slot() == 0);
        let prepared = Prepared {
            word: GenerationWord::new(plan.manifest.number, slot),
            parts: tables::parts(plan, index, loaded)?,
        };
        match self.fill(&prepared, &plan.fresh_counters) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                // What cannot be cleared now is written over by the next generation.
                let _ = self.clear(slot);
                Err(error)
            }
        }
    }

    fn fill(&self, prepared: &Prepared, fresh_counters: &[u32]) -> Result<(), KernelError> {
        let slot = prepared.word.slot();
        at_once(
            prepared
                .parts
                .iter()
                .map(|part| move || self.put(part, slot)),
        )?;
        for counter in fresh_counters {
            let zero = Packets::default();
            self.counters
                .update_per_cpu(counter, &zero)
                .map_err(KernelError::map(maps::COUNTERS, "written"))?;
        }
        Ok(())
    }

    /// Puts a map of a generation where the program finds it; returns after a grace period.
    fn put(&self, part: &Part, slot: u32) -> Result<(), KernelError> {
        let outer = maps::SLOTTED.into_iter().zip(&self.slotted);
        let (Some((name, _)), place) = (part.outer, part.place(slot)) else {
            return Ok(());
        };
        outer
            .filter(|(it, _)| *it == name)
            .try_for_each(|(_, outer)| outer.update_inner(place, &part.map))
            .map_err(KernelError::map(name, "written"))
    }

    /// Puts a prepared generation in force, by one store, and lets go of the one before once no packet is in it.
    pub fn activate(&self, prepared: &Prepared) -> Result<(), KernelError> {
        let before = self.generation()?;
        self.set(State::Generation, prepared.word.0)?;
        if before.number() == 0 || before.slot() == prepared.word.slot() {
            return Ok(());
        }
        // Storing what is there already changes nothing, and returns after a grace period that began after the store
        // of the word: whatever still ran in the old generation is done.
        if let Some(part) = prepared.parts.first() {
            self.put(part, prepared.word.slot())?;
        }
        self.clear(before.slot())
    }

    /// Takes back a prepared generation, unless it is in force; says whether it did.
    pub fn discard(&self, prepared: &Prepared) -> Result<bool, KernelError> {
        if self.generation()? == prepared.word {
            return Ok(false);
        }
        self.clear(prepared.word.slot())?;
        Ok(true)
    }

    fn clear(&self, slot: u32) -> Result<(), KernelError> {
        let whole = |name: &&str| ![maps::ROOTS, maps::NODES].contains(name);
        let named = || maps::SLOTTED.into_iter().zip(&self.slotted);
        let single = named().filter(|(name, _)| whole(name)).map(|it| (it, slot));
        let lists = named()
            .filter(|(name, _)| !whole(name))
            .flat_map(|it| List::ALL.map(|list| (it, list.place(slot))));
        at_once(single.chain(lists).map(|((name, outer), place)| {
            move || {
                outer
                    .delete(&place)
                    .map_err(KernelError::map(name, "written"))
            }
        }))
    }
}

/// Does all of it at the same time: the kernel lets each change of a map of maps wait for a grace period, and one will do.
/// What gets no thread of its own is done here.
fn at_once<F>(tasks: impl Iterator<Item = F>) -> Result<(), KernelError>
where
    F: Fn() -> Result<(), KernelError> + Send + Sync,
{
    let tasks: Vec<F> = tasks.collect();
    thread::scope(|scope| {
        let threads: Vec<_> = tasks
            .iter()
            .map(|task| (task, thread::Builder::new().spawn_scoped(scope, task)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|(task, thread)| match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => task(),
            })
    })
}

/// A word of the pinned map of state; 0 if nothing is pinned.
fn pinned_word(pins: &Pins, wanted: State) -> Result<u64, KernelError> {
    let path = pins.map(maps::STATE);
    match Map::open(&path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(KernelError::Open { path, error }),
        Ok(state) => word(&state, wanted),
    }
}

/// A word of the map of state; its elements are always there.
fn word(state: &Map, word: State) -> Result<u64, KernelError> {
    let found = state
        .lookup(&(word as u32))
        .map_err(KernelError::map(maps::STATE, "read"))?;
    found.ok_or_else(|| KernelError::map(maps::STATE, "read")(io::ErrorKind::NotFound.into()))
}

/// A generation in its slot, not yet in force.
#[derive(Debug)]
pub struct Prepared {
    word: GenerationWord,
    parts: Vec<Part>,
}

impl Prepared {
    /// The number of the generation.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.word.number()
    }

    /// Pins its maps in `directory`.
    pub fn pin(&self, directory: &Path) -> Result<(), KernelError> {
        for part in &self.parts {
            let path = directory.join(&part.pin);
            part.map.pin(&path).map_err(|error| PinsError::Io {
                action: "pin",
                path,
                error,
            })?;
        }
        Ok(())
    }
}
