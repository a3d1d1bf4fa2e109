//! `gate status`: what is in force, and what is wrong with it.

mod daemon;
mod interface;
mod text;

use std::{collections::BTreeMap, path::PathBuf};

use gate_common::abi::ABI_VERSION;
use jiff::Timestamp;
use serde::Serialize;

use self::{
    daemon::Daemon,
    interface::{Interface, Link},
};
use crate::{
    attach::{self, Uncounted},
    config::ListFile,
    error::{Error, Exit},
    generation::{
        Manifest,
        manifest::{self, Database},
    },
    kernel::{self, KernelError},
    memory,
    pins::Pins,
    sys::{Device, devices},
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
    /// The list files.
    pub list_files: Vec<ListFile>,
    /// The memory of the tables of each generation that has any: while a new one is loaded, of two.
    pub memory: Vec<GenerationMemory>,
    /// What their licences ask for.
    pub attribution: Vec<String>,
    /// How large each prefix list is.
    pub lists: BTreeMap<String, manifest::ListSize>,
}

/// The memory of the tables of a generation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GenerationMemory {
    generation: u32,
    bytes: u64,
    in_force: bool,
}

/// The generation in force.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    number: u32,
    loaded_at: Timestamp,
    config: PathBuf,
    config_sha256: String,
    /// What the guards had against it, overridden by `--force`.
    forced: Vec<String>,
}

/// Looks at pins and devices.
pub fn status(pins: &Pins) -> Result<Status, Error> {
    let mut problems = Vec::new();
    let daemon = daemon::daemon(pins, &mut problems)?;
    let devices = devices().map_err(Error::system("list the network interfaces"))?;
    let manifest = match view::with_current(pins, |directory| Ok(kernel::manifest(directory)?)) {
        Ok(manifest) => manifest,
        Err(Error::NotLoaded { .. } | Error::Kernel(KernelError::Open { .. })) => {
            return without_manifest(daemon, problems, pins, &devices);
        }
        Err(error) => return Err(error),
    };
    let mut interfaces = Vec::new();
    for it in &manifest.interfaces {
        interfaces.push(interface::interface(it, &devices, pins, &mut problems)?);
    }
    if !daemon.alive {
        problems.push(
            "no daemon runs: verdicts go on, but nothing follows changes of the clock and of data; start `gate run`"
                .to_owned(),
        );
    }
    problems.extend(attach::uncounted(pins)?.iter().map(uncounted));
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
        list_files,
        forced,
        attribution,
        lists,
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
            forced,
        }),
        interfaces,
        databases,
        list_files,
        memory: generations(pins, number)?,
        attribution,
        lists,
    })
}

fn uncounted(what: &Uncounted) -> String {
    format!(
        "answers that fail to leave are not all counted: {what}; `gate reload` tries again and says why, \
         or `gate run` where no daemon runs"
    )
}

/// The memory of the tables of every generation that has any.
fn generations(pins: &Pins, current: u32) -> Result<Vec<GenerationMemory>, Error> {
    let of = |generation| {
        Ok(GenerationMemory {
            generation,
            bytes: memory::of_generations(&[&pins.generation(generation)])?,
            in_force: generation == current,
        })
    };
    pins.pinned_generations()?.into_iter().map(of).collect()
}

/// The state where there is no word on what is loaded: usually because nothing is, or because somebody removed pins.
fn without_manifest(
    daemon: Daemon,
    mut problems: Vec<String>,
    pins: &Pins,
    devices: &[Device],
) -> Result<Status, Error> {
    let mut judged = Vec::new();
    for name in pins.linked()? {
        let link = interface::open_link(pins, &name)?;
        judged.extend(
            link.and_then(|link| devices.iter().find(|device| device.index == link.interface)),
        );
    }
    let names: Vec<&str> = judged.iter().map(|device| device.name.as_str()).collect();
    let (state, problem) = if names.is_empty() {
        (
            State::Absent,
            format!(
                "{}: no gate is loaded here; start it with `gate run --config FILE`",
                pins.root().display()
            ),
        )
    } else {
        (
            State::Degraded,
            format!(
                "the program is on {}, but pins that say what it decides by were removed; `gate run --config FILE` makes them anew",
                names.join(", ")
            ),
        )
    };
    problems.push(problem);
    Ok(Status {
        state,
        problems,
        abi: ABI_VERSION,
        daemon,
        generation: None,
        interfaces: Vec::new(),
        databases: Vec::new(),
        list_files: Vec::new(),
        memory: Vec::new(),
        attribution: Vec::new(),
        lists: BTreeMap::new(),
    })
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
