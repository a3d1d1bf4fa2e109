//! What a prefix list answers wherever its answer can change, worked out as no table is made.
//!
//! Tables come from prefixes in the order of addresses, each inside the one before. Here prefixes come by length, the
//! longest first, and each takes those addresses that none took before it: that is longest prefix match, word for word.

use std::cmp::Reverse;

use gate_common::Addr;

use super::{prefix::Prefix, prefixes::Prefixes};
use crate::table::{Family, key};

/// The first address of every prefix, its last, the one before and the one after, each with the number that the list
/// has for it; 0 is none.
pub(super) fn answers(prefixes: &Prefixes) -> impl Iterator<Item = (Addr, u16)> {
    [Family::V4, Family::V6]
        .into_iter()
        .flat_map(|family| of_family(family, prefixes))
}

/// The addresses of a prefix.
struct Span {
    first: u128,
    last: u128,
    length: u8,
    number: u16,
}

fn of_family(family: Family, prefixes: &Prefixes) -> impl Iterator<Item = (Addr, u16)> {
    let mut spans: Vec<Span> = prefixes
        .iter()
        .filter(|(prefix, _)| key(prefix.addr()).0 == family)
        .map(|(prefix, number)| Span::of(prefix, number))
        .collect();
    // The last 96 bits of an IPv4 address aligned left are none of its own.
    let unit = match family {
        Family::V4 => 1 << 96,
        Family::V6 => 1,
    };
    let mut addresses: Vec<u128> = spans.iter().flat_map(|span| span.edges(unit)).collect();
    addresses.sort_unstable();
    addresses.dedup();
    spans.sort_unstable_by_key(|span| Reverse(span.length));
    let mut numbers = vec![0; addresses.len()];
    let mut free = Free::new(addresses.len());
    for span in spans {
        let mut index = free.from(addresses.partition_point(|it| *it < span.first));
        while addresses.get(index).is_some_and(|it| *it <= span.last) {
            if let Some(slot) = numbers.get_mut(index) {
                *slot = span.number;
            }
            free.take(index);
            index = free.from(index);
        }
    }
    let addr = move |key: u128| match family {
        Family::V4 => Addr::v4((key >> 96) as u32),
        Family::V6 => std::net::Ipv6Addr::from_bits(key).into(),
    };
    addresses
        .into_iter()
        .map(addr)
        .zip(numbers)
        // IPv4 addresses in IPv6 form are the other family's.
        .filter(move |(addr, _)| key(*addr).0 == family)
}

impl Span {
    fn of(prefix: Prefix, number: u16) -> Self {
        let (family, first) = key(prefix.addr());
        let length = match family {
            Family::V4 => prefix.length().saturating_sub(Prefix::V4.length()),
            Family::V6 => prefix.length(),
        };
        let open = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        Self {
            first,
            last: first | open,
            length,
            number,
        }
    }

    /// Its first address, its last, the one before and the one after, as far as its family goes.
    fn edges(&self, unit: u128) -> impl Iterator<Item = u128> + use<> {
        let last = self.last - (unit - 1);
        [
            Some(self.first),
            Some(last),
            self.first.checked_sub(unit),
            last.checked_add(unit),
        ]
        .into_iter()
        .flatten()
    }
}

/// Which of so many places nobody took.
struct Free {
    /// For each place, and the one after all: itself if it is free, else one that is not after the next free one.
    next: Vec<usize>,
}

impl Free {
    fn new(places: usize) -> Self {
        Self {
            next: (0..=places).collect(),
        }
    }

    fn after(&self, place: usize) -> usize {
        self.next.get(place).copied().unwrap_or(place)
    }

    /// The first free place from this one on. The way is half as long next time.
    fn from(&mut self, mut place: usize) -> usize {
        while self.after(place) != place {
            let further = self.after(self.after(place));
            self.set(place, further);
            place = further;
        }
        place
    }

    fn take(&mut self, place: usize) {
        self.set(place, place + 1);
    }

    fn set(&mut self, place: usize, next: usize) {
        if let Some(slot) = self.next.get_mut(place) {
            *slot = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use ipnet::IpNet;
    use proptest::prelude::*;

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse::<std::net::IpAddr>().unwrap().into()
    }

    #[test]
    fn every_edge_is_answered_once() {
        let prefixes: Prefixes = [
            ("10.0.0.0/8", 1),
            ("10.0.0.0/9", 2),
            ("10.128.0.0/32", 3),
            ("::/0", 4),
            ("::fffe:0:0/96", 5),
        ]
        .map(|(net, number)| (net.parse::<IpNet>().unwrap().into(), number))
        .into_iter()
        .collect();
        let found: Vec<_> = answers(&prefixes).collect();
        let expected = [
            ("9.255.255.255", 0),
            ("10.0.0.0", 2),
            ("10.127.255.255", 2),
            ("10.128.0.0", 3),
            ("10.128.0.1", 1),
            ("10.255.255.255", 1),
            ("11.0.0.0", 0),
            ("::", 4),
            ("::fffd:ffff:ffff", 4),
            ("::fffe:0:0", 5),
            ("::fffe:ffff:ffff", 5),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4),
        ];
        assert_eq!(
            found,
            expected.map(|(text, number)| (addr(text), number)).to_vec()
        );
    }

    proptest! {
        /// A few bits in a few places, so that prefixes hold one another and touch.
        #[test]
        fn is_longest_prefix_match(
            entries in prop::collection::vec((any::<bool>(), 0u8..16, 0usize..9, 1u16..9), 0..40)
        ) {
            let prefixes: Prefixes = entries
                .into_iter()
                .map(|(v4, bits, length, number)| {
                    let prefix = if v4 {
                        let length = [0, 1, 2, 3, 4, 29, 30, 31, 32][length];
                        let bits = u32::from(bits) << 28 | u32::from(bits);
                        Prefix::of(Addr::v4(bits), length + 96)
                    } else {
                        let length = [0, 1, 2, 3, 4, 125, 126, 127, 128][length];
                        let bits = u128::from(bits) << 124 | u128::from(bits);
                        Prefix::of(Ipv6Addr::from_bits(bits).into(), length)
                    };
                    (prefix, number)
                })
                .collect();
            for (addr, number) in answers(&prefixes) {
                let expected = prefixes.longest(addr).map_or(0, |(_, number)| number);
                prop_assert_eq!(number, expected, "{}", addr.to_ip());
            }
        }
    }
}
