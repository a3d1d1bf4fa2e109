//! `gate counters` for people.

use std::io;

use super::{Counters, ObjectPackets, Sources, limited};
use crate::report::{Report, Table};

/// How many sources the text shows; JSON has all of them.
const SHOWN: usize = 20;

impl Report for Counters {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "generation {}", self.generation)?;
        let headings = |first: &'static [&'static str]| {
            [
                first,
                &["passed", "refused", "observed", "tagged", "unparsed"],
            ]
            .concat()
        };
        let objects = |first| [headings(first), vec!["over limit"]].concat();
        let section = |out: &mut dyn io::Write, title: &str, table: Table| {
            if table.is_empty() {
                return Ok(());
            }
            writeln!(out, "\n{title}")?;
            table.write(out)
        };
        let mut table = Table::new(&headings(&[""]));
        table.row(std::iter::once("all".to_owned()).chain(self.verdicts.cells()));
        section(out, "verdicts", table)?;

        let mut table = Table::new(&["verdict", "reason", "packets"]);
        for it in &self.reasons {
            table.row([
                it.verdict.to_owned(),
                it.reason.to_owned(),
                it.packets.to_string(),
            ]);
        }
        section(out, "reasons", table)?;
        limited::text(&self.shown, &self.answers, &self.unsent, &self.limits, out)?;

        let mut table = Table::new(&objects(&["interface", "role"]));
        for it in &self.interfaces {
            table.row(
                [it.label.clone(), it.role.clone()]
                    .into_iter()
                    .chain(it.packets.cells()),
            );
        }
        section(out, "interfaces", table)?;

        let mut table = Table::new(&objects(&["pool", "policy", "action"]));
        for it in &self.pools {
            let action = it.action.clone().unwrap_or_else(|| "-".to_owned());
            table.row(
                [it.name.clone(), it.policy.clone(), action]
                    .into_iter()
                    .chain(it.packets.cells()),
            );
        }
        section(out, "pools", table)?;

        let mut table = Table::new(&objects(&["prefix", "pool"]));
        for it in &self.prefixes {
            table.row(
                [it.prefix.clone(), it.pool.clone()]
                    .into_iter()
                    .chain(it.packets.cells()),
            );
        }
        section(out, "prefixes", table)?;

        let mut table = Table::new(&objects(&["relay"]));
        for it in &self.relays {
            table.row(std::iter::once(it.prefix.clone()).chain(it.packets.cells()));
        }
        section(out, "relays", table)?;

        let mut table = Table::new(&["class", "tagged", "refused", "observed", "over limit"]);
        for it in &self.classes {
            let ObjectPackets {
                verdicts,
                over_limit,
            } = it.packets;
            let counts = [
                verdicts.tagged,
                verdicts.refused,
                verdicts.observed,
                over_limit,
            ];
            table.row(std::iter::once(it.name.clone()).chain(counts.map(|it| it.to_string())));
        }
        section(out, "classes", table)?;

        let mut table = Table::new(&["country", "tagged"]);
        for it in &self.countries {
            table.row([
                it.country
                    .clone()
                    .unwrap_or_else(|| "in no database".to_owned()),
                it.packets.to_string(),
            ]);
        }
        section(out, "countries", table)?;

        self.source_text(out)?;
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "\n{line}"))
    }
}

impl Counters {
    fn source_text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Sources {
            counted,
            entries,
            retention_seconds: _,
            source_prefix: _,
            expired,
            undeleted: _,
            other,
        } = &self.sources;
        if !counted {
            return writeln!(
                out,
                "\nsources are not counted ([counters] sources = false)"
            );
        }
        let mut table = Table::new(&[
            "source",
            "role",
            "passed",
            "refused",
            "observed",
            "tagged",
            "over limit",
            "first seen",
            "last seen",
        ]);
        for it in entries.iter().take(SHOWN) {
            let [passed, refused, observed, tagged, _] = it.packets.cells();
            let (first, last) = (
                format!("{:.0}", it.first_seen),
                format!("{:.0}", it.last_seen),
            );
            table.row([
                it.source.clone(),
                it.role.to_owned(),
                passed,
                refused,
                observed,
                tagged,
                it.over_limit
                    .map_or_else(|| "-".to_owned(), |over| over.to_string()),
                first,
                last,
            ]);
        }
        writeln!(out, "\nsources")?;
        table.write(out)?;
        if let Some(more) = entries.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(out, "  ... and {more} more (--format json has all)")?;
        }
        for (what, packets) in [("expired", expired), ("other", other)] {
            if packets.all() > 0 {
                let [passed, refused, observed, tagged, _] = packets.cells();
                writeln!(
                    out,
                    "  {what}: passed {passed}, refused {refused}, observed {observed}, tagged {tagged}"
                )?;
            }
        }
        Ok(())
    }
}
