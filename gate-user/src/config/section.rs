//! One table of the configuration, key by key.
//!
//! serde stops at the first thing that is wrong. Here every key of every table is looked at, and each problem knows the
//! place of the key or value that it is about.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Listed, Origin,
    nearest::nearest,
    origin::Source,
    problem::{Problems, Reported},
    schema::{self, Key, Table},
};

/// A table whose keys are known to be accepted ones.
#[derive(Debug)]
pub(super) struct Section<'t> {
    table: &'static Table,
    /// Where the table is opened.
    pub(super) origin: Origin,
    entries: Vec<(&'static Key, &'t Spanned<DeValue<'t>>)>,
    source: &'t Source<'t>,
}

/// A value that waits to be read.
#[derive(Debug)]
pub(super) struct Item<'t> {
    /// The value.
    pub(super) value: &'t DeValue<'t>,
    /// Where it stands.
    pub(super) place: Place<'t>,
}

/// Where a value stands, and what to call it.
#[derive(Clone, Debug)]
pub(super) struct Place<'t> {
    /// The table that it stands in.
    pub(super) table: &'static Table,
    /// Its key.
    pub(super) key: &'static Key,
    /// Where it is written.
    pub(super) origin: Origin,
    source: &'t Source<'t>,
}

impl<'t> Section<'t> {
    /// The table with those of its keys that are accepted; reports the others.
    pub(super) fn open(
        table: &'static Table,
        content: &'t DeTable<'t>,
        origin: Origin,
        source: &'t Source<'t>,
        problems: &mut Problems,
    ) -> Self {
        let mut entries = Vec::new();
        for (name, value) in content {
            if let Some(key) = table.key(name.get_ref()) {
                entries.push((key, value));
            } else {
                let origin = source.origin(name.span().start);
                refuse(table, name.get_ref(), origin, problems);
            }
        }
        Self {
            table,
            origin,
            entries,
            source,
        }
    }

    /// The path of the table.
    pub(super) fn name(&self) -> &'static str {
        self.table.name
    }

    /// What a message calls the table.
    pub(super) fn title(&self) -> &'static str {
        self.table.title()
    }

    /// The value of a key, read by `read`; `None` if the key is not there.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Item<'t>, &mut Problems) -> Result<T, Reported>,
        problems: &mut Problems,
    ) -> Result<Option<Listed<T>>, Reported> {
        let Some((key, value)) = self.entries.iter().find(|(each, _)| each.name == key) else {
            return Ok(None);
        };
        let origin = self.source.origin(value.span().start);
        let item = Item {
            value: value.get_ref(),
            place: Place {
                table: self.table,
                key,
                origin: origin.clone(),
                source: self.source,
            },
        };
        read(&item, problems).map(|value| Some(Listed { value, origin }))
    }

    /// The value of a key that must be there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Item<'t>, &mut Problems) -> Result<T, Reported>,
        problems: &mut Problems,
    ) -> Result<Listed<T>, Reported> {
        match self.optional(key, read, problems)? {
            Some(value) => Ok(value),
            None => Err(problems.error(
                self.origin.clone(),
                format!("{} has no `{key}`", self.table.title()),
                format!(
                    "add a line such as `{}`",
                    self.table.key(key).map_or(key, |key| key.example)
                ),
            )),
        }
    }

    /// The values of a key that holds a list; none if the key is not there.
    pub(super) fn list<T>(
        &self,
        key: &str,
        read: impl FnMut(&Item<'t>, &mut Problems) -> Result<T, Reported>,
        problems: &mut Problems,
    ) -> Result<Vec<Listed<T>>, Reported> {
        let list = self.optional(key, |item, problems| item.list(read, problems), problems)?;
        Ok(list.map_or_else(Vec::new, |list| list.value))
    }

    /// A table within this one.
    pub(super) fn table(
        &self,
        key: &str,
        table: &'static Table,
        problems: &mut Problems,
    ) -> Result<Option<Section<'t>>, Reported> {
        let section = self.optional(
            key,
            |item, problems| item.section(table, problems),
            problems,
        )?;
        Ok(section.map(|section| section.value))
    }

    /// The tables of an array of tables; each of them may be bad by itself.
    pub(super) fn tables(
        &self,
        key: &str,
        table: &'static Table,
        problems: &mut Problems,
    ) -> Result<Vec<Section<'t>>, Reported> {
        let sections = self.list(
            key,
            |item, problems| item.section(table, problems),
            problems,
        )?;
        Ok(sections.into_iter().map(|section| section.value).collect())
    }
}

impl Place<'_> {
    /// The path of the key, as messages name it.
    pub(super) fn path(&self) -> String {
        self.table.path(self.key.name)
    }
}

impl<'t> Item<'t> {
    /// Reports that the value is not as `expected`.
    pub(super) fn mismatch(&self, expected: &str, problems: &mut Problems) -> Reported {
        let Self { value, place } = self;
        problems.error(
            place.origin.clone(),
            format!(
                "`{}` must be {expected}, not {}",
                place.path(),
                with_article(value.type_str())
            ),
            format!("write it like this: `{}`", place.key.example),
        )
    }

    /// The elements of an array, each with its place. All are read, so that all problems are found.
    pub(super) fn list<T>(
        &self,
        mut read: impl FnMut(&Self, &mut Problems) -> Result<T, Reported>,
        problems: &mut Problems,
    ) -> Result<Vec<Listed<T>>, Reported> {
        let Self { value, place } = self;
        let DeValue::Array(array) = value else {
            return Err(self.mismatch("an array", problems));
        };
        let mut elements = Vec::with_capacity(array.len());
        for element in array {
            let origin = place.source.origin(element.span().start);
            let item = Self {
                value: element.get_ref(),
                place: Place {
                    origin: origin.clone(),
                    ..place.clone()
                },
            };
            elements.push(read(&item, problems).map(|value| Listed { value, origin }));
        }
        elements.into_iter().collect()
    }

    fn section(
        &self,
        table: &'static Table,
        problems: &mut Problems,
    ) -> Result<Section<'t>, Reported> {
        let DeValue::Table(content) = self.value else {
            return Err(self.mismatch("a table", problems));
        };
        let Place { origin, source, .. } = &self.place;
        Ok(Section::open(
            table,
            content,
            origin.clone(),
            source,
            problems,
        ))
    }
}

/// Reports a key that is none of the table's.
fn refuse(table: &'static Table, key: &str, origin: Origin, problems: &mut Problems) {
    if let Some(later) = schema::later(table, key) {
        problems.error(
            origin,
            format!("`{}` is not built yet", later.title()),
            later.hint,
        );
        return;
    }
    let mut names: Vec<_> = table.keys.iter().map(|key| key.name).collect();
    names.sort_unstable();
    let accepted = format!("accepted keys: {}", names.join(", "));
    if let Some(reason) = schema::never(table, key) {
        problems.error(
            origin,
            format!("there is no `{}`: {reason}", table.path(key)),
            format!("leave it out; {accepted}"),
        );
        return;
    }
    problems.error(
        origin,
        format!("unknown key `{key}` in {}", table.title()),
        match nearest(key, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`? {accepted}"),
            None => accepted,
        },
    );
}

fn with_article(type_name: &str) -> String {
    match type_name {
        "integer" | "array" => format!("an {type_name}"),
        other => format!("a {other}"),
    }
}
