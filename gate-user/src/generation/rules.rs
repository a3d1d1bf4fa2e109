//! The rules for sources: which pool a prefix belongs to, until when, and what follows.

use std::collections::HashMap;

use gate_common::{
    abi::{self, List},
    table::MAX_NUMBER,
};

use super::{
    manifest,
    numbers::{Numbers, TooMany},
    prefix::Prefix,
    prefixes::Prefixes,
    source_map::{self, Item},
};
use crate::config::{Pool, PoolPrefix, Treatment};

/// A prefix whose deadlines follow one another further than the kernel program walks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{prefix} has more than {} deadlines one after another above it",
    abi::DEADLINES
)]
pub struct TooManyDeadlines {
    /// The prefix.
    pub prefix: Prefix,
}

/// More different rules than a table has numbers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pools make more than {MAX_NUMBER} different rules: each prefix in the configuration makes one, and each deadline"
)]
pub struct TooManyRules;

/// Any limit of the rule table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Of counters.
    #[error(transparent)]
    Counters(#[from] TooMany),
    /// Of deadlines.
    #[error(transparent)]
    Deadlines(#[from] TooManyDeadlines),
    /// Of rules.
    #[error(transparent)]
    Rules(#[from] TooManyRules),
}

/// The rule table in the making. Rule 0 is none.
pub(super) struct Rules {
    pub(super) access: Prefixes,
    pub(super) table: Vec<abi::Rule>,
    pub(super) prefixes: Vec<manifest::CountedPrefix>,
    interned: HashMap<abi::Rule, u16>,
}

impl Rules {
    /// No rules yet.
    pub(super) fn none() -> Self {
        Self {
            access: Prefixes::default(),
            table: vec![abi::Rule::default()],
            prefixes: Vec::new(),
            interned: HashMap::new(),
        }
    }

    /// Makes the rules of all pools, whose counters are `pool_counters`.
    pub(super) fn new(
        pools: &[Pool],
        pool_counters: &[u32],
        numbers: &mut Numbers,
        sources: &mut source_map::Writer<'_>,
    ) -> Result<Self, RulesError> {
        let mut rules = Self::none();
        let mut prefixes: Vec<(Prefix, usize, &Pool, &PoolPrefix)> = pools
            .iter()
            .enumerate()
            .flat_map(|(index, pool)| {
                pool.prefixes
                    .iter()
                    .map(move |it| (it.prefix.into(), index, pool, it))
            })
            .collect();
        // Shorter ones first, so that what covers a prefix is there before it. The pool of exemptions is the last one: where another pool has
        // the same prefix, that comes before it, and follows its deadline.
        prefixes.sort_by_key(|(prefix, ..)| (prefix.length(), prefix.addr()));
        for (prefix, index, pool, source) in prefixes {
            let counter = pool_counters.get(index).copied().unwrap_or(0);
            let number = rules.add(prefix, (index, counter), pool, source, numbers)?;
            sources.add(Item {
                list: List::Access,
                prefix,
                number,
                owner: Some(&pool.name),
                origin: Some(&source.origin),
                ticket: source.ticket.as_deref(),
            });
        }
        Ok(rules)
    }

    fn add(
        &mut self,
        prefix: Prefix,
        (pool_index, pool_counter): (usize, u32),
        pool: &Pool,
        source: &PoolPrefix,
        numbers: &mut Numbers,
    ) -> Result<u16, RulesError> {
        let prefix_counter = if source.from_toml {
            let text = prefix.to_string();
            let counter = numbers.of(manifest::Counted::Prefix(pool.name.clone(), text.clone()))?;
            self.prefixes.push(manifest::CountedPrefix {
                pool: pool_index,
                prefix: text,
                counter,
            });
            counter
        } else {
            0
        };
        let until_ns = source.until.map_or(0, unix_ns);
        let Treatment {
            policy,
            action,
            answer,
            effective_from,
        } = pool.treatment;
        let rule = abi::Rule {
            until_ns,
            effective_from_ns: effective_from.map_or(0, unix_ns),
            next: 0,
            pool_counter,
            prefix_counter,
            policy: policy as u8,
            action: action as u8,
            answer: answer as u8,
            source_v4: pool.source_v4,
            source_v6: pool.source_v6,
            reserved: [0; 7],
        };
        self.place(prefix, rule)
    }

    /// Adds a prefix and its rule, but for what follows its deadline, which is worked out here. What covers the prefix has to be there.
    pub(super) fn place(&mut self, prefix: Prefix, mut rule: abi::Rule) -> Result<u16, RulesError> {
        rule.next = match rule.until_ns {
            0 => 0,
            until_ns => self.after(prefix, until_ns)?.into(),
        };
        let number = if let Some(number) = self.interned.get(&rule) {
            *number
        } else {
            let number = u16::try_from(self.table.len())
                .ok()
                .filter(|number| *number <= MAX_NUMBER)
                .ok_or(TooManyRules)?;
            self.table.push(rule);
            self.interned.insert(rule, number);
            number
        };
        self.access.insert(prefix, number);
        Ok(number)
    }

    /// The rule that applies to `prefix` once the deadline `until_ns` has passed; 0 is none.
    fn after(&self, prefix: Prefix, until_ns: u64) -> Result<u16, TooManyDeadlines> {
        // Whatever has its first address covers it: only shorter prefixes are there yet.
        let covering = self.access.longest(prefix.addr());
        let mut number = covering.map_or(0, |(_, number)| number);
        // What ends before `prefix` does never applies after it.
        while let Some(rule) = self.rule(number)
            && rule.until_ns != 0
            && rule.until_ns <= until_ns
        {
            number = following_rule(rule);
        }
        let mut following = 0;
        let mut walked = number;
        while let Some(rule) = self.rule(walked)
            && rule.until_ns != 0
        {
            following += 1;
            walked = following_rule(rule);
        }
        if following < abi::DEADLINES {
            Ok(number)
        } else {
            Err(TooManyDeadlines { prefix })
        }
    }

    fn rule(&self, number: u16) -> Option<&abi::Rule> {
        if number == 0 {
            None
        } else {
            self.table.get(usize::from(number))
        }
    }
}

/// The number of the rule that follows; all of them were checked to be small.
fn following_rule(rule: &abi::Rule) -> u16 {
    u16::try_from(rule.next).unwrap_or(0)
}

/// UNIX time in nanoseconds, as far as a word goes: what lies before 1970 is its first nanosecond, since 0 says that nothing was written, and
/// what lies after 2554 its last.
pub(super) fn unix_ns(at: jiff::Timestamp) -> u64 {
    let ns = at.as_nanosecond().clamp(1, u64::MAX.into());
    u64::try_from(ns).unwrap_or(u64::MAX)
}
