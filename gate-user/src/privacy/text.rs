//! `gate privacy` for people.

use std::{io, path::Path};

use super::{Elsewhere, Kept, Other, Privacy, Readers};
use crate::report::Report;

impl Report for Privacy {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self {
            generation,
            daemon,
            stores,
            others,
            impersonal,
            unknown,
            elsewhere,
        } = self;
        writeln!(out, "generation {generation}")?;
        if !daemon {
            writeln!(
                out,
                "no daemon runs: what is over is not shown, and stays in the kernel until `gate run`, or until it makes room"
            )?;
        }
        stores.iter().try_for_each(|it| store(it, out))?;
        others.iter().try_for_each(|it| other(it, out))?;
        writeln!(out, "\nelsewhere")?;
        for Elsewhere { place, holds } in elsewhere {
            writeln!(out, "  {place}: {holds}")?;
        }
        writeln!(
            out,
            "\nwhere subscribers connect to is kept nowhere; {} other pins hold nothing about any person (--format json names them)",
            impersonal.len()
        )?;
        for path in unknown {
            writeln!(
                out,
                "! {}: not a pin of this gate: what it holds is not known",
                path.display()
            )?;
        }
        writeln!(
            out,
            "`gate counters --forget PREFIX` deletes sources before their time"
        )
    }
}

fn store(kept: &Kept, out: &mut dyn io::Write) -> io::Result<()> {
    let Kept {
        store,
        on,
        holds,
        unit,
        purpose,
        kept,
        kept_seconds: _,
        entries,
        over,
        oldest,
        path,
        readers,
    } = kept;
    let off = if *on {
        ""
    } else {
        " (off: nothing is written)"
    };
    writeln!(out, "\n{store}{off}")?;
    writeln!(out, "  holds    {holds}")?;
    writeln!(out, "  unit     {unit}")?;
    writeln!(out, "  for      {purpose}")?;
    writeln!(out, "  kept     {kept}")?;
    if let Some(entries) = entries {
        let since = oldest.map_or_else(String::new, |it| format!(", the oldest since {it:.0}"));
        let over = if *over == 0 {
            String::new()
        } else {
            format!("; {over} over and not deleted yet")
        };
        writeln!(out, "  now      {entries}{since}{over}")?;
    }
    place(path, readers.as_ref(), out)
}

fn other(it: &Other, out: &mut dyn io::Write) -> io::Result<()> {
    let Other {
        store,
        holds,
        kept,
        path,
        readers,
    } = it;
    writeln!(out, "\n{store}")?;
    writeln!(out, "  holds    {holds}")?;
    writeln!(out, "  kept     {kept}")?;
    place(path, readers.as_ref(), out)
}

fn place(path: &Path, readers: Option<&Readers>, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "  where    {}", path.display())?;
    let Some(Readers {
        owner,
        group,
        mode,
        group_reads,
        others_read,
    }) = readers
    else {
        return writeln!(out, "  read by  nobody: it is not there");
    };
    let whom = match (others_read, group_reads) {
        (true, _) => "everybody".to_owned(),
        (false, true) => format!("{owner} and members of {group}"),
        (false, false) => owner.clone(),
    };
    writeln!(out, "  read by  {whom} ({owner}:{group} {mode})")
}
