//! The addresses whose country differs between two databases, counted to the address.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
};

use gate_common::Country;
use serde::Serialize;

use crate::{
    config::CountryField,
    diff::{
        Countries, Size,
        moved::{Move, Sum, by_country},
        prefixes::prefixes,
    },
    generation::manifest::Database,
    geoip::{GeoipError, Single},
    progress::Progress,
    report::{Report, Table},
    table::{Family, Run},
};

/// How many groups stand in the text.
const GROUPS: usize = 20;
/// How many countries stand in the text.
const COUNTRIES: usize = 20;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Which country of an entry counts.
    pub field: CountryField,
    /// Only addresses that leave this country or come to it.
    pub country: Option<Country>,
    /// How many prefixes of each group to list.
    pub prefixes: usize,
}

/// What another database would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moves {
    /// The one before.
    pub old: Database,
    /// The one after.
    pub new: Database,
    /// The families that only one of them knows, which are not compared.
    pub left_out: Vec<&'static str>,
    /// How many addresses change their country.
    #[serde(flatten)]
    pub size: Size,
    /// What each country loses and gets, those with most changes first.
    pub countries: Vec<Balance>,
    /// From which country to which, the largest first.
    pub groups: Vec<Group>,
    /// What the licences ask for.
    pub attribution: Vec<String>,
}

/// What a country loses and gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The country; nothing for addresses without one.
    pub country: Option<String>,
    /// What the old one has there, and the new one elsewhere.
    pub lost: Size,
    /// What the new one has there, and the old one elsewhere.
    pub gained: Size,
}

/// Addresses that go from one country to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// From where to where, and how many.
    #[serde(flatten)]
    pub countries: Countries,
    /// The first prefixes of them.
    pub prefixes: Vec<String>,
    /// How many prefixes are not listed.
    pub prefixes_left_out: u64,
}

/// Compares the database at `old` with the one at `new`.
pub fn moves(old: &Path, new: &Path, wanted: Wanted) -> Result<Moves, GeoipError> {
    let mut progress = Progress::new();
    let cancelled = progress.cancelled();
    let mut read = |path| {
        let tell: &mut dyn FnMut(&Path, usize) = &mut |path, done| progress.read(path, done);
        Single::read(path, wanted.field, tell, cancelled)
    };
    let both = read(old).and_then(|old| Ok([old, read(new)?]));
    progress.finish();
    Ok(between(both?, wanted))
}

fn between([old, new]: [Single; 2], wanted: Wanted) -> Moves {
    let mut left_out = Vec::new();
    let mut found = Found::new(wanted.prefixes);
    for family in [Family::V4, Family::V6] {
        if old.knows(family) != new.knows(family) {
            left_out.push(family.name());
            continue;
        }
        for (first, last, countries) in changes(old.runs.of(family), new.runs.of(family)) {
            if wanted.country.is_none_or(|it| countries.contains(&it)) {
                found.add(family, first, last, countries);
            }
        }
    }
    let mut attribution: Vec<String> = [&old, &new]
        .into_iter()
        .filter_map(|it| it.attribution.map(str::to_owned))
        .collect();
    attribution.dedup();
    let (size, groups) = found.groups();
    Moves {
        countries: balances(&groups),
        old: old.database,
        new: new.database,
        left_out,
        size,
        groups,
        attribution,
    }
}

/// Runs of addresses with one country in either list and another in the other: first and last address, and both countries.
fn changes<'r>(
    old: &'r [Run],
    new: &'r [Run],
) -> impl Iterator<Item = (u128, u128, [Country; 2])> + 'r {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut now = [0u16; 2];
    let mut next = Some(0u128);
    std::iter::from_fn(move || {
        loop {
            let first = next?;
            if let Some(run) = old.next_if(|run| run.start == first) {
                now = [run.number, now[1]];
            }
            if let Some(run) = new.next_if(|run| run.start == first) {
                now = [now[0], run.number];
            }
            let starts = [old.peek(), new.peek()];
            next = starts.into_iter().flatten().map(|run| run.start).min();
            let last = next.map_or(u128::MAX, |start| start - 1);
            if now[0] != now[1] {
                return Some((first, last, now.map(Country::from_number)));
            }
        }
    })
}

/// What was found so far.
struct Found {
    listed: usize,
    sum: Sum,
    by_move: HashMap<Move, Sum>,
    prefixes: HashMap<Move, (Vec<String>, u64)>,
}

impl Found {
    fn new(listed: usize) -> Self {
        Self {
            listed,
            sum: Sum::default(),
            by_move: HashMap::new(),
            prefixes: HashMap::new(),
        }
    }

    fn add(&mut self, family: Family, first: u128, last: u128, countries: [Country; 2]) {
        let [from, to] = countries.map(|it| it.code().map(|code| code.to_string()));
        let change = (from, to);
        self.sum.add(family, first, last);
        let sum = self.by_move.entry(change.clone()).or_default();
        sum.add(family, first, last);
        let (listed, left_out) = self.prefixes.entry(change).or_default();
        for prefix in prefixes(family, first, last) {
            if listed.len() < self.listed {
                listed.push(prefix.to_string());
            } else {
                *left_out += 1;
            }
        }
    }

