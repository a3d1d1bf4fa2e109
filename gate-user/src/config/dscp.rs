//! `class.dscp`, and `[tags]` as far as it is about code points.

use std::collections::{HashMap, hash_map::Entry};

use gate_common::Scope;
use toml::de::DeValue;

use super::{
    Listed, Origin, class,
    problem::{Problems, Reported},
    section::{Item, Section},
    values::{boolean, integer},
    words::word,
};

/// What `[tags]` says about code points.
#[derive(Debug, Default)]
pub(super) struct Draft {
    on: Option<Listed<Scope>>,
    pub(super) over: Option<Listed<u8>>,
    /// Where it says that other code points are taken away.
    pub(super) bleach: Option<Origin>,
}

/// Which packets get a code point, and which one connections over the limit get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dscps {
    pub(super) all: bool,
    pub(super) over: Option<u8>,
    pub(super) bleach: bool,
}

/// Names of code points (RFC 2474, RFC 2597, RFC 3246, RFC 5865, RFC 8622).
const NAMES: [(&str, u8); 24] = [
    ("df", 0),
    ("cs0", 0),
    ("le", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// CS6 and CS7: routers keep them for one another (RFC 4594 section 3.2).
const CONTROL: [u8; 2] = [48, 56];
/// The greatest code point: it has six bits.
const GREATEST: u8 = 63;

pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Result<Draft, Reported> {
    let on = section.optional("dscp_on", word::<Scope>, problems);
    let over = section.optional("over_dscp", code_point, problems);
    let bleach = section.optional("bleach", boolean, problems);
    Ok(Draft {
        on: on?,
        over: over?,
        bleach: bleach?.and_then(|bleach| bleach.value.then_some(bleach.origin)),
    })
}

/// Reads a code point: a number or a name.
pub(super) fn code_point(item: &Item<'_>, problems: &mut Problems) -> Result<u8, Reported> {
    let (path, origin) = (item.place.path(), item.place.origin.clone());
    let accepted = || {
        let names = NAMES
            .iter()
            .filter(|(_, number)| !CONTROL.contains(number))
            .map(|(name, _)| format!("\"{name}\""));
        format!(
            "accepted values: 0 to {GREATEST}, {}",
            names.collect::<Vec<_>>().join(", ")
        )
    };
    let (written, found) = match item.value {
        DeValue::String(name) => {
            let known = NAMES
                .iter()
                .find(|(known, _)| name.eq_ignore_ascii_case(known));
            (format!("\"{name}\""), known.map(|(_, number)| *number))
        }
        DeValue::Integer(_) => {
            let number = integer(item, problems)?;
            let found = u8::try_from(number).ok().filter(|it| *it <= GREATEST);
            (number.to_string(), found)
        }
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            return Err(item.mismatch("a code point: a number or a name", problems));
        }
    };
    match found {
        None => Err(problems.error(origin, format!("`{path}` cannot be {written}"), accepted())),
        Some(number) if CONTROL.contains(&number) => Err(problems.error(
            origin,
            format!(
                "`{path}` cannot be {written}: that code point is reserved for routing protocols (RFC 4594)"
            ),
            accepted(),
        )),
        Some(number) => Ok(number),
    }
}

/// Makes sure that every code point can be told from every other.
pub(super) fn combine(
    draft: Draft,
    classes: &[&class::Draft],
    problems: &mut Problems,
) -> Result<Dscps, Reported> {
    let Draft { on, over, bleach } = draft;
    let points = classes
        .iter()
        .filter_map(|class| Some((format!("the class `{}`", class.name), class.dscp.as_ref()?)));
    let over_point = over
        .as_ref()
        .map(|over| ("`tags.over_dscp`".to_owned(), over));
    let mut outcome = Ok(());
    let mut taken: HashMap<u8, (String, &Listed<u8>)> = HashMap::new();
    for (what, point) in points.chain(over_point) {
        match taken.entry(point.value) {
            Entry::Vacant(vacant) => {
                vacant.insert((what, point));
            }
            Entry::Occupied(first) => {
                let (other, first) = first.get();
                outcome = Err(problems.error(
                    point.origin.clone(),
                    format!(
                        "{what} has the code point {}, which is that of {other} (at {})",
                        point.value, first.origin
                    ),
                    "give each a code point of its own: nobody could tell the two apart",
                ));
            }
        }
    }
    if let Some(on) = &on
        && taken.is_empty()
    {
        problems.warn(
            &on.origin,
            "`tags.dscp_on` is there, but no class has a `dscp`: no code point is written"
                .to_owned(),
            "add `dscp = \"cs1\"` to a [[class]], or leave `dscp_on` out".to_owned(),
        );
    }
    outcome?;
    Ok(Dscps {
        all: !taken.is_empty() && on.is_some_and(|on| on.value == Scope::All),
        over: over.map(|over| over.value),
        bleach: bleach.is_some(),
    })
}
