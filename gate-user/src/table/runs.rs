//! Runs: all addresses of both families, cut where the number changes.

use gate_common::Addr;

use crate::generation::Prefix;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The family of an address and its bits, the first one uppermost.
#[must_use]
pub fn key(addr: Addr) -> (Family, u128) {
    if addr.is_v4() {
        (Family::V4, u128::from(addr.lo) << 96)
    } else {
        (
            Family::V6,
            (u128::from(addr.hi) << 64) | u128::from(addr.lo),
        )
    }
}

/// The address of a family with these bits.
#[must_use]
pub fn addr(family: Family, key: u128) -> Addr {
    let octets = key.to_be_bytes();
    match family {
        Family::V4 => {
            let [a, b, c, d, ..] = octets;
            Addr::v4(u32::from_be_bytes([a, b, c, d]))
        }
        Family::V6 => std::net::Ipv6Addr::from(octets).into(),
    }
}

impl Family {
    /// What output calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

/// Addresses with one number: from `start` to the next run's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first address, its first bit uppermost.
    pub start: u128,
    /// The number; 0 is nothing.
    pub number: u16,
}

/// Every address of both families in runs: sorted, the first one at 0, neighbours with different numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    v4: Vec<Run>,
    v6: Vec<Run>,
}

/// The runs of one family, in the making.
#[derive(Clone, Debug)]
pub(crate) struct RunsBuilder(Vec<Run>);

impl RunsBuilder {
    /// No address has a number.
    pub(crate) fn new() -> Self {
        Self(vec![Run {
            start: 0,
            number: 0,
        }])
    }

    /// From `start` on, which is not before the last run's, the number is `number`.
    pub(crate) fn begin(&mut self, start: u128, number: u16) {
        if self.0.last().is_some_and(|last| last.start == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|last| last.number != number) {
            self.0.push(Run { start, number });
        }
    }

    pub(super) fn finish(self) -> Vec<Run> {
        self.0
    }
}

impl Runs {
    /// The runs of both families.
    pub(crate) fn new(v4: RunsBuilder, v6: RunsBuilder) -> Self {
        Self {
            v4: v4.finish(),
            v6: v6.finish(),
        }
    }

    /// From prefixes, of which the longest wins; of equal ones the last.
    pub fn longest(prefixes: impl IntoIterator<Item = (Prefix, u16)>) -> Self {
        let [mut v4, mut v6] = [Vec::new(), Vec::new()];
        for (prefix, number) in prefixes {
            let (family, start) = key(prefix.addr());
            let (list, length) = match family {
                Family::V4 => (&mut v4, prefix.length().saturating_sub(Prefix::V4.length())),
                Family::V6 => (&mut v6, prefix.length()),
            };
            list.push((start, length, number));
        }
        Self::new(flatten(v4), flatten(v6))
    }

    /// The same runs with other numbers, of which no two may be the same where they were not before.
    pub(crate) fn renumbered(mut self, number: impl Fn(u16) -> u16) -> Self {
        for run in self.v4.iter_mut().chain(&mut self.v6) {
            run.number = number(run.number);
        }
        self
    }

    /// The largest prefix around `addr` whose addresses all have its number.
    #[must_use]
    pub fn network(&self, addr: Addr) -> Prefix {
        let (family, key) = key(addr);
        let runs = self.of(family);
        let after = runs.partition_point(|run| run.start <= key);
        let first = after
            .checked_sub(1)
            .and_then(|index| runs.get(index))
            .map_or(0, |run| run.start);
        let last = runs.get(after).map_or(u128::MAX, |run| run.start - 1);
        let shortest = if addr.is_v4() { Prefix::V4.length() } else { 0 };
        let fits = |length: u8| {
            let open = last_bits(length - shortest);
            key & !open >= first && key | open <= last
        };
        let length = (shortest..128).find(|length| fits(*length)).unwrap_or(128);
        Prefix::of(addr, length)
    }

    /// The runs of a family.
    #[must_use]
    pub fn of(&self, family: Family) -> &[Run] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// The number of `addr`, by binary search: what a table must say.
    #[must_use]
    pub fn get(&self, addr: Addr) -> u16 {
        let (family, key) = key(addr);
        let runs = self.of(family);
        let after = runs.partition_point(|run| run.start <= key);
        after
            .checked_sub(1)
            .and_then(|index| runs.get(index))
            .map_or(0, |run| run.number)
    }
}

/// From prefixes (start, length, number) to runs.
fn flatten(mut prefixes: Vec<(u128, u8, u16)>) -> RunsBuilder {
    // What covers a prefix comes before it; of equal ones the last stays the innermost.
    prefixes.sort_by_key(|(start, length, _)| (*start, *length));
    let mut runs = RunsBuilder::new();
    let mut open: Vec<(u128, u16)> = Vec::new();
    let close = |open: &mut Vec<(u128, u16)>, runs: &mut RunsBuilder, before: Option<u128>| {
        while let Some((last, _)) = open.last().copied()
            && before.is_none_or(|start| last < start)
        {
            open.pop();
            if let Some(next) = last.checked_add(1) {
                let number = open.last().map_or(0, |(_, number)| *number);
                runs.begin(next, number);
            }
        }
    };
    for (start, length, number) in prefixes {
        close(&mut open, &mut runs, Some(start));
        runs.begin(start, number);
        open.push((start | last_bits(length), number));
    }
    close(&mut open, &mut runs, None);
    runs
}

/// The bits that a prefix of this length leaves open.
fn last_bits(length: u8) -> u128 {
    u128::MAX.checked_shr(length.into()).unwrap_or(0)
}
