//! The rules for sources: which pool a prefix belongs to, until when, and what follows.

use std::collections::HashMap;

use gate_common::abi;

use super::{
    manifest,
    numbers::{Numbers, TooMany},
    prefix::Prefix,
    table::PrefixTable,
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

/// Either limit of the rule table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Of counters.
    #[error(transparent)]
    Counters(#[from] TooMany),
    /// Of deadlines.
    #[error(transparent)]
    Deadlines(#[from] TooManyDeadlines),
}

/// The rule table in the making. Rule 0 is none.
pub(super) struct Rules {
    pub(super) access: PrefixTable,
    pub(super) table: Vec<abi::Rule>,
    pub(super) prefixes: Vec<manifest::CountedPrefix>,
    interned: HashMap<abi::Rule, u32>,
}

impl Rules {
    /// Makes the rules of all pools, whose counters are `pool_counters`.
    pub(super) fn new(
        pools: &[Pool],
        pool_counters: &[u32],
        numbers: &mut Numbers,
    ) -> Result<Self, RulesError> {
        let mut rules = Self {
            access: PrefixTable::default(),
            table: vec![abi::Rule::default()],
            prefixes: Vec::new(),
            interned: HashMap::new(),
        };
        let mut prefixes: Vec<(Prefix, usize, &Pool, &PoolPrefix)> = pools
            .iter()
            .enumerate()
            .flat_map(|(index, pool)| {
                pool.prefixes
                    .iter()
                    .map(move |it| (it.prefix.into(), index, pool, it))
            })
            .collect();
        // Shorter ones first, so that what covers a prefix is there before it.
        prefixes.sort_by_key(|(prefix, ..)| (prefix.length(), prefix.addr()));
        for (prefix, index, pool, source) in prefixes {
            let counter = pool_counters.get(index).copied().unwrap_or(0);
            rules.add(prefix, (index, counter), pool, source, numbers)?;
        }
        rules.access = rules.access.shielded();
        Ok(rules)
    }

    fn add(
        &mut self,
        prefix: Prefix,
        (pool_index, pool_counter): (usize, u32),
        pool: &Pool,
        source: &PoolPrefix,
        numbers: &mut Numbers,
    ) -> Result<(), RulesError> {
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
        let next = if until_ns == 0 {
            0
        } else {
            self.after(prefix, until_ns)?
        };
        let Treatment {
            policy,
            action,
            answer,
        } = pool.treatment;
        let rule = abi::Rule {
            until_ns,
            next,
            pool_counter,
            prefix_counter,
            policy: policy as u8,
            action: action as u8,
            answer: answer as u8,
            source_v4: pool.source_v4,
            source_v6: pool.source_v6,
            reserved: [0; 7],
        };
        let number = if let Some(number) = self.interned.get(&rule) {
            *number
        } else {
            let number = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
            self.table.push(rule);
            self.interned.insert(rule, number);
            number
        };
        self.access.insert(prefix, number);
        Ok(())
    }

    /// The rule that applies to `prefix` once the deadline `until_ns` has passed; 0 is none.
    fn after(&self, prefix: Prefix, until_ns: u64) -> Result<u32, TooManyDeadlines> {
        let covering = self.access.longest(prefix.addr()).filter(|(covering, _)| {
            // ::/0 covers the IPv4-mapped addresses by its bits only.
            covering.covers(prefix) && (!prefix.addr().is_v4() || covering.addr().is_v4())
        });
        let mut number = covering.map_or(0, |(_, number)| number);
        // What ends before `prefix` does never applies after it.
        while let Some(rule) = self.rule(number)
            && rule.until_ns != 0
            && rule.until_ns <= until_ns
        {
            number = rule.next;
        }
        let mut following = 0;
        let mut walked = number;
        while let Some(rule) = self.rule(walked)
            && rule.until_ns != 0
        {
            following += 1;
            walked = rule.next;
        }
        if following < abi::DEADLINES {
            Ok(number)
        } else {
            Err(TooManyDeadlines { prefix })
        }
    }

    fn rule(&self, number: u32) -> Option<&abi::Rule> {
        if number == 0 {
            None
        } else {
            self.table.get(number as usize)
        }
    }
}

/// UNIX time in nanoseconds; what lies before 1970 ended at its first nanosecond, since 0 means never.
fn unix_ns(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0).max(1)
}
