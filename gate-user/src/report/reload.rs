//! `gate reload`: what became of it.

use std::{io, path::Path};

use super::Report;
use crate::{
    change::{self, Change, DatabaseSize, Memory, Step},
    control::{Attempt, By, Cause, Outcome},
    memory::human,
};

impl Report for Attempt {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        match &self.outcome {
            Outcome::Loaded { change } => {
                let Step { before, after } = change.generation;
                let [before, after] = [before, after]
                    .map(|it| it.map_or_else(|| "none".to_owned(), |it| it.to_string()));
                let word = match self.by {
                    By::Rollback | By::Unconfirmed => "rolled back",
                    By::Watch | By::Interfaces | By::Sighup | By::Command | By::Exempt => {
                        "reloaded"
                    }
                };
                writeln!(
                    out,
                    "{word}: generation {after} is in force, {before} was before"
                )?;
                details(change)
                    .iter()
                    .try_for_each(|line| writeln!(out, "  {line}"))
            }
            Outcome::Confirmed { generation } => {
                writeln!(out, "confirmed: generation {generation} stays in force")
            }
            Outcome::Unchanged { generation } => writeln!(
                out,
                "nothing changed: configuration, list files and databases are those of generation {generation}"
            ),
            Outcome::Refused(cause) => refusal("refused", cause, out),
            Outcome::Failed(cause) => refusal("failed", cause, out),
        }
    }
}

fn refusal(word: &str, cause: &Cause, out: &mut dyn io::Write) -> io::Result<()> {
    let Cause {
        reason,
        hint,
        generation,
    } = cause;
    writeln!(out, "{word}, generation {generation} is in force: {reason}")?;
    hint.iter()
        .try_for_each(|hint| writeln!(out, "  hint: {hint}"))
}

/// What changed, a line each.
#[must_use]
pub fn details(change: &Change) -> Vec<String> {
    let Change {
        generation: _,
        config_sha256,
        databases,
        list_files,
        lists,
        attached,
        detached,
        memory,
        forced,
        warnings,
        left_out,
    } = change;
    let mut lines = Vec::new();
    if let Some(Step {
        after: Some(sha256),
        ..
    }) = config_sha256
    {
        lines.push(format!("configuration: changed, sha256 {sha256}"));
    }
    let databases = databases.iter().map(|(path, step)| (path.as_path(), step));
    lines.extend(change::lines(databases, DatabaseSize::text));
    let list_files = list_files.iter().map(|(path, step)| (path.as_path(), step));
    lines.extend(change::lines(list_files, |it| format!("{it} prefixes")));
    let lists = lists.iter().map(|(name, step)| (Path::new(name), step));
    let lists = change::lines(lists, |it| format!("{it} prefixes"));
    lines.extend(lists.iter().map(|line| format!("list of {line}")));
    lines.extend(attached.iter().map(|it| format!("{it}: attached")));
    let gone = detached
        .iter()
        .map(|it| format!("{it}: detached, since the configuration names it no more"));
    lines.extend(gone);
    lines.extend(memory.map(|memory| {
        let Memory {
            before,
            after,
            both,
        } = memory;
        format!(
            "memory of the tables: {} before, {} now, {} while both were loaded",
            human(before),
            human(after),
            human(both)
        )
    }));
    lines.extend(forced.iter().map(|it| format!("--force overrode: {it}")));
    lines.extend(warnings.iter().map(|it| format!("warning: {it}")));
    if *left_out > 0 {
        lines.push(format!("and {left_out} more, in the daemon's log"));
    }
    lines
}
