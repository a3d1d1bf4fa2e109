//! `gate replay`: what a configuration makes of the packets in a capture.
//!
//! | module | what it is |
//! |---|---|
//! | `engine` | who decides: the program in the kernel, or its source in this process |
//! | `line`, `summary` | what is said about each packet, and about all |
//!
//! Nothing that is in force is touched or looked at. It is the capture's time for all deadlines.

mod engine;
mod error;
mod line;
mod summary;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::ControlFlow,
    path::Path,
};

use gate_common::{Flow, Role, abi::InterfaceKey, decide, parse::parse};
use jiff::Timestamp;

use self::engine::{Arrival, Host, Judge, Kernel, Outcome};
pub use self::{error::ReplayError, line::Line, summary::Summary};
pub use crate::judge::Rule;
use crate::{
    capture::{Capture, Packet},
    error::Error,
    generation::{Plan, host::HostTables},
    judge::Rules,
    load::{self, Base, Source},
    progress::Progress,
    view::View,
};

/// Standard input, where a file is named.
const STDIN: &str = "-";
/// How much is read at once.
const BUFFER: usize = 1 << 18;

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The program in the kernel.
    Kernel,
    /// Its source in this process.
    Host,
}

impl Engine {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Host => "host",
        }
    }
}

/// What is to be replayed, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The capture, or `-`.
    pub file: &'a Path,
    /// The configuration.
    pub config: &'a Path,
    /// The role of the interface that packets arrive at, if it is named.
    pub role: Option<Role>,
    /// The interface, if it is named.
    pub interface: Option<&'a str>,
    /// Who decides.
    pub engine: Engine,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// About all packets that were shown.
    pub summary: Summary,
    /// What ended it before the capture did.
    pub end: Result<(), Error>,
}

/// Replays a capture. `show` gets every line as it comes, and says whether more are wanted.
pub fn replay(
    options: Options<'_>,
    show: &mut dyn FnMut(&Line) -> ControlFlow<()>,
) -> Result<Replayed, Error> {
    let Options {
        file,
        config,
        engine,
        ..
    } = options;
    let reader = open(file)?;
    let mut progress = Progress::new();
    let loaded = load::load(Source::Named(config), Base::default(), &mut progress);
    progress.finish();
    let plan = loaded?.plan;
    let interface = arrival(&plan, options)?;
    let judge: Box<dyn Judge> = match engine {
        Engine::Kernel => Box::new(Kernel::load(&plan, &interface)?),
        Engine::Host => Box::new(Host::new(&plan, &interface)),
    };
    let rules = Rules::new(View::planned(plan.clone()));
    let mut replay = Replay {
        judge,
        tables: HostTables::new(&plan, |name| (name == interface.name).then_some(ARRIVAL)),
        summary: Summary::new(engine, interface, rules.attribution()),
        rules,
        last: Timestamp::now(),
    };
    let end = replay.all(reader, file, show);
    Ok(Replayed {
        summary: replay.summary,
        end,
    })
}

fn open(file: &Path) -> Result<Box<dyn Read>, Error> {
    if file == Path::new(STDIN) {
        return Ok(Box::new(io::stdin()));
    }
    let opened = File::open(file).map_err(|error| ReplayError::Open {
        path: file.to_owned(),
        error,
    })?;
    Ok(Box::new(opened))
}

/// The interface that packets arrive at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its counter, in the generation that decides; none if its VLANs have one each.
    counter: Option<u32>,
}

/// The index of the interface that packets arrive at, on the host; any number will do.
const ARRIVAL: u32 = 1;

fn arrival(plan: &Plan, options: Options<'_>) -> Result<Interface, ReplayError> {
    let Options {
        config,
        role,
        interface,
        ..
    } = options;
    let config = || config.to_owned();
    let mut fitting = plan
        .interfaces
        .iter()
        .filter_map(|it| {
            Some(Interface {
                name: it.name.clone(),
                role: Role::from_number(it.interface.role)?,
                counter: (it.vlan == InterfaceKey::PORT).then_some(it.interface.counter),
            })
        })
        .filter(|it| {
            interface.is_none_or(|wanted| wanted == it.name)
                && role.is_none_or(|wanted| wanted == it.role)
        });
    match (fitting.next(), interface, role) {
        (Some(first), None, None) if fitting.any(|it| it.role != first.role) => {
            Err(ReplayError::Where { config: config() })
        }
        (Some(first), _, _) => Ok(first),
        (None, Some(name), role) => Err(ReplayError::NoInterface {
            config: config(),
            name: name.to_owned(),
            role,
        }),
        (None, None, role) => Err(ReplayError::NoRole {
            config: config(),
            role,
        }),
    }
}

/// A replay that goes on.
struct Replay<'p> {
    judge: Box<dyn Judge + 'p>,
    /// The interface that packets arrive at, by name, under [`ARRIVAL`].
    tables: HostTables<'p>,
    rules: Rules,
    summary: Summary,
    /// The time of the packet before; before the first one, that of today.
    last: Timestamp,
}

impl Replay<'_> {
    fn all(
        &mut self,
        reader: Box<dyn Read>,
        file: &Path,
        show: &mut dyn FnMut(&Line) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let failed = |error| ReplayError::Capture {
            path: file.to_owned(),
            error,
        };
        let mut capture = Capture::new(BufReader::with_capacity(BUFFER, reader)).map_err(failed)?;
        while let Some(packet) = capture.next_packet().map_err(failed)? {
            if show(&self.one(packet)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn one(&mut self, packet: Packet<'_>) -> Result<Line, Error> {
        let Packet {
            number,
            time_ns,
            length,
            data,
        } = packet;
        let mut flow = Flow::default();
        let shape = parse(data, &mut flow);
        let time = time_ns.map(|it| Timestamp::from_nanosecond(it).ok());
        if let Some(Some(time)) = time {
            self.last = time;
        }
        let now_ns = u64::try_from(self.last.as_nanosecond()).ok();
        let outcome = match (time, now_ns) {
            (Some(None), _) | (_, None) => {
                Outcome::Skipped("its time is before 1970 or after 2554".to_owned())
            }
            (_, Some(now_ns)) => self.judge.judge(Arrival {
                frame: data,
                shape,
                flow: &flow,
                now_ns,
            })?,
        };
        let mut line = Line {
            time: time.flatten(),
            length,
            captured: (data.len() < length as usize).then_some(data.len()),
            ..Line::new(number, shape, &flow)
        }
        .with(&outcome);
        if let (Outcome::Judged(judgement), Some(now_ns)) = (&outcome, now_ns) {
            let source = decide::source(&flow, ARRIVAL, &self.tables);
            line.rule = self.rules.of(*judgement, source, flow.dst, now_ns);
            if let Some((class, country)) = judgement.class {
                line.class = self.rules.class(class);
                line.country = country.code().map(|code| code.to_string());
            }
        }
        self.summary.count(&line, &outcome, self.last);
        Ok(line)
    }
}
