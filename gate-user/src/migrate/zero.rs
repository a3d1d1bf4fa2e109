//! What started from zero because two versions of the map ABI lay it out differently: a note, which every later version takes over, so that whoever
//! reads counts knows since when they are counted.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::layout::loses;
use crate::{
    kernel::{self, KernelError},
    pins::{Note, Pins},
};

/// A map that did not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromZero {
    /// Its name, as in metrics.
    pub(crate) map: String,
    /// What is in it, in the words of the version that took over.
    pub(crate) what: String,
    /// Since when it is counted.
    pub(crate) since: Timestamp,
    /// The version of the map ABI that was in force until then.
    pub(crate) from_abi: u32,
    /// The version that took over.
    pub(crate) to_abi: u32,
}

impl FromZero {
    pub(super) fn now(map: &str, from_abi: u32, to_abi: u32) -> Self {
        Self {
            map: map.to_lowercase(),
            what: loses(map).to_owned(),
            since: Timestamp::now(),
            from_abi,
            to_abi,
        }
    }

    /// What there is to say about it.
    #[must_use]
    pub fn told(&self) -> String {
        let Self {
            map: _,
            what,
            since,
            from_abi,
            to_abi,
        } = self;
        format!(
            "{what}: since {since:.0}, when map ABI {to_abi} took over from {from_abi}, which lays them out differently"
        )
    }
}

/// What started from zero in the pins of a gate, and has not been removed since.
pub(crate) fn from_zero(pins: &Pins) -> Result<Vec<FromZero>, KernelError> {
    Ok(kernel::read_note(pins, Note::FromZero)?.unwrap_or_default())
}

/// Notes that something more did; of a map that did before, the last time counts.
pub(super) fn note(pins: &Pins, lost: Vec<FromZero>) -> Result<(), KernelError> {
    if lost.is_empty() {
        return Ok(());
    }
    let all = merged(from_zero(pins)?, lost);
    kernel::write_note(pins, Note::FromZero, &all)
}

fn merged(mut known: Vec<FromZero>, lost: Vec<FromZero>) -> Vec<FromZero> {
    known.retain(|it| lost.iter().all(|new| new.map != it.map));
    known.extend(lost);
    known
}

#[cfg(test)]
mod tests {
    use gate_common::abi::maps;

    use super::*;

    #[test]
    fn a_map_is_there_once_with_its_last_time() {
        let first = FromZero::now(maps::LIMITED, 8, 9);
        let other = FromZero::now(maps::FLOWS, 8, 9);
        let back = FromZero::now(maps::LIMITED, 9, 8);
        let known = merged(vec![], vec![first, other.clone()]);
        assert_eq!(merged(known, vec![back.clone()]), [other, back]);
    }

    #[test]
    fn it_is_said_since_when_and_why() {
        let it = FromZero {
            since: Timestamp::UNIX_EPOCH,
            ..FromZero::now(maps::LIMITED, 8, 9)
        };
        assert_eq!(it.map, "limited");
        assert_eq!(
            it.told(),
            "counts of token buckets: since 1970-01-01T00:00:00Z, when map ABI 9 took over from 8, which lays them out differently"
        );
    }
}
