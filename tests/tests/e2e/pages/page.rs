//! A page in pieces, which put together are the page again.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};

use super::plain;

/// A line for lines that are left out.
const LEFT_OUT: &str = "[...]";
const FENCE: &str = "```";

pub(super) struct Page {
    pub(super) pieces: Vec<Piece>,
}

pub(super) enum Piece {
    /// Lines that are nobody's concern, and those of steps, with their ends.
    Text(String),
    Step(Step),
    Block(Block),
}

/// What a comment asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begin {
        daemon: bool,
    },
    Treat(Treat),
    Connect(Connections),
    /// The same, while the next block rehearses.
    Meanwhile(Connections),
    Run(String),
    Start(Keeps),
    Stop,
}

/// What a daemon keeps for the start of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Nothing,
    LastGood,
}

/// Connections by IPv4, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) port: u16,
    pub(super) count: u32,
}

/// How a block is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Treat {
    #[default]
    Compared,
    /// Run, and shown as it is here.
    Machine,
    NotRun,
}

/// A block of a console.
#[derive(Default)]
pub(super) struct Block {
    /// What comes before the first command, as it stands.
    head: Vec<String>,
    pub(super) commands: Vec<Shown>,
}

/// A command, and what the page says it prints.
pub(super) struct Shown {
    /// Its lines, with the prompt.
    typed: Vec<String>,
    /// What a shell is given.
    pub(super) command: String,
    printed: Vec<String>,
}

impl Page {
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let whole = format!("{line}\n");
            if line == "```console" {
                let inside: Vec<&str> = lines.by_ref().take_while(|it| *it != FENCE).collect();
                pieces.push(Piece::Block(Block::read(&inside)?));
            } else {
                pieces.push(Piece::Text(whole));
                if let Some(step) = line.strip_prefix("<!-- lab: ") {
                    let step = step.strip_suffix(" -->").context(line.to_owned());
                    let step = step.and_then(Step::read);
                    pieces.push(Piece::Step(
                        step.with_context(|| format!("bad step: {line}"))?,
                    ));
                }
            }
        }
        Ok(Self { pieces })
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Step(_) => {}
                Piece::Block(block) => writeln!(f, "{FENCE}console\n{block}{FENCE}")?,
            }
        }
        Ok(())
    }
}

impl Step {
    fn read(text: &str) -> Result<Self> {
        if let Some(command) = text.strip_prefix("run ") {
            return Ok(Self::Run(command.to_owned()));
        }
        if text.starts_with("machine: ") {
            return Ok(Self::Treat(Treat::Machine));
        }
        if text.starts_with("not run: ") {
            return Ok(Self::Treat(Treat::NotRun));
        }
        let words: Vec<&str> = text.split(' ').collect();
        Ok(match *words.as_slice() {
            ["begin"] => Self::Begin { daemon: true },
            ["begin", "without", "daemon"] => Self::Begin { daemon: false },
            ["start"] => Self::Start(Keeps::Nothing),
            ["start", "with", "state"] => Self::Start(Keeps::LastGood),
            ["stop"] => Self::Stop,
            ["connect", ref ends @ ..] => Self::Connect(Connections::read(ends)?),
            ["meanwhile", ref ends @ ..] => Self::Meanwhile(Connections::read(ends)?),
            _ => bail!("no such step"),
        })
    }
}

impl Connections {
    fn read(words: &[&str]) -> Result<Self> {
        let [from, to, port, count] = *words else {
            bail!("who to whom, which port, and how often?");
        };
        Ok(Self {
            from: from.to_owned(),
            to: to.to_owned(),
            port: port.parse()?,
            count: count.parse()?,
        })
    }
}

