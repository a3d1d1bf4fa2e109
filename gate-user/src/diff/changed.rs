//! The addresses whose treatment differs, in groups of one treatment before and one after.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    moved::{Countries, Move, Size, Sum, by_country},
    prefixes::prefixes,
    treatment::{Aspect, Treatment, Treatments},
};
use crate::{
    table::{Family, addr},
    view::View,
};

/// How many groups of a section are listed; all are in its size.
const GROUPS: usize = 200;

/// Addresses that were treated in one way and will be in another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// How they are treated.
    pub before: Treatment,
    /// How they would be.
    pub after: Treatment,
    /// How many there are.
    #[serde(flatten)]
    pub size: Size,
    /// The same by country, the largest first; empty where countries play no part.
    pub countries: Vec<Countries>,
    /// The first prefixes of them.
    pub prefixes: Vec<String>,
    /// How many prefixes are not listed.
    pub left_out: u64,
}

/// What differs in one respect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// In which: `subscribers`, `classes`, `relays` or `servers`.
    pub name: &'static str,
    /// How many addresses there are in all groups. A /64 with addresses of several groups counts once in each.
    #[serde(flatten)]
    pub size: Size,
    /// The groups, the largest first.
    pub groups: Vec<Group>,
    /// How many groups are not listed.
    pub left_out: usize,
}

/// What `aspect` looks addresses up for, before and after.
pub(super) fn section(
    aspect: Aspect,
    before: &View,
    after: &View,
    at: Timestamp,
    listed: usize,
) -> Section {
    let [mut old, mut new] = [before, after].map(|view| Treatments::new(aspect, view, at));
    let mut groups = Groups::new(listed);
    let lists = || aspect.lists().iter();
    let runs: Vec<_> = lists()
        .flat_map(|list| [before.runs(*list), after.runs(*list)])
        .collect();
    for family in [Family::V4, Family::V6] {
        // Everywhere else both answers are those of the address before.
        let starts: BTreeSet<u128> = runs
            .iter()
            .flat_map(|runs| runs.of(family).iter().map(|run| run.start))
            .collect();
        let ends = starts.iter().skip(1).map(|start| start - 1);
        let mut open: Option<(u128, u128, Change)> = None;
        for (first, last) in starts.iter().copied().zip(ends.chain([u128::MAX])) {
            let addr = addr(family, first);
            // IPv4 in IPv6 form is that IPv4 address.
            let differs = addr.is_v4() == (family == Family::V4) && old.of(addr) != new.of(addr);
            let change = differs.then(|| {
                let [before, after] = [old.of(addr), new.of(addr)];
                let change = (before.treatment.clone(), after.treatment.clone());
                let countries = (before.country.clone(), after.country.clone());
                groups.count(family, first, last, &change, countries);
                change
            });
            open = match (open.take(), change) {
                (Some((start, _, known)), Some(change)) if known == change => {
                    Some((start, last, known))
                }
                (known, change) => {
                    if let Some((start, end, change)) = known {
                        groups.list(family, start, end, change);
                    }
                    change.map(|change| (first, last, change))
                }
            };
        }
        if let Some((start, end, change)) = open {
            groups.list(family, start, end, change);
        }
    }
    groups.section(aspect.name())
}

/// How addresses were treated, and how they would be.
type Change = (Treatment, Treatment);

/// Groups in the making.
struct Groups {
    listed: usize,
    by_change: HashMap<Change, Counted>,
}

#[derive(Default)]
struct Counted {
    sum: Sum,
    by_country: HashMap<Move, Sum>,
    prefixes: Vec<String>,
    left_out: u64,
}

impl Groups {
    fn new(listed: usize) -> Self {
        Self {
            listed,
            by_change: HashMap::new(),
        }
    }

    /// Counts the addresses from `first` to `last`, both of them included. Runs come in the order of their addresses.
    fn count(&mut self, family: Family, first: u128, last: u128, change: &Change, countries: Move) {
        let counted = match self.by_change.get_mut(change) {
            Some(known) => known,
            None => self.by_change.entry(change.clone()).or_default(),
        };
        counted.sum.add(family, first, last);
        if countries != (None, None) {
            let of_country = counted.by_country.entry(countries).or_default();
            of_country.add(family, first, last);
        }
    }

