//! `guard`, under `[geoip]` and `[lists]`: how much data may change before a person has to look at it.

use super::{
    Guard,
    problem::{Problems, Reported},
    schema::Table,
    section::Section,
    values::number,
};

/// Reads the `guard` of `section`, a table of the kind `table`.
pub(super) fn read(
    section: &Section<'_>,
    table: &'static Table,
    problems: &mut Problems,
) -> Result<Guard, Reported> {
    let Guard { shrink, grow } = Guard::default();
    let Some(guard) = section.table("guard", table, problems)? else {
        return Ok(Guard { shrink, grow });
    };
    let shrinks = guard.optional(
        "shrink",
        number(0.0..=1.0, "0.0 (nothing may go) to 1.0 (everything may)"),
        problems,
    );
    let grows = guard.optional(
        "grow",
        number(
            0.0..=f64::MAX,
            "0.0 (nothing may come) and more; 1.0 is twice as many",
        ),
        problems,
    );
    Ok(Guard {
        shrink: shrinks?.map_or(shrink, |it| it.value),
        grow: grows?.map_or(grow, |it| it.value),
    })
}
