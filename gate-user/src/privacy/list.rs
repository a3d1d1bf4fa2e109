//! Every place where the gate keeps anything, and whether that says anything about a person.
//!
//! A test compares this list with the maps that there are: a new one has to be put here, with what it holds.

use gate_common::abi::maps;

/// What a place holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Something about single addresses or connections of subscribers or remote hosts: a store, which is told of by itself.
    Addresses(Store),
    /// What the operator wrote: prefixes, names, tickets.
    Configured,
    /// What persons who run the gate asked for, with their names.
    Requests,
    /// Counts, times and settings that are of no single address.
    Nothing,
}

/// A store of what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    /// Packets by source.
    Sources,
    /// Token buckets of sources.
    Buckets,
    /// Tags of connections.
    Flows,
    /// What a rehearsal found, by source.
    Differences,
    /// Token buckets of a rehearsal.
    RehearsedBuckets,
    /// Events, for somebody who listens.
    Events,
}

impl Store {
    pub(super) const ALL: [Self; 6] = [
        Self::Sources,
        Self::Buckets,
        Self::Flows,
        Self::Differences,
        Self::RehearsedBuckets,
        Self::Events,
    ];

    /// What it is called.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Buckets => "buckets",
            Self::Flows => "flows",
            Self::Differences => "rehearsal",
            Self::RehearsedBuckets => "rehearsal buckets",
            Self::Events => "events",
        }
    }

    /// Its map.
    pub(super) const fn map(self) -> &'static str {
        match self {
            Self::Sources => maps::SOURCES,
            Self::Buckets => maps::BUCKETS,
            Self::Flows => maps::FLOWS,
            Self::Differences => maps::DIFFERENCES,
            Self::RehearsedBuckets => maps::REHEARSED_BUCKETS,
            Self::Events => maps::EVENTS,
        }
    }

    /// What is in an entry.
    pub(super) const fn fields(self) -> &'static str {
        match self {
            Self::Sources => {
                "who sent: prefix, role of the interface, packets by verdict, time of the first and of the last one"
            }
            Self::Buckets => "who sent: prefix, which limit, class, when the limit is whole again",
            Self::Flows => {
                "a connection from the Internet to a submission server: both addresses and ports, time, country, class, generation"
            }
            Self::Differences => {
                "who sent: prefix, role of the interface, both treatments, packets"
            }
            Self::RehearsedBuckets => "as buckets",
            Self::Events => {
                "a packet that was refused or tagged: who sent, both ports, time, interface, verdict, pool, prefix of the configuration, class, country, generation; the address of a listed submission server, and no other destination"
            }
        }
    }

    /// Why it is there.
    pub(super) const fn purpose(self) -> &'static str {
        match self {
            Self::Sources => "who is refused or over a limit, for support and abuse desks",
            Self::Buckets => "limits: throttle, answers, connections of a class",
            Self::Flows => "tags: mail servers and the skb mark learn of the class of a connection",
            Self::Differences => {
                "whom another configuration would treat otherwise, asked for by a person"
            }
            Self::RehearsedBuckets => "limits of that configuration",
            Self::Events => "what happens now, asked for by a person (`gate events`)",
        }
    }
}

