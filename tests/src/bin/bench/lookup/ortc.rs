//! The fewest prefixes with the same answers: what a trie that finds the longest match is best fed.
//!
//! Draves, King, Venkatachary and Zill, "Constructing Optimal IP Routing Tables", INFOCOM 1999: from the leaves up, each node gets the
//! numbers that cost least if it has them, and from the root down each takes the one that it inherits, if that is among them. An
//! address without a number has the number 0 there, and a prefix with that number where the set needs one.

use gate_common::Addr;
use gate_user::{
    generation::Prefix,
    table::{Family, Run, Runs},
};

use super::list::{Entry, TRIE_BITS, addr};

/// A node of the binary trie of a family's runs.
struct Node {
    /// The numbers that it can have at the least cost, in order.
    numbers: Vec<u16>,
    /// Its halves; `None` for a leaf.
    halves: Option<(usize, usize)>,
}

/// The set of a family; of IPv6 no more than the tries' keys count.
pub(crate) fn ortc(runs: &Runs, family: Family) -> Vec<Entry> {
    let mut nodes = Vec::new();
    let root = up(&mut nodes, runs.of(family), Part::whole(family));
    let mut entries = Vec::new();
    down(&nodes, root, Part::whole(family), 0, &mut entries);
    entries
}

/// A prefix in the making.
#[derive(Clone, Copy)]
struct Part {
    family: Family,
    start: u128,
    length: u8,
}

impl Part {
    fn whole(family: Family) -> Self {
        Self {
            family,
            start: 0,
            length: 0,
        }
    }

    fn is_longest(self) -> bool {
        let longest = match self.family {
            Family::V4 => 32,
            Family::V6 => TRIE_BITS,
        };
        self.length >= longest
    }

    fn halves(self) -> (Self, Self) {
        let length = self.length + 1;
        let lower = Self { length, ..self };
        let start = self.start | 1 << (128 - u32::from(length));
        (lower, Self { start, ..lower })
    }

    fn prefix(self) -> Prefix {
        let first: Addr = addr(self.family, self.start);
        match self.family {
            Family::V4 => Prefix::of(first, Prefix::V4.length() + self.length),
            Family::V6 => Prefix::of(first, self.length),
        }
    }
}

/// Makes the nodes of `part`, of which `runs` are those that begin at its start or before it, or in it. Returns the uppermost one.
fn up(nodes: &mut Vec<Node>, runs: &[Run], part: Part) -> usize {
    let node = match runs {
        [_, _, ..] if !part.is_longest() => {
            let (lower, upper) = part.halves();
            let middle = runs.partition_point(|run| run.start < upper.start);
            // The upper half begins with a run of its own, or in the last one of the lower half.
            let begins = runs.get(middle).is_some_and(|run| run.start == upper.start);
            let after = if begins { middle } else { middle - 1 };
            let lower = up(nodes, runs.get(..middle).unwrap_or_default(), lower);
            let upper = up(nodes, runs.get(after..).unwrap_or_default(), upper);
            Node {
                numbers: cheapest(nodes, lower, upper),
                halves: Some((lower, upper)),
            }
        }
        _ => Node {
            numbers: runs.first().map(|run| run.number).into_iter().collect(),
            halves: None,
        },
    };
    nodes.push(node);
    nodes.len() - 1
}

/// What both halves can have; if there is no such number, what either can.
fn cheapest(nodes: &[Node], lower: usize, upper: usize) -> Vec<u16> {
    let of = |index: usize| {
        nodes
            .get(index)
            .map(|node| node.numbers.as_slice())
            .unwrap_or_default()
    };
    let (lower, upper) = (of(lower), of(upper));
    let mut numbers: Vec<u16> = lower
        .iter()
        .copied()
        .filter(|number| upper.binary_search(number).is_ok())
        .collect();
    if numbers.is_empty() {
        numbers.extend(lower);
        numbers.extend(upper);
        numbers.sort_unstable();
    }
    numbers
}

