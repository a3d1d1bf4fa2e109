//! A candidate generation beside the one in force: how it gets into its slot and out again, and what the program found.
//!
//! Its maps are this process's: they are pinned nowhere, and what a process leaves in the slots that is killed is over at its deadline,
//! and removed by whoever looks after the gate next.

use std::{collections::HashMap, time::Duration};

use gate_common::{
    Rehearsed,
    abi::{
        self, BucketSet, CANDIDATE, Difference, DifferenceKey, Differences, State, Treatment, maps,
    },
};

use super::{KernelError, Maps, Part, at_once, pinned_word, word};
use crate::{
    clock,
    generation::Plan,
    kernel::tables::{self, Loaded},
    pins::Pins,
    sys::{self, Map, MapKind},
};

/// How many pairs of treatments are told apart on each CPU.
const TREATMENTS: usize = 4_096;
/// How many sources are kept, each with each pair of treatments of its packets.
const SOURCES: usize = 65_536;
/// `BPF_F_MMAPABLE`, as the program's own buckets are.
const MMAPABLE: u32 = 1 << 10;

/// What is done at the same time as others.
type Task<'t> = Box<dyn Fn() -> Result<(), KernelError> + Send + Sync + 't>;

/// A rehearsal that goes on.
#[derive(Debug)]
pub struct Rehearsal {
    parts: Vec<Part>,
    treatments: Map,
    sources: Map,
}

/// What the program found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Packets by what generation in force and candidate make of them.
    pub treatments: HashMap<(Treatment, Treatment), u64>,
    /// Packets that differ, by source.
    pub sources: HashMap<DifferenceKey, u64>,
    pub(crate) counts: [u64; abi::REHEARSED as usize],
}

impl Found {
    /// How many packets came out so.
    #[must_use]
    pub fn count(&self, rehearsed: Rehearsed) -> u64 {
        let found = self.counts.get(rehearsed as usize);
        found.copied().unwrap_or_default()
    }
}

impl Maps {
    /// The generation that a candidate is compared with in a pinned gate; nothing if there is no rehearsal, or it is over.
    pub fn pinned_rehearsal(pins: &Pins) -> Result<Option<u32>, KernelError> {
        let against = pinned_word(pins, State::Rehearsal)?;
        let until_ns = pinned_word(pins, State::RehearsalUntil)?;
        let over = clock::monotonic_coarse_ns().is_ok_and(|now_ns| now_ns >= until_ns);
        let against = u32::try_from(against).unwrap_or_default();
        Ok((against != 0 && !over).then_some(against))
    }

    /// Whether a rehearsal goes on, or was left by a process that was killed.
    pub fn has_rehearsal(&self) -> Result<bool, KernelError> {
        Ok(word(&self.state, State::Rehearsal)? != 0)
    }

    /// Has `plan` compared with generation `against` for so long, from now on. Its buckets begin as those in force are, as they would after a reload; tables that
    /// `loaded` has too are shared with it.
    pub fn begin_rehearsal(
        &self,
        plan: &Plan,
        index: &dyn Fn(&str) -> Option<u32>,
        against: u32,
        loaded: Option<Loaded<'_>>,
        length: Duration,
    ) -> Result<Rehearsal, KernelError> {
        if self.has_rehearsal()? {
            self.clear_rehearsal()?;
        }
        let cpus = sys::possible_cpus().map_err(KernelError::map(maps::DIFFERENCES, "made"))?;
        let rehearsal = Rehearsal {
            parts: tables::parts(plan, index, loaded)?,
            treatments: differences(TREATMENTS * cpus)?,
            sources: differences(SOURCES)?,
        };
        match self.fill_rehearsal(&rehearsal, against, length) {
            Ok(()) => Ok(rehearsal),
            Err(error) => {
                // Whoever looks after the gate next clears what cannot be cleared now.
                let _ = self.clear_rehearsal();
                Err(error)
            }
        }
    }