    /// Lists the prefixes of the addresses from `first` to `last`, both of them included.
    fn list(&mut self, family: Family, first: u128, last: u128, change: Change) {
        let counted = self.by_change.entry(change).or_default();
        for prefix in prefixes(family, first, last) {
            if counted.prefixes.len() < self.listed {
                counted.prefixes.push(prefix.to_string());
            } else {
                counted.left_out += 1;
            }
        }
    }

    fn section(self, name: &'static str) -> Section {
        let mut size = Size::default();
        let mut groups: Vec<Group> = self
            .by_change
            .into_iter()
            .map(|((before, after), counted)| {
                size.v4_addresses += counted.sum.size.v4_addresses;
                size.v6_64s += counted.sum.size.v6_64s;
                Group {
                    before,
                    after,
                    size: counted.sum.size,
                    countries: by_country(counted.by_country),
                    prefixes: counted.prefixes,
                    left_out: counted.left_out,
                }
            })
            .collect();
        groups.sort_by(|a, b| {
            let words = |it: &Group| (it.before.clone(), it.after.clone());
            b.size.cmp(&a.size).then_with(|| words(a).cmp(&words(b)))
        });
        let left_out = groups.len().saturating_sub(GROUPS);
        groups.truncate(GROUPS);
        Section {
            name,
            size,
            groups,
            left_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::table::key;

    fn add(groups: &mut Groups, first: &str, last: &str, countries: [Option<&str>; 2]) {
        let [(family, first), (_, last)] =
            [first, last].map(|it| key(it.parse::<IpAddr>().unwrap().into()));
        let [before, after] = countries.map(|it| it.map(str::to_owned));
        groups.count(family, first, last, &Change::default(), (before, after));
        groups.list(family, first, last, Change::default());
    }

    #[test]
    fn a_64_counts_once_however_many_runs_of_it_there_are() {
        let mut groups = Groups::new(3);
        for [first, last] in [
            ["10.0.0.0", "10.0.0.255"],
            ["2001:db8::1", "2001:db8::1"],
            ["2001:db8::3", "2001:db8:0:1::"],
            ["2001:db8:0:1::2", "2001:db8:0:1::2"],
            ["2001:db8:0:9::", "2001:db8:0:9:ffff:ffff:ffff:ffff"],
        ] {
            add(&mut groups, first, last, [None; 2]);
        }
        let section = groups.section("subscribers");
        let size = Size {
            v4_addresses: 256,
            v6_64s: 3,
        };
        let [group] = section.groups.as_slice() else {
            panic!("one group: {section:?}");
        };
        assert_eq!((section.size, group.size), (size, size));
        assert_eq!(
            group.prefixes,
            ["10.0.0.0/24", "2001:db8::1/128", "2001:db8::3/128"]
        );
        assert!(group.left_out > 60, "{group:?}");
        assert!(group.countries.is_empty(), "{group:?}");
    }

    #[test]
    fn a_group_is_counted_by_country_the_largest_first() {
        let mut groups = Groups::new(9);
        let [jp, kr] = [Some("JP"), Some("KR")];
        add(&mut groups, "10.0.0.0", "10.0.0.0", [kr, kr]);
        add(&mut groups, "10.0.0.1", "10.0.0.7", [jp, kr]);
        add(&mut groups, "10.0.1.0", "10.0.1.0", [None, jp]);
        add(&mut groups, "10.0.2.0", "10.0.2.1", [kr, kr]);
        let section = groups.section("classes");
        let [group] = section.groups.as_slice() else {
            panic!("one group: {section:?}");
        };
        let countries = group.countries.iter();
        let found: Vec<_> = countries
            .map(|it| {
                (
                    it.before.as_deref(),
                    it.after.as_deref(),
                    it.size.v4_addresses,
                )
            })
            .collect();
        assert_eq!(found, [(jp, kr, 7), (kr, kr, 3), (None, jp, 1)]);
        assert_eq!(group.size.v4_addresses, 11);
    }
}
