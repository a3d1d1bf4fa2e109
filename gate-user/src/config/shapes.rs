//! `[shapes]`: what becomes of packets that cannot be read far enough to know their ports.

use gate_common::{Shape, ShapePolicy};

use super::{
    problem::{Problems, Reported},
    section::Section,
    words::word,
};

/// The shapes that are dropped, in the order of their numbers.
pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> Result<Vec<Shape>, Reported> {
    let section = section?;
    let policies: Vec<_> = Shape::ALL
        .iter()
        .filter(|shape| shape.is_unparsed())
        .map(|shape| {
            let written = match &section {
                Some(section) => section.optional(shape.name(), word::<ShapePolicy>, problems)?,
                None => None,
            };
            let policy = written.map_or(shape.policy(), |written| written.value);
            Ok((*shape, policy))
        })
        .collect();
    // All are read first, so that all problems are found.
    let policies = policies.into_iter().collect::<Result<Vec<_>, _>>()?;
    let dropped = policies
        .into_iter()
        .filter(|(_, policy)| *policy == ShapePolicy::Drop);
    Ok(dropped.map(|(shape, _)| shape).collect())
}
