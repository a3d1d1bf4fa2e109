//! `gate replay`: lines as packets come, and a summary.

use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use gate_common::Role;
use gate_user::{
    Exit,
    replay::{self, Engine, Line, Options, Replayed, Summary},
};

use super::Format;

/// What to replay, and how.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The capture; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The role of the interface that the packets arrive at [default: the one that the configuration has]
    #[arg(long, value_parser = roles())]
    role: Option<Role>,
    /// The interface that they arrive at [default: the first one of the role]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// Who decides
    #[arg(long, value_enum, default_value_t = EngineName::Kernel)]
    engine: EngineName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    /// The program in the kernel: an instance that is attached to nothing; needs root
    Kernel,
    /// The same decision in this process; needs no privileges
    Host,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    let names = Role::ALL.iter().map(|role| role.name());
    PossibleValuesParser::new(names).try_map(|word| word.parse::<Role>().map_err(|_| "is no role"))
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments, format: Format) -> anyhow::Result<Exit> {
    let Arguments {
        file,
        config,
        role,
        interface,
        engine,
    } = arguments;
    let options = Options {
        file,
        config,
        role: *role,
        interface: interface.as_deref(),
        engine: match engine {
            EngineName::Kernel => Engine::Kernel,
            EngineName::Host => Engine::Host,
        },
    };
    let mut out = Out {
        writer: BufWriter::new(io::stdout().lock()),
        format,
        // What comes from a pipe is waited for, line by line.
        at_once: file == Path::new("-"),
    };
    let mut written = Ok(());
    let replayed = replay::replay(options, &mut |line| {
        written = out.line(line);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    let Replayed { summary, end } = replayed?;
    match written.and_then(|()| out.summary(&summary)) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
        result => result.context("cannot write the result")?,
    }
    end?;
    Ok(Exit::Ok)
}

/// Standard output, and standard error for what would spoil it.
struct Out<W> {
    writer: W,
    format: Format,
    at_once: bool,
}

impl<W: Write> Out<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        match self.format {
            Format::Text | Format::Markdown | Format::Html => line.text(&mut self.writer),
            Format::Json | Format::Ndjson | Format::Csv => line.json(&mut self.writer),
        }?;
        if self.at_once {
            self.writer.flush()?;
        }
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        match self.format {
            Format::Text | Format::Markdown | Format::Html => {
                writeln!(self.writer)?;
                summary.text(&mut self.writer)?;
                self.writer.flush()
            }
            Format::Json | Format::Ndjson | Format::Csv => {
                self.writer.flush()?;
                // Where standard error is closed there is nobody to tell.
                let _ = summary.text(&mut io::stderr().lock());
                Ok(())
            }
        }
    }
}
