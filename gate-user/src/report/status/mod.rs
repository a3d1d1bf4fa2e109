//! `gate status`: what is in force, and what is wrong with it.

mod daemon;
mod interface;
mod marks;
mod readers;
mod text;
mod wayback;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gate_common::abi::ABI_VERSION;
use jiff::Timestamp;
use serde::Serialize;

pub(crate) use self::interface::Link;
use self::{
    daemon::Daemon,
    interface::{Interface, Scene},
};
use super::observed::{Observed, observed};
use crate::{
    attach::{self, AttachError, Uncounted},
    bypass::{self, Bypass},
    config::ListFile,
    control::Standing,
    error::{Error, Exit},
    events::{self, Heard},
    generation::{
        Manifest,
        manifest::{self, Database, RolledBack},
    },
    kernel::{self, KernelError},
    memory,
    migrate::{self, FromZero},
    pins::{Pins, PinsError},
    rehearse::{self, Underway},
    run,
    sys::{Device, devices, strips_vlans},
    view,
};

/// How the gate is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything is in force, and the daemon lives.
    Ok,
    /// Verdicts stand, but something needs attention.
    Degraded,
    /// What is in force is taken back at a time, unless a person confirms it.
    Unconfirmed,
    /// What is in force was before already, and changes of data are held until a person reloads.
    RolledBack,
    /// Everything is only observed, because somebody asked for that.
    Bypassed,
    /// On at least one interface nothing is judged.
    Open,
    /// Nothing is loaded.
    Absent,
}

impl State {
    /// Every state.
    pub(crate) const ALL: [Self; 7] = [
        Self::Ok,
        Self::Degraded,
        Self::Unconfirmed,
        Self::RolledBack,
        Self::Bypassed,
        Self::Open,
        Self::Absent,
    ];

    /// The word of `gate status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Unconfirmed => "unconfirmed",
            Self::RolledBack => "rolled_back",
            Self::Bypassed => "bypassed",
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
    /// Until when everything is only observed, and why; nothing if there is no bypass.
    pub bypass: Option<Bypass>,
    /// The configuration that is rehearsed beside it; nothing if none is.
    pub rehearsal: Option<Underway>,
    /// What started from zero when another map ABI was taken over from, and is counted since.
    pub from_zero: Vec<FromZero>,
    /// Who listens to events, and what was told; nothing if nobody does.
    pub listening: Option<Heard>,
    /// What of it is only observed for now.
    pub observed: Vec<Observed>,
    /// The interfaces of the configuration.
    pub interfaces: Vec<Interface>,
    /// The group of the system whose members may read tags.
    pub readers: Option<String>,
    /// The country databases.
    pub databases: Vec<Database>,
    /// The list files.
    pub list_files: Vec<ListFile>,
    /// That of them which has the exemptions.
    pub exemptions: Option<PathBuf>,
    /// The memory of the tables of each generation that has any: of the one in force, of the one before, and of one that is being loaded.
    /// Tables that two of them share are in the memory of both.
    pub memory: Vec<GenerationMemory>,
    /// What their licences ask for.
    pub attribution: Vec<String>,
    /// How large each prefix list is.
    pub lists: BTreeMap<String, manifest::ListSize>,
}

/// The memory of the tables of a generation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct GenerationMemory {
    pub(crate) generation: u32,
    pub(crate) bytes: u64,
    pub(crate) in_force: bool,
}

/// The generation in force.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    pub(crate) number: u32,
    pub(crate) loaded_at: Timestamp,
    pub(crate) config: PathBuf,
    pub(crate) config_sha256: String,
    /// What the guards had against it, overridden by `--force`.
    forced: Vec<String>,
    /// The generation that `gate rollback` goes back to.
    pub(crate) previous: Option<u32>,
    /// How it came to be in force again.
    rolled_back: Option<RolledBack>,
    /// When it is taken back, unless a person confirms it.
    pub(crate) confirm_until: Option<Timestamp>,
}

/// Looks at pins and devices.
pub fn status(pins: &Pins) -> Result<Status, Error> {
    let mut problems = Vec::new();
    let daemon = daemon::daemon(pins, &mut problems)?;
    with(pins, daemon, problems)
}

/// The same in the daemon itself, which knows how it is.
pub fn status_within(pins: &Pins, standing: Standing) -> Result<Status, Error> {
    let mut problems = Vec::new();
    let daemon = Daemon::of(standing, &mut problems);
    with(pins, daemon, problems)
}

/// What there is to say where no daemon lives.
const UNATTENDED: &str = "no daemon runs: verdicts go on, but nothing follows changes of the clock and of data; start `gate run`";

