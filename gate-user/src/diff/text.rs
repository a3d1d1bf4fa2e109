//! A difference, for people.

use std::io;

use super::{Diff, Group, Section};
use crate::report::Report;

/// How many countries of a group stand in the text.
const COUNTRIES: usize = 8;

impl Report for Diff {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            generation,
            config,
            new_config,
            sections,
            settings,
            attribution,
            ..
        } = self;
        writeln!(
            out,
            "generation {generation}, from {}, against {}",
            config.display(),
            new_config.display()
        )?;
        if self.is_empty() {
            return writeln!(out, "\nno address is treated otherwise");
        }
        for section in sections {
            section.text(out)?;
        }
        if !settings.is_empty() {
            writeln!(out, "\nother keys that differ: {}", settings.join(", "))?;
        }
        if !attribution.is_empty() {
            writeln!(out)?;
        }
        attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}

impl Section {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            name,
            size,
            groups,
            left_out,
        } = self;
        if groups.is_empty() {
            return writeln!(out, "\n{name}: as before");
        }
        writeln!(out, "\n{name}: {}", size.text())?;
        for group in groups {
            group.text(out)?;
        }
        if *left_out != 0 {
            writeln!(out, "  ({left_out} smaller groups more)")?;
        }
        Ok(())
    }
}

impl Group {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            before,
            after,
            size,
            countries,
            prefixes,
            left_out,
        } = self;
        writeln!(out, "  {}", size.text())?;
        writeln!(out, "    before  {before}")?;
        writeln!(out, "    after   {after}")?;
        for country in countries.iter().take(COUNTRIES) {
            writeln!(out, "    {}", country.text())?;
        }
        if let Some(more) = countries.len().checked_sub(COUNTRIES).filter(|it| *it != 0) {
            writeln!(out, "    ({more} countries more)")?;
        }
        let more = match left_out {
            0 => String::new(),
            more if prefixes.is_empty() => format!("{more} prefixes"),
            more => format!(" and {more} more"),
        };
        writeln!(out, "    {}{more}", prefixes.join(" "))
    }
}
