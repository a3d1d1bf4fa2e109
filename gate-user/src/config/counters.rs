//! `[counters]`: what is counted one by one.

use super::{
    Counters,
    problem::{Problems, Reported},
    section::Section,
    values::boolean,
};

pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Counters, Reported> {
    let sources = match section? {
        Some(section) => section.optional("sources", boolean, problems)?,
        None => None,
    };
    Ok(Counters {
        sources: sources.is_none_or(|sources| sources.value),
    })
}
