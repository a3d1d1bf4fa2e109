//! Which rows somebody wants, and in which order.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use gate_common::Role;
use ipnet::IpNet;

use super::{
    ExportError,
    moment::REST,
    row::{Kind, Row, VERDICTS},
};
use crate::filter::{Filter, Filtered};

/// What somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// What rows are about; sources where nothing is said, and interfaces where one is named.
    pub kinds: BTreeSet<Kind>,
    /// Only these rows.
    pub filter: Filter,
    /// What comes first.
    pub sort: Sort,
    /// How many rows of each kind.
    pub top: Option<usize>,
    /// What is counted in so much time, again and again.
    pub interval: Option<Duration>,
    /// How many times; nothing for no end.
    pub count: Option<u64>,
}

/// What rows are in order of: of numbers and times the largest first, then by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// All packets.
    #[default]
    Packets,
    /// Packets with this verdict, by its place in the columns.
    Verdict(usize),
    /// Packets over a limit.
    OverLimit,
    /// When the last packet came.
    LastSeen,
    /// The name.
    Name,
}

impl Sort {
    /// Each, by what it is called.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let verdicts = VERDICTS.into_iter().enumerate();
        let rest = [
            ("over_limit", Self::OverLimit),
            ("last_seen", Self::LastSeen),
            ("name", Self::Name),
        ];
        [("packets", Self::Packets)]
            .into_iter()
            .chain(verdicts.map(|(at, name)| (name, Self::Verdict(at))))
            .chain(rest)
    }
}

impl Wanted {
    /// The kinds that are wanted.
    pub(super) fn kinds(&self) -> BTreeSet<Kind> {
        if !self.kinds.is_empty() {
            return self.kinds.clone();
        }
        let default = match self.filter.interface {
            Some(_) => Kind::Interfaces,
            None => Kind::Sources,
        };
        BTreeSet::from([default])
    }

    /// Makes sure that no kind is asked for something that it cannot have, which would look like nothing.
    pub fn check(&self) -> Result<(), ExportError> {
        use Kind::{
            Answers, Classes, Countries, Interfaces, Limits, Pools, Prefixes, Relays, Shown,
            Sources, Unsent,
        };
        let is_by_verdict = |kind: Kind| !matches!(kind, Shown | Answers | Unsent | Limits);
        let Filter {
            pool,
            class,
            country,
            verdict,
            prefix,
            interface,
        } = &self.filter;
        for kind in self.kinds() {
            let refused: [(&'static str, bool, bool); 6] = [
                (
                    "pool",
                    pool.is_some(),
                    matches!(kind, Pools | Prefixes | Sources),
                ),
                ("class", class.is_some(), matches!(kind, Classes | Sources)),
                (
                    "country",
                    country.is_some(),
                    matches!(kind, Countries | Sources),
                ),
                ("verdict", verdict.is_some(), is_by_verdict(kind)),
                (
                    "prefix",
                    prefix.is_some(),
                    matches!(kind, Prefixes | Relays | Sources),
                ),
                (
                    "interface",
                    interface.is_some(),
                    matches!(kind, Interfaces | Unsent),
                ),
            ];
            if let Some((filter, ..)) = refused
                .into_iter()
                .find(|(_, is_asked, has)| *is_asked && !has)
            {
                return Err(ExportError::Filter {
                    kind: kind.name(),
                    filter,
                });
            }
        }
        Ok(())
    }

    /// Of these rows, those that are wanted, in their order; and how many `top` left out.
    pub(super) fn of(&self, rows: Vec<Row>) -> (Vec<Row>, usize) {
        let (mut notes, rows): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|it| it.kind == Some(Kind::Note));
        let mut left_out = 0;
        for kind in self.kinds() {
            let of_kind = rows
                .iter()
                .filter(|it| it.kind == Some(kind) && self.takes(it));
            // What no source is known of comes last, and is none of the first.
            let (rest, mut found): (Vec<Row>, Vec<Row>) = of_kind.cloned().partition(Row::is_rest);
            self.order(&mut found);
            if let Some(top) = self.top {
                left_out += found.len().saturating_sub(top);
                found.truncate(top);
            }
            notes.append(&mut found);
            notes.extend(rest);
        }
        (notes, left_out)
    }

