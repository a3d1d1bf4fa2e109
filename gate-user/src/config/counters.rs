//! `[counters]`: what is counted one by one, and what of it is kept for how long.

use std::time::Duration;

use super::{
    Counters,
    problem::{Problems, Reported},
    schema::COUNTERS_SOURCE_PREFIX,
    section::{Item, Section},
    source_prefix,
    values::{boolean, text},
};
use crate::bypass::Span;

/// The shortest retention, in seconds: several looks of the daemon, so that what is said here is what happens.
const SHORTEST_S: u64 = 60;
/// The longest: who wants to know for longer keeps totals, which are of nobody.
const LONGEST_S: u64 = 180 * 24 * 60 * 60;
/// As much of an address as the pool or class counts by.
const WHOLE: (u8, u8) = (32, 128);

impl Default for Counters {
    fn default() -> Self {
        let (source_v4, source_v6) = WHOLE;
        Self {
            sources: true,
            retention: Duration::from_hours(24),
            source_v4,
            source_v6,
        }
    }
}

pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Counters, Reported> {
    let default = Counters::default();
    let Some(section) = section? else {
        return Ok(default);
    };
    let sources = section.optional("sources", boolean, problems);
    let retention = section.optional("retention", retention, problems);
    let lengths = source_prefix::read(&section, COUNTERS_SOURCE_PREFIX, WHOLE, problems);
    let (source_v4, source_v6) = lengths?;
    Ok(Counters {
        sources: sources?.map_or(default.sources, |it| it.value),
        retention: retention?.map_or(default.retention, |it| it.value),
        source_v4,
        source_v6,
    })
}

fn retention(item: &Item<'_>, problems: &mut Problems) -> Result<Duration, Reported> {
    let (name, origin) = (item.place.path(), item.place.origin.clone());
    let written = text(item, problems)?;
    let Span(length) = written.parse().map_err(|error| {
        problems.error(
            origin.clone(),
            format!("`{name}`: `{written}` {error}"),
            "hours, minutes and seconds have letters: `24h` is a day".to_owned(),
        )
    })?;
    if (SHORTEST_S..=LONGEST_S).contains(&length.as_secs()) {
        return Ok(length);
    }
    Err(problems.error(
        origin,
        format!("`{name}` cannot be {written}"),
        format!(
            "accepted values: from {}m to {}h, which is {} days; `sources = false` keeps nothing of any source",
            SHORTEST_S / 60,
            LONGEST_S / 60 / 60,
            LONGEST_S / 60 / 60 / 24
        ),
    ))
}
