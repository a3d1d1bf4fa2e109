//! VLAN IDs: `["100-199", 300]`.

use std::{fmt, ops::RangeInclusive};

use toml::de::DeValue;

use super::{
    Listed,
    fault::Fault,
    problem::{Problems, Reported},
    section::Item,
};

/// The IDs that a VLAN can have (IEEE 802.1Q clause 9.6).
const VALID: RangeInclusive<u16> = 1..=4094;

/// A set of VLAN IDs, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlans(Vec<RangeInclusive<u16>>);

impl Vlans {
    /// The set of what a configuration lists. Ranges are in order and do not overlap.
    pub(super) fn of(listed: &[Listed<RangeInclusive<u16>>]) -> Self {
        let mut ranges: Vec<_> = listed.iter().map(|it| it.value.clone()).collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        Self(ranges)
    }

    /// The set that is written so by its [`fmt::Display`].
    pub(crate) fn written(text: &str) -> Option<Self> {
        let ranges: Option<Vec<_>> = text.split(',').map(|it| parse(it).ok()).collect();
        ranges.map(Self)
    }

    /// Every ID.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.0.iter().cloned().flatten()
    }
}

impl fmt::Display for Vlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(&text(range))?;
        }
        Ok(())
    }
}

/// A range as it is written.
pub(super) fn text(range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// Reads an element of the list.
pub(super) fn range(
    item: &Item<'_>,
    problems: &mut Problems,
) -> Result<RangeInclusive<u16>, Reported> {
    let written = match item.value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(_) => super::values::integer(item, problems)?.to_string(),
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            return Err(item.mismatch("a list of VLAN IDs and ranges", problems));
        }
    };
    parse(&written)
        .map_err(|Fault { message, hint }| problems.error(item.place.origin.clone(), message, hint))
}

fn parse(written: &str) -> Result<RangeInclusive<u16>, Fault> {
    let (first, last) = written.split_once('-').unwrap_or((written, written));
    let id = |digits: &str| {
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
            .filter(|id| VALID.contains(id))
    };
    match (id(first), id(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        (Some(first), Some(last)) => Err(Fault::new(
            format!("`{written}` is no range of VLAN IDs: it ends before it begins"),
            format!("did you mean \"{last}-{first}\"?"),
        )),
        _ => Err(Fault::new(
            format!("`{written}` is no VLAN ID, and no range of them"),
            format!(
                "write a number from {} to {}, or two with a `-` between, for example \"100-199\"",
                VALID.start(),
                VALID.end()
            ),
        )),
    }
}
