//! Ranges of addresses: networks, and what is left of them without the holes.

use ipnet::{Ipv4Net, Ipv6Net};

/// Addresses from `first` to `last`, the first bit uppermost: those of an IPv4 address are the upper 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Range {
    /// The addresses whose first `length` bits are those of `first`, which has no others.
    pub(super) const fn prefix(first: u128, length: u8) -> Self {
        // Shifting by all 128 bits is none of the shift's business.
        let rest = match u128::MAX.checked_shr(length as u32) {
            Some(rest) => rest,
            None => 0,
        };
        Self {
            first,
            last: first | rest,
        }
    }

    pub(super) fn v4(net: Ipv4Net) -> Self {
        Self::prefix(u128::from(net.network().to_bits()) << 96, net.prefix_len())
    }

    pub(super) fn v6(net: Ipv6Net) -> Self {
        Self::prefix(net.network().to_bits(), net.prefix_len())
    }

    /// The parts of this range that are in none of `holes`, which are in order.
    pub(super) fn without(self, holes: &[Self]) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        let mut holes = holes.iter().filter(move |it| it.last >= self.first);
        std::iter::from_fn(move || {
            loop {
                let Self { first, last } = rest?;
                let Some(hole) = holes.next().filter(|it| it.first <= last) else {
                    return rest.take();
                };
                let after = hole.last.checked_add(1).filter(|after| *after <= last);
                rest = after.map(|first| Self { first, last });
                if let Some(before) = hole.first.checked_sub(1).filter(|it| *it >= first) {
                    return Some(Self {
                        first,
                        last: before,
                    });
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_between_holes() {
        let range = |first, last| Range { first, last };
        let holes = [
            range(10, 19),
            range(30, 30),
            range(u128::MAX - 1, u128::MAX),
        ];
        for (whole, expected) in [
            (range(0, 9), &[range(0, 9)][..]),
            (range(0, 10), &[range(0, 9)]),
            (range(9, 20), &[range(9, 9), range(20, 20)]),
            (range(10, 19), &[]),
            (range(12, 15), &[]),
            (range(15, 29), &[range(20, 29)]),
            (range(19, 20), &[range(20, 20)]),
            (range(20, 29), &[range(20, 29)]),
            (range(0, 40), &[range(0, 9), range(20, 29), range(31, 40)]),
            (range(40, u128::MAX), &[range(40, u128::MAX - 2)]),
            (range(u128::MAX, u128::MAX), &[]),
        ] {
            let left: Vec<_> = whole.without(&holes).collect();
            assert_eq!(left, expected, "{whole:?}");
        }
    }
}