    fn fill_rehearsal(
        &self,
        rehearsal: &Rehearsal,
        against: u32,
        length: Duration,
    ) -> Result<(), KernelError> {
        let Rehearsal {
            parts,
            treatments,
            sources,
        } = rehearsal;
        for rehearsed in Rehearsed::ALL {
            self.rehearsed
                .update_per_cpu(&u32::from(*rehearsed as u8), &0u64)
                .map_err(KernelError::map(maps::REHEARSED, "written"))?;
        }
        let buckets = &buckets(&self.buckets()?.sets)?;
        let places = [
            (Differences::Treatments, treatments),
            (Differences::Sources, sources),
        ];
        let differences = places.map(|(place, map)| -> Task<'_> {
            Box::new(move || {
                self.differences
                    .update_inner(place as u32, map)
                    .map_err(KernelError::map(maps::DIFFERENCES, "written"))
            })
        });
        let buckets: Task<'_> = Box::new(move || {
            self.rehearsed_buckets
                .update_inner(0, buckets)
                .map_err(KernelError::map(maps::REHEARSED_BUCKETS, "written"))
        });
        let parts = parts
            .iter()
            .map(|part| -> Task<'_> { Box::new(move || self.put(part, CANDIDATE)) });
        at_once(parts.chain(differences).chain([buckets]))?;
        let now_ns = clock::monotonic_coarse_ns()
            .map_err(|errno| KernelError::map(maps::STATE, "written")(errno.into()))?;
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        self.set(State::RehearsalUntil, now_ns.saturating_add(length_ns))?;
        self.set(State::Rehearsal, against.into())
    }

    /// Ends a rehearsal, and says what came of every packet of it.
    pub fn end_rehearsal(&self, rehearsal: &Rehearsal) -> Result<Found, KernelError> {
        self.set(State::Rehearsal, 0)?;
        // Storing what is there already returns after a grace period that began after the store of the word: whatever was still compared is
        // counted, before a table goes.
        if let Some(part) = rehearsal.parts.first() {
            self.put(part, CANDIDATE)?;
        }
        self.clear_rehearsal()?;
        let read = |map: &Map| {
            map.entries::<DifferenceKey, Difference>()
                .map_err(KernelError::map(maps::DIFFERENCES, "read"))
        };
        let mut found = Found::default();
        for (key, Difference { packets }) in read(&rehearsal.treatments)? {
            *found.treatments.entry((key.from, key.to)).or_default() += packets;
        }
        for (key, Difference { packets }) in read(&rehearsal.sources)? {
            found.sources.insert(key, packets);
        }
        let counts: Vec<Vec<u64>> = self
            .rehearsed
            .read_all_per_cpu()
            .map_err(KernelError::map(maps::REHEARSED, "read"))?;
        for (count, of_cpus) in found.counts.iter_mut().zip(&counts) {
            *count = of_cpus.iter().sum();
        }
        Ok(found)
    }

    /// Ends any rehearsal, and empties its slots. What it found is lost.
    pub fn clear_rehearsal(&self) -> Result<(), KernelError> {
        self.set(State::Rehearsal, 0)?;
        let differences = Differences::ALL.map(|place| -> Task<'_> {
            Box::new(move || {
                self.differences
                    .delete(&(place as u32))
                    .map_err(KernelError::map(maps::DIFFERENCES, "written"))
            })
        });
        let buckets: Task<'_> = Box::new(|| {
            self.rehearsed_buckets
                .delete(&0u32)
                .map_err(KernelError::map(maps::REHEARSED_BUCKETS, "written"))
        });
        let tables: Task<'_> = Box::new(|| self.clear(CANDIDATE));
        at_once(differences.into_iter().chain([buckets, tables]))
    }
}

fn differences(room: usize) -> Result<Map, KernelError> {
    let (key, value) = (size_of::<DifferenceKey>(), size_of::<Difference>());
    let made = Map::create(maps::DIFFERENCES, MapKind::Hash, key, value, room, 0);
    made.map_err(|error| KernelError::Table {
        table: maps::DIFFERENCES.to_owned(),
        size: room * (key + value),
        error,
    })
}

fn buckets(sets: &[BucketSet]) -> Result<Map, KernelError> {
    let made = Map::create(
        maps::REHEARSED_BUCKETS,
        MapKind::Array,
        size_of::<u32>(),
        size_of::<BucketSet>(),
        abi::BUCKET_SETS as usize,
        MMAPABLE,
    );
    let filled = made.and_then(|map| map.fill(sets).map(|()| map));
    filled.map_err(|error| KernelError::Table {
        table: maps::REHEARSED_BUCKETS.to_owned(),
        size: size_of_val(sets),
        error,
    })
}
