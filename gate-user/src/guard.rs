//! Guards: data that is whole, and yet so unlike the data in force that a person has to look at it first.
//!
//! Pure: what the generation in force was made from is in its manifest, and is compared with what the next one would
//! be made from. `--force` overrides guards, and nothing else.

use std::fmt::{self, Write as _};

use crate::{
    config::{Guard, Guards, ListFile},
    generation::{Manifest, manifest::Database},
};

/// A list file with fewer prefixes in force than this may change in any proportion: ten of twelve customers can go on
/// an ordinary day. All of them cannot.
const LEAST_PREFIXES: usize = 100;

/// Data that guards refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct GuardError {
    /// What each guard says; never empty.
    pub violations: Vec<String>,
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the new data is too unlike that in force:")?;
        for violation in &self.violations {
            f.write_char('\n')?;
            write!(f, "  {violation}")?;
        }
        Ok(())
    }
}

/// What the guards have against putting `new` in the place of `old`.
#[must_use]
pub fn violations(guards: &Guards, old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut found = Vec::new();
    let what = "the database in force";
    databases(
        guards.geoip,
        &old.databases,
        &new.databases,
        what,
        &mut found,
    );
    lists(guards.lists, &old.list_files, &new.list_files, &mut found);
    found
}

/// What the guard has against putting the database `new` in the place of `old`.
pub(crate) fn database_violations(guard: Guard, old: &Database, new: &Database) -> Vec<String> {
    let mut found = Vec::new();
    databases(
        guard,
        std::slice::from_ref(old),
        std::slice::from_ref(new),
        "the one that is there",
        &mut found,
    );
    found
}

/// `what` is what `old` is.
fn databases(
    guard: Guard,
    old: &[Database],
    new: &[Database],
    what: &str,
    found: &mut Vec<String>,
) {
    if old.is_empty() || new.is_empty() {
        // That there is a database at all is for the configuration to say.
        return;
    }
    let families = |it: &Database| (it.networks_v4 > 0, it.networks_v6 > 0);
    for database in new {
        let before = old.iter().find(|it| families(it) == families(database));
        if let Some(before) = before.filter(|it| database.built < it.built) {
            found.push(format!(
                "{}: built {:.0}, which is before {what} was ({:.0})",
                database.path.display(),
                database.built,
                before.built
            ));
        }
    }
    let names: Vec<String> = new.iter().map(|it| it.path.display().to_string()).collect();
    let count = |of: fn(&Database) -> usize| {
        let sum = |databases: &[Database]| databases.iter().map(of).sum();
        (sum(old), sum(new))
    };
    for (what, (before, after)) in [
        ("IPv4 networks", count(|it| it.networks_v4)),
        ("IPv6 networks", count(|it| it.networks_v6)),
    ] {
        let change = compare(guard, "[geoip]", what, before, after);
        found.extend(change.map(|change| format!("{}: {change}", names.join(", "))));
    }
}

fn lists(guard: Guard, old: &[ListFile], new: &[ListFile], found: &mut Vec<String>) {
    for list in new {
        let Some(before) = old.iter().find(|it| it.path == list.path) else {
            continue;
        };
        let change = if before.prefixes > 0 && list.prefixes == 0 {
            Some(format!("no prefix is left of {}", before.prefixes))
        } else if before.prefixes >= LEAST_PREFIXES {
            compare(guard, "[lists]", "prefixes", before.prefixes, list.prefixes)
        } else {
            None
        };
        found.extend(change.map(|change| format!("{}: {change}", list.path.display())));
    }
}

/// What `guard`, of a table of the configuration, has against so many things that were so many before.
fn compare(guard: Guard, table: &str, what: &str, before: usize, after: usize) -> Option<String> {
    /// Smaller than one thing, larger than what multiplication loses.
    const ROUNDING: f64 = 1e-3;
    if before == 0 {
        return None;
    }
    let Guard { shrink, grow } = guard;
    let may_go = number(before) * shrink + ROUNDING;
    let may_come = number(before) * grow + ROUNDING;
    if number(before.saturating_sub(after)) > may_go {
        Some(format!(
            "{after} {what}, down from {before}: more are gone than `guard.shrink` of {table} allows ({shrink})"
        ))
    } else if number(after.saturating_sub(before)) > may_come {
        Some(format!(
            "{after} {what}, up from {before}: more have come than `guard.grow` of {table} allows ({grow})"
        ))
    } else {
        None
    }
}

