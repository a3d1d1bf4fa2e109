//! Limits: so many events in so much time, and so many at once.

use super::{
    Limit, Per,
    problem::{Problems, Reported},
    schema::Table,
    section::{Item, Section},
    values::integer,
    words::word,
};

/// The largest number of events, per time or at once.
const MOST: u32 = 1_000_000;
/// The longest time in which a limit may take to allow a whole burst again, in days.
const LONGEST_DAYS: u64 = 366;

/// Reads the limit under `key` of `section`, a table of the kind `table`; `None` if it is not there.
pub(super) fn read(
    section: &Section<'_>,
    key: &str,
    table: &'static Table,
    problems: &mut Problems,
) -> Result<Option<Limit>, Reported> {
    let Some(section) = section.table(key, table, problems)? else {
        return Ok(None);
    };
    of(&section, problems).map(Some)
}

/// Reads the limit that a table holds.
pub(super) fn of(section: &Section<'_>, problems: &mut Problems) -> Result<Limit, Reported> {
    let limit = section.required("limit", events, problems);
    let per = section.required("per", word::<Per>, problems);
    let burst = section.optional("burst", events, problems);
    let (limit, per, burst) = (limit?, per?.value, burst?);
    let origin = burst.as_ref().unwrap_or(&limit).origin.clone();
    let limit = Limit {
        limit: limit.value,
        per,
        burst: burst.map_or(limit.value, |burst| burst.value),
    };
    let days = limit.burst_ns() / Per::Day.nanoseconds();
    if days > LONGEST_DAYS {
        return Err(problems.error(
            origin,
            format!(
                "`{}` allows a burst of {} again after {days} days only",
                section.name(),
                limit.burst
            ),
            format!(
                "write a smaller `burst`, or a larger `limit`: at most {LONGEST_DAYS} days can lie between two whole bursts"
            ),
        ));
    }
    Ok(limit)
}

fn events(item: &Item<'_>, problems: &mut Problems) -> Result<u32, Reported> {
    let number = integer(item, problems)?;
    u32::try_from(number)
        .ok()
        .filter(|number| (1..=MOST).contains(number))
        .ok_or_else(|| {
            problems.error(
                item.place.origin.clone(),
                format!("`{}` cannot be {number}", item.place.path()),
                format!("accepted values: 1 to {MOST}"),
            )
        })
}
