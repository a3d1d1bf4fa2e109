//! The closed sets of words that the configuration uses, and how one is read.

use std::fmt;

use gate_common::{Action, Answer, Policy, Role, Scope};
use toml::de::DeValue;

use super::{
    nearest::nearest,
    problem::{Problems, Reported},
    schema::later_word,
    section::{Item, Place},
};

/// Which kind of XDP an interface gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The driver's.
    Native,
    /// The network stack's: slower, on every device.
    Generic,
    /// Native where the driver has it, else generic.
    Auto,
}

/// Which country of a database's entry counts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountryField {
    /// Where the address is used; the registered country if the entry has no other.
    Country,
    /// Where the address block is registered; the country of use if the entry has no other.
    RegisteredCountry,
}

/// What happens on port 25 to a source that no pool names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlisted {
    Pass,
    Refuse,
}

/// A closed set of words.
pub(super) trait Word: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

impl Mode {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Auto => "auto",
        }
    }
}

impl CountryField {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::RegisteredCountry => "registered_country",
        }
    }
}

impl Unlisted {
    const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for CountryField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

macro_rules! words {
    ($($set:ident: $all:expr;)+) => {
        $(impl Word for $set {
            const ALL: &'static [Self] = $all;

            fn word(self) -> &'static str {
                self.name()
            }
        })+
    };
}

words! {
    Mode: &[Mode::Native, Mode::Generic, Mode::Auto];
    CountryField: &[CountryField::Country, CountryField::RegisteredCountry];
    Unlisted: &[Unlisted::Pass, Unlisted::Refuse];
    Action: Action::ALL;
    Answer: Answer::ALL;
    Policy: Policy::ALL;
    Role: Role::ALL;
    Scope: Scope::ALL;
}

/// Reads one word of a set.
pub(super) fn word<T: Word>(item: &Item<'_>, problems: &mut Problems) -> Result<T, Reported> {
    let DeValue::String(text) = item.value else {
        return Err(item.mismatch("a string", problems));
    };
    let Place {
        table, key, origin, ..
    } = &item.place;
    if let Some(later) = later_word(table, key.name, text) {
        return Err(problems.error(
            origin.clone(),
            format!("`{}` is not built yet", later.title()),
            later.hint,
        ));
    }
    if let Some(found) = T::ALL.iter().find(|each| each.word() == text.as_ref()) {
        return Ok(*found);
    }
    let accepted: Vec<_> = T::ALL
        .iter()
        .map(|each| each.word())
        .filter(|word| later_word(table, key.name, word).is_none())
        .collect();
    let list = accepted
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ");
    Err(problems.error(
        origin.clone(),
        format!("`{}` cannot be \"{text}\"", item.place.path()),
        match nearest(text, accepted) {
            Some(word) => format!("did you mean \"{word}\"? accepted values: {list}"),
            None => format!("accepted values: {list}"),
        },
    ))
}
