//! How many addresses, and from which country to which.

use std::collections::HashMap;

use serde::Serialize;

use crate::table::Family;

/// The bits of an address behind its /64.
const HOST_BITS: u32 = 64;

/// How many addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Size {
    /// Addresses of IPv4.
    pub v4_addresses: u64,
    /// Networks of IPv6 with 64 bits in which there is an address.
    pub v6_64s: u128,
}

/// The addresses that were found in one country and will be in another, or in the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Countries {
    /// The country that they have; nothing for none.
    pub before: Option<String>,
    /// The country that they would have.
    pub after: Option<String>,
    /// How many there are. A /64 with addresses of several countries counts once in each.
    #[serde(flatten)]
    pub size: Size,
}

/// The country that addresses have, and the one that they would have.
pub(crate) type Move = (Option<String>, Option<String>);

/// A size that is added up from runs in the order of their addresses.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) size: Size,
    /// The last /64 that was counted.
    last_64: Option<u128>,
}

impl Sum {
    /// Adds the addresses from `first` to `last`, both of them included.
    pub(crate) fn add(&mut self, family: Family, first: u128, last: u128) {
        match family {
            Family::V4 => {
                let addresses = (last >> 96) - (first >> 96) + 1;
                self.size.v4_addresses += u64::try_from(addresses).unwrap_or(0);
            }
            Family::V6 => {
                let (first, last) = (first >> HOST_BITS, last >> HOST_BITS);
                let again = self.last_64 == Some(first);
                self.size.v6_64s += last - first + 1 - u128::from(again);
                self.last_64 = Some(last);
            }
        }
    }
}

/// The largest first.
pub(crate) fn by_country(counted: HashMap<Move, Sum>) -> Vec<Countries> {
    let mut countries: Vec<Countries> = counted
        .into_iter()
        .map(|((before, after), sum)| Countries {
            before,
            after,
            size: sum.size,
        })
        .collect();
    countries.sort_by(|a, b| {
        let codes = |it: &Countries| (it.before.clone(), it.after.clone());
        b.size.cmp(&a.size).then_with(|| codes(a).cmp(&codes(b)))
    });
    countries
}

impl Countries {
    /// `JP: 256 IPv4 addresses`
    pub(crate) fn text(&self) -> String {
        let Self {
            before,
            after,
            size,
        } = self;
        let [from, to] = [before, after].map(|it| it.as_deref().unwrap_or("no country").to_owned());
        let countries = if from == to {
            from
        } else {
            format!("{from} to {to}")
        };
        format!("{countries}: {}", size.text())
    }
}

impl Size {
    /// `256 IPv4 addresses and 3 IPv6 /64s`
    pub(crate) fn text(self) -> String {
        let Self {
            v4_addresses,
            v6_64s,
        } = self;
        let v4 = match v4_addresses {
            1 => "1 IPv4 address".to_owned(),
            many => format!("{many} IPv4 addresses"),
        };
        let v6 = match v6_64s {
            1 => "1 IPv6 /64".to_owned(),
            many => format!("{many} IPv6 /64s"),
        };
        match (v4_addresses, v6_64s) {
            (_, 0) => v4,
            (0, _) => v6,
            _ => format!("{v4} and {v6}"),
        }
    }
}
