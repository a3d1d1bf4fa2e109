//! What a trial works with: the wire, the program, and what came through.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use gate_tests::{
    exec,
    gate::{self, Daemon, GATE_BIN, Gate, Packets},
    interrupt,
    lab::{self, LabName, Pins},
    privilege,
    residue::Watch,
    wire::{Arrival, Arrivals, Sender},
};
use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::frame::{self, Syn};

/// The longest that anything may take, on an emulated processor.
const LIMIT: Duration = Duration::from_secs(30);
/// How many receive queues are told apart. A driver may use more once there is an XDP program, so that this is no number of now.
const QUEUES: usize = 16;

/// What a trial found out, for a person.
pub(crate) fn say(text: &str) {
    // Where standard output is closed there is nobody to tell.
    drop(writeln!(io::stdout(), "{text}"));
}

/// The NIC of this run, or why there is none.
#[derive(Clone)]
pub(crate) struct Found(Arc<Result<Nic>>);

/// Where the gate is tried.
pub(crate) struct Nic {
    pub(crate) name: String,
    peer: String,
    /// How the gate has to be attached.
    pub(crate) mode: String,
    /// Over how many receive queues frames have to be spread.
    pub(crate) spread: usize,
    program: PathBuf,
}

impl Found {
    pub(crate) fn new() -> Self {
        let nic = Nic::find();
        match &nic {
            // Where nobody listens there is nobody to tell.
            Err(reason) => drop(writeln!(io::stderr(), "all trials are ignored: {reason:#}")),
            Ok(nic) => say(&format!(
                "{}: driver {}, {} receive queues, {} mode",
                nic.name,
                nic.driver(),
                nic.queues(),
                nic.mode
            )),
        }
        Self(Arc::new(nic))
    }

    /// A trial, ignored where there is no NIC, of which nothing may be left.
    pub(crate) fn trial(&self, name: &str, body: fn(&Bench<'_>) -> Result<()>) -> Trial {
        let found = self.clone();
        let ignored = self.0.is_err();
        let run = move || {
            let nic = found.0.as_ref().as_ref();
            let nic = nic.map_err(|reason| anyhow!("{reason:#}"));
            nic.and_then(|nic| {
                let watch = Watch::start();
                let outcome = Bench::new(nic).and_then(|bench| body(&bench));
                outcome.and(watch.nothing_left())
            })
            .map_err(|error| Failed::from(format!("{error:#}")))
        };
        let name = match self.0.as_ref() {
            Ok(nic) => format!("{}::{name}", nic.driver()),
            Err(_) => name.to_owned(),
        };
        Trial::test(name, run).with_ignored_flag(ignored)
    }
}

impl Nic {
    fn find() -> Result<Self> {
        let named = |variable: &str| env::var(variable).ok().filter(|value| !value.is_empty());
        let interface = |variable: &str| {
            named(variable).with_context(|| {
                format!(
                    "{variable} names no interface: `cargo xtask vm` runs this where there are some"
                )
            })
        };
        let (name, peer) = (interface("GATE_NIC")?, interface("GATE_NIC_PEER")?);
        privilege::privileged()?;
        let program = gate::path_from(GATE_BIN)?;
        interrupt::catch()?;
        for interface in [&name, &peer] {
            exec::tool(
                Command::new("ip").args(["link", "set", interface, "up"]),
                "",
            )?;
        }
        let nic = Self {
            name,
            peer,
            mode: named("GATE_NIC_MODE").unwrap_or_else(|| "native".to_owned()),
            spread: named("GATE_NIC_SPREAD").map_or(Ok(1), |text| text.parse())?,
            program,
        };
        nic.await_carrier()?;
        Ok(nic)
    }

    /// Waits until both ends of the wire are ready: some drivers start over for a program that comes or goes.
    fn await_carrier(&self) -> Result<()> {
        for interface in [&self.name, &self.peer] {
            let carrier = Path::new("/sys/class/net").join(interface).join("carrier");
            let ready = await_that(|| Ok(fs::read_to_string(&carrier)?.trim() == "1"))?;
            ensure!(ready, "{interface} has no carrier");
        }
        Ok(())
    }

