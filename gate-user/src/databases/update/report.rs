//! What became of each database.

use std::{io, path::Path};

use jiff::Timestamp;
use serde::Serialize;

use super::UpdateError;
use crate::{
    config::CountryField,
    databases::{Info, Infos, info},
    error::Exit,
    generation::Manifest,
    report::Report,
};

/// What became of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Updates {
    /// As of when.
    pub at: Timestamp,
    /// In the order of the configuration.
    pub databases: Vec<Updated>,
    /// What the licences of those that could be read ask for.
    pub attribution: Vec<String>,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Updated {
    /// Whom it was asked of: scheme, host and port. Nothing for one that nobody fetches here.
    pub from: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The file, as it is now.
    #[serde(flatten)]
    pub info: Info,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Another one is in its place.
    Replaced {
        /// When the one before was built; nothing if there was none that could be read.
        before: Option<Timestamp>,
    },
    /// The server has no other.
    Unchanged,
    /// Something was wrong.
    Failed {
        /// Whether the file is as it was.
        kept: bool,
        /// What was wrong, and what to do.
        why: String,
        /// The exit code that it makes.
        #[serde(skip)]
        exit: Exit,
    },
    /// Whoever replaces the file is followed: no `[[geoip.update]]` is about it.
    Followed,
}

impl Outcome {
    pub(super) fn failed(error: &UpdateError) -> Self {
        Self::Failed {
            kept: !matches!(error, UpdateError::Unsynced { .. }),
            why: format!("{error}\n  hint: {}", error.hint()),
            exit: error.exit(),
        }
    }
}

impl Updates {
    pub(super) fn of<'p>(
        outcomes: impl Iterator<Item = (&'p Path, Option<String>, Outcome)>,
        field: CountryField,
        loaded: Option<&Manifest>,
    ) -> Self {
        let (mut paths, mut rest) = (Vec::new(), Vec::new());
        for (path, from, outcome) in outcomes {
            paths.push(path.to_owned());
            rest.push((from, outcome));
        }
        // What is told of a file is what it is once everything is done.
        let Infos {
            at,
            databases,
            attribution,
        } = info::of(&paths, field, loaded);
        let updated = |((from, outcome), info)| Updated {
            from,
            outcome,
            info,
        };
        Self {
            at,
            databases: rest.into_iter().zip(databases).map(updated).collect(),
            attribution,
        }
    }

    /// The exit code: that of the first one that failed.
    #[must_use]
    pub fn exit(&self) -> Exit {
        let exits = self.databases.iter().filter_map(|it| match &it.outcome {
            Outcome::Failed { exit, .. } => Some(*exit),
            // Nobody here fetches it, and it cannot be read.
            Outcome::Followed if it.info.fault.is_some() => Some(Exit::Usage),
            Outcome::Replaced { .. } | Outcome::Unchanged | Outcome::Followed => None,
        });
        exits.into_iter().next().unwrap_or(Exit::Ok)
    }
}

impl Report for Updates {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            at: _,
            databases,
            attribution,
        } = self;
        if databases.is_empty() {
            writeln!(out, "the configuration names no country database")?;
        }
        for (index, updated) in databases.iter().enumerate() {
            if index > 0 {
                writeln!(out)?;
            }
            updated.text(out)?;
        }
        attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}

impl Updated {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            from,
            outcome,
            info,
        } = self;
        let from = from.as_deref().unwrap_or_default();
        writeln!(out, "{}", info.path.display())?;
        match outcome {
            Outcome::Replaced { before } => {
                let before = before.map_or_else(
                    || "nothing that could be read".to_owned(),
                    |built| format!("one built {built:.0}"),
                );
                writeln!(out, "  replaced   from {from}, instead of {before}")?;
            }
            Outcome::Unchanged => writeln!(out, "  unchanged  {from} has no other")?,
            Outcome::Failed { kept, why, .. } => {
                let file = if *kept {
                    "not updated, the file is as it was"
                } else {
                    "updated, but"
                };
                writeln!(out, "  ! {file}: {why}")?;
            }
            Outcome::Followed => writeln!(
                out,
                "  followed   no [[geoip.update]] is about it: what another program (geoipupdate) puts there is taken"
            )?,
        }
        info.details(out)?;
        if self.waits() {
            writeln!(
                out,
                "  the daemon looks every two seconds and takes it, or `gate status` says why not"
            )?;
        }
        Ok(())
    }

    /// Whether the file has another database than the one in force.
    fn waits(&self) -> bool {
        let in_force = self.info.loaded.as_ref();
        self.info.fault.is_none() && in_force.is_some_and(|it| !it.current)
    }
}
