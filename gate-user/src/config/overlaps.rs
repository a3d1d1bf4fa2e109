//! How the prefixes of all pools lie in one another.
//!
//! Pools may overlap: the longest prefix wins, and after its deadline the next covering one. What is checked here is
//! that no prefix is in two pools (exemptions apart, which win), and that the kernel can follow every chain of deadlines.

use std::collections::HashSet;

use gate_common::{Policy, abi::DEADLINES};
use jiff::Timestamp;

use super::{
    Pool, PoolPrefix, Treatment, exemptions,
    problem::Problems,
    repeats::{self, Repeat, without},
};

/// Reports prefixes that are listed twice; drops those that say the same twice.
pub(super) fn drop_repeats(pools: &mut [Pool], problems: &mut Problems) {
    let repeats = repeats::find(members(pools).map(|(_, prefix)| prefix.prefix));
    if repeats.is_empty() {
        return;
    }
    let flat: Vec<_> = members(pools).collect();
    let mut needless = HashSet::new();
    for Repeat { first, again } in repeats {
        if let (Some(first), Some(second)) = (flat.get(first), flat.get(again)) {
            report_repeat(first, second, problems);
            needless.insert(again);
        }
    }
    let mut position = 0;
    for pool in pools {
        let own = (0..pool.prefixes.len())
            .filter(|index| needless.contains(&(position + index)))
            .collect();
        position += pool.prefixes.len();
        pool.prefixes = without(std::mem::take(&mut pool.prefixes), &own);
    }
}

fn report_repeat(
    (first_pool, first): &(&Pool, &PoolPrefix),
    (pool, prefix): &(&Pool, &PoolPrefix),
    problems: &mut Problems,
) {
    let (net, origin, place) = (prefix.prefix, prefix.origin.clone(), &first.origin);
    if first_pool.name != pool.name {
        problems.error(
            origin,
            format!(
                "{net} is in the pool `{}` and in the pool `{}` (at {place}), which treat it differently",
                pool.name, first_pool.name
            ),
            "delete one of the two; a longer prefix may lie within a shorter one of another pool",
        );
    } else if first.until != prefix.until {
        problems.error(
            origin,
            format!(
                "{net} is in the pool `{}` twice, {} here and {} at {place}",
                pool.name,
                deadline(prefix.until),
                deadline(first.until)
            ),
            "delete the one that is out of date",
        );
    } else {
        problems.warn(
            &origin,
            format!(
                "{net} is in the pool `{}` twice; the first time at {place}",
                pool.name
            ),
            "delete one of the two".to_owned(),
        );
    }
}

fn deadline(until: Option<Timestamp>) -> String {
    until.map_or_else(
        || "without end".to_owned(),
        |until| format!("until {until}"),
    )
}

/// Reports chains of deadlines that are too long for the kernel; warns of deadlines that have passed.
///
/// `unlisted` is how sources in no pool are treated.
pub(super) fn check_deadlines(
    pools: &[Pool],
    unlisted: Option<Treatment>,
    now: Timestamp,
    problems: &mut Problems,
) {
    if members(pools).all(|(_, prefix)| prefix.until.is_none()) {
        return;
    }
    let mut sorted: Vec<_> = members(pools).collect();
    // A covering prefix comes before those that it covers, and an exemption after the same prefix of another pool.
    sorted.sort_by_key(|(_, prefix)| prefix.prefix);
    let mut covering: Vec<(&Pool, &PoolPrefix)> = Vec::new();
    for (pool, prefix) in sorted {
        while covering
            .pop_if(|(_, outer)| !outer.prefix.contains(&prefix.prefix))
            .is_some()
        {}
        if let Some(until) = prefix.until {
            check_chain(prefix, until, &covering, problems);
            // Exemptions end every day, and stay in their file until somebody deletes them.
            if until <= now && pool.name != exemptions::POOL {
                let next = covering
                    .iter()
                    .rfind(|(_, outer)| outer.until.is_none_or(|until| until > now));
                warn_expired(pool, prefix, until, next, unlisted, problems);
            }
        }
        covering.push((pool, prefix));
    }
}

fn check_chain(
    prefix: &PoolPrefix,
    until: Timestamp,
    covering: &[(&Pool, &PoolPrefix)],
    problems: &mut Problems,
) {
    let mut last = until;
    let mut deadlines = 1;
    for (_, outer) in covering.iter().rev() {
        match outer.until {
            None => break,
            // One that passes before those inside it is never reached.
            Some(until) if until > last => {
                last = until;
                deadlines += 1;
            }
            Some(_) => {}
        }
    }
    if deadlines > DEADLINES {
        problems.error(
            prefix.origin.clone(),
            format!(
                "{deadlines} deadlines follow one another for {}: its own and those of prefixes that cover it; \
                 the kernel follows {DEADLINES}",
                prefix.prefix
            ),
            "delete deadlines that have passed, or give fewer covering prefixes a deadline",
        );
    }
}

fn warn_expired(
    pool: &Pool,
    prefix: &PoolPrefix,
    until: Timestamp,
    next: Option<&(&Pool, &PoolPrefix)>,
    unlisted: Option<Treatment>,
    problems: &mut Problems,
) {
    let now = match (next, unlisted.map(|unlisted| unlisted.policy)) {
        (Some((pool, outer)), _) => format!("{} of the pool `{}` applies", outer.prefix, pool.name),
        (None, None) => "no pool names it".to_owned(),
        (None, Some(Policy::Exempt)) => {
            "no pool names it, and `unlisted = \"pass\"` applies".to_owned()
        }
        (None, Some(Policy::Restrict)) => {
            "no pool names it, and `unlisted = \"refuse\"` applies".to_owned()
        }
    };
    problems.warn(
        &prefix.origin,
        format!(
            "{} in the pool `{}` expired at {until}: now {now}",
            prefix.prefix, pool.name
        ),
        "delete it, or set a later `until`".to_owned(),
    );
}

/// Every prefix with its pool, in the order of the configuration.
fn members(pools: &[Pool]) -> impl Iterator<Item = (&Pool, &PoolPrefix)> {
    pools
        .iter()
        .flat_map(|pool| pool.prefixes.iter().map(move |prefix| (pool, prefix)))
}
