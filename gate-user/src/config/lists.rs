//! `[lists]`: how much list files may change.

use super::{
    Guard, guard,
    problem::{Problems, Reported},
    schema::LISTS_GUARD,
    section::Section,
};

pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Guard, Reported> {
    match section? {
        Some(section) => guard::read(&section, LISTS_GUARD, problems),
        None => Ok(Guard::default()),
    }
}
