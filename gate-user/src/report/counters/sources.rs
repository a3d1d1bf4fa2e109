//! Packets by source.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
};

use gate_common::{
    Role,
    abi::{SourceKey, began_ns},
};
use jiff::Timestamp;
use serde::Serialize;

use super::Verdicts;
use crate::{clock, config, error::Error, generation::Prefix, kernel::Maps, retention};

/// Packets by source, as far as the bounded map goes.
#[derive(Clone, Debug, Serialize)]
pub struct Sources {
    /// Whether the configuration wants sources counted.
    pub counted: bool,
    /// The sources that are in the map, those with most packets first.
    pub entries: Vec<BySource>,
    /// For how long a source is kept from its first packet on, in seconds.
    pub retention_seconds: u64,
    /// How many bits of an address are kept at most, of IPv4 and of IPv6.
    pub source_prefix: Lengths,
    /// Packets of sources whose time was over, or that a person had deleted.
    pub expired: Verdicts,
    /// Of these, those of sources that nobody has deleted yet. It falls to `other` what makes room meanwhile, and comes back what a longer retention
    /// keeps: only what is deleted never comes back.
    pub undeleted: Verdicts,
    /// What has no entry: the totals less the entries and less what expired.
    pub other: Verdicts,
}

#[cfg(test)]
impl Sources {
    pub(crate) fn of_nobody() -> Self {
        Self {
            counted: true,
            entries: Vec::new(),
            retention_seconds: 60,
            source_prefix: Lengths { v4: 32, v6: 64 },
            expired: Verdicts::default(),
            undeleted: Verdicts::default(),
            other: Verdicts::default(),
        }
    }
}

/// How many bits of an address make a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Lengths {
    pub(crate) v4: u8,
    pub(crate) v6: u8,
}

/// Packets of a source since its entry exists.
#[derive(Clone, Debug, Serialize)]
pub struct BySource {
    /// The address, or the prefix that counts as one source.
    pub source: String,
    pub(crate) role: &'static str,
    pub(crate) packets: Verdicts,
    /// Of all of these, those for the reason `over_limit`; nothing where that is not counted by source, on access interfaces.
    pub(crate) over_limit: Option<u64>,
    /// When its first packet came.
    pub first_seen: Timestamp,
    /// When its last packet came.
    pub last_seen: Timestamp,
    /// When its first packet came, by the clock that nobody sets: another one is another entry.
    #[serde(skip)]
    pub(crate) began_ns: u64,
}

/// How often sources are read anew when some of them expire meanwhile, which would else be in both or in neither.
const TRIES: u32 = 3;

/// The sources that are kept by these `counters`, of all that was `judged`.
pub(super) fn sources(
    maps: &Maps,
    counters: &config::Counters,
    judged: &Verdicts,
) -> Result<Sources, Error> {
    let wall_offset = maps.wall_offset()?;
    let now = retention::now_ns()?;
    let mut deleted = maps.expired()?;
    let mut found = maps.sources()?;
    for _ in 0..TRIES {
        let since = maps.expired()?;
        if since == deleted {
            break;
        }
        deleted = since;
        found = maps.sources()?;
    }
    let mut listed = Verdicts::default();
    let mut undeleted = Verdicts::default();
    let mut entries = Vec::new();
    for (key, found) in found {
        let by_verdict = found.by_verdict();
        if counters.is_over(&key, &found, now) {
            undeleted.add(&by_verdict);
            continue;
        }
        listed.add(&by_verdict);
        let packets = Verdicts::sum([&by_verdict]);
        let role = Role::from_number(key.role);
        let source = BySource {
            source: source_name(&key),
            role: role.map_or("none", Role::name),
            packets,
            over_limit: (role == Some(Role::Uplink)).then_some(by_verdict.over_limit),
            first_seen: clock::timestamp(began_ns(found.first), wall_offset),
            last_seen: clock::timestamp(began_ns(found.last), wall_offset),
            began_ns: began_ns(found.first),
        };
        entries.push(source);
    }
    let mut expired = Verdicts::sum([&deleted]);
    expired.join(&undeleted);
    Ok(Sources {
        counted: counters.sources,
        entries: merge(entries),
        retention_seconds: counters.retention.as_secs(),
        source_prefix: Lengths {
            v4: counters.source_v4,
            v6: counters.source_v6,
        },
        expired,
        undeleted,
        other: judged.without(&listed).without(&expired),
    })
}

/// Those of the same name and role as one, those with most packets first. The key in the map has the lengths of both families, so that a source
/// has two entries for some time when the one changes that is not its own.
fn merge(found: Vec<BySource>) -> Vec<BySource> {
    let mut merged: BTreeMap<(String, &'static str), BySource> = BTreeMap::new();
    for it in found {
        match merged.entry((it.source.clone(), it.role)) {
            Entry::Vacant(place) => {
                place.insert(it);
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.packets.join(&it.packets);
                known.over_limit = known.over_limit.map(|n| n + it.over_limit.unwrap_or(0));
                known.first_seen = known.first_seen.min(it.first_seen);
                known.last_seen = known.last_seen.max(it.last_seen);
                known.began_ns = known.began_ns.min(it.began_ns);
            }
        }
    }
    let mut entries: Vec<BySource> = merged.into_values().collect();
    // What is equal stays in the order of names.
    entries.sort_by_key(|it| Reverse(it.packets.all()));
    entries
}

fn source_name(key: &SourceKey) -> String {
    Prefix::of_source(key.address, (key.v4_length, key.v6_length)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(source: &str, role: &'static str, refused: u64, at: [i64; 2]) -> BySource {
        let [first_seen, last_seen] = at.map(|it| Timestamp::from_second(it).unwrap());
        BySource {
            source: source.to_owned(),
            role,
            packets: Verdicts {
                refused,
                ..Verdicts::default()
            },
            over_limit: (role == "uplink").then_some(1),
            first_seen,
            last_seen,
            began_ns: 0,
        }
    }

    #[test]
    fn a_source_is_listed_once_whatever_the_length_of_the_other_family_was() {
        let merged = merge(vec![
            entry("100.64.0.2/32", "access", 3, [10, 20]),
            entry("100.64.0.3/32", "access", 6, [1, 2]),
            entry("100.64.0.2/32", "uplink", 1, [5, 5]),
            entry("100.64.0.2/32", "access", 4, [5, 15]),
            entry("100.64.0.2/32", "uplink", 1, [5, 5]),
        ]);
        let found: Vec<_> = merged
            .iter()
            .map(|it| (&*it.source, it.role, it.packets.refused, it.over_limit))
            .collect();
        assert_eq!(
            found,
            [
                ("100.64.0.2/32", "access", 7, None),
                ("100.64.0.3/32", "access", 6, None),
                ("100.64.0.2/32", "uplink", 2, Some(2)),
            ]
        );
        let seen = [merged[0].first_seen, merged[0].last_seen];
        assert_eq!(seen.map(Timestamp::as_second), [5, 20]);
    }
}
