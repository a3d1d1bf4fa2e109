//! What of a generation is only observed: by its action, or until its `effective_from`.

use std::fmt;

use gate_common::Action;
use jiff::Timestamp;
use serde::Serialize;

use crate::generation::Manifest;

/// A rule that counts what it would do, and does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// `pool`, `class`, or `unlisted` for sources that no pool names.
    pub kind: &'static str,
    /// The name of the pool or class.
    pub name: Option<String>,
    /// Until when; nothing if its action says so without end.
    pub until: Option<Timestamp>,
}

/// What is only observed at `now`.
pub(crate) fn observed(manifest: &Manifest, now: Timestamp) -> Vec<Observed> {
    let one = |kind, name: Option<&String>, action: &str, from: Option<Timestamp>| {
        let until = match from.filter(|from| now < *from) {
            _ if action == Action::Observe.name() => None,
            None => return None,
            until => until,
        };
        Some(Observed {
            kind,
            name: name.cloned(),
            until,
        })
    };
    let pools = manifest.pools.iter().filter_map(|it| {
        let action = it.action.as_deref()?;
        one("pool", Some(&it.name), action, it.effective_from)
    });
    let unlisted = manifest
        .unlisted
        .iter()
        .filter_map(|it| one("unlisted", None, &it.action, it.effective_from));
    let classes = manifest.classes.iter().filter_map(|it| {
        let action = it.action.as_deref()?;
        one("class", Some(&it.name), action, it.effective_from)
    });
    pools.chain(unlisted).chain(classes).collect()
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, until } = self;
        match name {
            Some(name) => write!(f, "{kind} {name}")?,
            None => write!(f, "sources that no pool names")?,
        }
        match until {
            Some(until) => write!(f, ", until {until} (effective_from)"),
            None => write!(f, " (action)"),
        }
    }
}