    fn order(&self, rows: &mut [Row]) {
        let number = |row: &Row| match self.sort {
            Sort::Packets => row.packets,
            Sort::Verdict(at) => row.by_verdict.each().get(at).copied().flatten(),
            Sort::OverLimit => row.over_limit,
            Sort::LastSeen => row
                .last_seen
                .and_then(|it| u64::try_from(it.as_millisecond()).ok()),
            Sort::Name => None,
        };
        rows.sort_by(|a, b| {
            let by_number = Reverse(number(a)).cmp(&Reverse(number(b)));
            by_number.then_with(|| a.identity().cmp(&b.identity()))
        });
    }

    fn takes(&self, row: &Row) -> bool {
        if row.is_rest() {
            return !self.filter.is_some();
        }
        self.filter.takes(row)
    }
}

impl Filtered for Row {
    fn pool(&self) -> Option<&str> {
        self.pool.as_deref()
    }

    fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }

    fn country(&self) -> Option<&str> {
        self.country.as_deref()
    }

    fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    fn is_of_unknown_country(&self) -> bool {
        self.country.is_none() && self.role.as_deref() != Some(Role::Access.name())
    }

    fn has_verdict(&self, verdict: &str) -> bool {
        let names = VERDICTS.into_iter().zip(self.by_verdict.each());
        names
            .filter(|(name, _)| *name == verdict)
            .any(|(_, packets)| packets.is_some_and(|it| it > 0))
    }

    fn prefix(&self) -> Option<IpNet> {
        self.prefix.as_deref()?.parse().ok()
    }
}

impl Row {
    pub(super) fn is_rest(&self) -> bool {
        self.kind == Some(Kind::Sources) && self.name == REST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Verdicts;

    fn source(name: &str, passed: u64, refused: u64) -> Row {
        let mut verdicts = Verdicts::default();
        verdicts.count("passed", passed);
        verdicts.count("refused", refused);
        Row {
            prefix: Some(name.to_owned()),
            pool: Some("dynamic".to_owned()).filter(|_| name.starts_with("100.")),
            role: Some("access".to_owned()),
            ..Row::counted(Kind::Sources, name, &verdicts)
        }
    }

    fn names(wanted: &Wanted) -> (Vec<String>, usize) {
        let rows = vec![
            source("100.64.0.2/32", 9, 1),
            source("100.64.0.1/32", 9, 1),
            source("100.65.0.3/32", 0, 7),
            source("192.0.2.130/32", 2, 0),
            super::super::moment::rest([1, 0, 0, 0, 0]).unwrap(),
            Row::counted(Kind::Pools, "dynamic", &Verdicts::default()),
        ];
        let (rows, left) = wanted.of(rows);
        (rows.into_iter().map(|it| it.name).collect(), left)
    }

    #[test]
    fn rows_are_filtered_ordered_and_cut() {
        let all = Wanted::default();
        let sorted = [
            "100.64.0.1/32",
            "100.64.0.2/32",
            "100.65.0.3/32",
            "192.0.2.130/32",
            "rest",
        ];
        assert_eq!(names(&all), (sorted.map(str::to_owned).into(), 0));
        for (wanted, expected, left) in [
            (
                Wanted {
                    sort: Sort::Verdict(1),
                    top: Some(1),
                    ..all.clone()
                },
                vec!["100.65.0.3/32", "rest"],
                3,
            ),
            (
                Wanted {
                    filter: Filter {
                        prefix: Some("100.64.0.0/16".parse().unwrap()),
                        ..Filter::default()
                    },
                    ..all.clone()
                },
                vec!["100.64.0.1/32", "100.64.0.2/32"],
                0,
            ),
            (
                Wanted {
                    filter: Filter {
                        verdict: Some("passed"),
                        pool: Some("dynamic".to_owned()),
                        ..Filter::default()
                    },
                    sort: Sort::Name,
                    ..all.clone()
                },
                vec!["100.64.0.1/32", "100.64.0.2/32"],
                0,
            ),
            (
                Wanted {
                    kinds: BTreeSet::from([Kind::Pools]),
                    ..all.clone()
                },
                vec!["dynamic"],
                0,
            ),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(names(&wanted), (expected, left), "{wanted:?}");
        }
    }

    #[test]
    fn what_a_kind_cannot_have_is_refused() {
        let wanted = Wanted {
            filter: Filter {
                interface: Some("eth1".to_owned()),
                ..Filter::default()
            },
            ..Wanted::default()
        };
        wanted.check().unwrap();
        let wanted = Wanted {
            kinds: BTreeSet::from([Kind::Sources]),
            ..wanted
        };
        let said = wanted.check().unwrap_err().to_string();
        assert!(
            said.contains("sources") && said.contains("interface"),
            "{said}"
        );
    }
}
