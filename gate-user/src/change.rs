//! What differs between a generation and the one before, in the words of the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    config::ListFile,
    generation::{
        Manifest,
        manifest::{Database, ListSize},
    },
};

/// A value before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step<T> {
    /// Before; nothing if it was not there.
    pub before: Option<T>,
    /// After; nothing if it is not there any more.
    pub after: Option<T>,
}

/// What a reload changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The number of the generation.
    pub generation: Step<u32>,
    /// The SHA-256 of the configuration, if that changed.
    pub config_sha256: Option<Step<String>>,
    /// The databases whose content changed.
    pub databases: BTreeMap<PathBuf, Step<DatabaseSize>>,
    /// The list files whose content changed, and how many prefixes each has.
    pub list_files: BTreeMap<PathBuf, Step<usize>>,
    /// The prefix lists that answer otherwise, and how many prefixes each has.
    pub lists: BTreeMap<String, Step<usize>>,
    /// Interfaces on which packets are judged now.
    pub attached: Vec<String>,
    /// Interfaces on which nothing is judged any more.
    pub detached: Vec<String>,
    /// The memory of the generations; nothing if the kernel does not say.
    pub memory: Option<Memory>,
    /// What the guards had against it, overridden by `--force`.
    pub forced: Vec<String>,
    /// What is odd about the configuration.
    pub warnings: Vec<String>,
    /// How many entries of the above were left out, which are in the daemon's log only.
    #[serde(default)]
    pub left_out: usize,
}

/// How much of each part of a change is told to whoever asks; the daemon's log has all of it.
const TOLD_MAX: usize = 16 << 10;

/// A database, as far as its size and age go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSize {
    /// When it was built.
    pub built: Timestamp,
    /// How many IPv4 networks have a country.
    pub networks_v4: usize,
    /// How many IPv6 networks have a country.
    pub networks_v6: usize,
}

/// How much of the kernel's memory the tables of generations take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Those of the generation before.
    pub before: u64,
    /// Those of the generation in force.
    pub after: u64,
    /// Both, while both were loaded.
    pub both: u64,
}

/// Whether a generation with the manifest `new` would be made from the same as that with `old`.
#[must_use]
pub fn same_inputs(old: &Manifest, new: &Manifest) -> bool {
    old.config == new.config
        && old.config_sha256 == new.config_sha256
        && databases(old, new).is_empty()
        && list_files(old, new).is_empty()
}

/// The same, whatever exemptions either has.
#[must_use]
pub fn same_but_exemptions(old: &Manifest, new: &Manifest) -> bool {
    let exemptions = [&old.exemptions, &new.exemptions];
    old.config == new.config
        && old.config_sha256 == new.config_sha256
        && databases(old, new).is_empty()
        && list_files(old, new)
            .keys()
            .all(|path| exemptions.contains(&&Some(path.clone())))
}

impl Change {
    /// What differs between the manifests; the rest is left empty.
    #[must_use]
    pub fn between(old: Option<&Manifest>, new: &Manifest) -> Self {
        let config = old.map(|old| Step {
            before: Some(old.config_sha256.clone()),
            after: Some(new.config_sha256.clone()),
        });
        Self {
            generation: Step {
                before: old.map(|it| it.number),
                after: Some(new.number),
            },
            config_sha256: config.filter(|it| it.before != it.after),
            databases: old.map(|old| databases(old, new)).unwrap_or_default(),
            list_files: old.map(|old| list_files(old, new)).unwrap_or_default(),
            lists: old.map(|old| lists(old, new)).unwrap_or_default(),
            attached: Vec::new(),
            detached: Vec::new(),
            memory: None,
            forced: new.forced.clone(),
            warnings: Vec::new(),
            left_out: 0,
        }
    }

    /// Leaves out what is too much to be told to everybody who asks.
    pub fn shorten(&mut self) {
        let Self {
            generation: _,
            config_sha256: _,
            databases,
            list_files,
            lists: _,
            attached,
            detached,
            memory: _,
            forced,
            warnings,
            left_out,
        } = self;
        for lines in [attached, detached, forced, warnings] {
            let told = told(lines.iter().map(String::len));
            *left_out += lines.len() - told;
            lines.truncate(told);
        }
        *left_out += shorten(databases);
        *left_out += shorten(list_files);
    }
}

/// How many entries of these sizes, from the first, are no more than [`TOLD_MAX`].
fn told(sizes: impl Iterator<Item = usize>) -> usize {
    /// What surrounds an entry.
    const EACH: usize = 64;
    let mut total = 0;
    let fits = |size| {
        total += size + EACH;
        total <= TOLD_MAX
    };
    sizes.map(fits).take_while(|fits| *fits).count()
}

/// Leaves out entries at the end; says how many.
fn shorten<T>(steps: &mut BTreeMap<PathBuf, Step<T>>) -> usize {
    let told = told(steps.keys().map(|path| path.as_os_str().len()));
    let rest = steps.keys().nth(told).cloned();
    rest.map_or(0, |rest| steps.split_off(&rest).len())
}

fn databases(old: &Manifest, new: &Manifest) -> BTreeMap<PathBuf, Step<DatabaseSize>> {
    let size = |it: &Database| DatabaseSize {
        built: it.built,
        networks_v4: it.networks_v4,
        networks_v6: it.networks_v6,
    };
    let parts = |it: &Database| (it.path.clone(), (it.sha256.clone(), size(it)));
    differing(
        old.databases.iter().map(parts),
        new.databases.iter().map(parts),
    )
}

