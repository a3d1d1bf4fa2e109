//! What a row of an export is: one object or source, and its packets.

use gate_common::Verdict;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::report::Verdicts;

macro_rules! kinds {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $word:literal;)+) => {
        /// What rows are about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $meaning])+ $variant,)+
            /// Something that there is to know about the rows.
            Note,
        }

        impl Kind {
            /// Those that can be asked for, in the order in which they are shown, and what each is.
            pub const ALL: &[(Self, &str)] = &[$((Self::$variant, concat!($($meaning),+)),)+];

            /// What it is called.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Note => "note",
                }
            }
        }
    };
}

kinds! {
    /// Every packet that was judged.
    All = "all";
    /// Reasons of verdicts.
    Reasons = "reasons";
    /// Interfaces.
    Interfaces = "interfaces";
    /// Pools.
    Pools = "pools";
    /// Prefixes that stand in the configuration itself.
    Prefixes = "prefixes";
    /// Relays.
    Relays = "relays";
    /// Classes.
    Classes = "classes";
    /// Countries of tagged connections.
    Countries = "countries";
    /// What came of showing tags.
    Shown = "shown";
    /// What came of answers.
    Answers = "answers";
    /// Answers that failed to leave, by interface.
    Unsent = "unsent";
    /// What limits said.
    Limits = "limits";
    /// Single sources.
    Sources = "sources";
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// The columns, in their order.
pub(super) const COLUMNS: [&str; 21] = [
    "at",
    "seconds",
    "generation",
    "kind",
    "name",
    "role",
    "interface",
    "pool",
    "class",
    "country",
    "prefix",
    "packets",
    VERDICTS[0],
    VERDICTS[1],
    VERDICTS[2],
    VERDICTS[3],
    VERDICTS[4],
    "over_limit",
    "first_seen",
    "last_seen",
    "note",
];

/// The columns that are verdicts.
pub(super) const VERDICTS: [&str; 5] = [
    Verdict::Passed.name(),
    Verdict::Refused.name(),
    Verdict::Observed.name(),
    Verdict::Tagged.name(),
    Verdict::Unparsed.name(),
];

/// One object or source. What does not apply to its kind is nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(super) kind: Option<Kind>,
    pub(crate) name: String,
    pub(super) role: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) pool: Option<String>,
    pub(super) class: Option<String>,
    pub(super) country: Option<String>,
    pub(super) prefix: Option<String>,
    pub(crate) packets: Option<u64>,
    #[serde(flatten)]
    pub(crate) by_verdict: ByVerdict,
    pub(crate) over_limit: Option<u64>,
    pub(super) first_seen: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) note: Option<String>,
    /// When its entry was made, by the clock that nobody sets; another one is another entry.
    #[serde(skip)]
    pub(super) began_ns: u64,
}

/// Packets by verdict; nothing where it is not counted by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ByVerdict {
    pub(super) passed: Option<u64>,
    pub(super) refused: Option<u64>,
    pub(super) observed: Option<u64>,
    pub(super) tagged: Option<u64>,
    pub(super) unparsed: Option<u64>,
}

impl ByVerdict {
    /// In the order of the columns.
    pub(crate) const fn each(self) -> [Option<u64>; 5] {
        [
            self.passed,
            self.refused,
            self.observed,
            self.tagged,
            self.unparsed,
        ]
    }

    pub(super) const fn of(
        [passed, refused, observed, tagged, unparsed]: [Option<u64>; 5],
    ) -> Self {
        Self {
            passed,
            refused,
            observed,
            tagged,
            unparsed,
        }
    }
}

impl Row {
    pub(super) fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind: Some(kind),
            name: name.into(),
            ..Self::default()
        }
    }

    /// One that is counted by verdict.
    pub(super) fn counted(kind: Kind, name: impl Into<String>, verdicts: &Verdicts) -> Self {
        Self {
            packets: Some(verdicts.all()),
            by_verdict: ByVerdict::of(verdicts.named().map(|(_, packets)| Some(packets))),
            ..Self::new(kind, name)
        }
    }

    /// One that has a number only.
    pub(super) fn number(kind: Kind, name: impl Into<String>, packets: u64) -> Self {
        Self {
            packets: Some(packets),
            ..Self::new(kind, name)
        }
    }

    pub(super) fn note(text: String) -> Self {
        Self {
            note: Some(text),
            ..Self::new(Kind::Note, "")
        }
    }

    /// What makes it the same one at another moment.
    pub(super) fn identity(&self) -> (Option<Kind>, &str, Option<&str>, Option<&str>) {
        let Self {
            kind,
            name,
            role,
            pool,
            ..
        } = self;
        // The pool of a source is what it is now, and no part of its name.
        let pool = pool.as_deref().filter(|_| *kind == Some(Kind::Prefixes));
        (*kind, name, role.as_deref(), pool)
    }

    /// The cells from `kind` on, in the order of [`COLUMNS`].
    pub(super) fn cells(&self) -> [String; 18] {
        let Self {
            kind,
            name,
            role,
            interface,
            pool,
            class,
            country,
            prefix,
            packets,
            by_verdict,
            over_limit,
            first_seen,
            last_seen,
            note,
            began_ns: _,
        } = self;
        let text = |it: &Option<String>| it.clone().unwrap_or_default();
        let number = |it: Option<u64>| it.map(|it| it.to_string()).unwrap_or_default();
        let time = |it: &Option<Timestamp>| it.map(|it| format!("{it:.0}")).unwrap_or_default();
        let [passed, refused, observed, tagged, unparsed] = by_verdict.each().map(number);
        [
            kind.map(|it| it.name().to_owned()).unwrap_or_default(),
            name.clone(),
            text(role),
            text(interface),
            text(pool),
            text(class),
            text(country),
            text(prefix),
            number(*packets),
            passed,
            refused,
            observed,
            tagged,
            unparsed,
            number(*over_limit),
            time(first_seen),
            time(last_seen),
            text(note),
        ]
    }
}
