//! A private instance that decides as the gate in force does: with the same tables, which nobody can write any more, and with copies of
//! what its program writes and goes by.

use std::path::Path;

use gate_common::abi::{BucketSet, GenerationWord, State, maps};

use super::{KernelError, Maps, word};
use crate::kernel::tables;

/// The token buckets at one moment.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// What goes into the hashes of addresses.
    pub seed: u64,
    /// Those of sources.
    pub sets: Vec<BucketSet>,
    /// That of all answers.
    pub total: u64,
}

impl Maps {
    /// The token buckets as they are. CPUs take from them meanwhile, each bucket is of some moment.
    pub fn buckets(&self) -> Result<Buckets, KernelError> {
        let total = self
            .total_bucket
            .lookup(&0u32)
            .map_err(KernelError::map(maps::TOTAL_BUCKET, "read"))?;
        Ok(Buckets {
            seed: word(&self.state, State::Seed)?,
            sets: self
                .buckets
                .read_all()
                .map_err(KernelError::map(maps::BUCKETS, "read"))?,
            total: total.unwrap_or_default(),
        })
    }

    /// Puts the generation `number`, pinned in `directory`, in force in this private instance, with copies of the live `buckets`, and the live
    /// offset of the clock and bypass. The tables are those of the pins, opened for reading.
    ///
    /// Counters, sources, and tags of connections start empty: no decision reads them.
    pub fn share(
        &self,
        directory: &Path,
        number: u32,
        buckets: &Buckets,
        wall_offset_ns: u64,
        bypass_until_ns: u64,
    ) -> Result<(), KernelError> {
        const SLOT: u32 = 0;
        let parts = tables::pinned_parts(directory)?;
        super::at_once(parts.iter().map(|part| move || self.put(part, SLOT)))?;
        let Buckets { seed, sets, total } = buckets;
        self.buckets
            .fill(sets)
            .map_err(KernelError::map(maps::BUCKETS, "written"))?;
        self.total_bucket
            .update(&0u32, total)
            .map_err(KernelError::map(maps::TOTAL_BUCKET, "written"))?;
        self.set(State::Seed, *seed)?;
        self.set_wall_offset(wall_offset_ns)?;
        self.set_bypass_until(bypass_until_ns)?;
        self.set(State::Generation, GenerationWord::new(number, SLOT).0)
    }
}
