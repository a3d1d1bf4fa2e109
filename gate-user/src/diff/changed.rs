//! The addresses whose treatment differs, in groups of one treatment before and one after.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    prefixes::prefixes,
    treatment::{Aspect, Treatment, Treatments},
};
use crate::{
    table::{Family, addr},
    view::View,
};

/// How many groups of a section are listed; all are in its size.
const GROUPS: usize = 200;
/// The bits of an address behind its /64.
const HOST_BITS: u32 = 64;

/// How many addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Addresses of IPv4.
    pub v4_addresses: u64,
    /// Networks of IPv6 with 64 bits in which there is an address.
    pub v6_64s: u128,
}

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
        let mut open: Option<(u128, u128, (Treatment, Treatment))> = None;
        for (first, last) in starts.iter().copied().zip(ends.chain([u128::MAX])) {
            let addr = addr(family, first);
            // IPv4 in IPv6 form is that IPv4 address.
            let differs = addr.is_v4() == (family == Family::V4) && old.of(addr) != new.of(addr);
            let change = differs.then(|| (old.of(addr).clone(), new.of(addr).clone()));
            open = match (open.take(), change) {
                (Some((start, _, known)), Some(change)) if known == change => {
                    Some((start, last, known))
                }
                (known, change) => {
                    if let Some((start, end, change)) = known {
                        groups.add(family, start, end, change);
                    }
                    change.map(|change| (first, last, change))
                }
            };
        }
        if let Some((start, end, change)) = open {
            groups.add(family, start, end, change);
        }
    }
    groups.section(aspect.name())
}

/// Groups in the making.
struct Groups {
    listed: usize,
    by_change: HashMap<(Treatment, Treatment), Counted>,
}

#[derive(Default)]
struct Counted {
    size: Size,
    prefixes: Vec<String>,
    left_out: u64,
    /// The last /64 that was counted.
    last_64: Option<u128>,
}

impl Groups {
    fn new(listed: usize) -> Self {
        Self {
            listed,
            by_change: HashMap::new(),
        }
    }

    /// The addresses from `first` to `last`, both of them included. Runs come in the order of their addresses.
    fn add(&mut self, family: Family, first: u128, last: u128, change: (Treatment, Treatment)) {
        let counted = self.by_change.entry(change).or_default();
        match family {
            Family::V4 => {
                let addresses = (last >> 96) - (first >> 96) + 1;
                counted.size.v4_addresses += u64::try_from(addresses).unwrap_or(0);
            }
            Family::V6 => {
                let (first, last) = (first >> HOST_BITS, last >> HOST_BITS);
                let again = counted.last_64 == Some(first);
                counted.size.v6_64s += last - first + 1 - u128::from(again);
                counted.last_64 = Some(last);
            }
        }
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
                let Counted {
                    size: of_group,
                    prefixes,
                    left_out,
                    last_64: _,
                } = counted;
                size.v4_addresses += of_group.v4_addresses;
                size.v6_64s += of_group.v6_64s;
                Group {
                    before,
                    after,
                    size: of_group,
                    prefixes,
                    left_out,
                }
            })
            .collect();
        groups.sort_by(|a, b| {
            let sizes = |it: &Group| (it.size.v4_addresses, it.size.v6_64s);
            let words = |it: &Group| (it.before.clone(), it.after.clone());
            sizes(b)
                .cmp(&sizes(a))
                .then_with(|| words(a).cmp(&words(b)))
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

    fn add(groups: &mut Groups, first: &str, last: &str) {
        let [(family, first), (_, last)] =
            [first, last].map(|it| key(it.parse::<IpAddr>().unwrap().into()));
        groups.add(family, first, last, Default::default());
    }

    #[test]
    fn a_64_counts_once_however_many_runs_of_it_there_are() {
        let mut groups = Groups::new(3);
        add(&mut groups, "10.0.0.0", "10.0.0.255");
        add(&mut groups, "2001:db8::1", "2001:db8::1");
        add(&mut groups, "2001:db8::3", "2001:db8:0:1::");
        add(&mut groups, "2001:db8:0:1::2", "2001:db8:0:1::2");
        add(
            &mut groups,
            "2001:db8:0:9::",
            "2001:db8:0:9:ffff:ffff:ffff:ffff",
        );
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
    }
}
