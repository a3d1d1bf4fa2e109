//! Who may read tags, and whether they can.

use crate::{
    error::Error,
    pins::{Pins, Readers},
};

/// Looks at the pins, and at the way to them, for members of `group`.
pub(super) fn check(
    group: Option<&str>,
    pins: &Pins,
    problems: &mut Vec<String>,
) -> Result<(), Error> {
    let readers = match group {
        None => Readers::NOBODY,
        Some(group) => match Readers::named(group) {
            Ok(Some(readers)) => readers,
            Ok(None) => {
                problems.push(format!(
                    "this machine has no group `{group}` any more, whose members may read tags: `groupadd --system {group}`, \
                     then `gate reload`"
                ));
                return Ok(());
            }
            Err(error) => {
                problems.push(format!(
                    "the group `{group}`, whose members may read tags, cannot be looked up: {error}"
                ));
                return Ok(());
            }
        },
    };
    if !readers.settled(pins)? {
        problems.push(
            "pins have another group or other permissions than [tags] asks for; `gate reload` puts that right, or `gate run` \
             where no daemon runs"
                .to_owned(),
        );
    }
    if let (Some(group), Some(blocked)) = (group, readers.blocked(pins)?) {
        problems.push(format!(
            "the group `{group}` cannot get to the pins: {blocked}; {}",
            blocked.hint()
        ));
    }
    Ok(())
}
