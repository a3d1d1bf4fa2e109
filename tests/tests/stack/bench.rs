//! What a trial works with: devices, frames, the program, and what came through.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use gate_tests::{
    exec::{self, Output},
    gate::{self, Daemon, GATE_BIN, Gate},
    interrupt,
    lab::{self, Family, LabName, Pins},
    privilege,
    residue::Watch,
    wire::{Arrivals, Sender},
};
use libtest_mimic::{Failed, Trial};
use tempfile::TempDir;

use crate::frame::{self, Syn};

/// The longest that anything may take, on an emulated processor.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The program under test, or why there is no trial.
#[derive(Clone)]
pub(crate) struct Found(Arc<Result<PathBuf>>);

impl Found {
    pub(crate) fn new() -> Self {
        let program = find();
        if let Err(reason) = &program {
            // Where nobody listens there is nobody to tell.
            drop(writeln!(io::stderr(), "all trials are ignored: {reason:#}"));
        }
        Self(Arc::new(program))
    }

    /// A trial on devices that these lines of `ip` make, of which nothing may be left.
    pub(crate) fn trial(
        &self,
        name: impl Into<String>,
        devices: impl Into<String>,
        body: impl FnOnce(&Bench<'_>) -> Result<()> + Send + 'static,
    ) -> Trial {
        let found = self.clone();
        let ignored = self.0.is_err();
        let devices = devices.into();
        let run = move || {
            let program = found.0.as_ref().as_ref();
            let program = program.map_err(|reason| anyhow!("{reason:#}"));
            program
                .and_then(|program| {
                    let watch = Watch::start();
                    let outcome = Bench::new(program, &devices).and_then(|bench| body(&bench));
                    outcome.and(watch.nothing_left())
                })
                .map_err(|error| Failed::from(format!("{error:#}")))
        };
        Trial::test(name, run).with_ignored_flag(ignored)
    }
}

fn find() -> Result<PathBuf> {
    privilege::privileged()?;
    let program = gate::path_from(GATE_BIN)?;
    for (kind, lines) in [
        ("bonds", "link add gs-try type bond\nlink del gs-try\n"),
        (
            "VLAN devices",
            "link add gs-try type veth peer name gs-tried\nlink add gs-vlan link gs-try type vlan id 2\nlink del gs-try\n",
        ),
    ] {
        ip(lines).with_context(|| format!("no {kind} here: `cargo xtask vm` has them"))?;
    }
    interrupt::catch()?;
    Ok(program)
}

/// Lines of `ip`, all or an error.
pub(crate) fn ip(lines: &str) -> Result<()> {
    exec::tool(Command::new("ip").args(["-batch", "-"]), lines).map(drop)
}

/// Devices, which go with it.
struct Devices;

impl Devices {
    /// Two wires, and what these lines put on top of their ends [`PORTS`].
    fn new(lines: &str) -> Result<Self> {
        let devices = Self;
        let wires = PORTS.iter().zip(FAR).map(|(port, far)| {
            format!("link add {port} type veth peer name {far}\nlink set {far} up\n")
        });
        ip(&wires.collect::<String>())?;
        ip(lines)?;
        Ok(devices)
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the next trial fails on what is left.
        for device in [BOND, FAR_BOND, PORTS[0], PORTS[1]] {
            let _ = exec::tool(Command::new("ip").args(["link", "del", device]), "");
        }
    }
}

/// The devices that others are made of, and the other ends of their wires.
pub(crate) const PORTS: [&str; 2] = ["gs-one", "gs-two"];
pub(crate) const FAR: [&str; 2] = ["gs-far-one", "gs-far-two"];
pub(crate) const BOND: &str = "gs-bond";
/// A bond of those, where there is one.
pub(crate) const FAR_BOND: &str = "gs-far";

/// The devices, and the gate on some of them.
pub(crate) struct Bench<'a> {
    program: &'a PathBuf,
    pins: Pins,
    scratch: TempDir,
    _devices: Devices,
}