/// Tables have no room for as many things as would not fit.
fn number(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(path: &str, built: &str, networks_v4: usize, networks_v6: usize) -> Database {
        Database {
            path: path.into(),
            kind: "Test".to_owned(),
            built: built.parse().unwrap(),
            sha256: String::new(),
            networks_v4,
            networks_v6,
            countries: 1,
        }
    }

    const MAY: &str = "2026-05-01T00:00:00Z";
    const JUNE: &str = "2026-06-01T00:00:00Z";

    fn of_databases(old: &[Database], new: &[Database]) -> Vec<String> {
        let mut found = Vec::new();
        databases(
            Guard::default(),
            old,
            new,
            "the database in force",
            &mut found,
        );
        found
    }

    fn of_lists(guard: Guard, before: usize, after: usize) -> Vec<String> {
        let list = |prefixes| {
            [ListFile {
                path: "a.txt".into(),
                sha256: String::new(),
                prefixes,
            }]
        };
        let mut found = Vec::new();
        lists(guard, &list(before), &list(after), &mut found);
        found
    }

    #[test]
    fn numbers_may_change_up_to_the_guard_and_not_beyond() {
        let old = [database("a", MAY, 1000, 100)];
        for (v4, v6, words) in [
            (1000, 100, ""),
            (700, 100, ""),
            (699, 100, "a: 699 IPv4 networks, down from 1000"),
            (2000, 100, ""),
            (2001, 100, "a: 2001 IPv4 networks, up from 1000"),
            (1000, 70, ""),
            (1000, 69, "a: 69 IPv6 networks, down from 100"),
            (1000, 0, "a: 0 IPv6 networks, down from 100"),
            (1000, 201, "a: 201 IPv6 networks, up from 100"),
        ] {
            let found = of_databases(&old, &[database("a", MAY, v4, v6)]);
            match &found[..] {
                [] => assert_eq!(words, "", "{v4} {v6}"),
                [one] => assert!(!words.is_empty() && one.starts_with(words), "{one}"),
                more => panic!("{v4} {v6}: {more:?}"),
            }
        }
    }

    #[test]
    fn a_part_that_binary_fractions_do_not_have_is_not_a_violation() {
        for (shrink, before, after) in [(0.29, 100, 71), (0.07, 100, 93), (0.1, 1_000_000, 900_000)]
        {
            let guard = Guard { shrink, grow: 0.0 };
            assert_eq!(of_lists(guard, before, after), Vec::<String>::new());
            assert_eq!(of_lists(guard, before, after - 1).len(), 1);
            assert_eq!(of_lists(guard, before, before + 1).len(), 1);
        }
    }

    #[test]
    fn an_older_database_is_one_of_the_same_families() {
        let joined = |built| [database("joined", built, 10, 10)];
        assert_eq!(of_databases(&joined(MAY), &joined(JUNE)), [""; 0]);
        assert_eq!(
            of_databases(&joined(JUNE), &joined(MAY)),
            [
                "joined: built 2026-05-01T00:00:00Z, which is before the database in force was (2026-06-01T00:00:00Z)"
            ]
        );
        let split = |v4, v6| [database("v4", v4, 10, 0), database("v6", v6, 0, 10)];
        assert_eq!(of_databases(&joined(JUNE), &split(MAY, MAY)), [""; 0]);
        assert_eq!(of_databases(&split(MAY, JUNE), &split(MAY, JUNE)), [""; 0]);
        let found = of_databases(&split(MAY, JUNE), &split(JUNE, MAY));
        assert!(
            matches!(&found[..], [one] if one.starts_with("v6: built 2026-05-01")),
            "{found:?}"
        );
    }

    #[test]
    fn two_files_count_together_and_every_guard_is_heard() {
        let split = [database("v4", JUNE, 100, 0), database("v6", JUNE, 0, 100)];
        assert_eq!(
            of_databases(&split, &[database("j", MAY, 100, 100)]),
            [""; 0]
        );
        let found = of_databases(
            &split,
            &[database("v4", MAY, 10, 0), database("v6", MAY, 0, 1000)],
        );
        assert_eq!(found.len(), 4, "{found:?}");
    }

    #[test]
    fn a_configuration_may_take_databases_up_or_give_them_up() {
        let one = [database("a", MAY, 10, 10)];
        assert_eq!(of_databases(&[], &one), [""; 0]);
        assert_eq!(of_databases(&one, &[]), [""; 0]);
    }

    #[test]
    fn short_lists_may_change_but_not_be_emptied() {
        let guard = Guard::default();
        for (before, after, violations) in [
            (99, 1, 0),
            (99, 100_000, 0),
            (99, 0, 1),
            (1, 0, 1),
            (0, 0, 0),
            (0, 1000, 0),
            (100, 70, 0),
            (100, 69, 1),
            (100, 200, 0),
            (100, 201, 1),
            (100, 0, 1),
        ] {
            let found = of_lists(guard, before, after);
            assert_eq!(found.len(), violations, "{before} {after}: {found:?}");
        }
        assert_eq!(of_lists(guard, 12, 0), ["a.txt: no prefix is left of 12"]);
    }

    #[test]
    fn a_list_file_that_was_not_there_is_compared_with_nothing() {
        let list = |path: &str, prefixes| ListFile {
            path: path.into(),
            sha256: String::new(),
            prefixes,
        };
        let mut found = Vec::new();
        lists(
            Guard::default(),
            &[list("a", 1000)],
            &[list("b", 1)],
            &mut found,
        );
        assert_eq!(found, [""; 0]);
    }
}
