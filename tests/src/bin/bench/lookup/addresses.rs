//! Addresses to look up, drawn at random and the same in each run.

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use gate_common::Addr;
use gate_user::table::{Family, Runs};

use super::{
    case::Draw,
    list::{Entry, List, addr},
};

/// Addresses, and what the list says about each, worked out without the table.
pub(crate) struct Set {
    pub(crate) addresses: Vec<Addr>,
    numbers: Vec<u16>,
}

impl Set {
    pub(crate) fn draw(
        rng: &mut Rng,
        list: &List,
        family: Family,
        draw: Draw,
        count: u32,
    ) -> Result<Self> {
        let addresses = match draw {
            Draw::Addresses | Draw::Runs => {
                distinct(rng, &Covered::of(&list.runs, family), draw, count)?
            }
            Draw::Prefixes => in_prefixes(rng, &list.entries, family, count),
        };
        let numbers = addresses.iter().map(|addr| list.runs.get(*addr)).collect();
        Ok(Self { addresses, numbers })
    }

    /// The sum of the answers to `count` look-ups from the `first` one on, going round in the first `size` addresses.
    pub(crate) fn sum(&self, first: u32, count: u32, size: u32) -> u64 {
        round(&self.numbers, first, count, size)
            .map(|number| u64::from(*number))
            .sum()
    }

    /// The first `size` addresses and what the list says about each.
    pub(crate) fn answers(&self, size: u32) -> impl Iterator<Item = (IpAddr, u16)> {
        let pairs = self.addresses.iter().zip(&self.numbers);
        pairs
            .take(size as usize)
            .map(|(addr, number)| (addr.to_ip(), *number))
    }

    /// As many addresses of the number that comes up most often, and that number; `None` if there are fewer.
    pub(crate) fn of_one_number(&self, count: u32) -> Option<Self> {
        let mut often: BTreeMap<u16, Vec<Addr>> = BTreeMap::new();
        for (addr, number) in self.addresses.iter().zip(&self.numbers) {
            often.entry(*number).or_default().push(*addr);
        }
        let (number, mut addresses) = often.into_iter().max_by_key(|(_, all)| all.len())?;
        addresses.truncate(count as usize);
        (addresses.len() == count as usize).then(|| Self {
            numbers: vec![number; addresses.len()],
            addresses,
        })
    }

    /// The same sum for a loop that looks nothing up and takes the address for its answer.
    pub(crate) fn floor_sum(&self, first: u32, count: u32, size: u32) -> u64 {
        round(&self.addresses, first, count, size)
            .map(|Addr { hi, lo }| (hi ^ lo) & u64::from(u32::MAX))
            .sum()
    }
}

fn round<T>(items: &[T], first: u32, count: u32, size: u32) -> impl Iterator<Item = &T> {
    let used = items.get(..size as usize).unwrap_or(items);
    used.iter()
        .cycle()
        .skip((first % size) as usize)
        .take(count as usize)
}

/// The runs of a family that have a number.
struct Covered {
    family: Family,
    /// Where each begins, and how many addresses it has, an IPv4 address counting as 2^96.
    runs: Vec<(u128, u128)>,
    /// How much is covered by each and by all before it, in 2^64 of these.
    ends: Vec<u64>,
}

impl Covered {
    fn of(runs: &Runs, family: Family) -> Self {
        let all = runs.of(family);
        // What comes after the last one begins at 2^128, which is 0 again.
        let nexts = all.iter().skip(1).map(|next| next.start).chain([0]);
        let runs: Vec<(u128, u128)> = all
            .iter()
            .zip(nexts)
            .filter(|(run, _)| run.number != 0)
            .map(|(run, next)| (run.start, next.wrapping_sub(run.start)))
            .collect();
        let mut covered = 0;
        let ends = runs
            .iter()
            .map(|(_, size)| {
                covered += (size >> 64) as u64;
                covered
            })
            .collect();
        Self { family, runs, ends }
    }

