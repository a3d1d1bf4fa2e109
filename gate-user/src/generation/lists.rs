//! The prefix lists of a generation as tables, each checked before anybody may rely on it.

use std::sync::Arc;

use gate_common::{Addr, Country, abi::List};

use super::{answers::answers, prefixes::Prefixes};
use crate::table::{Family, Runs, Table, TableError};

/// The tables of a generation, by list.
#[derive(Clone, Debug)]
pub struct Lists {
    tables: [Arc<Table>; List::ALL.len()],
}

impl Lists {
    /// Each list's table, as `table` gives it.
    pub fn try_new<E>(mut table: impl FnMut(List) -> Result<Arc<Table>, E>) -> Result<Self, E> {
        let [access, relays, servers, classes, countries] = List::ALL;
        Ok(Self {
            tables: [
                table(access)?,
                table(relays)?,
                table(servers)?,
                table(classes)?,
                table(countries)?,
            ],
        })
    }

    /// The same tables but for one list.
    pub(super) fn replace(&mut self, list: List, table: Arc<Table>) {
        let [access, relays, servers, classes, countries] = &mut self.tables;
        *match list {
            List::Access => access,
            List::Relays => relays,
            List::Servers => servers,
            List::Classes => classes,
            List::Countries => countries,
        } = table;
    }

    /// The tables in the order of [`List::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (List, &Table)> {
        List::ALL
            .into_iter()
            .zip(self.tables.iter().map(AsRef::as_ref))
    }

    /// The table of a list.
    #[must_use]
    pub fn table(&self, list: List) -> &Table {
        let [access, relays, servers, classes, countries] = &self.tables;
        match list {
            List::Access => access,
            List::Relays => relays,
            List::Servers => servers,
            List::Classes => classes,
            List::Countries => countries,
        }
    }

    /// The number that a list has for `addr`.
    #[must_use]
    pub fn number(&self, list: List, addr: Addr) -> Option<u32> {
        match self.table(list).get(addr) {
            0 => None,
            number => Some(number.into()),
        }
    }
}

/// Why a list makes no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// It does not fit one.
    #[error("the list of {} makes no table: {error}", list.name())]
    Table {
        /// The list.
        list: List,
        /// What does not fit.
        error: TableError,
    },
    /// The table says something else than the list, which is a mistake in this program.
    #[error("the table of {} answers {found} for {}, where the list has {expected}", list.name(), addr.to_ip())]
    Wrong {
        /// The list.
        list: List,
        /// For which address.
        addr: Addr,
        /// The table's number.
        found: u16,
        /// The list's number.
        expected: u16,
    },
}

/// The table of a list, compared with the list itself wherever an answer can change.
pub(super) fn compile(list: List, prefixes: &Prefixes) -> Result<Arc<Table>, ListError> {
    let runs = Runs::longest(prefixes.iter());
    let table = Table::new(&runs).map_err(|error| ListError::Table { list, error })?;
    compare(list, &table, prefixes)?;
    Ok(Arc::new(table))
}

fn compare(list: List, table: &Table, prefixes: &Prefixes) -> Result<(), ListError> {
    for (addr, expected) in answers(prefixes) {
        let found = table.get(addr);
        if found != expected {
            return Err(ListError::Wrong {
                list,
                addr,
                found,
                expected,
            });
        }
    }
    Ok(())
}

/// The countries of all addresses as a table, and the countries that its numbers stand for.
///
/// The most frequent countries have the smallest numbers: a chunk of the table has a byte for each.
#[derive(Clone, Debug)]
pub struct CountryTable {
    table: Arc<Table>,
    /// By number; the first is [`Country::NONE`].
    countries: Vec<Country>,
}

impl CountryTable {
    /// The table of these runs, whose numbers are those of countries.
    pub(crate) fn new(runs: Runs) -> Result<Self, ListError> {
        let mut frequencies = vec![0usize; Country::COUNT];
        for run in [Family::V4, Family::V6].iter().flat_map(|it| runs.of(*it)) {
            if let Some(frequency) = frequencies.get_mut(usize::from(run.number)) {
                *frequency += 1;
            }
        }
        let mut countries: Vec<Country> = (1u16..)
            .zip(frequencies.iter().skip(1))
            .filter(|(_, frequency)| **frequency > 0)
            .map(|(number, _)| Country::from_number(number))
            .collect();
        let frequency = |country: &Country| frequencies.get(usize::from(country.number())).copied();
        countries.sort_by_key(|country| (std::cmp::Reverse(frequency(country)), country.number()));
        countries.insert(0, Country::NONE);
        let mut numbers = vec![0u16; Country::COUNT];
        for (country, number) in countries.iter().zip(0u16..) {
            if let Some(slot) = numbers.get_mut(usize::from(country.number())) {
                *slot = number;
            }
        }
        let number = |country: u16| numbers.get(usize::from(country)).copied().unwrap_or(0);
        let table = Table::new(&runs.renumbered(number)).map_err(|error| ListError::Table {
            list: List::Countries,
            error,
        })?;
        Ok(Self {
            table: Arc::new(table),
            countries,
        })
    }

    /// The country of `addr`, as the table has it.
    #[must_use]
    pub fn country(&self, addr: Addr) -> Country {
        let number = usize::from(self.table.get(addr));
        self.countries.get(number).copied().unwrap_or(Country::NONE)
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// What the numbers stand for.
    #[must_use]
    pub fn countries(&self) -> &[Country] {
        &self.countries
    }
}

impl Default for CountryTable {
    /// The table in which no address has a country.
    fn default() -> Self {
        Self {
            table: Arc::default(),
            countries: vec![Country::NONE],
        }
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;

    use super::*;

    #[test]
    fn a_table_that_says_something_else_is_found_out() {
        let prefixes = |entries: &[(&str, u16)]| -> Prefixes {
            let nets = entries.iter();
            nets.map(|(net, number)| (net.parse::<IpNet>().unwrap().into(), *number))
                .collect()
        };
        let list = prefixes(&[("10.0.0.0/8", 1), ("10.1.0.0/16", 2), ("2001:db8::/32", 3)]);
        compile(List::Access, &list).unwrap();
        for (other, at, found, expected) in [
            (("10.1.0.0/17", 2), "10.1.255.255", 1, 2),
            (("10.0.0.0/7", 1), "11.0.0.0", 1, 0),
            (("8.0.0.0/7", 4), "9.255.255.255", 4, 0),
            (("2001:db8::/33", 4), "2001:db8::", 4, 3),
        ] {
            let mut changed = list.clone();
            if other.0 == "10.1.0.0/17" {
                changed = prefixes(&[("10.0.0.0/8", 1), ("2001:db8::/32", 3)]);
            }
            changed.insert(other.0.parse::<IpNet>().unwrap().into(), other.1);
            let table = Table::new(&Runs::longest(changed.iter())).unwrap();
            assert_eq!(
                compare(List::Access, &table, &list),
                Err(ListError::Wrong {
                    list: List::Access,
                    addr: at.parse::<std::net::IpAddr>().unwrap().into(),
                    found,
                    expected,
                })
            );
        }
    }
}
