//! What the maps of a version of the map ABI mean, as far as another version has to know it.
//!
//! That is the lock file of the version, which names every record with its fields, and every number that has a name. A gate leaves it
//! beside its maps, so that the next version need not know any other. The one version that did not leave it is known here.

use std::collections::BTreeMap;

use gate_common::abi::maps;

use crate::{
    kernel::{self, KernelError},
    pins::{Note, Pins},
};

/// That of this version.
const OWN: &str = include_str!("../../../gate-common/abi.lock");
/// The first version that is understood, which left nothing beside its maps.
const FIRST: u32 = 5;
const OF_FIRST: &str = include_str!("abi-5.lock");

/// What the lines of a lock file begin with that name a map.
const MAP: &str = "map";

/// A lock file by what each line is about: a map, a record, or a number of a kind, such as `reason 5`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout(BTreeMap<String, String>);

impl Layout {
    pub(super) fn own() -> Self {
        Self::parse(OWN)
    }

    /// That of what is pinned by another version; an empty one, which has nothing in common with any, if nobody knows.
    pub(super) fn of(pins: &Pins) -> Result<Self, KernelError> {
        let noted: Option<String> = kernel::read_note(pins, Note::Layout)?;
        Ok(match noted {
            Some(text) => Self::parse(&text),
            None if pins.abi() == FIRST => Self::parse(OF_FIRST),
            None => Self::default(),
        })
    }

    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (subject, rest) = line.split_once(' ')?;
            if subject == MAP {
                return Some((line.to_owned(), String::new()));
            }
            Some(match rest.split_once('=') {
                // `reason 5=restricted`; a record has fields, and so a blank before its first `=`, or more than one.
                Some((number, name)) if number.parse::<u32>().is_ok() => {
                    (format!("{subject} {number}"), name.to_owned())
                }
                _ => (subject.to_owned(), rest.to_owned()),
            })
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Whether there is a map of this name.
    pub(super) fn has(&self, map: &str) -> bool {
        self.0.contains_key(&format!("{MAP} {map}"))
    }

    /// Whether a map of this name means the same in both: each record that is in it has the same fields in the same places, and no number has
    /// two names. One that only one of them has a name for is not counted by the other.
    pub(super) fn agrees(&self, other: &Self, map: &str) -> bool {
        let Some(subjects) = subjects(map) else {
            return false;
        };
        subjects.iter().all(|subject| {
            let lines = |it: &Self| -> BTreeMap<String, String> {
                let of = |key: &str| key.split(' ').next() == Some(subject);
                let lines = it.0.iter().filter(|(key, _)| of(key));
                lines
                    .map(|(key, text)| (key.clone(), text.clone()))
                    .collect()
            };
            let (own, other) = (lines(self), lines(other));
            let contradicts =
                |(key, text): (&String, &String)| other.get(key).is_some_and(|it| it != text);
            !own.is_empty() && !other.is_empty() && !own.iter().any(contradicts)
        })
    }
}

/// The maps that go on under another version, if they mean the same there: [`maps::STATE`] names a generation, which is in maps of its
/// version, and neither a rehearsal nor a listener outlives the program that it asks.
pub(super) fn carried() -> impl Iterator<Item = &'static str> {
    let ends = |map: &str| {
        map == maps::STATE || maps::REHEARSAL.contains(&map) || maps::LISTENER.contains(&map)
    };
    maps::STATES.into_iter().filter(move |it| !ends(it))
}

/// What a map of state is about, in the words of the lock file; nothing where another version cannot go on with it.
fn subjects(map: &str) -> Option<&'static [&'static str]> {
    Some(match map {
        maps::TOTALS => &["verdict", "reason"],
        maps::COUNTERS | maps::EXPIRED => &["Packets"],
        // By the letters of the country: the number of entries is all there is to know.
        maps::COUNTRIES => &[],
        maps::SOURCES => &["Addr", "Source", "SourceSet", "verdict"],
        maps::FLOWS => &["Addr", "FlowKey", "FlowTag"],
        maps::ANSWERS => &["answered"],
        maps::SHOWN => &["shown"],
        maps::LIMITED => &["Limited", "bucket"],
        maps::BUCKETS => &["Addr", "BucketSet", "SourceBucket", "bucket"],
        maps::TOTAL_BUCKET => &["bucket"],
        maps::UNSENT => &["DeviceKey"],
        _ => return None,
    })
}

