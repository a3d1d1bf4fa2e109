//! `gate status` for people.

use std::io;

use super::{Status, daemon::word};
use crate::{
    memory::human,
    report::{Report, Table},
};

impl Status {
    /// What is loaded, and for whom.
    fn loaded(&self, out: &mut dyn io::Write) -> io::Result<()> {
        if let Some(generation) = &self.generation {
            writeln!(
                out,
                "generation  {}, loaded {:.0}",
                generation.number, generation.loaded_at
            )?;
            writeln!(
                out,
                "config      {} (sha256 {})",
                generation.config.display(),
                generation.config_sha256
            )?;
            if let Some(previous) = generation.previous {
                writeln!(out, "way back    generation {previous}, by `gate rollback`")?;
            }
            for it in &generation.forced {
                writeln!(out, "forced      {it}")?;
            }
        }
        if let Some(keeping) = &self.daemon.last_good {
            let directory = keeping.state.display();
            match (keeping.generation, keeping.kept_at) {
                (Some(generation), Some(at)) => writeln!(
                    out,
                    "last good   generation {generation}, kept {at:.0} in {directory}"
                )?,
                _ => writeln!(out, "last good   nothing is kept yet in {directory}")?,
            }
        }
        if let Some(it) = &self.rehearsal {
            writeln!(out, "rehearsal   {it}")?;
        }
        if let Some(it) = &self.listening {
            writeln!(out, "listening   {it}")?;
        }
        for it in &self.from_zero {
            writeln!(out, "from zero   {}", it.told())?;
        }
        for it in &self.observed {
            writeln!(out, "observed    {it}")?;
        }
        if let Some(group) = &self.readers {
            writeln!(out, "readers     members of the group {group}")?;
        }
        for it in &self.memory {
            let previous = self.generation.as_ref().and_then(|it| it.previous);
            let state = if it.in_force {
                "in force"
            } else if previous == Some(it.generation) {
                "kept for a rollback"
            } else {
                "not in force"
            };
            let (bytes, number) = (human(it.bytes), it.generation);
            writeln!(out, "memory      {bytes} (generation {number}, {state})")?;
        }
        Ok(())
    }
}

impl Status {
    /// The state in one line, with the first thing that is wrong.
    #[must_use]
    pub fn line(&self) -> String {
        let state = self.state.name();
        let what = match (self.problems.as_slice(), &self.generation) {
            ([], None) => return state.to_owned(),
            ([], Some(generation)) => {
                let names: Vec<&str> = self.interfaces.iter().map(|it| it.label.as_str()).collect();
                format!("generation {} on {}", generation.number, names.join(", "))
            }
            ([problem], _) => problem.clone(),
            ([problem, rest @ ..], _) => format!("{problem} (and {} more)", rest.len()),
        };
        format!("{state}: {}", what.replace('\n', " "))
    }
}

impl Report for Status {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "state       {}", self.state.name())?;
        for problem in &self.problems {
            writeln!(out, "  ! {}", problem.replace('\n', "\n    "))?;
        }
        writeln!(out, "daemon      {}", self.daemon.state.name())?;
        if let Some(by) = self.daemon.reloading {
            writeln!(out, "reload      going on ({by})")?;
        } else if let Some(last) = &self.daemon.last_reload {
            let outcome = word(&last.outcome);
            writeln!(out, "reload      {outcome} ({}, {:.0})", last.by, last.at)?;
        }
        self.loaded(out)?;
        if !self.interfaces.is_empty() {
            writeln!(out, "\ninterfaces")?;
            let mut table = Table::new(&["name", "index", "role", "state", "mode", "mark"]);
            for it in &self.interfaces {
                let index = it
                    .index
                    .map_or_else(|| "-".to_owned(), |index| index.to_string());
                let mode = match (it.mode, it.wanted.as_str()) {
                    (None, _) => "-".to_owned(),
                    (Some("generic"), "auto") => {
                        "generic (the driver has no native XDP)".to_owned()
                    }
                    (Some(mode), _) => mode.to_owned(),
                };
                table.row([
                    it.label.clone(),
                    index,
                    it.role.clone(),
                    it.state.name().to_owned(),
                    mode,
                    it.mark.unwrap_or("-").to_owned(),
                ]);
            }
            table.write(out)?;
        }
        if !self.databases.is_empty() {
            writeln!(out, "\ncountry databases")?;
            let mut table = Table::new(&["file", "type", "built", "IPv4", "IPv6", "countries"]);
            for it in &self.databases {
                table.row([
                    it.path.display().to_string(),
                    it.kind.clone(),
                    format!("{:.0}", it.built),
                    it.networks_v4.to_string(),
                    it.networks_v6.to_string(),
                    it.countries.to_string(),
                ]);
            }
            table.write(out)?;
        }
        if !self.list_files.is_empty() {
            writeln!(out, "\nlist files")?;
            let mut table = Table::new(&["file", "prefixes", ""]);
            for it in &self.list_files {
                let is_exemptions = self.exemptions.as_ref() == Some(&it.path);
                table.row([
                    it.path.display().to_string(),
                    it.prefixes.to_string(),
                    if is_exemptions { "exemptions" } else { "" }.to_owned(),
                ]);
            }
            table.write(out)?;
        }
        if !self.lists.is_empty() {
            writeln!(out, "\nlists")?;
            let mut table = Table::new(&["list", "prefixes", "bytes"]);
            for (name, size) in &self.lists {
                table.row([
                    name.clone(),
                    size.prefixes.to_string(),
                    size.bytes.to_string(),
                ]);
            }
            table.write(out)?;
        }
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "\n{line}"))
    }
}
