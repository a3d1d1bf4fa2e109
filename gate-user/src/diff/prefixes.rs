//! From runs of addresses to prefixes.

use crate::{
    generation::Prefix,
    table::{Family, addr},
};

/// The fewest prefixes that together have the addresses from `first` to `last`, both of them included.
pub(crate) fn prefixes(family: Family, first: u128, last: u128) -> impl Iterator<Item = Prefix> {
    // An IPv4 address is in the upper bits, and what is below belongs to it.
    let (bits, offset) = match family {
        Family::V4 => (32, Prefix::V4.length()),
        Family::V6 => (128, 0),
    };
    let unused = 128 - bits;
    let mut next = Some(first >> unused);
    let last = last >> unused;
    std::iter::from_fn(move || {
        let start = next.filter(|start| *start <= last)?;
        let mut open = start.trailing_zeros().min(bits);
        let end = |open: u32| match 1u128.checked_shl(open) {
            Some(size) => start.checked_add(size - 1),
            None => start.checked_add(u128::MAX),
        };
        while end(open).is_none_or(|end| end > last) {
            open -= 1;
        }
        next = end(open).and_then(|end| end.checked_add(1));
        let length = u8::try_from(bits - open).unwrap_or_default();
        Some(Prefix::of(
            addr(family, start.checked_shl(unused).unwrap_or_default()),
            offset + length,
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::table::key;

    fn between(first: &str, last: &str) -> Vec<String> {
        let [(family, first), (_, last)] =
            [first, last].map(|it| key(it.parse::<IpAddr>().unwrap().into()));
        let filled = match family {
            Family::V4 => last | (u128::MAX >> 32),
            Family::V6 => last,
        };
        prefixes(family, first, filled)
            .map(|it| it.to_string())
            .collect()
    }

    #[test]
    fn the_fewest_prefixes_have_all_addresses() {
        assert_eq!(between("0.0.0.0", "255.255.255.255"), ["0.0.0.0/0"]);
        assert_eq!(
            between("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ["::/0"]
        );
        assert_eq!(between("10.0.0.0", "10.0.0.0"), ["10.0.0.0/32"]);
        assert_eq!(
            between("10.0.0.1", "10.0.0.6"),
            ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]
        );
        assert_eq!(
            between("255.255.255.254", "255.255.255.255"),
            ["255.255.255.254/31"]
        );
        assert_eq!(
            between("2001:db8::", "2001:db9:ffff:ffff:ffff:ffff:ffff:ffff"),
            ["2001:db8::/31"]
        );
        assert_eq!(
            between("2001:db8::1", "2001:db8::2"),
            ["2001:db8::1/128", "2001:db8::2/128"]
        );
    }
}
