//! How single values are read.

use std::{ops::RangeInclusive, path::PathBuf};

use gate_common::Country;
use ipnet::IpNet;
use jiff::Timestamp;
use toml::de::DeValue;

use super::{
    country,
    fault::Fault,
    prefix,
    problem::{Problems, Reported},
    section::Item,
};

pub(super) fn text(item: &Item<'_>, problems: &mut Problems) -> Result<String, Reported> {
    let DeValue::String(text) = item.value else {
        return Err(item.mismatch("a string", problems));
    };
    Ok(text.to_string())
}

pub(super) fn boolean(item: &Item<'_>, problems: &mut Problems) -> Result<bool, Reported> {
    item.value
        .as_bool()
        .ok_or_else(|| item.mismatch("true or false", problems))
}

/// Reads a path, which is not empty.
pub(super) fn path(item: &Item<'_>, problems: &mut Problems) -> Result<PathBuf, Reported> {
    let (name, origin, example) = (
        item.place.path(),
        item.place.origin.clone(),
        item.place.key.example,
    );
    let path = text(item, problems)?;
    if path.is_empty() {
        return Err(problems.error(
            origin,
            format!("`{name}` has an empty file name"),
            format!("write a path, relative to this file's directory if you like: `{example}`"),
        ));
    }
    Ok(path.into())
}

/// Reads a whole number.
pub(super) fn integer(item: &Item<'_>, problems: &mut Problems) -> Result<i64, Reported> {
    let number = item
        .value
        .as_integer()
        .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
    number.ok_or_else(|| item.mismatch("a whole number", problems))
}

/// Reads a number within `range`, whole or not; `accepted` says what is in it.
pub(super) fn number(
    range: RangeInclusive<f64>,
    accepted: &'static str,
) -> impl FnOnce(&Item<'_>, &mut Problems) -> Result<f64, Reported> {
    move |item, problems| {
        let written = match item.value {
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Integer(_) => integer(item, problems)?.to_string(),
            DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => return Err(item.mismatch("a number", problems)),
        };
        let number = written.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            problems.error(
                item.place.origin.clone(),
                format!("`{}` cannot be {written}", item.place.path()),
                format!("accepted values: {accepted}"),
            )
        })
    }
}

/// Reads a prefix length within `range`.
pub(super) fn length(
    range: RangeInclusive<u8>,
) -> impl FnOnce(&Item<'_>, &mut Problems) -> Result<u8, Reported> {
    move |item, problems| {
        let (name, origin) = (item.place.path(), item.place.origin.clone());
        let number = integer(item, problems)?;
        u8::try_from(number)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                problems.error(
                    origin,
                    format!("`{name}` cannot be {number}"),
                    format!(
                        "accepted values: {} to {}, the number of leading bits that name one source",
                        range.start(),
                        range.end()
                    ),
                )
            })
    }
}

pub(super) fn prefix(item: &Item<'_>, problems: &mut Problems) -> Result<IpNet, Reported> {
    parsed(item, prefix::parse, problems)
}

pub(super) fn country(item: &Item<'_>, problems: &mut Problems) -> Result<Country, Reported> {
    parsed(item, country::parse, problems)
}

/// Reads a string that `parse` understands.
fn parsed<T>(
    item: &Item<'_>,
    parse: fn(&str) -> Result<T, Fault>,
    problems: &mut Problems,
) -> Result<T, Reported> {
    let DeValue::String(text) = item.value else {
        return Err(item.mismatch("a list of strings", problems));
    };
    parse(text)
        .map_err(|Fault { message, hint }| problems.error(item.place.origin.clone(), message, hint))
}

/// Reads a date and time with an offset.
pub(super) fn instant(item: &Item<'_>, problems: &mut Problems) -> Result<Timestamp, Reported> {
    let DeValue::Datetime(written) = item.value else {
        return Err(item.mismatch("a date and time with an offset, without quotes", problems));
    };
    if let (Some(_), Some(_), Some(_)) = (written.date, written.time, written.offset) {
        return written.to_string().parse().map_err(|error| {
            problems.error(
                item.place.origin.clone(),
                format!(
                    "`{}` is no time that can be counted: {error}",
                    item.place.path()
                ),
                format!("write it like this: `{}`", item.place.key.example),
            )
        });
    }
    let Some(date) = written.date else {
        return Err(item.mismatch("a date and time with an offset", problems));
    };
    let time = written
        .time
        .map_or_else(|| "00:00:00".to_owned(), |time| time.to_string());
    Err(problems.error(
        item.place.origin.clone(),
        format!(
            "`{}` has no offset from UTC, so that it names no moment",
            item.place.path()
        ),
        format!(
            "add the offset, for example `{date}T{time}+09:00` for Japan, `{date}T{time}Z` for UTC"
        ),
    ))
}
