//! A prefix list before it is a table: prefixes and what they stand for, and the slow, plain way to look one up.

use std::collections::{BTreeMap, HashMap};

use gate_common::Addr;

use super::prefix::Prefix;

/// Prefixes, each with a number.
#[derive(Clone, Debug, Default)]
pub struct Prefixes {
    /// By length, longest last.
    lengths: BTreeMap<u8, HashMap<Addr, u16>>,
    entries: usize,
}

impl Prefixes {
    /// Adds a prefix, and returns what it stood for before.
    pub fn insert(&mut self, prefix: Prefix, number: u16) -> Option<u16> {
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

    /// The longest prefix that has `addr`, and its number. Prefixes of IPv6 have no addresses of IPv4.
    #[must_use]
    pub fn longest(&self, addr: Addr) -> Option<(Prefix, u16)> {
        let shortest = if addr.is_v4() { Prefix::V4.length() } else { 0 };
        self.lengths
            .range(shortest..)
            .rev()
            .find_map(|(length, addrs)| {
                let prefix = Prefix::of(addr, *length);
                Some((prefix, *addrs.get(&prefix.addr())?))
            })
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
    pub fn iter(&self) -> impl Iterator<Item = (Prefix, u16)> + '_ {
        self.lengths.iter().flat_map(|(length, addrs)| {
            addrs
                .iter()
                .map(|(addr, number)| (Prefix::of(*addr, *length), *number))
        })
    }
}

impl FromIterator<(Prefix, u16)> for Prefixes {
    /// Of equal prefixes the last one stays.
    fn from_iter<I: IntoIterator<Item = (Prefix, u16)>>(entries: I) -> Self {
        let mut prefixes = Self::default();
        for (prefix, number) in entries {
            prefixes.insert(prefix, number);
        }
        prefixes
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ipnet::IpNet;

    use super::*;

    fn prefixes(entries: &[(&str, u16)]) -> Prefixes {
        entries
            .iter()
            .map(|(net, number)| (net.parse::<IpNet>().unwrap().into(), *number))
            .collect()
    }

    fn number(prefixes: &Prefixes, addr: &str) -> Option<u16> {
        prefixes
            .longest(addr.parse::<IpAddr>().unwrap().into())
            .map(|(_, number)| number)
    }

    #[test]
    fn longest_prefix_wins() {
        let prefixes = prefixes(&[
            ("10.0.0.0/8", 1),
            ("10.1.0.0/16", 2),
            ("10.1.2.3/32", 3),
            ("2001:db8::/32", 4),
        ]);
        assert_eq!(number(&prefixes, "10.2.0.0"), Some(1));
        assert_eq!(number(&prefixes, "10.1.255.255"), Some(2));
        assert_eq!(number(&prefixes, "10.1.2.3"), Some(3));
        assert_eq!(number(&prefixes, "2001:db8:ffff::"), Some(4));
        assert_eq!(number(&prefixes, "11.0.0.0"), None);
    }

    #[test]
    fn all_of_ipv6_is_not_all_of_ipv4() {
        let prefixes = prefixes(&[("::/0", 1), ("192.0.2.0/24", 2)]);
        assert_eq!(number(&prefixes, "2001:db8::1"), Some(1));
        assert_eq!(number(&prefixes, "198.51.100.1"), None);
        assert_eq!(number(&prefixes, "192.0.2.1"), Some(2));
    }
}