fn with(pins: &Pins, daemon: Daemon, mut problems: Vec<String>) -> Result<Status, Error> {
    let devices = devices().map_err(Error::system("list the network interfaces"))?;
    let read = |directory: &Path| {
        let manifest = kernel::manifest(directory)?;
        Ok((manifest, kernel::interfaces(directory)?))
    };
    let (manifest, known) = match view::with_current(pins, read) {
        Ok(read) => read,
        Err(error) if is_unknown(&error) => {
            return without_manifest(daemon, problems, pins, &devices);
        }
        Err(error) => return Err(error),
    };
    let links = attach::placed(&devices, pins)?;
    let scene = Scene {
        manifest: &manifest,
        known: &known,
        devices: &devices,
        links: &links,
        pins,
    };
    let interfaces = scene.interfaces(&mut problems);
    problems.extend((!daemon.alive).then(|| UNATTENDED.to_owned()));
    problems.extend(unseen_vlans(&manifest, &devices));
    if !manifest.marked.is_empty() {
        marks::check(&daemon, pins, &mut problems);
    }
    problems.extend(attach::uncounted(&links, pins).iter().map(uncounted));
    readers::check(manifest.readers.as_deref(), pins, &mut problems)?;
    let memory = generations(pins, manifest.number, &mut problems)?;
    let from_zero = from_zero(pins, &mut problems);
    let open = interfaces.iter().any(|it| it.state == Link::Open);
    let bypass = bypass::in_force(pins)?;
    let confirm_until = run::pending(pins, &manifest)?;
    let state = if open {
        State::Open
    } else if bypass.is_some() {
        State::Bypassed
    } else if confirm_until.is_some() {
        State::Unconfirmed
    } else if manifest.rolled_back.is_some() {
        State::RolledBack
    } else if problems.is_empty() {
        State::Ok
    } else {
        State::Degraded
    };
    problems
        .extend(confirm_until.map(|until| wayback::unconfirmed(until, &manifest, daemon.alive)));
    problems.extend(wayback::rolled_back(&manifest));
    problems.extend(bypass.iter().map(wayback::bypassed));
    let observed = observed(&manifest, Timestamp::now());
    let Manifest {
        number,
        loaded_at,
        config,
        config_sha256,
        databases,
        list_files,
        exemptions,
        forced,
        attribution,
        lists,
        readers,
        previous,
        rolled_back,
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
            previous: previous.filter(|it| pins.generation(*it).is_dir()),
            rolled_back,
            confirm_until,
        }),
        bypass,
        rehearsal: rehearse::underway(pins)?,
        from_zero,
        listening: events::heard(pins)?,
        observed,
        interfaces,
        readers,
        databases,
        list_files,
        exemptions,
        memory,
        attribution,
        lists,
    })
}

/// Devices whose VLANs have roles, and which take VLAN tags off.
fn unseen_vlans(manifest: &Manifest, devices: &[Device]) -> Vec<String> {
    let unseen = attach::unseen_vlans(&manifest.interfaces, devices, strips_vlans);
    let told = |interface: &str| {
        let error = AttachError::Stripped {
            interface: interface.to_owned(),
        };
        format!("{error}: nothing is judged in them; {}", error.hint())
    };
    unseen.into_iter().map(told).collect()
}

fn uncounted(what: &Uncounted) -> String {
    format!(
        "answers that fail to leave are not all counted: {what}; `gate reload` tries again and says why, \
         or `gate run` where no daemon runs"
    )
}

/// What started from zero; that it cannot be read keeps nothing else from being told.
fn from_zero(pins: &Pins, problems: &mut Vec<String>) -> Vec<FromZero> {
    migrate::from_zero(pins).unwrap_or_else(|error| {
        problems.push(format!(
            "what is counted only since another map ABI was taken over from: {error}"
        ));
        Vec::new()
    })
}

/// The memory of the tables of every generation that has any; what is not known of it keeps nothing else from being told.
fn generations(
    pins: &Pins,
    current: u32,
    problems: &mut Vec<String>,
) -> Result<Vec<GenerationMemory>, Error> {
    let mut known = Vec::new();
    for generation in pins.pinned_generations()? {
        match memory::of_generations(&[&pins.generation(generation)]) {
            Ok(bytes) => known.push(GenerationMemory {
                generation,
                bytes,
                in_force: generation == current,
            }),
            Err(error) => problems.push(format!(
                "generation {generation}: {error}; `ls -la {}` shows what is there",
                pins.generation(generation).display()
            )),
        }
    }
    Ok(known)
}

/// Whether there is no word on what is loaded, rather than one that cannot be read.
const fn is_unknown(error: &Error) -> bool {
    matches!(
        error,
        Error::NotLoaded { .. }
            | Error::Pins(PinsError::OtherVersion { .. })
            | Error::Kernel(KernelError::Open { .. })
    )
}

/// The state where there is no word on what is loaded: usually because nothing is, or because somebody removed pins.
fn without_manifest(
    daemon: Daemon,
    mut problems: Vec<String>,
    pins: &Pins,
    devices: &[Device],
) -> Result<Status, Error> {
    let links = attach::placed(devices, pins)?;
    let judged = links.values().filter_map(|link| link.device);
    let names: Vec<&str> = judged.map(|device| device.name.as_str()).collect();
    let (state, problem) = if let Err(other) = pins.check_no_other()
        && names.is_empty()
    {
        // What it makes of packets stands in tables that only a program of its version reads.
        (State::Degraded, format!("{other}; {}", other.hint()))
    } else if names.is_empty() {
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
        bypass: None,
        rehearsal: None,
        from_zero: Vec::new(),
        listening: None,
        observed: Vec::new(),
        interfaces: Vec::new(),
        readers: None,
        databases: Vec::new(),
        list_files: Vec::new(),
        exemptions: None,
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
            State::Degraded
            | State::Unconfirmed
            | State::RolledBack
            | State::Bypassed
            | State::Open
            | State::Absent => Exit::Degraded,
        }
    }
}