    fn groups(mut self) -> (Size, Vec<Group>) {
        let groups = by_country(self.by_move)
            .into_iter()
            .map(|countries| {
                let change = (countries.before.clone(), countries.after.clone());
                let (prefixes, prefixes_left_out) =
                    self.prefixes.remove(&change).unwrap_or_default();
                Group {
                    countries,
                    prefixes,
                    prefixes_left_out,
                }
            })
            .collect();
        (self.sum.size, groups)
    }
}

fn balances(groups: &[Group]) -> Vec<Balance> {
    let mut by_country: BTreeMap<Option<String>, [Size; 2]> = BTreeMap::new();
    for Group { countries, .. } in groups {
        for (country, at) in [(&countries.before, 0), (&countries.after, 1)] {
            let sizes = by_country.entry(country.clone()).or_default();
            if let Some(size) = sizes.get_mut(at) {
                size.v4_addresses += countries.size.v4_addresses;
                size.v6_64s += countries.size.v6_64s;
            }
        }
    }
    let mut balances: Vec<Balance> = by_country
        .into_iter()
        .map(|(country, [lost, gained])| Balance {
            country,
            lost,
            gained,
        })
        .collect();
    // The sort is stable: where as many change, the order of codes stays.
    balances.sort_by_key(|it| {
        let v4 = it.lost.v4_addresses + it.gained.v4_addresses;
        let v6 = it.lost.v6_64s + it.gained.v6_64s;
        std::cmp::Reverse((v4, v6))
    });
    balances
}

impl Report for Moves {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            old,
            new,
            left_out,
            size,
            countries,
            groups,
            attribution,
        } = self;
        for (word, database) in [("old", old), ("new", new)] {
            let Database {
                path, kind, built, ..
            } = database;
            writeln!(
                out,
                "{word}  {} (type \"{kind}\", built {built:.0})",
                path.display()
            )?;
        }
        for family in left_out {
            writeln!(out, "  ! {family} is in one of them only, and not compared")?;
        }
        if groups.is_empty() {
            writeln!(out, "\nno address changes its country")?;
        } else {
            writeln!(out, "\n{} in another country\n", size.text())?;
            balance_text(countries, out)?;
            writeln!(out)?;
            groups_text(groups, out)?;
        }
        attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}

fn balance_text(countries: &[Balance], out: &mut dyn io::Write) -> io::Result<()> {
    let headings = [
        "country",
        "IPv4 lost",
        "IPv4 gained",
        "IPv6 /64s lost",
        "IPv6 /64s gained",
    ];
    let mut table = Table::new(&headings);
    for it in countries.iter().take(COUNTRIES) {
        table.row([
            it.country.clone().unwrap_or_else(|| "-".to_owned()),
            it.lost.v4_addresses.to_string(),
            it.gained.v4_addresses.to_string(),
            it.lost.v6_64s.to_string(),
            it.gained.v6_64s.to_string(),
        ]);
    }
    table.write(out)?;
    more(countries.len(), COUNTRIES, "countries", out)
}

fn groups_text(groups: &[Group], out: &mut dyn io::Write) -> io::Result<()> {
    for group in groups.iter().take(GROUPS) {
        let Group {
            countries,
            prefixes,
            prefixes_left_out,
        } = group;
        writeln!(out, "  {}", countries.text())?;
        let and = match prefixes_left_out {
            0 => String::new(),
            many if prefixes.is_empty() => format!("{many} prefixes"),
            many => format!(" and {many} more"),
        };
        writeln!(out, "    {}{and}", prefixes.join(" "))?;
    }
    more(groups.len(), GROUPS, "groups", out)
}

fn more(all: usize, shown: usize, what: &str, out: &mut dyn io::Write) -> io::Result<()> {
    match all.checked_sub(shown).filter(|it| *it != 0) {
        Some(more) => writeln!(out, "  ({more} {what} more; `--format json` has all)"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(start: u128, number: u16) -> Run {
        Run { start, number }
    }

    #[test]
    fn changes_are_those_of_every_address() {
        // Two lists over sixteen addresses, and each address asked of both.
        let old = [run(0, 1), run(4, 0), run(6, 2), run(9, 3)];
        let new = [run(0, 1), run(2, 2), run(6, 2), run(8, 3), run(12, 1)];
        let of = |list: &[Run], address: u128| {
            let before = list.iter().rev().find(|run| run.start <= address);
            before.map_or(0, |run| run.number)
        };
        let found: Vec<_> = changes(&old, &new).collect();
        for address in 0..16 {
            let [a, b] = [of(&old, address), of(&new, address)];
            let hit = found
                .iter()
                .find(|(first, last, _)| (*first..=*last).contains(&address));
            let expected = (a != b).then(|| [a, b].map(Country::from_number));
            assert_eq!(hit.map(|it| it.2), expected, "address {address}");
        }
        assert!(changes(&old, &old).next().is_none());
        assert_eq!(changes(&[run(0, 1)], &[run(0, 2)]).count(), 1);
    }
}
