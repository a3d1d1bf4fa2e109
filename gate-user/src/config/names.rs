//! What interfaces, pools, classes and groups can be called.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    Listed, Origin,
    problem::{Problems, Reported},
    section::Item,
    values::text,
};

/// A kind of name.
pub(super) struct Naming {
    valid: fn(&str) -> bool,
    rule: &'static str,
}

/// Names that Linux gives to interfaces (`dev_valid_name` in `net/core/dev.c`).
pub(super) const INTERFACE: Naming = Naming {
    valid: |name| {
        (1..=15).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace())
    },
    rule: "write the name as `ip link` shows it: 1 to 15 bytes, no `/`, no `:`, no white space",
};

/// Names of pools.
pub(super) const POOL: Naming = Naming {
    valid: |name| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    },
    rule: "write 1 to 64 of the characters A-Z a-z 0-9 . _ -",
};

/// Names of classes.
pub(super) const CLASS: Naming = Naming {
    valid: |name| {
        (1..=32).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    },
    rule: "write 1 to 32 of the characters a-z 0-9 -",
};

/// Names of groups of the system, as far as any tool makes them.
pub(super) const GROUP: Naming = Naming {
    valid: |name| {
        (1..=32).contains(&name.len())
            && !name.starts_with('-')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b':' | b',' | b'/'))
    },
    rule: "write the name of a group as `getent group` shows it: 1 to 32 bytes, no `:`, no `,`, no `/`, no white space",
};

impl Naming {
    /// Reads a name.
    pub(super) fn read(
        &self,
        item: &Item<'_>,
        problems: &mut Problems,
    ) -> Result<String, Reported> {
        let (path, origin) = (item.place.path(), item.place.origin.clone());
        let name = text(item, problems)?;
        if (self.valid)(&name) {
            Ok(name)
        } else {
            Err(problems.error(origin, format!("`{path}` cannot be {name:?}"), self.rule))
        }
    }
}

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Taken(HashMap<String, Origin>);

impl Taken {
    /// Takes a name; reports one that is taken already.
    pub(super) fn take(
        &mut self,
        what: &str,
        name: &Listed<String>,
        problems: &mut Problems,
    ) -> Result<(), Reported> {
        let Listed { value, origin } = name;
        match self.0.entry(value.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(origin.clone());
                Ok(())
            }
            Entry::Occupied(first) => Err(problems.error(
                origin.clone(),
                format!(
                    "a second {what} is called `{value}`; the first one is at {}",
                    first.get()
                ),
                format!("give one {what} another name, or make one of the two"),
            )),
        }
    }
}
