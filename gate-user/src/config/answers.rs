//! `[answers]`: how many answers refused clients get.

use super::{
    Answers, limit,
    problem::{Problems, Reported},
    schema::{ANSWERS_SOURCE, ANSWERS_TOTAL},
    section::Section,
};

pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Answers, Reported> {
    let default = Answers::default();
    let Some(section) = section? else {
        return Ok(default);
    };
    let source = limit::read(&section, "source", ANSWERS_SOURCE, problems);
    let total = limit::read(&section, "total", ANSWERS_TOTAL, problems);
    Ok(Answers {
        source: source?.unwrap_or(default.source),
        total: total?.unwrap_or(default.total),
    })
}
