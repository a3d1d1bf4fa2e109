//! `gate exempt`: customers whose port 25 is open, one at a time, each with an end and a ticket.
//!
//! All of them are lines of one list file, which the configuration names. A change is written there first, and then put in force by the
//! daemon (or, without one, here): what is in force is never more than what a restart would find.

mod edit;
mod error;
mod list;
mod store;
mod treatment;
mod wanted;

use std::{
    io,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use self::{edit::Edited, store::Store, treatment::Treatment};
pub use self::{
    error::ExemptError,
    list::{Listing, list},
    wanted::{Wanted, prefix, until},
};
use crate::{
    config::exemptions::load,
    control::{self, Attempt, Outcome},
    error::Error,
    file,
    generation::{Exemption, Manifest, Prefix, SourceMap, list_file},
    hex, kernel,
    lists::Entry,
    pins::Pins,
    view,
};

/// A line of the file, as output shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it ends; nothing if it does not.
    pub until: Option<Timestamp>,
    /// The operator's note.
    pub ticket: Option<String>,
}

impl From<Entry> for Line {
    fn from(entry: Entry) -> Self {
        let Entry { until, ticket, .. } = entry;
        Self { until, ticket }
    }
}

/// What became of an exemption.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// Whose port 25 it is about.
    #[serde(serialize_with = "as_text")]
    pub prefix: IpNet,
    /// Its line; nothing if it was deleted.
    pub now: Option<Line>,
    /// Its line before; nothing if there was none.
    pub before: Option<Line>,
    /// The file.
    pub file: PathBuf,
    /// The generation in force, in which it is so.
    pub generation: u32,
    /// What port 25 was to the prefix before.
    pub treated_before: Treatment,
    /// What it is now.
    pub treated_now: Treatment,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// As people write it.
fn as_text<S: Serializer>(prefix: &IpNet, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(prefix)
}

/// Everything that is known of the generation in force.
struct InForce {
    manifest: Manifest,
    sources: SourceMap,
    rules: Vec<gate_common::abi::Rule>,
}

impl InForce {
    fn read(pins: &Pins) -> Result<Self, Error> {
        view::with_current(pins, |directory| {
            Ok(Self {
                manifest: kernel::manifest(directory)?,
                sources: kernel::source_map(directory)?,
                rules: view::rules(directory)?,
            })
        })
    }

    /// Whether the prefix has an exemption, which may be over.
    fn exempts(&self, prefix: IpNet) -> bool {
        let prefix = Prefix::from(prefix);
        let exemptions = Exemption::of(&self.sources, &self.rules);
        exemptions.iter().any(|it| it.prefix == prefix)
    }

    /// Whether this text is what the file of exemptions had when it was read.
    fn is_made_of(&self, text: &str) -> bool {
        let sha256 = hex(&Sha256::digest(text));
        list_file(&self.manifest).is_some_and(|it| it.sha256 == sha256)
    }

    fn file(&self) -> Result<PathBuf, ExemptError> {
        let file = self.manifest.exemptions.clone();
        file.ok_or_else(|| ExemptError::NotConfigured {
            config: self.manifest.config.clone(),
        })
    }
}

/// Adds an exemption, or gives one another end and ticket; `waiting` is called if somebody else is at it.
pub fn add(
    pins: &Pins,
    object: &[u8],
    wanted: &Wanted,
    waiting: &mut dyn FnMut(),
) -> Result<Changed, Error> {
    wanted.check(Timestamp::now())?;
    let entry = Entry {
        prefix: wanted.prefix,
        until: wanted.until,
        ticket: wanted.ticket.clone(),
    };
    change(pins, object, wanted.prefix, waiting, |text, _, _| {
        Ok(edit::put(text, &entry))
    })
}

/// Deletes an exemption; `waiting` is called if somebody else is at it.
pub fn delete(
    pins: &Pins,
    object: &[u8],
    prefix: IpNet,
    waiting: &mut dyn FnMut(),
) -> Result<Changed, Error> {
    change(pins, object, prefix, waiting, |text, file, in_force| {
        deleted(text, file, prefix, in_force.exempts(prefix))
    })
}

/// The text without a prefix. One that is in force and has no line was deleted by somebody who could not put that in force: the text is what is wanted.
fn deleted(
    text: &str,
    file: &Path,
    prefix: IpNet,
    is_in_force: bool,
) -> Result<Edited, ExemptError> {
    let edited = edit::delete(text, prefix);
    if edited.before.is_some() || is_in_force {
        return Ok(edited);
    }
    Err(ExemptError::NotThere {
        file: file.to_owned(),
        prefix,
        near: near(text, prefix),
    })
}

/// The prefixes of a list file around this one and in it.
fn near(text: &str, prefix: IpNet) -> Vec<IpNet> {
    /// How many are named.
    const TOLD: usize = 8;
    let entries = crate::lists::lines(text).filter_map(|line| line.content.ok());
    entries
        .map(|entry| entry.prefix)
        .filter(|it| it.contains(&prefix) || prefix.contains(it))
        .take(TOLD)
        .collect()
}

