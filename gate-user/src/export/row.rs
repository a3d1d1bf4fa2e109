//! What a row of an export is: one object or source, and its packets.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::report::Verdicts;

/// What rows are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Every packet that was judged.
    All,
    /// By reason.
    Reasons,
    /// By interface.
    Interfaces,
    /// By pool.
    Pools,
    /// By prefix that stands in the configuration itself.
    Prefixes,
    /// By relay.
    Relays,
    /// By class.
    Classes,
    /// By country of the source.
    Countries,
    /// What came of showing tags.
    Shown,
    /// What came of answers.
    Answers,
    /// Answers that failed to leave, by interface.
    Unsent,
    /// What limits said.
    Limits,
    /// By source.
    Sources,
    /// Something that there is to know about the rows.
    Note,
}

impl Kind {
    /// Those that can be asked for, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::All,
        Self::Reasons,
        Self::Interfaces,
        Self::Pools,
        Self::Prefixes,
        Self::Relays,
        Self::Classes,
        Self::Countries,
        Self::Shown,
        Self::Answers,
        Self::Unsent,
        Self::Limits,
        Self::Sources,
    ];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Reasons => "reasons",
            Self::Interfaces => "interfaces",
            Self::Pools => "pools",
            Self::Prefixes => "prefixes",
            Self::Relays => "relays",
            Self::Classes => "classes",
            Self::Countries => "countries",
            Self::Shown => "shown",
            Self::Answers => "answers",
            Self::Unsent => "unsent",
            Self::Limits => "limits",
            Self::Sources => "sources",
            Self::Note => "note",
        }
    }
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
pub(super) const VERDICTS: [&str; 5] = ["passed", "refused", "observed", "tagged", "unparsed"];

/// One object or source. What does not apply to its kind is nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) kind: Option<Kind>,
    pub(super) name: String,
    pub(super) role: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) pool: Option<String>,
    pub(super) class: Option<String>,
    pub(super) country: Option<String>,
    pub(super) prefix: Option<String>,
    pub(super) packets: Option<u64>,
    #[serde(flatten)]
    pub(super) by_verdict: ByVerdict,
    pub(super) over_limit: Option<u64>,
    pub(super) first_seen: Option<Timestamp>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) note: Option<String>,
    /// When its entry was made, by the clock that nobody sets; another one is another entry.
    #[serde(skip)]
    pub(super) began_ns: u64,
}

/// Packets by verdict; nothing where it is not counted by that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ByVerdict {
    pub(super) passed: Option<u64>,
    pub(super) refused: Option<u64>,
    pub(super) observed: Option<u64>,
    pub(super) tagged: Option<u64>,
    pub(super) unparsed: Option<u64>,
}

impl ByVerdict {
    /// In the order of the columns.
    pub(super) const fn each(self) -> [Option<u64>; 5] {
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