/// Adds the prefixes that a node and those below it need where `inherited` is the answer above it.
fn down(nodes: &[Node], index: usize, part: Part, inherited: u16, entries: &mut Vec<Entry>) {
    let Some(Node { numbers, halves }) = nodes.get(index) else {
        return;
    };
    let mut number = inherited;
    if numbers.binary_search(&inherited).is_err()
        && let Some(first) = numbers.first()
    {
        number = *first;
        entries.push(Entry {
            prefix: part.prefix(),
            number,
        });
    }
    if let Some((lower, upper)) = halves {
        let (below, above) = part.halves();
        down(nodes, *lower, below, number, entries);
        down(nodes, *upper, above, number, entries);
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use ipnet::IpNet;

    use super::*;
    use crate::lookup::list;

    fn entries(nets: &[(&str, u16)]) -> Vec<Entry> {
        nets.iter()
            .map(|(net, number)| Entry {
                prefix: net.parse::<IpNet>().unwrap().into(),
                number: *number,
            })
            .collect()
    }

    fn of(nets: &[(&str, u16)], family: Family) -> Vec<(String, u16)> {
        let shown = |entry: Entry| {
            let first = entry.prefix.to_net().map(|net| net.addr()).unwrap();
            (format!("{first}/{}", entry.length()), entry.number)
        };
        ortc(&list::runs(&entries(nets)), family)
            .into_iter()
            .map(shown)
            .collect()
    }

    fn is(nets: &[(&str, u16)], family: Family, expected: &[(&str, u16)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(net, number)| ((*net).to_owned(), *number))
            .collect();
        assert_eq!(of(nets, family), expected);
    }

    #[test]
    fn neighbours_become_one_prefix() {
        is(
            &[("192.0.2.0/25", 1), ("192.0.2.128/25", 1)],
            Family::V4,
            &[("192.0.2.0/24", 1)],
        );
        is(
            &[("2001:db8::/33", 7), ("2001:db8:8000::/33", 7)],
            Family::V6,
            &[("2001:db8::/32", 7)],
        );
    }

    #[test]
    fn an_exception_costs_one_prefix() {
        // Without overlaps this takes three prefixes.
        let nets = [
            ("192.0.2.0/25", 1),
            ("192.0.2.128/26", 1),
            ("192.0.2.192/26", 2),
        ];
        is(
            &nets,
            Family::V4,
            &[("192.0.2.0/24", 1), ("192.0.2.192/26", 2)],
        );
    }

    #[test]
    fn a_hole_has_a_prefix_where_that_is_least() {
        let nets = [("10.0.0.0/10", 1), ("10.64.0.0/11", 1), ("10.128.0.0/9", 1)];
        is(&nets, Family::V4, &[("10.0.0.0/8", 1), ("10.96.0.0/11", 0)]);
        is(&[], Family::V4, &[]);
    }

    #[test]
    fn single_addresses_and_single_64s_are_the_end() {
        is(
            &[("255.255.255.255/32", 3)],
            Family::V4,
            &[("255.255.255.255/32", 3)],
        );
        is(&[("2001:db8::/64", 3)], Family::V6, &[("2001:db8::/64", 3)]);
    }

    #[test]
    fn answers_stay_and_prefixes_become_no_more() {
        for seed in 0..20 {
            let mut rng = Rng::with_seed(seed);
            // Few numbers and crowded prefixes, so that neighbours and exceptions come up.
            let mut all = list::made_up(&mut rng, 400);
            for entry in &mut all {
                let crowded = entry.start() & !(0x0f0f << 112) | 0x2400 << 112;
                entry.prefix = match entry.family() {
                    Family::V4 => Prefix::of(
                        addr(Family::V4, crowded),
                        Prefix::V4.length() + entry.length(),
                    ),
                    Family::V6 => Prefix::of(addr(Family::V6, crowded), entry.length()),
                };
                entry.number %= 3;
            }
            let before = list::runs(&all);
            for family in [Family::V4, Family::V6] {
                let fewest = ortc(&before, family);
                let given = all.iter().filter(|it| it.family() == family).count();
                assert!(fewest.len() <= given, "{} of {given}", fewest.len());
                assert_eq!(list::runs(&fewest).of(family), before.of(family));
            }
        }
    }
}