    /// An address; `None` if nothing is covered.
    fn one(&self, rng: &mut Rng, draw: Draw) -> Option<Addr> {
        let index = match draw {
            Draw::Addresses => {
                let place = rng.u64(..*self.ends.last()?);
                self.ends.partition_point(|end| *end <= place)
            }
            Draw::Runs | Draw::Prefixes => rng.usize(..self.runs.len()),
        };
        let (start, size) = *self.runs.get(index)?;
        Some(addr(self.family, start + rng.u128(..size)))
    }
}

/// Addresses that are all different.
fn distinct(rng: &mut Rng, covered: &Covered, draw: Draw, count: u32) -> Result<Vec<Addr>> {
    let mut seen = HashSet::with_capacity(count as usize);
    let mut addresses = Vec::with_capacity(count as usize);
    // The fewer addresses there are, the more often one comes again; where there are too few, this must end too.
    for _ in 0..u64::from(count) * 8 {
        if addresses.len() == count as usize {
            break;
        }
        let addr = covered.one(rng, draw).context("no address is covered")?;
        if seen.insert(addr) {
            addresses.push(addr);
        }
    }
    ensure!(
        addresses.len() == count as usize,
        "only {} different addresses came up, of {count}: measure with a larger database",
        addresses.len()
    );
    Ok(addresses)
}

/// Addresses of which each prefix of the family has about as many.
fn in_prefixes(rng: &mut Rng, entries: &[Entry], family: Family, count: u32) -> Vec<Addr> {
    let entries: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.family() == family)
        .collect();
    (0..count)
        .filter_map(|_| {
            let entry = rng.choice(&entries)?;
            let open = rng.u128(..).checked_shr(entry.length().into()).unwrap_or(0);
            Some(addr(family, entry.start() | open))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use gate_user::generation::Prefix;
    use ipnet::IpNet;

    use super::*;

    fn list(nets: &[&str]) -> List {
        let entries = nets.iter().zip(1..).map(|(net, number)| Entry {
            prefix: Prefix::from(net.parse::<IpNet>().unwrap()),
            number,
        });
        List::new(entries.collect()).unwrap()
    }

    fn share(set: &Set, number: u16) -> f64 {
        let count = set.numbers.iter().filter(|it| **it == number).count();
        count as f64 / set.numbers.len() as f64
    }

    #[test]
    fn a_draw_by_addresses_follows_size_and_one_by_runs_does_not() {
        for (family, nets) in [
            (Family::V4, ["10.0.0.0/8", "192.0.2.0/17"]),
            (Family::V6, ["2001:db8::/32", "2001:db9::/41"]),
        ] {
            let list = list(&nets);
            let draw =
                |draw| Set::draw(&mut Rng::with_seed(1), &list, family, draw, 1 << 13).unwrap();
            assert!(share(&draw(Draw::Addresses), 1) > 0.99, "{family:?}");
            for by in [Draw::Runs, Draw::Prefixes] {
                assert!(
                    (0.45..0.55).contains(&share(&draw(by), 1)),
                    "{family:?} {by:?}"
                );
            }
        }
    }

    #[test]
    fn drawn_addresses_are_covered_and_different() {
        let list = list(&["192.0.2.0/24", "198.51.100.7/32", "255.255.255.0/24"]);
        let set = Set::draw(&mut Rng::with_seed(1), &list, Family::V4, Draw::Runs, 256).unwrap();
        assert!(set.numbers.iter().all(|number| *number != 0));
        assert_eq!(set.addresses.iter().collect::<HashSet<_>>().len(), 256);
        assert!(Set::draw(&mut Rng::with_seed(1), &list, Family::V4, Draw::Runs, 1024).is_err());
    }

    #[test]
    fn sums_go_round() {
        let set = Set {
            addresses: [1, 2, 4, 8].map(Addr::v4).to_vec(),
            numbers: vec![1, 10, 100, 1000],
        };
        assert_eq!(set.sum(0, 4, 4), 1111);
        assert_eq!(set.sum(3, 3, 4), 1011);
        assert_eq!(set.sum(5, 3, 2), 21);
        // Of each address only the lower half of its low word.
        assert_eq!(set.floor_sum(1, 2, 4), 6);
    }
}
