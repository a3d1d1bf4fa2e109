//! `[[access]]`: a pool of subscriber prefixes.

use gate_common::decide::SOURCE_LENGTHS;
use jiff::Timestamp;

use super::{
    Pool, PoolPrefix, exemptions,
    files::Files,
    names::{self, Taken},
    problem::{Problems, Reported},
    schema::SOURCE_PREFIX,
    section::Section,
    source_prefix,
    treatment::Inherited,
    values::{instant, path, prefix},
};

pub(super) fn read(
    section: Section<'_>,
    inherited: &Inherited,
    files: &mut Files<'_>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Result<Pool, Reported> {
    let name = section.required("name", |item, p| names::POOL.read(item, p), problems);
    let treatment = inherited.pool(&section, problems);
    let until = section.optional("until", instant, problems);
    let source_lengths = source_prefix::read(&section, SOURCE_PREFIX, SOURCE_LENGTHS, problems);
    let prefixes = prefixes(&section, files, problems);
    let name = name?;
    taken.take("pool", &name, problems)?;
    if name.value == exemptions::POOL {
        return Err(problems.error(
            name.origin,
            format!(
                "no pool can be called `{}`: that is the pool of `[exemptions]`",
                exemptions::POOL
            ),
            "give the pool another name",
        ));
    }
    let mut prefixes = prefixes?;
    if prefixes.is_empty() {
        return Err(problems.error(
            section.origin,
            format!("the pool `{}` has no prefix", name.value),
            "add `prefixes = [...]` or `files = [...]` with at least one prefix, or delete the pool",
        ));
    }
    let until = until?.map(|it| it.value);
    if let Some(until) = until {
        for prefix in &mut prefixes {
            prefix.until = Some(earliest(prefix.until, until));
        }
    }
    let (source_v4, source_v6) = source_lengths?;
    Ok(Pool {
        name: name.value,
        treatment: treatment?,
        source_v4,
        source_v6,
        until,
        prefixes,
        origin: section.origin,
    })
}

fn prefixes(
    section: &Section<'_>,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Result<Vec<PoolPrefix>, Reported> {
    let written = section.list("prefixes", prefix, problems);
    let listed = section
        .list("files", path, problems)
        .and_then(|names| files.entries(&names, problems));
    let written = written?.into_iter().map(|prefix| PoolPrefix {
        prefix: prefix.value,
        until: None,
        ticket: None,
        origin: prefix.origin,
        from_toml: true,
    });
    let listed = listed?.into_iter().map(|entry| PoolPrefix {
        prefix: entry.value.prefix,
        until: entry.value.until,
        ticket: entry.value.ticket,
        origin: entry.origin,
        from_toml: false,
    });
    Ok(written.chain(listed).collect())
}

fn earliest(line: Option<Timestamp>, pool: Timestamp) -> Timestamp {
    line.map_or(pool, |line| line.min(pool))
}