impl Block {
    fn read(lines: &[&str]) -> Result<Self> {
        let mut block = Self::default();
        let mut lines = lines.iter().copied();
        while let Some(line) = lines.next() {
            if let Some(first) = prompted(line) {
                let mut typed = vec![line.to_owned()];
                let mut command = first.to_owned();
                while command.ends_with('\\') {
                    let next = lines.next().context("a command that goes on nowhere")?;
                    typed.push(next.to_owned());
                    command.push('\n');
                    command.push_str(next);
                }
                block.commands.push(Shown {
                    typed,
                    command,
                    printed: Vec::new(),
                });
            } else if let Some(shown) = block.commands.last_mut() {
                shown.printed.push(line.to_owned());
            } else {
                block.head.push(line.to_owned());
            }
        }
        Ok(block)
    }
}

/// The command behind a prompt. What Prometheus reads has lines that begin like root's.
fn prompted(line: &str) -> Option<&str> {
    let command = line.strip_prefix("# ").or(line.strip_prefix("$ "))?;
    let metrics = ["HELP ", "TYPE ", "UNIT ", "EOF"];
    (!metrics.iter().any(|word| command.starts_with(word))).then_some(command)
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, commands } = self;
        let shown = commands
            .iter()
            .flat_map(|it| it.typed.iter().chain(&it.printed));
        head.iter()
            .chain(shown)
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Shown {
    /// What differs between the page and what was printed.
    pub(super) fn compare(&self, printed: &str) -> Option<String> {
        let now = self.cut(printed);
        let same = |(page, now): (&String, &String)| plain::plain(page) == plain::plain(now);
        if now.len() == self.printed.len() && self.printed.iter().zip(&now).all(same) {
            return None;
        }
        let Self { command, .. } = self;
        let page = self.printed.iter().filter(|it| !now.contains(it));
        let page = page.map(|line| format!("  page  {line}"));
        let printed = now.iter().filter(|it| !self.printed.contains(it));
        let printed = printed.map(|line| format!("  now   {line}"));
        let lines: Vec<String> = page.chain(printed).collect();
        Some(format!(
            "`{command}` prints something else:\n{}",
            lines.join("\n")
        ))
    }

    /// Takes what was printed in place of what the page has.
    pub(super) fn take(&mut self, printed: &str) {
        self.printed = self.cut(printed);
    }

    /// What was printed, without as much as the page leaves out.
    fn cut(&self, printed: &str) -> Vec<String> {
        let all: Vec<String> = printed.lines().map(|it| it.trim_end().to_owned()).collect();
        let Some(head) = self.printed.iter().position(|line| line == LEFT_OUT) else {
            return all;
        };
        let tail = self.printed.len() - head - 1;
        if all.len() <= head + tail {
            return all;
        }
        let (before, rest) = all.split_at(head);
        let (_, after) = rest.split_at(rest.len() - tail);
        [before, &[LEFT_OUT.to_owned()], after].concat()
    }
}

/// What the pages themselves cannot show.
pub(super) fn kept() -> Result<()> {
    let text = "# Title\n\n<!-- lab: begin -->\n```console\n# gate status\nwell\n[...]\nend\n$ sed \\\n  -n p\n# HELP no command\n```\n\nmore\n";
    let mut page = Page::read(text)?;
    ensure!(page.to_string() == text, "another page: {page}");
    let Some(Piece::Block(block)) = page
        .pieces
        .iter_mut()
        .find(|it| matches!(it, Piece::Block(_)))
    else {
        bail!("no block");
    };
    let [status, sed] = block.commands.as_mut_slice() else {
        bail!("other commands than two");
    };
    ensure!(sed.command == "sed \\\n  -n p" && sed.printed == ["# HELP no command"]);
    ensure!(
        status.compare("well\nx\ny\nend\n").is_none(),
        "lines are left out"
    );
    ensure!(status.compare("well\nx\ny\nnot the end\n").is_some());
    ensure!(status.compare("end\n").is_some());
    status.take("ill\n1\n2\nover\n");
    ensure!(
        status.printed == ["ill", LEFT_OUT, "over"],
        "{:?}",
        status.printed
    );
    ensure!(Step::read("connect home peer 25").is_err());
    ensure!(Page::read("<!-- lab: dance -->\n").is_err());
    Ok(())
}
