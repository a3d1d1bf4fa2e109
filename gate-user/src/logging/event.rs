//! What can happen that the log tells, and what can be said of it besides words: two closed lists, which docs/operations.md shows.

/// How grave a line is, by the numbers of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something was not done that somebody asked for.
    Error = 3,
    /// A person should look at it.
    Warning = 4,
    /// What is in force changed, or what a person decided.
    Notice = 5,
    /// Everything else.
    Info = 6,
}

impl Level {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }

    /// What a line for people begins with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Error => "error: ",
            Self::Warning => "warning: ",
            Self::Notice | Self::Info => "",
        }
    }
}

macro_rules! events {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $word:literal, $level:ident;)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl Event {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it, which stays.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// How grave it is.
            #[must_use]
            pub const fn level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)+
                }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($meaning),+).trim_ascii(),)+
                }
            }
        }
    };
}

events! {
    /// The gate is in force, and its daemon answers.
    Ready = "ready", Notice;
    /// The daemon ended; the gate goes on.
    Ended = "ended", Notice;
    /// Something could not be done, and why.
    Error = "error", Error;
    /// Something about what is in force that a person should know.
    Remark = "remark", Warning;
    /// A country database that is in force.
    Database = "database", Info;
    /// A file with a list of prefixes that is in force.
    ListFile = "list_file", Info;
    /// Whom a country database wants to be named.
    Attribution = "attribution", Info;
    /// A pool that is in force.
    Pool = "pool", Info;
    /// An interface that the gate is on.
    Interface = "interface", Info;
    /// The gate was taken off an interface that the configuration names no more.
    InterfaceDetached = "interface_detached", Notice;
    /// The gate is on an interface that the generation in force does not know: nothing is judged on it until there is one that does. Or was, when the daemon started: nothing was judged on it until then.
    InterfaceUnknown = "interface_unknown", Warning;
    /// Interfaces that come and go are not heard of, and looked at instead.
    InterfacesUnheard = "interfaces_unheard", Warning;
    /// A guard was overridden by `--force`.
    Forced = "forced", Notice;
    /// What a gate with another map ABI had in force was taken over.
    Migrated = "migrated", Notice;
    /// Counters start from zero, since another map ABI lays them out differently.
    CountersReset = "counters_reset", Warning;
    /// A change of generations begins.
    Begun = "begun", Info;
    /// What a change of generations changes.
    Change = "change", Info;
    /// Another generation is in force.
    Reloaded = "reloaded", Notice;
    /// The generation before is in force again.
    RolledBack = "rolled_back", Notice;
    /// A person confirmed the generation in force.
    Confirmed = "confirmed", Notice;
    /// Nothing changed.
    Unchanged = "unchanged", Info;
    /// A change was refused, and the generation before it stays in force.
    Refused = "refused", Error;
    /// A change failed.
    Failed = "failed", Error;
    /// A reload was asked for and could not be taken.
    NotTaken = "not_taken", Error;
    /// A generation waits for a confirmation.
    Unconfirmed = "unconfirmed", Notice;
    /// After a rollback, changes of data wait for a person.
    Held = "held", Notice;
    /// A bypass began or changed: nothing is refused.
    BypassBegun = "bypass_begun", Warning;
    /// The bypass is over.
    BypassOver = "bypass_over", Notice;
    /// Somebody set the clock, and deadlines follow it.
    ClockSet = "clock_set", Notice;
    /// Skb marks are not set although they should be.
    MarksMissing = "marks_missing", Warning;
    /// Skb marks are set again.
    MarksSet = "marks_set", Notice;
    /// Something that the daemon looks after all the time cannot be looked after.
    ChoreUndone = "chore_undone", Warning;
    /// It is looked after again.
    ChoreDone = "chore_done", Notice;
    /// Sources that are over cannot be deleted.
    RetentionLate = "retention_late", Warning;
    /// Sources that are over are deleted again.
    RetentionKept = "retention_kept", Notice;
    /// What is in force is kept as last good again.
    LastGoodKept = "last_good_kept", Notice;
    /// What is in force is not kept as last good.
    LastGoodUnkept = "last_good_unkept", Warning;
    /// The last good configuration is in force instead of the one that was named.
    LastGoodInstead = "last_good_instead", Warning;
    /// There is no last good configuration that could take the place of the one that was named.
    LastGoodMissing = "last_good_missing", Warning;
    /// A rehearsal whose command was killed was cleared away.
    RehearsalCleared = "rehearsal_cleared", Notice;
    /// A rehearsal whose command was killed cannot be cleared away.
    RehearsalStuck = "rehearsal_stuck", Warning;
    /// A listener to events whose command was killed was cleared away.
    ListenerCleared = "listener_cleared", Notice;
    /// A listener to events whose command was killed cannot be cleared away.
    ListenerStuck = "listener_stuck", Warning;
    /// Metrics can be asked for.
    MetricsOpen = "metrics_open", Info;
    /// Metrics are told there no more.
    MetricsClosed = "metrics_closed", Info;
    /// Metrics cannot be asked for.
    MetricsUnheard = "metrics_unheard", Warning;
    /// A part of the metrics cannot be read.
    MetricsIncomplete = "metrics_incomplete", Warning;
    /// A packet, where packets are logged.
    Packet = "packet", Info;
    /// Lines of the log were lost, since nobody read it.
    LinesLost = "lines_lost", Warning;
}

