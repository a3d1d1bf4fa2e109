//! `source_prefix`: how many leading bits of an address make one source.

use super::{
    problem::{Problems, Reported},
    schema::Table,
    section::Section,
    values::length,
};

/// The lengths for IPv4 and IPv6, those that are not there by `default`; `table` is the key's own.
pub(super) fn read(
    section: &Section<'_>,
    table: &'static Table,
    default: (u8, u8),
    problems: &mut Problems,
) -> Result<(u8, u8), Reported> {
    let Some(lengths) = section.table("source_prefix", table, problems)? else {
        return Ok(default);
    };
    let v4 = lengths.optional("v4", length(1..=32), problems);
    let v6 = lengths.optional("v6", length(1..=128), problems);
    Ok((
        v4?.map_or(default.0, |v4| v4.value),
        v6?.map_or(default.1, |v6| v6.value),
    ))
}
