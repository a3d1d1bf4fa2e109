//! How full the maps are that make room by themselves.

use gate_common::{
    abi::{self, BucketSet, FlowKey, FlowTag, SourceSet, maps},
    sets,
};

use super::Maps;
use crate::kernel::KernelError;

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// What it keeps.
    pub map: &'static str,
    /// How many entries it has.
    pub entries: u64,
    /// For how many it has room.
    pub capacity: u64,
}

impl Maps {
    /// How full each map is that entries come into and go out of as packets come.
    pub fn occupancy(&self) -> Result<[Occupancy; 3], KernelError> {
        let read = self.sources.read_all();
        let sources: Vec<SourceSet> = read.map_err(KernelError::map(maps::SOURCES, "read"))?;
        let read = self.buckets.read_all();
        let buckets: Vec<BucketSet> = read.map_err(KernelError::map(maps::BUCKETS, "read"))?;
        let read = self.flows.entries::<FlowKey, FlowTag>();
        let flows = read.map_err(KernelError::map(maps::FLOWS, "read"))?;
        let sources = sources.iter().flat_map(|set| set.ways);
        let buckets = buckets.iter().flat_map(|set| set.ways);
        let live = |count: usize| count as u64;
        let ways = |sets: u32| u64::from(sets) * sets::WAYS as u64;
        Ok([
            Occupancy {
                map: "sources",
                entries: live(sources.filter(|it| it.tag.is_live()).count()),
                capacity: ways(abi::SOURCE_SETS),
            },
            Occupancy {
                map: "buckets",
                entries: live(buckets.filter(|it| it.tag.is_live()).count()),
                capacity: ways(abi::BUCKET_SETS),
            },
            Occupancy {
                map: "flows",
                entries: live(flows.len()),
                capacity: u64::from(abi::FLOWS),
            },
        ])
    }
}
