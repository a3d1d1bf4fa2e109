//! Findings, for people.

use std::io;

use super::{Doctor, Finding, Outcome, running::GENERATION};
use crate::report::Report;

/// How wide the columns before what was found are at most.
const COLUMNS: usize = 48;

impl Report for Doctor {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let width = |of: fn(&Finding) -> usize| self.findings.iter().map(of).max().unwrap_or(0);
        let check = width(|it| it.check.len());
        let object = width(|it| it.object.chars().count()).min(COLUMNS);
        for finding in &self.findings {
            let Finding {
                check: name,
                outcome,
                object: what,
                found,
                why,
                fix,
            } = finding;
            writeln!(
                out,
                "{:9}  {name:check$}  {what:object$}  {found}",
                outcome.name()
            )?;
            for (word, text) in [("why", why), ("fix", fix)] {
                if let Some(text) = text {
                    writeln!(out, "{:9}  {word}: {text}", "")?;
                }
            }
        }
        let count = |wanted: Outcome| {
            self.findings
                .iter()
                .filter(|it| it.outcome == wanted)
                .count()
        };
        let of = match &self.config {
            Some(config) => config.display().to_string(),
            None => "no configuration".to_owned(),
        };
        let generation = self.generation.map_or_else(
            || {
                let mut findings = self.findings.iter();
                if findings.any(|it| it.check == GENERATION) {
                    "which generation is in force was not asked".to_owned()
                } else {
                    "no gate in force".to_owned()
                }
            },
            |number| format!("generation {number} in force"),
        );
        writeln!(
            out,
            "\n{}: {} degraded, {} warnings, {} notes, {} not asked, {} ok; {of}, {generation}",
            self.outcome.name(),
            count(Outcome::Degraded),
            count(Outcome::Warning),
            count(Outcome::Note),
            count(Outcome::NotAsked),
            count(Outcome::Ok)
        )
    }
}
