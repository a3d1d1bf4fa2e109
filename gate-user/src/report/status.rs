//! `gate status`: what is in force, and what is wrong with it.

use std::{collections::BTreeMap, io};

use gate_common::abi::ABI_VERSION;
use serde::Serialize;

use super::{Report, Table};
use crate::{
    error::{Error, Exit},
    generation::{
        Manifest,
        manifest::{self, Database},
    },
    kernel::{self, KernelError},
    pins::Pins,
    sys::{Device, XdpLink, devices},
    view,
};

/// How the gate is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything is in force, and the daemon lives.
    Ok,
    /// Verdicts stand, but something needs attention.
    Degraded,
    /// On at least one interface nothing is judged.
    Open,
    /// Nothing is loaded.
    Absent,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Open => "open",
            Self::Absent => "absent",
        }
    }
}

/// The state of the gate.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// In one word.
    pub state: State,
    /// Everything that is not as it should be.
    pub problems: Vec<String>,
    /// The version of the map ABI.
    pub abi: u32,
    /// The daemon.
    pub daemon: Daemon,
    /// The generation in force; nothing if none is.
    pub generation: Option<Generation>,
    /// The interfaces of the configuration.
    pub interfaces: Vec<Interface>,
    /// The country databases.
    pub databases: Vec<Database>,
    /// What their licences ask for.
    pub attribution: Vec<String>,
    /// How many prefixes each table has.
    pub tables: BTreeMap<String, usize>,
}

/// Whether the daemon lives.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Daemon {
    alive: bool,
}

/// The generation in force.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    number: u32,
    loaded_at: jiff::Timestamp,
    config: std::path::PathBuf,
    config_sha256: String,
}

/// An interface and what is on it.
#[derive(Clone, Debug, Serialize)]
pub struct Interface {
    name: String,
    index: Option<u32>,
    role: String,
    /// Where the program runs.
    mode: Option<&'static str>,
    /// Where the configuration wants it: `auto` takes `generic` where the driver has no native XDP.
    wanted: String,
    state: Link,
}

/// Whether packets on an interface are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Link {
    /// They are.
    Attached,
    /// They are not.
    Open,
    /// There is no such interface.
    Missing,
}

impl Link {
    const fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Open => "open",
            Self::Missing => "missing",
        }
    }
}

/// Looks at pins and devices.
pub fn status(pins: &Pins) -> Result<Status, Error> {
    let daemon = Daemon {
        alive: pins.locked()?,
    };
    let devices = devices().map_err(Error::system("list the network interfaces"))?;
    let manifest = match view::with_current(pins, |directory| Ok(kernel::manifest(directory)?)) {
        Ok(manifest) => manifest,
        Err(Error::NotLoaded { .. } | Error::Kernel(KernelError::Open { .. })) => {
            return without_manifest(daemon, pins, &devices);
        }
        Err(error) => return Err(error),
    };
    let mut problems = Vec::new();
    let mut interfaces = Vec::new();
    for it in &manifest.interfaces {
        interfaces.push(interface(it, &devices, pins, &mut problems)?);
    }
    if !daemon.alive {
        problems.push(
            "no daemon runs: verdicts go on, but nothing follows changes of the clock; start `gate run`".to_owned(),
        );
    }
    let open = interfaces.iter().any(|it| it.state != Link::Attached);
    let state = match (open, problems.is_empty()) {
        (true, _) => State::Open,
        (false, false) => State::Degraded,
        (false, true) => State::Ok,
    };
    let Manifest {
        number,
        loaded_at,
        config,
        config_sha256,
        databases,
        attribution,
        tables,
        ..
    } = manifest;
    Ok(Status {
        state,
        problems,
        abi: ABI_VERSION,
        daemon,
        generation: Some(Generation {
            number,
            loaded_at,
            config,
            config_sha256,
        }),
        interfaces,
        databases,
        attribution,
        tables: tables
            .into_iter()
            .map(|(name, size)| (name.to_lowercase(), size))
            .collect(),
    })
}

