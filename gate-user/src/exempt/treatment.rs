//! What port 25 is to a prefix, by the generation in force.

use std::{collections::HashSet, fmt, path::PathBuf};

use gate_common::{Policy, abi::List};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::InForce;
use crate::{
    config::exemptions::POOL,
    generation::{Prefix, Source},
};

/// How many prefixes are named.
const TOLD: usize = 8;

/// What applies to a prefix as a whole; longer prefixes in it may be treated otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Treatment {
    /// The pool; nothing if none names the prefix.
    pub pool: Option<String>,
    /// `restrict` or `exempt`; of what no pool names, what `port25.unlisted` makes of it.
    pub policy: String,
    /// The prefix that names it.
    pub by: Option<String>,
    /// The file that has that.
    pub file: Option<PathBuf>,
    /// The line in it.
    pub line: Option<u32>,
}

impl Treatment {
    /// That of all of `prefix` now.
    pub(super) fn of(in_force: &InForce, prefix: IpNet, now: Timestamp) -> Self {
        let prefix = Prefix::from(prefix);
        let covering = in_force.sources.covering(List::Access, prefix.addr());
        let now_ns = u64::try_from(now.as_nanosecond()).unwrap_or(0);
        let mut covering = covering
            .iter()
            .filter(|it| it.prefix.length() <= prefix.length());
        match covering.find(|it| in_force.lives(it, now_ns)) {
            Some(source) => Self {
                pool: source.owner.map(str::to_owned),
                policy: in_force.policy(source).to_owned(),
                by: Some(source.prefix.to_string()),
                file: source.place.map(|(file, _)| file.to_owned()),
                line: source.place.map(|(_, line)| line),
            },
            None => Self {
                pool: None,
                policy: match in_force.manifest.unlisted {
                    Some(_) => Policy::Restrict,
                    None => Policy::Exempt,
                }
                .to_string(),
                by: None,
                file: None,
                line: None,
            },
        }
    }
}

impl InForce {
    /// Whether a prefix of a pool applies.
    fn lives(&self, source: &Source<'_>, now_ns: u64) -> bool {
        let rule = self.rules.get(usize::from(source.number));
        rule.is_some_and(|it| it.until_ns == 0 || it.until_ns > now_ns)
    }

    fn policy(&self, source: &Source<'_>) -> &str {
        let mut pools = self.manifest.pools.iter();
        let pool = pools.find(|it| Some(it.name.as_str()) == source.owner);
        pool.map_or("", |it| it.policy.as_str())
    }
}

/// What an operator may not expect of an exemption of `prefix`.
pub(super) fn warnings(in_force: &InForce, before: &Treatment, prefix: IpNet) -> Vec<String> {
    let mut warnings = Vec::new();
    if before.policy == Policy::Exempt.to_string() && before.pool.as_deref() != Some(POOL) {
        warnings.push(match &before.pool {
            None => format!(
                "no pool names {prefix}, and port 25 is open to such sources already: see that the prefix is the one that is meant"
            ),
            Some(pool) => format!("port 25 was open to {prefix} already, by the pool {pool}"),
        });
    }
    let shorter = Prefix::from(prefix);
    let now_ns = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
    let exempt: HashSet<Prefix> = in_force
        .sources
        .of(List::Access)
        .filter(|it| it.owner == Some(POOL) && in_force.lives(it, now_ns))
        .map(|it| it.prefix)
        .collect();
    let inside: Vec<String> = in_force
        .sources
        .of(List::Access)
        .filter(|it| it.prefix.length() > shorter.length())
        .filter(|it| it.prefix.addr().is_v4() == shorter.addr().is_v4())
        .filter(|it| Prefix::of(it.prefix.addr(), shorter.length()) == shorter)
        .filter(|it| in_force.policy(it) == Policy::Restrict.to_string())
        .filter(|it| in_force.lives(it, now_ns) && !exempt.contains(&it.prefix))
        .map(|it| match (it.owner, it.place) {
            (Some(pool), Some((file, line))) => {
                format!("{} (pool {pool}, {}:{line})", it.prefix, file.display())
            }
            _ => it.prefix.to_string(),
        })
        .collect();
    if !inside.is_empty() {
        let more = inside.len().saturating_sub(TOLD);
        let named: Vec<String> = inside.into_iter().take(TOLD).collect();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        warnings.push(format!(
            "longer prefixes within {prefix} stay restricted: {}{more}",
            named.join(", ")
        ));
    }
    warnings
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            policy,
            by,
            file,
            line,
        } = self;
        match pool {
            None => write!(f, "{policy}, in no pool")?,
            Some(pool) => write!(f, "{policy}, pool {pool}")?,
        }
        if let Some(by) = by {
            write!(f, " by {by}")?;
        }
        if let (Some(file), Some(line)) = (file, line) {
            write!(f, ", {}:{line}", file.display())?;
        }
        Ok(())
    }
}