fn list_files(old: &Manifest, new: &Manifest) -> BTreeMap<PathBuf, Step<usize>> {
    let parts = |it: &ListFile| (it.path.clone(), (it.sha256.clone(), it.prefixes));
    differing(
        old.list_files.iter().map(parts),
        new.list_files.iter().map(parts),
    )
}

fn lists(old: &Manifest, new: &Manifest) -> BTreeMap<String, Step<usize>> {
    let parts = |(name, it): (&String, &ListSize)| (name.clone(), (it.sha256.clone(), it.prefixes));
    differing(old.lists.iter().map(parts), new.lists.iter().map(parts))
}

/// The values of those keys whose identity is another before and after.
fn differing<K: Ord + Clone, T: Copy>(
    old: impl Iterator<Item = (K, (String, T))>,
    new: impl Iterator<Item = (K, (String, T))>,
) -> BTreeMap<K, Step<T>> {
    let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = (old.collect(), new.collect());
    let keys: BTreeSet<&K> = old.keys().chain(new.keys()).collect();
    let step = |key: &K| {
        let (before, after) = (old.get(key), new.get(key));
        let same = before.map(|it| &it.0) == after.map(|it| &it.0);
        (!same).then(|| Step {
            before: before.map(|it| it.1),
            after: after.map(|it| it.1),
        })
    };
    keys.into_iter()
        .filter_map(|key| Some((key.clone(), step(key)?)))
        .collect()
}

impl DatabaseSize {
    /// For people.
    #[must_use]
    pub fn text(self) -> String {
        let Self {
            built,
            networks_v4,
            networks_v6,
        } = self;
        format!("{networks_v4} IPv4 and {networks_v6} IPv6 networks, built {built:.0}")
    }
}

/// The lines that tell people about steps of things with these names.
pub(crate) fn lines<'a, T: Copy + 'a>(
    steps: impl Iterator<Item = (&'a Path, &'a Step<T>)>,
    text: impl Fn(T) -> String,
) -> Vec<String> {
    steps
        .map(|(name, step)| {
            let [before, after] =
                [step.before, step.after].map(|it| it.map_or_else(|| "nothing".to_owned(), &text));
            if before == after {
                format!("{}: other content, {after} as before", name.display())
            } else {
                format!("{}: {before} before, {after} now", name.display())
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(parts: &[(&'static str, &str, u32)]) -> Vec<(&'static str, (String, u32))> {
        let part = |&(key, identity, value): &(&'static str, &str, u32)| {
            (key, (identity.to_owned(), value))
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn what_differs_is_what_has_another_identity() {
        let old = strings(&[("same", "x", 1), ("other", "x", 2), ("gone", "x", 3)]);
        let new = strings(&[("same", "x", 1), ("other", "y", 2), ("new", "x", 4)]);
        let found = differing(old.into_iter(), new.into_iter());
        let step = |before, after| Step { before, after };
        let expected = BTreeMap::from([
            ("other", step(Some(2), Some(2))),
            ("gone", step(Some(3), None)),
            ("new", step(None, Some(4))),
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let step = Step {
            before: Some(1),
            after: Some(2),
        };
        let few = Change {
            generation: step,
            config_sha256: None,
            databases: BTreeMap::new(),
            list_files: [(PathBuf::from("/a"), step_of_sizes())].into(),
            lists: BTreeMap::new(),
            attached: vec!["eth0".to_owned()],
            detached: Vec::new(),
            memory: None,
            forced: vec!["shrank".to_owned()],
            warnings: vec!["odd".to_owned()],
            left_out: 0,
        };
        let mut short = few.clone();
        short.shorten();
        assert_eq!(short, few);
        let mut many = few;
        for number in 0..14_000 {
            let path = PathBuf::from(format!("/etc/gate/lists/{number:05}.txt"));
            many.list_files.insert(path, step_of_sizes());
            many.warnings.push(format!("warning {number}"));
        }
        let (files, warnings) = (many.list_files.len(), many.warnings.len());
        many.shorten();
        assert!(serde_json::to_vec(&many).unwrap().len() < 5 * TOLD_MAX);
        assert!(many.warnings.len() > 100 && many.list_files.len() > 100);
        assert_eq!(many.warnings.first().unwrap(), "odd");
        let told = many.warnings.len() + many.list_files.len();
        assert_eq!(many.left_out, files + warnings - told);
        // One that is too long alone.
        many.forced = vec!["x".repeat(TOLD_MAX)];
        many.shorten();
        assert!(many.forced.is_empty());
    }

    fn step_of_sizes() -> Step<usize> {
        Step {
            before: Some(120),
            after: Some(131),
        }
    }

    #[test]
    fn people_are_told_what_was_and_what_is() {
        let steps = [
            ("a", Some(1), Some(2)),
            ("b", None, Some(2)),
            ("c", Some(2), Some(2)),
        ]
        .map(|(name, before, after)| (Path::new(name), Step { before, after }));
        let lines = lines(steps.iter().map(|(name, step)| (*name, step)), |it: u32| {
            format!("{it} prefixes")
        });
        assert_eq!(
            lines,
            [
                "a: 1 prefixes before, 2 prefixes now",
                "b: nothing before, 2 prefixes now",
                "c: other content, 2 prefixes as before"
            ]
        );
    }
}