impl Event {
    /// Whether the line before said what is wrong and what to do about it: people need not read that twice, and programs take it from the fields.
    pub(super) const fn follows_its_error(self) -> bool {
        matches!(self, Self::Refused | Self::Failed)
    }
}

macro_rules! fields {
    ($($(#[doc = $meaning:literal])+ $variant:ident = $word:literal, $native:literal;)+) => {
        /// What is said besides words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Field {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name in JSON.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// Its name in the journal.
            #[must_use]
            pub const fn native(self) -> &'static str {
                match self {
                    $(Self::$variant => $native,)+
                }
            }

            /// What it says.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($meaning),+).trim_ascii(),)+
                }
            }
        }
    };
}

fields! {
    /// The number of the generation that it is about.
    Generation = "generation", "GATE_GENERATION";
    /// The name of the interface that it is about.
    Interface = "interface", "GATE_INTERFACE";
    /// The pool that it is about.
    Pool = "pool", "GATE_POOL";
    /// The file or directory that it is about.
    File = "file", "GATE_FILE";
    /// Who or what asked for a change: `command`, `sighup`, `watch`, `interfaces`, `rollback`, `unconfirmed` or `exempt`.
    By = "by", "GATE_BY";
    /// Why.
    Reason = "reason", "GATE_REASON";
    /// What to do about it.
    Hint = "hint", "GATE_HINT";
    /// When something ends by itself that begins or goes on.
    Until = "until", "GATE_UNTIL";
    /// Where metrics can be asked for.
    Address = "address", "GATE_ADDRESS";
    /// How many lines were lost.
    Lost = "lost", "GATE_LOST";
    /// Until when the gate is bypassed; in every line of that time.
    Bypass = "bypass", "GATE_BYPASS";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_apart_and_journald_takes_them() {
        let words: BTreeSet<_> = Event::ALL.iter().map(|it| it.word()).collect();
        assert_eq!(words.len(), Event::ALL.len());
        let fields: BTreeSet<_> = Field::ALL.iter().map(|it| it.native()).collect();
        assert_eq!(fields.len(), Field::ALL.len());
        for it in Field::ALL {
            // systemd.journal-fields(7): upper case letters, digits and underscores, and none of the latter first.
            assert_eq!(it.native(), format!("GATE_{}", it.word().to_uppercase()));
            assert!(
                it.native()
                    .bytes()
                    .all(|it| it.is_ascii_uppercase() || it == b'_')
            );
        }
    }

    /// The page shows both lists.
    #[test]
    fn the_page_has_every_event_and_every_field() {
        let page = include_str!("../../../docs/operations.md");
        for it in Event::ALL {
            let row = format!(
                "| `{}` | {} | {} |",
                it.word(),
                it.level().name(),
                it.meaning()
            );
            assert!(page.contains(&row), "docs/operations.md lacks: {row}");
        }
        for it in Field::ALL {
            let row = format!("| `{}` | `{}` | {} |", it.word(), it.native(), it.meaning());
            assert!(page.contains(&row), "docs/operations.md lacks: {row}");
        }
    }
}