    /// The name of its driver.
    pub(crate) fn driver(&self) -> String {
        let device = Path::new("/sys/class/net").join(&self.name).join("device");
        fs::canonicalize(device.join("driver"))
            .ok()
            .and_then(|driver| Some(driver.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_else(|| "no driver".to_owned())
    }

    /// How many receive queues it has now.
    pub(crate) fn queues(&self) -> usize {
        let queues = Path::new("/sys/class/net").join(&self.name).join("queues");
        fs::read_dir(queues)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter(|queue| queue.file_name().as_encoded_bytes().starts_with(b"rx-"))
            .count()
    }

    /// Whether the device takes VLAN tags off what arrives, by its own account.
    pub(crate) fn strips_tags(&self) -> Result<bool> {
        let mut ethtool = Command::new("ethtool");
        ethtool.args(["-k", &self.name]);
        let features = exec::tool(&mut ethtool, "")?;
        let feature = features
            .lines()
            .find_map(|line| line.trim().strip_prefix("rx-vlan-offload: "));
        match feature.and_then(|value| value.split_whitespace().next()) {
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            other => bail!("{}: rx-vlan-offload is {other:?}", self.name),
        }
    }
}

/// The wire, and the gate on it.
pub(crate) struct Bench<'a> {
    pub(crate) nic: &'a Nic,
    pub(crate) sender: Sender,
    arrivals: Arrivals,
    pins: Pins,
    scratch: TempDir,
}

/// What came through, by the number of the frame.
pub(crate) type Seen = BTreeMap<u64, Arrival>;

impl<'a> Bench<'a> {
    fn new(nic: &'a Nic) -> Result<Self> {
        nic.await_carrier()?;
        Ok(Self {
            nic,
            sender: Sender::new(&nic.peer)?,
            arrivals: Arrivals::at(&nic.name, QUEUES)?,
            pins: Pins::new(&LabName::fresh().to_string())?,
            scratch: tempfile::Builder::new().prefix(&lab::prefix()).tempdir()?,
        })
    }

    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate::here(&self.nic.program, self.pins.path(), self.scratch.path())
    }

    /// The directory of the gate's pins.
    pub(crate) fn pins(&self) -> &Path {
        self.pins.path()
    }

    /// Writes a configuration that holds the subscriber to the rule for port 25.
    pub(crate) fn configure(&self, action: &str) -> Result<PathBuf> {
        let Nic { name, mode, .. } = self.nic;
        let path = self.scratch.path().join("gate.toml");
        let text = format!(
            "[[interface]]\nname = \"{name}\"\nrole = \"access\"\nmode = \"{mode}\"\n\n\
             [port25]\naction = \"{action}\"\nanswer = \"drop\"\n\n\
             [[access]]\nname = \"dynamic\"\npolicy = \"restrict\"\n\
             prefixes = [\"100.64.0.0/16\", \"2001:db8:100::/40\"]\n"
        );
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Starts the gate.
    pub(crate) fn run(&self, action: &str) -> Result<Daemon> {
        let daemon = self.gate().run(&self.configure(action)?)?;
        self.nic.await_carrier()?;
        Ok(daemon)
    }

    /// Sends `syns`, numbered from `first` on.
    pub(crate) fn send(&self, first: u64, syns: &[Syn]) -> Result<()> {
        for (number, syn) in (first..).zip(syns) {
            self.sender.send(&syn.frame(number))?;
        }
        Ok(())
    }

    /// What came through since this was last asked.
    pub(crate) fn seen(&self) -> Result<Seen> {
        let arrivals = self.arrivals.take()?.into_iter();
        Ok(arrivals
            .filter_map(|arrival| Some((frame::number(&arrival.frame)?, arrival)))
            .collect())
    }

    /// Waits for the frames with these numbers: they have to come through, and no others.
    pub(crate) fn await_exactly(&self, numbers: Range<u64>) -> Result<Seen> {
        let mut seen = Seen::new();
        await_that(|| {
            seen.extend(self.seen()?);
            Ok(numbers.clone().all(|number| seen.contains_key(&number)))
        })?;
        let wanted: BTreeSet<u64> = numbers.collect();
        let found: BTreeSet<u64> = seen.keys().copied().collect();
        ensure!(
            found == wanted,
            "did not come through: {:?}; did, and should not: {:?}",
            &wanted - &found,
            &found - &wanted
        );
        Ok(seen)
    }

    /// Waits until the gate has counted so many refusals; all that it has counted.
    pub(crate) fn await_refused(&self, refused: u64) -> Result<Packets> {
        let mut last = Packets::default();
        let counted = await_that(|| {
            last = self.gate().counters()?.verdicts;
            Ok(last.refused >= refused)
        })?;
        ensure!(counted, "{refused} should be refused: {last:?}");
        Ok(last)
    }
}

/// Asks `done` until it says yes, fails, or [`LIMIT`] is over (false).
pub(crate) fn await_that(mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let mut outcome = Ok(false);
    interrupt::wait_until(LIMIT, || {
        outcome = done();
        !matches!(outcome, Ok(false))
    })?;
    outcome
}
