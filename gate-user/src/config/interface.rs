//! `[[interface]]`: what the gate is attached to.

use gate_common::Role;

use super::{
    InterfaceConfig, Mode,
    names::{self, Taken},
    problem::{Problems, Reported},
    section::Section,
    words::word,
};

pub(super) fn read(
    section: Section<'_>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Result<InterfaceConfig, Reported> {
    let name = section.required("name", |item, p| names::INTERFACE.read(item, p), problems);
    let role = section.required("role", word::<Role>, problems);
    let mode = section.optional("mode", word::<Mode>, problems);
    let name = name?;
    taken.take("interface", &name, problems)?;
    Ok(InterfaceConfig {
        name: name.value,
        role: role?.value,
        mode: mode?.map_or(Mode::Auto, |mode| mode.value),
        origin: section.origin,
    })
}
