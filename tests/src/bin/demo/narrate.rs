//! What the demo says, and how it looks.

use std::io::{self, IsTerminal as _, Stdout, Write as _};

/// Writes to standard output, in colour on a terminal.
pub(crate) struct Narrator {
    out: Stdout,
    colour: bool,
    faults: usize,
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

impl Narrator {
    pub(crate) fn new() -> Self {
        let out = io::stdout();
        let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            out,
            colour,
            faults: 0,
        }
    }

    /// What is not as expected so far.
    pub(crate) fn faults(&self) -> usize {
        self.faults
    }

    /// A heading.
    pub(crate) fn scene(&mut self, title: &str) -> io::Result<()> {
        let title = self.painted(BOLD, &format!("== {title}"));
        writeln!(self.out, "\n{title}\n")
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Something quoted: what a program said.
    pub(crate) fn quote(&mut self, text: &str) -> io::Result<()> {
        for line in text.lines() {
            let line = self.painted(DIM, line);
            writeln!(self.out, "  {line}")?;
        }
        Ok(())
    }

    /// A table, whose last word on a line says whether it is as it should be.
    pub(crate) fn table(&mut self, table: &str) -> io::Result<()> {
        for line in table.lines() {
            let painted = match line.rsplit_once(' ') {
                Some((rest, mark @ "PASS")) => format!("{rest} {}", self.painted(GREEN, mark)),
                Some((rest, mark @ "FAIL")) => format!("{rest} {}", self.painted(RED, mark)),
                _ => line.to_owned(),
            };
            writeln!(self.out, "{painted}")?;
        }
        writeln!(self.out)
    }

    /// A statement, and what speaks against it.
    pub(crate) fn check(&mut self, statement: &str, faults: &[String]) -> io::Result<()> {
        self.faults += faults.len();
        let mark = if faults.is_empty() {
            self.painted(GREEN, "PASS")
        } else {
            self.painted(RED, "FAIL")
        };
        writeln!(self.out, "{mark}  {statement}")?;
        for fault in faults {
            writeln!(self.out, "      {fault}")?;
        }
        Ok(())
    }

    /// The last line.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        let faults = self.faults;
        let line = if faults == 0 {
            self.painted(GREEN, "Everything is as expected.")
        } else {
            self.painted(RED, &format!("Not as expected: {faults} (see FAIL above)."))
        };
        writeln!(self.out, "\n{line}")
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colour {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }
}
