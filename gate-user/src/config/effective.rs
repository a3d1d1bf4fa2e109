//! `effective_from`: before that moment a rule only observes.

use gate_common::Action;
use jiff::Timestamp;

use super::{
    Listed,
    problem::{Problems, Reported},
    section::Section,
    values::instant,
};

/// Reads the key; warns of a moment that has passed.
pub(super) fn read(
    section: &Section<'_>,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Option<Listed<Timestamp>>, Reported> {
    let from = section.optional("effective_from", instant, problems)?;
    if let Some(Listed { value, origin }) = &from
        && *value <= now
    {
        problems.warn(
            origin,
            format!(
                "`effective_from` was at {value}: {} is in force",
                section.title()
            ),
            "delete it, or set a later one to observe until then".to_owned(),
        );
    }
    Ok(from)
}

/// Warns of a moment from which on nothing is done either.
pub(super) fn warn_idle(
    from: Option<&Listed<Timestamp>>,
    action: Action,
    title: &str,
    problems: &mut Problems,
) {
    if let (Some(from), Action::Observe) = (from, action) {
        problems.warn(
            &from.origin,
            format!("`effective_from` changes nothing: the action of {title} is `observe`"),
            "leave it out, or write the action that is to begin then".to_owned(),
        );
    }
}
