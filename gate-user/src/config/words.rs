//! The closed sets of words that the configuration uses, and how one is read.

use std::fmt;

use gate_common::{Action, Answer, Identity, Over, Policy, Role, Scope, ShapePolicy};
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use super::{
    nearest::nearest,
    problem::{Problems, Reported},
    section::Item,
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

/// What is to be done about an interface that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The configuration is refused.
    Refuse,
    /// It is waited for: the gate gets on it when it comes.
    Wait,
}

/// Which country of a database's entry counts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountryField {
    /// Where the address is used; the registered country if the entry has no other.
    Country,
    /// Where the address block is registered; the country of use if the entry has no other.
    RegisteredCountry,
}

/// What frames are that carry no VLAN ID when the program sees them, on a device whose VLANs have roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stripped {
    /// What subscribers send.
    Access,
    /// What the Internet sends.
    Uplink,
    /// Nothing of the gate's business.
    Pass,
}

/// The time that a limit counts events in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of 24 hours.
    Day,
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

impl Missing {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Wait => "wait",
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

impl Stripped {
    /// The role of such frames, if they have one.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Access => Some(Role::Access),
            Self::Uplink => Some(Role::Uplink),
            Self::Pass => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Uplink => "uplink",
            Self::Pass => "pass",
        }
    }
}

impl Per {
    /// How many nanoseconds it has.
    #[must_use]
    pub const fn nanoseconds(self) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        match self {
            Self::Second => SECOND,
            Self::Minute => 60 * SECOND,
            Self::Hour => 60 * 60 * SECOND,
            Self::Day => 24 * 60 * 60 * SECOND,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
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

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Stripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Per {
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
    Missing: &[Missing::Refuse, Missing::Wait];
    CountryField: &[CountryField::Country, CountryField::RegisteredCountry];
    Unlisted: &[Unlisted::Pass, Unlisted::Refuse];
    Stripped: &[Stripped::Access, Stripped::Uplink, Stripped::Pass];
    Per: &[Per::Second, Per::Minute, Per::Hour, Per::Day];
    Action: Action::ALL;
    Answer: Answer::ALL;
    Identity: Identity::ALL;
    ShapePolicy: ShapePolicy::ALL;
    Over: Over::ALL;
    Policy: Policy::ALL;
    Role: Role::ALL;
    Scope: Scope::ALL;
}

/// Reads one word of a set.
pub(super) fn word<T: Word>(item: &Item<'_>, problems: &mut Problems) -> Result<T, Reported> {
    let DeValue::String(text) = item.value else {
        return Err(item.mismatch("a string", problems));
    };
    if let Some(found) = T::ALL.iter().find(|each| each.word() == text.as_ref()) {
        return Ok(*found);
    }
    let accepted: Vec<_> = T::ALL.iter().map(|each| each.word()).collect();
    let list = accepted
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ");
    Err(problems.error(
        item.place.origin.clone(),
        format!("`{}` cannot be \"{text}\"", item.place.path()),
        match nearest(text, accepted) {
            Some(word) => format!("did you mean \"{word}\"? accepted values: {list}"),
            None => format!("accepted values: {list}"),
        },
    ))
}