/// What each map holds.
pub(super) const MAPS: [(&str, Holds); maps::STATES.len() + maps::SLOTTED.len()] = [
    (maps::STATE, Holds::Nothing),
    (maps::TOTALS, Holds::Nothing),
    (maps::COUNTERS, Holds::Nothing),
    (maps::COUNTRIES, Holds::Nothing),
    (maps::SOURCES, Holds::Addresses(Store::Sources)),
    (maps::EXPIRED, Holds::Nothing),
    (maps::FLOWS, Holds::Addresses(Store::Flows)),
    (maps::ANSWERS, Holds::Nothing),
    (maps::SHOWN, Holds::Nothing),
    (maps::LIMITED, Holds::Nothing),
    (maps::BUCKETS, Holds::Addresses(Store::Buckets)),
    (maps::TOTAL_BUCKET, Holds::Nothing),
    // By interface.
    (maps::UNSENT, Holds::Nothing),
    (maps::REHEARSED, Holds::Nothing),
    // Of the packet that a CPU is at: its time, shape and verdict.
    (maps::JUDGED, Holds::Nothing),
    (maps::DIFFERENCES, Holds::Addresses(Store::Differences)),
    (
        maps::REHEARSED_BUCKETS,
        Holds::Addresses(Store::RehearsedBuckets),
    ),
    (maps::EVENTS, Holds::Addresses(Store::Events)),
    (maps::EVENT_BUCKET, Holds::Nothing),
    (maps::TOLD, Holds::Nothing),
    (maps::SETTINGS, Holds::Configured),
    (maps::INTERFACES, Holds::Configured),
    (maps::DISPLACED, Holds::Configured),
    (maps::RULES, Holds::Configured),
    (maps::ROOTS, Holds::Configured),
    (maps::NODES, Holds::Configured),
];

/// What lies below the directory of the pins, beside the maps: the first part of the path, and what it holds.
pub(super) const PINS: [(&str, Holds); 12] = [
    ("generations", Holds::Configured),
    ("notes", Holds::Requests),
    ("links", Holds::Nothing),
    ("marks", Holds::Nothing),
    ("tracepoints", Holds::Nothing),
    ("program", Holds::Nothing),
    ("current", Holds::Nothing),
    ("next", Holds::Nothing),
    ("control", Holds::Nothing),
    ("rehearsal", Holds::Nothing),
    ("events", Holds::Nothing),
    ("maps", Holds::Nothing),
];

/// What a pin holds, by its path below the directory of the pins; nothing of one that nobody listed.
pub(super) fn holds(path: &str) -> Option<Holds> {
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let list: &[(&str, Holds)] = if first == "maps" { &MAPS } else { &PINS };
    let wanted = if first == "maps" { rest } else { first };
    // What is about to take the place of another pin.
    let wanted = wanted.strip_suffix(":next").unwrap_or(wanted);
    list.iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, holds)| *holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_is_listed_once() {
        let listed = MAPS.map(|(name, _)| name);
        let all: Vec<_> = maps::STATES.into_iter().chain(maps::SLOTTED).collect();
        assert_eq!(listed.to_vec(), all);
    }

    #[test]
    fn every_store_is_that_of_its_map() {
        for (name, holds) in MAPS {
            if let Holds::Addresses(store) = holds {
                assert_eq!(store.map(), name);
            }
        }
        let stores = MAPS
            .iter()
            .filter(|(_, holds)| matches!(holds, Holds::Addresses(_)));
        assert_eq!(stores.count(), Store::ALL.len());
    }

    /// The fields of the records that have an address, from the lock file: whoever adds one says here whom it is about.
    #[test]
    fn every_record_that_has_an_address_is_in_a_store_or_is_configuration() {
        let lock = include_str!("../../../gate-common/abi.lock");
        let addresses = ["address", "src", "dst", "source", "destination", "hi"];
        let mut found: Vec<&str> = lock
            .lines()
            .filter_map(|line| line.split_once(" size="))
            .filter(|(_, fields)| {
                let mut names = fields.split(' ').filter_map(|it| it.split_once('@'));
                names.any(|(name, _)| addresses.contains(&name) || name.starts_with("answer_v"))
            })
            .map(|(record, _)| record)
            .collect();
        found.sort_unstable();
        // `Flow` is on the stack of the program, and in no map.
        let known = [
            "Addr",
            "DifferenceKey",
            "Event",
            "Flow",
            "FlowKey",
            "Settings",
            "Source",
            "SourceBucket",
        ];
        assert_eq!(found, known);
    }

    #[test]
    fn what_nobody_listed_is_not_known() {
        assert_eq!(
            holds("maps/SOURCES"),
            Some(Holds::Addresses(Store::Sources))
        );
        assert_eq!(holds("generations/7/MANIFEST"), Some(Holds::Configured));
        assert_eq!(holds("maps/ELSE"), None);
        assert_eq!(holds("else"), None);
    }
}