/// What starts from zero where a map does not go on.
pub(super) fn loses(map: &str) -> &'static str {
    match map {
        maps::TOTALS => "counts by verdict and reason",
        maps::COUNTERS => "counts of pools, prefixes, relays, classes and interfaces",
        maps::COUNTRIES => "counts of countries",
        maps::SOURCES => "counts of sources",
        maps::EXPIRED => "counts of sources that expired",
        maps::FLOWS => "tags of connections",
        maps::ANSWERS => "counts of answers",
        maps::SHOWN => "counts of tags shown",
        maps::LIMITED => "counts of token buckets",
        maps::BUCKETS => "token buckets of sources",
        maps::TOTAL_BUCKET => "the token bucket of all answers",
        maps::UNSENT => "counts of answers that failed to leave",
        _ => "something without a name",
    }
}

/// Leaves the layout of this version beside its maps.
pub(crate) fn leave(pins: &Pins) -> Result<(), KernelError> {
    let noted: Option<String> = kernel::read_note(pins, Note::Layout)?;
    if noted.as_deref() == Some(OWN) {
        return Ok(());
    }
    kernel::write_note(pins, Note::Layout, &OWN)
}

#[cfg(test)]
mod tests {
    use gate_common::abi::ABI_VERSION;

    use super::*;

    fn with(from: &str, to: &str) -> Layout {
        assert_eq!(OF_FIRST.matches(from).count(), 1, "{from}");
        Layout::parse(&OF_FIRST.replace(from, to))
    }

    #[test]
    fn the_lock_is_that_of_this_version() {
        let version = format!("version = {ABI_VERSION}");
        assert_eq!(OWN.lines().next(), Some(version.as_str()));
        assert_eq!(OF_FIRST.lines().next(), Some("version = 5"));
    }

    #[test]
    fn every_map_that_carries_over_is_known_and_agrees_with_itself() {
        let own = Layout::own();
        for map in carried() {
            assert!(own.agrees(&own, map), "{map}");
            assert!(!loses(map).contains("without a name"), "{map}");
        }
        for map in maps::SLOTTED
            .into_iter()
            .chain(maps::REHEARSAL)
            .chain(maps::LISTENER)
            .chain([maps::STATE])
        {
            assert!(!own.agrees(&own, map), "{map}");
        }
    }

    #[test]
    fn a_version_has_the_maps_that_its_lock_names() {
        let (own, first) = (Layout::own(), Layout::parse(OF_FIRST));
        assert!(own.has(maps::EXPIRED) && own.has(maps::NODES) && !own.has("ELSE"));
        assert!(first.has(maps::SOURCES) && !first.has(maps::EXPIRED));
    }

    #[test]
    fn what_contradicts_does_not_go_on() {
        let first = Layout::parse(OF_FIRST);
        for (other, lost) in [
            (
                with(
                    "Packets size=48 passed@0 refused@8",
                    "Packets size=48 refused@0 passed@8",
                ),
                vec![maps::COUNTERS, maps::EXPIRED],
            ),
            (
                with("\nreason 5=restricted", "\nreason 5=listed"),
                vec![maps::TOTALS],
            ),
            // A new number takes nothing away, whichever of the two has it.
            (with("\nreason 6=", "\nreason 63=new\nreason 6="), vec![]),
            (with("\nFlowTag ", "\nOther "), vec![maps::FLOWS]),
            (
                Layout::default(),
                carried().filter(|it| *it != maps::COUNTRIES).collect(),
            ),
        ] {
            let left: Vec<_> = carried()
                .filter(|map| !first.agrees(&other, map) || !other.agrees(&first, map))
                .collect();
            assert_eq!(left, lost);
        }
    }
}