fn change(
    pins: &Pins,
    object: &[u8],
    prefix: IpNet,
    waiting: &mut dyn FnMut(),
    edit: impl FnOnce(&str, &Path, &InForce) -> Result<Edited, ExemptError>,
) -> Result<Changed, Error> {
    let file = InForce::read(pins)?.file()?;
    let store = Store::lock(&file, waiting)?;
    // Under the lock: who was before us may have changed it.
    let in_force = InForce::read(pins)?;
    let treated_before = Treatment::of(&in_force, prefix, Timestamp::now());
    // A file that could not be put in force is not made worse.
    load(&file, &file::read_text)?;
    let old = store.read()?;
    let Edited { text, before } = edit(old.as_deref().unwrap_or_default(), &file, &in_force)?;
    let written = old.as_deref().unwrap_or_default() != text;
    if written {
        store.write(Some(&text))?;
    }
    // Asked once it is over: who failed may have put it in force before, and so may somebody else.
    let is_in_force = || InForce::read(pins).is_ok_and(|it| it.is_made_of(&text));
    let attempt = match control::exempt(pins, object, prefix) {
        Ok(attempt) => attempt,
        Err(error) => {
            return Err(unsettled(is_in_force(), file, error.to_string(), error.hint()).into());
        }
    };
    let take_back = || {
        if written {
            store.write(old.as_deref())
        } else {
            Ok(())
        }
    };
    let (generation, mut warnings) = settle(&attempt, &is_in_force, &file, &take_back)?;
    let now = InForce::read(pins)?;
    let treated_now = Treatment::of(&now, prefix, Timestamp::now());
    let entry = found(&text, prefix);
    if entry.is_some() {
        warnings.extend(treatment::warnings(&now, &treated_before, prefix));
    }
    Ok(Changed {
        prefix,
        now: entry.map(Line::from),
        before: before.map(Line::from),
        file,
        generation,
        treated_before,
        treated_now,
        warnings,
    })
}

/// What a list file says of a prefix.
fn found(text: &str, prefix: IpNet) -> Option<Entry> {
    let mut entries = crate::lists::lines(text).filter_map(|it| it.content.ok());
    entries.find(|entry| entry.prefix == prefix)
}

/// The generation in which it is in force, and what it warned of; takes back what was written where that is no good.
fn settle(
    attempt: &Attempt,
    is_in_force: &dyn Fn() -> bool,
    file: &Path,
    take_back: &dyn Fn() -> Result<(), ExemptError>,
) -> Result<(u32, Vec<String>), ExemptError> {
    let file = file.to_owned();
    match &attempt.outcome {
        Outcome::Loaded { change } => Ok((
            change.generation.after.unwrap_or_default(),
            change.warnings.clone(),
        )),
        Outcome::Unchanged { generation } | Outcome::Confirmed { generation } => {
            Ok((*generation, Vec::new()))
        }
        Outcome::Refused(cause) => {
            take_back()?;
            Err(ExemptError::Refused {
                file,
                reason: cause.reason.clone(),
                hint: cause.hint.clone(),
            })
        }
        Outcome::Failed(cause) => Err(unsettled(
            is_in_force(),
            file,
            cause.reason.clone(),
            cause.hint.clone(),
        )),
    }
}

/// Something failed after the file was written.
fn unsettled(
    is_in_force: bool,
    file: PathBuf,
    reason: String,
    hint: Option<String>,
) -> ExemptError {
    if is_in_force {
        ExemptError::Failed { file, reason, hint }
    } else {
        ExemptError::NotInForce { file, reason, hint }
    }
}

impl crate::report::Report for Changed {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            prefix,
            now,
            before,
            file,
            generation,
            treated_before,
            treated_now,
            warnings,
        } = self;
        match (now, before) {
            (Some(now), None) => writeln!(out, "{prefix} is exempt {}", now.words())?,
            (Some(now), Some(before)) if now == before => {
                writeln!(out, "{prefix} is exempt {}, as before", now.words())?;
            }
            (Some(now), Some(before)) => {
                writeln!(out, "{prefix} is exempt {}", now.words())?;
                writeln!(out, "  in place of the exemption {}", before.words())?;
            }
            (None, Some(before)) => {
                writeln!(
                    out,
                    "{prefix} is not exempt any more; it was {}",
                    before.words()
                )?;
            }
            (None, None) => writeln!(out, "{prefix} is not exempt")?,
        }
        writeln!(
            out,
            "  in force: generation {generation}; in {}",
            file.display()
        )?;
        writeln!(out, "  before: {treated_before}")?;
        if now.is_none() {
            writeln!(out, "  now: {treated_now}")?;
        }
        warnings
            .iter()
            .try_for_each(|it| writeln!(out, "  warning: {it}"))
    }
}

impl Line {
    /// `until 2027-01-01T00:00:00Z, ticket NOC-4711`
    fn words(&self) -> String {
        let until = match self.until {
            Some(until) => format!("until {until}"),
            None => "without end".to_owned(),
        };
        match &self.ticket {
            Some(ticket) => format!("{until}, ticket {ticket}"),
            None => until,
        }
    }
}

#[cfg(test)]
mod tests;
