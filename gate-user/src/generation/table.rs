//! A prefix table before it is in the kernel: prefixes and what they stand for, longest prefix wins.

use std::collections::{BTreeMap, HashMap};

use gate_common::Addr;

use super::prefix::Prefix;

/// What an address without an entry has, and what shields it from shorter prefixes.
pub const NOTHING: u32 = 0;

/// Prefixes, each with a number that is not [`NOTHING`].
#[derive(Clone, Debug, Default)]
pub struct PrefixTable {
    /// By length, longest last.
    lengths: BTreeMap<u8, HashMap<Addr, u32>>,
    entries: usize,
}

impl PrefixTable {
    /// Adds a prefix, and returns what it stood for before.
    pub fn insert(&mut self, prefix: Prefix, number: u32) -> Option<u32> {
        let old = self
            .lengths
            .entry(prefix.length())
            .or_default()
            .insert(prefix.addr(), number);
        if old.is_none() {
            self.entries += 1;
        }
        old
    }

    /// Keeps IPv6 prefixes that are so short that they cover the IPv4-mapped addresses from matching IPv4.
    #[must_use]
    pub fn shielded(mut self) -> Self {
        let covered = self
            .lengths
            .range(..Prefix::V4.length())
            .any(|(length, addrs)| {
                addrs.contains_key(&Prefix::of(Prefix::V4.addr(), *length).addr())
            });
        if covered && self.exactly(Prefix::V4).is_none() {
            self.insert(Prefix::V4, NOTHING);
        }
        self
    }

    /// The longest prefix that has `addr`, and its number.
    #[must_use]
    pub fn longest(&self, addr: Addr) -> Option<(Prefix, u32)> {
        self.lengths
            .keys()
            .rev()
            .find_map(|length| {
                let prefix = Prefix::of(addr, *length);
                Some((prefix, self.exactly(prefix)?))
            })
            .filter(|(_, number)| *number != NOTHING)
    }

    /// What this very prefix stands for.
    #[must_use]
    pub fn exactly(&self, prefix: Prefix) -> Option<u32> {
        self.lengths
            .get(&prefix.length())?
            .get(&prefix.addr())
            .copied()
    }

    /// How many prefixes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Every prefix with its number, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, u32)> + '_ {
        self.lengths.iter().flat_map(|(length, addrs)| {
            addrs
                .iter()
                .map(|(addr, number)| (Prefix::of(*addr, *length), *number))
        })
    }
}

impl FromIterator<(Prefix, u32)> for PrefixTable {
    fn from_iter<I: IntoIterator<Item = (Prefix, u32)>>(entries: I) -> Self {
        let mut table = Self::default();
        for (prefix, number) in entries {
            table.insert(prefix, number);
        }
        table.shielded()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ipnet::IpNet;

    use super::*;

    fn table(entries: &[(&str, u32)]) -> PrefixTable {
        entries
            .iter()
            .map(|(net, number)| (net.parse::<IpNet>().unwrap().into(), *number))
            .collect()
    }

    fn number(table: &PrefixTable, addr: &str) -> Option<u32> {
        table
            .longest(addr.parse::<IpAddr>().unwrap().into())
            .map(|(_, number)| number)
    }

    #[test]
    fn longest_prefix_wins() {
        let table = table(&[
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.3/32", 3),
            ("2001:db8::/32", 4),
        ]);
        assert_eq!(number(&table, "10.2.0.0"), Some(1));
        assert_eq!(number(&table, "10.1.255.255"), Some(2));
        assert_eq!(number(&table, "10.1.2.3"), Some(3));
        assert_eq!(number(&table, "2001:db8:ffff::"), Some(4));
        assert_eq!(number(&table, "11.0.0.0"), None);
    }

    #[test]
    fn all_of_ipv6_is_not_all_of_ipv4() {
        let table = table(&[("::/0", 1), ("192.0.2.0/24", 2)]);
        assert_eq!(number(&table, "2001:db8::1"), Some(1));
        assert_eq!(number(&table, "198.51.100.1"), None);
        assert_eq!(number(&table, "192.0.2.1"), Some(2));
    }
}