impl<'a> Bench<'a> {
    fn new(program: &'a PathBuf, devices: &str) -> Result<Self> {
        Ok(Self {
            program,
            _devices: Devices::new(devices)?,
            pins: Pins::new(&LabName::fresh().to_string())?,
            scratch: tempfile::Builder::new().prefix(&lab::prefix()).tempdir()?,
        })
    }

    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate::here(self.program, self.pins.path(), self.scratch.path())
    }

    /// Writes a configuration that holds subscribers behind each of `interfaces` to the rule for port 25.
    pub(crate) fn configure(&self, interfaces: &[&str], mode: &str) -> Result<PathBuf> {
        let path = self.scratch.path().join("gate.toml");
        let interface = |name: &&str| {
            format!("[[interface]]\nname = \"{name}\"\nrole = \"access\"\nmode = \"{mode}\"\n\n")
        };
        let interfaces: Vec<String> = interfaces.iter().map(interface).collect();
        let interfaces = interfaces.concat();
        let text = format!(
            "{interfaces}[port25]\naction = \"enforce\"\nanswer = \"drop\"\n\n\
             [[access]]\nname = \"dynamic\"\npolicy = \"restrict\"\n\
             prefixes = [\"100.64.0.0/16\", \"2001:db8:100::/40\"]\n"
        );
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Starts the gate.
    pub(crate) fn run(&self, interfaces: &[&str], mode: &str) -> Result<Daemon> {
        self.gate().run(&self.configure(interfaces, mode)?)
    }

    /// A start that does not succeed.
    pub(crate) fn fails(&self, interfaces: &[&str], mode: &str) -> Result<Output> {
        let mut command = self.gate().command(&["run", "--config"]);
        command.arg(self.configure(interfaces, mode)?);
        exec::output(&mut command, "", LIMIT)
    }

    /// How many packets the gate has refused.
    pub(crate) fn refused(&self) -> Result<u64> {
        Ok(self.gate().counters()?.verdicts.refused)
    }

    /// What `gate doctor` says about `check` of `interface`.
    pub(crate) fn doctor(&self, check: &str, interface: &str) -> Result<Vec<String>> {
        let config = self.scratch.path().join("gate.toml");
        let mut command = self
            .gate()
            .command(&["--format", "json", "doctor", "--config"]);
        command.arg(config);
        let output = exec::output(&mut command, "", LIMIT)?;
        let json: serde_json::Value = serde_json::from_str(&output.stdout)
            .with_context(|| format!("gate doctor says {output:?}"))?;
        let findings = json.pointer("/findings").and_then(|it| it.as_array());
        let text = |it: &serde_json::Value, key: &str| {
            it.get(key)
                .and_then(|it| it.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        Ok(findings
            .context("no findings")?
            .iter()
            .filter(|it| text(it, "check") == check && text(it, "object") == interface)
            .map(|it| text(it, "outcome"))
            .collect())
    }

    /// Which of these connections come through to `at`, if they are sent into `far`.
    #[expect(
        clippy::unused_self,
        reason = "frames go through the devices of a bench"
    )]
    pub(crate) fn through(&self, far: &str, at: &str, syns: &[Syn]) -> Result<usize> {
        let (sender, arrivals) = (Sender::new(far)?, Arrivals::at(at, 1)?);
        // The last one has to come through: those before it have had their time then.
        let last = syns.len() as u64;
        let first = *syns.first().context("nothing to send")?;
        for (number, syn) in (0..).zip(syns) {
            sender.send(&syn.frame(number))?;
        }
        let mut seen = BTreeSet::new();
        let came = interrupt::wait_until(LIMIT, || {
            let open = Syn { port: 587, ..first };
            let sent = sender.send(&open.frame(last));
            interrupt::sleep(Duration::from_millis(20)).ok();
            let arrived = arrivals.take().unwrap_or_default();
            seen.extend(arrived.iter().filter_map(|it| frame::number(&it.frame)));
            sent.is_ok() && seen.contains(&last)
        })?;
        ensure!(came, "nothing at all comes from {far} to {at}");
        Ok(seen.len() - 1)
    }
}

/// Opening segments to port 25, in either family, behind so many VLAN tags.
pub(crate) fn syns(tags: usize) -> Vec<Syn> {
    (0..8)
        .flat_map(|number| {
            Family::ALL.map(|family| Syn {
                family,
                tags,
                source_port: 40_000 + number,
                port: 25,
            })
        })
        .collect()
}
