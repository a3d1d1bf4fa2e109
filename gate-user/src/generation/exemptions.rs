//! Other exemptions in a generation that is otherwise as it was.
//!
//! What is in force of the access list is all in the generation's own source map and rules: no file but that of the exemptions, no database
//! and no configuration is needed to make the list anew. Every other table stays the same, and is shared.

use std::{collections::HashMap, path::PathBuf};

use gate_common::{
    Action, Answer, Policy,
    abi::{self, List},
    decide::SOURCE_LENGTHS,
};
use jiff::Timestamp;

use super::{
    Manifest, Plan, PlanError, SourceMap,
    lists::compile,
    prefix::Prefix,
    rules::{Rules, unix_ns},
};
use crate::config::{ListFile, PoolPrefix, exemptions::POOL};

/// An exemption, wherever it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// Whose port 25 is open.
    pub prefix: Prefix,
    /// Until when, in nanoseconds of UNIX time; 0 is without end.
    pub until_ns: u64,
    /// The file that has it.
    pub file: PathBuf,
    /// The line in it.
    pub line: u32,
    /// The operator's note.
    pub ticket: Option<String>,
    /// Since when it has been in force.
    pub since: Timestamp,
}

impl Exemption {
    /// When it ends; nothing if it does not.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        (self.until_ns != 0)
            .then(|| Timestamp::from_nanosecond(self.until_ns.into()).unwrap_or(Timestamp::MAX))
    }

    /// Those of a generation.
    #[must_use]
    pub fn of(sources: &SourceMap, rules: &[abi::Rule]) -> Vec<Self> {
        let own = sources.of(List::Access).filter(|it| it.owner == Some(POOL));
        own.filter_map(|it| {
            let (file, line) = it.place?;
            Some(Self {
                prefix: it.prefix,
                until_ns: rules.get(usize::from(it.number))?.until_ns,
                file: file.to_owned(),
                line,
                ticket: it.ticket.map(str::to_owned),
                since: it.since,
            })
        })
        .collect()
    }

    /// Those of a file, which are in force since `now` unless they were `before`.
    #[must_use]
    pub fn listed(read: &[PoolPrefix], before: &[Self], now: Timestamp) -> Vec<Self> {
        let since: HashMap<Prefix, Timestamp> =
            before.iter().map(|it| (it.prefix, it.since)).collect();
        let exemption = |it: &PoolPrefix| {
            let prefix = Prefix::from(it.prefix);
            Self {
                prefix,
                until_ns: it.until.map_or(0, unix_ns),
                file: it.origin.file.to_path_buf(),
                line: it.origin.line,
                ticket: it.ticket.clone(),
                since: since.get(&prefix).copied().unwrap_or(now),
            }
        };
        read.iter().map(exemption).collect()
    }
}

/// The list file of the exemptions of a generation.
#[must_use]
pub fn list_file(manifest: &Manifest) -> Option<&ListFile> {
    let path = manifest.exemptions.as_ref()?;
    manifest.list_files.iter().find(|it| it.path == *path)
}

impl Plan {
    /// Whether it can have exemptions: its configuration names a file of them.
    #[must_use]
    pub fn has_exemptions(&self) -> bool {
        self.manifest.exemptions.is_some()
    }

    /// The same with these exemptions and no others, which are in `file`.
    pub fn exempt(&mut self, exemptions: &[Exemption], file: &ListFile) -> Result<(), PlanError> {
        let pool_counter = self
            .manifest
            .pools
            .iter()
            .find(|it| it.name == POOL)
            .map_or(0, |it| it.counter);
        let exempt = |until_ns| abi::Rule {
            until_ns,
            effective_from_ns: 0,
            next: 0,
            pool_counter,
            prefix_counter: 0,
            policy: Policy::Exempt as u8,
            action: Action::Observe as u8,
            answer: Answer::Drop as u8,
            source_v4: SOURCE_LENGTHS.0,
            source_v6: SOURCE_LENGTHS.1,
            reserved: [0; 7],
        };
        let rule = |number: u16| {
            let rule = self.rules.get(usize::from(number));
            rule.copied().unwrap_or_default()
        };
        let others = self.source_map.take(List::Access, POOL);
        let mut entries: Vec<_> = others
            .into_iter()
            .map(|entry| (rule(entry.number), entry))
            .collect();
        for it in exemptions {
            entries.push((exempt(it.until_ns), self.source_map.entry(it, POOL)));
        }
        // As when the configuration is read: shorter ones first, and of the same prefix the exemption last.
        entries.sort_by_key(|(_, entry)| (entry.prefix().length(), entry.prefix().addr()));
        let mut rules = Rules::none();
        for (rule, entry) in entries {
            let number = rules.place(entry.prefix(), rule)?;
            self.source_map.put(entry, number);
        }
        let table = compile(List::Access, &rules.access)?;
        if let Some(size) = self.manifest.lists.get_mut(List::Access.name()) {
            size.prefixes = rules.access.len();
            size.bytes = table.bytes();
            size.sha256 = table.sha256();
        }
        self.lists.replace(List::Access, table);
        self.rules = rules.table;
        let of_file = |it: &&mut ListFile| it.path == file.path;
        match self.manifest.list_files.iter_mut().find(of_file) {
            Some(known) => *known = file.clone(),
            None => self.manifest.list_files.push(file.clone()),
        }
        Ok(())
    }
}