/// The state where there is no word on what is loaded: usually because nothing is, or because somebody removed pins.
fn without_manifest(daemon: Daemon, pins: &Pins, devices: &[Device]) -> Result<Status, Error> {
    let mut judged = Vec::new();
    for name in pins.linked()? {
        let link = open_link(pins, &name)?;
        judged.extend(
            link.and_then(|link| devices.iter().find(|device| device.index == link.interface)),
        );
    }
    if judged.is_empty() {
        return Ok(absent(daemon, pins));
    }
    let names: Vec<&str> = judged.iter().map(|device| device.name.as_str()).collect();
    Ok(Status {
        state: State::Degraded,
        problems: vec![format!(
            "the program is on {}, but pins that say what it decides by were removed; `gate run --config FILE` makes them anew",
            names.join(", ")
        )],
        ..absent(daemon, pins)
    })
}

fn absent(daemon: Daemon, pins: &Pins) -> Status {
    Status {
        state: State::Absent,
        problems: vec![format!(
            "{}: no gate is loaded here; start it with `gate run --config FILE`",
            pins.root().display()
        )],
        abi: ABI_VERSION,
        daemon,
        generation: None,
        interfaces: Vec::new(),
        databases: Vec::new(),
        attribution: Vec::new(),
        tables: BTreeMap::new(),
    }
}

fn interface(
    named: &manifest::Interface,
    devices: &[Device],
    pins: &Pins,
    problems: &mut Vec<String>,
) -> Result<Interface, Error> {
    let name = &named.name;
    let link = open_link(pins, name)?;
    // The device that the link is on, which may have been renamed; else the one that has the name.
    let linked = link.and_then(|link| devices.iter().find(|device| device.index == link.interface));
    let device = linked.or_else(|| devices.iter().find(|device| device.name == *name));
    let judging = device
        .and_then(|device| device.xdp)
        .filter(|xdp| linked.is_some() && link.is_some_and(|link| link.program == xdp.program));
    let state = match (device, judging) {
        (None, _) => Link::Missing,
        (Some(_), None) => Link::Open,
        (Some(_), Some(_)) => Link::Attached,
    };
    match (state, device) {
        (Link::Missing, _) | (_, None) => {
            problems.push(format!("{name}: there is no such interface in this network namespace"));
        }
        (Link::Open, Some(_)) => problems.push(format!(
            "{name}: open, nothing is judged on it; end the daemon if one runs, and `gate run` attaches it again"
        )),
        (Link::Attached, Some(device)) if device.name != *name => problems.push(format!(
            "{name}: is called {} now; write that into the configuration and start `gate run` again",
            device.name
        )),
        (Link::Attached, Some(_)) => {}
    }
    Ok(Interface {
        name: name.clone(),
        index: device.map(|device| device.index),
        role: named.role.clone(),
        mode: judging.map(|xdp| xdp.mode.name()),
        wanted: named.mode.clone(),
        state,
    })
}

/// The gate's link to an interface; nothing if there is none.
fn open_link(pins: &Pins, interface: &str) -> Result<Option<XdpLink>, Error> {
    match XdpLink::open(&pins.link(interface)) {
        Ok(link) => Ok(Some(link)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::system("look at a pinned link")(error)),
    }
}

impl Status {
    /// The exit code that tells scripts.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.state {
            State::Ok => Exit::Ok,
            State::Degraded | State::Open | State::Absent => Exit::Degraded,
        }
    }
}

impl Report for Status {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "state       {}", self.state.name())?;
        for problem in &self.problems {
            writeln!(out, "  ! {problem}")?;
        }
        writeln!(
            out,
            "daemon      {}",
            if self.daemon.alive {
                "alive"
            } else {
                "not running"
            }
        )?;
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
        }
        if !self.interfaces.is_empty() {
            writeln!(out, "\ninterfaces")?;
            let mut table = Table::new(&["name", "index", "role", "state", "mode"]);
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
                    it.name.clone(),
                    index,
                    it.role.clone(),
                    it.state.name().to_owned(),
                    mode,
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
        if !self.tables.is_empty() {
            writeln!(out, "\ntables")?;
            let mut table = Table::new(&["table", "prefixes"]);
            for (name, size) in &self.tables {
                table.row([name.clone(), size.to_string()]);
            }
            table.write(out)?;
        }
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "\n{line}"))
    }
}
