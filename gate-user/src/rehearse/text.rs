//! What a rehearsal found, for people.

use std::{fmt, io};

use super::report::{Difference, Ended, Outcome, Rehearsal, Totals, Treated};

/// The text of a report.
pub(super) struct Described<'r>(pub(super) &'r Rehearsal);

impl Described<'_> {
    pub(super) fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let it = self.0;
        let seconds = it.until.duration_since(it.since).as_secs();
        writeln!(
            out,
            "{} beside generation {} ({}) for {} min {} s{}",
            it.new_config.display(),
            it.generation,
            it.config.display(),
            seconds / 60,
            seconds % 60,
            it.ended
        )?;
        for warning in &it.warnings {
            writeln!(out, "  ! {}", warning.replace('\n', "\n    "))?;
        }
        for name in &it.unattached {
            writeln!(
                out,
                "  ! {name}: the gate is not on this interface, so that nothing that it receives was compared"
            )?;
        }
        self.summary(out)?;
        for difference in &it.differences {
            Self::difference(difference, out)?;
        }
        self.lost(out)?;
        for (what, names) in [("pools", &it.unseen.pools), ("classes", &it.unseen.classes)] {
            if !names.is_empty() {
                writeln!(
                    out,
                    "\nno packet came of these {what} of the new configuration: {}",
                    names.join(", ")
                )?;
            }
        }
        it.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "\n{line}"))
    }

    fn summary(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Totals {
            compared,
            otherwise,
            other_reason,
            lost_differences,
            ..
        } = self.0.packets;
        match (compared, otherwise) {
            (0, _) => writeln!(out, "no packet came that either would judge"),
            (_, 0) if lost_differences == 0 => writeln!(
                out,
                "not one packet would have been treated otherwise, of {compared} that were compared"
            ),
            _ => writeln!(
                out,
                "{otherwise} of {compared} packets would have been treated otherwise"
            ),
        }?;
        if other_reason > 0 {
            writeln!(
                out,
                "{other_reason} would have been treated the same for another reason"
            )?;
        }
        Ok(())
    }

    fn difference(it: &Difference, out: &mut dyn io::Write) -> io::Result<()> {
        let Difference {
            from,
            to,
            reason_only,
            packets,
            sources,
            top,
        } = it;
        let same = if *reason_only {
            " (the same, for another reason)"
        } else {
            ""
        };
        writeln!(out, "\n{from} -> {to}{same}")?;
        writeln!(out, "  {}", of(*packets, *sources))?;
        for source in top {
            write!(out, "  {:>8}  {}", source.packets, source.source)?;
            match &source.rule {
                Some(rule) => writeln!(out, ": {rule}")?,
                None => writeln!(out)?,
            }
        }
        let more = sources.saturating_sub(top.len());
        if more > 0 && !top.is_empty() {
            writeln!(out, "  and {more} more")?;
        }
        Ok(())
    }

    fn lost(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Totals {
            compared: _,
            otherwise: _,
            other_reason: _,
            sourceless,
            lost_sources,
            lost_treatments,
            lost_differences,
        } = self.0.packets;
        for (count, what) in [
            (sourceless, "have no source that can be read"),
            (
                lost_sources,
                "are of sources that there was no room for; they are in every count but those of sources",
            ),
            (
                lost_treatments,
                "were treated in ways that there was no room for",
            ),
            (
                lost_differences,
                "differ in ways that there was no room for; they are in no line above",
            ),
        ] {
            if count > 0 {
                writeln!(out, "\n{count} of the packets {what}")?;
            }
        }
        Ok(())
    }
}

fn of(packets: u64, sources: usize) -> String {
    let plural = |count: u64, one: &str| {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} {one}{s}")
    };
    format!(
        "{} of {}",
        plural(packets, "packet"),
        plural(sources.try_into().unwrap_or(u64::MAX), "source")
    )
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => Ok(()),
            Self::Interrupted => f.write_str("; then it was told to end"),
            Self::Replaced { generation } => write!(
                f,
                "; then it ended, since generation {generation} was put in force: run it again to compare with that one"
            ),
            Self::Bypassed { .. } => f.write_str(
                "; then it ended, since a bypass began: what is in force then decides nothing",
            ),
            Self::Detached => {
                f.write_str("; then it ended, since the gate was taken out of the kernel")
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Judged(Treated {
            verdict,
            reason,
            pool,
            class,
        }) = self
        else {
            return f.write_str("not judged");
        };
        write!(f, "{verdict} ({reason}")?;
        if let Some(pool) = pool {
            write!(f, ", pool {pool}")?;
        }
        if let Some(class) = class {
            write!(f, ", class {class}")?;
        }
        f.write_str(")")
    }
}
