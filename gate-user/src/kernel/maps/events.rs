//! Who listens to events: the ring that the program puts them into, the lease, and what became of each event.
//!
//! The ring is the listener's own: it is pinned nowhere, and goes with the last who has it open. What a listener leaves in the slot that is killed is
//! told nothing once its lease is over, and is removed by whoever looks after the gate next.

use std::{fmt, os::fd::AsFd as _, time::Duration};

use aya::maps::{Map as AyaMap, MapData, MapError, RingBuf};
use gate_common::{
    Told,
    abi::{self, Event, Limit, State, maps},
};
use serde::{Deserialize, Serialize};

use super::{KernelError, Maps, word};
use crate::{
    clock,
    sys::{Map, MapKind},
};

/// How large the ring is, in bytes: a power of two pages, for some 3,600 events.
const RING: usize = 1 << 18;

/// Which events are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many of [`abi::CHANCES`] are.
    pub chance: u64,
    /// How many at most.
    pub limit: Limit,
}

/// A ring that the program puts events into.
pub struct Ring {
    map: Map,
    reader: RingBuf<MapData>,
}

/// What became of events, by [`Told`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tale([u64; abi::TOLD as usize]);

impl Tale {
    /// How many came out so.
    #[must_use]
    pub fn count(&self, told: Told) -> u64 {
        self.0.get(told as usize).copied().unwrap_or_default()
    }

    /// What came since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = *self;
        for (now, before) in since.0.iter_mut().zip(before.0) {
            *now = now.saturating_sub(before);
        }
        since
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ring").field(&self.map).finish()
    }
}

impl Ring {
    fn new() -> Result<Self, KernelError> {
        let made = Map::create(maps::EVENTS, MapKind::RingBuf, 0, 0, RING, 0);
        let map = made.map_err(|error| KernelError::Table {
            table: maps::EVENTS.to_owned(),
            size: RING,
            error,
        })?;
        let failed =
            |error: MapError| KernelError::map(maps::EVENTS, "read")(std::io::Error::other(error));
        let fd = map.as_fd().try_clone_to_owned();
        let fd = fd.map_err(KernelError::map(maps::EVENTS, "shared"))?;
        let data = MapData::from_fd(fd).map_err(failed)?;
        let reader = RingBuf::try_from(AyaMap::RingBuf(data)).map_err(failed)?;
        Ok(Self { map, reader })
    }

    /// The next event; nothing if there is none yet.
    pub fn take(&mut self) -> Option<Event> {
        loop {
            let record = self.reader.next()?;
            // Nothing else is ever put there.
            if let Ok(event) = bytemuck::try_pod_read_unaligned(&record) {
                return Some(event);
            }
        }
    }
}

impl Maps {
    /// Whether somebody listens, or was killed while he did.
    pub fn has_listener(&self) -> Result<bool, KernelError> {
        Ok(word(&self.state, State::EventsUntil)? != 0)
    }

    /// What became of events since the gate was loaded.
    pub fn told(&self) -> Result<Tale, KernelError> {
        let counts: Vec<Vec<u64>> = self
            .told
            .read_all_per_cpu()
            .map_err(KernelError::map(maps::TOLD, "read"))?;
        let mut tale = Tale::default();
        for (count, of_cpus) in tale.0.iter_mut().zip(&counts) {
            *count = of_cpus.iter().sum();
        }
        Ok(tale)
    }

    /// Has events told from now on, until the lease is over.
    pub fn listen(&self, terms: Terms, lease: Duration) -> Result<Ring, KernelError> {
        if self.has_listener()? {
            self.clear_listener()?;
        }
        let ring = Ring::new()?;
        let begun = self.begin_listening(&ring, terms, lease);
        if begun.is_err() {
            // Whoever looks after the gate next clears what cannot be cleared now.
            let _ = self.clear_listener();
        }
        begun.map(|()| ring)
    }

    fn begin_listening(
        &self,
        ring: &Ring,
        terms: Terms,
        lease: Duration,
    ) -> Result<(), KernelError> {
        let Terms { chance, limit } = terms;
        self.set(State::EventsChance, chance)?;
        self.set(State::EventsInterval, limit.interval_ns)?;
        self.set(State::EventsBurst, limit.burst_ns)?;
        self.event_bucket
            .update(&0u32, &0u64)
            .map_err(KernelError::map(maps::EVENT_BUCKET, "written"))?;
        self.put_ring(ring)?;
        self.renew_lease(lease)
    }

    /// Returns after a grace period: whatever was told before is in the ring.
    fn put_ring(&self, ring: &Ring) -> Result<(), KernelError> {
        self.events
            .update_inner(0, &ring.map)
            .map_err(KernelError::map(maps::EVENTS, "written"))
    }

    /// Goes on listening for so long from now on.
    pub fn renew_lease(&self, lease: Duration) -> Result<(), KernelError> {
        let now_ns = clock::monotonic_coarse_ns()
            .map_err(|errno| KernelError::map(maps::STATE, "written")(errno.into()))?;
        let lease_ns = u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX);
        self.set(State::EventsUntil, now_ns.saturating_add(lease_ns))
    }

    /// Ends listening: nothing comes into the ring any more, and what was told is in it.
    pub fn end_listening(&self, ring: &Ring) -> Result<(), KernelError> {
        self.set(State::EventsUntil, 0)?;
        // Storing what is there already returns after a grace period that began after the store of the word.
        self.put_ring(ring)?;
        self.clear_listener()
    }

    /// Ends listening, whoever does. What is in the ring is lost, but to who has it open.
    pub fn clear_listener(&self) -> Result<(), KernelError> {
        self.set(State::EventsUntil, 0)?;
        self.events
            .delete(&0u32)
            .map_err(KernelError::map(maps::EVENTS, "written"))
    }
}
