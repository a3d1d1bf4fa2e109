//! `gate check`: says what a configuration would put in force, and whether it could; changes nothing.

use std::{collections::BTreeMap, io, path::Path};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    attach::{self, Tolerance},
    config::{Answers, Limit},
    error::Error,
    floor,
    generation::{Plan, manifest},
    kernel::{self, Gate},
    load::{Base, Loaded, Source, load},
    object::OBJECT,
    pins::{Pins, Readers},
    privilege,
    progress::Progress,
    report::{Observed, Report, Table, observed},
    sys::{devices, strips_vlans},
};

/// What a configuration would put in force.
#[derive(Debug, Serialize)]
pub struct Checked {
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// Whether the kernel would take it; nothing if this process has no right to ask.
    pub kernel: Option<KernelCheck>,
    /// The interfaces.
    pub interfaces: Vec<manifest::Interface>,
    /// The pools.
    pub pools: Vec<PoolSize>,
    /// How many new connections to port 25 a source has, where the action is `throttle`.
    pub throttle: Option<Limit>,
    /// How many answers refused clients get.
    pub answers: Answers,
    /// The classes, in the order of their numbers.
    pub classes: Vec<manifest::Class>,
    /// What of it would only be observed.
    pub observed: Vec<Observed>,
    /// The group of the system whose members may read tags.
    pub readers: Option<String>,
    /// The country databases.
    pub databases: Vec<manifest::Database>,
    /// What their licences ask for.
    pub attribution: Vec<String>,
    /// How large each prefix list would be.
    pub lists: BTreeMap<String, manifest::ListSize>,
}

/// What the kernel says.
#[derive(Debug, Serialize)]
pub struct KernelCheck {
    /// How many instructions the verifier looked at.
    pub verified_instructions: Option<u32>,
}

/// A pool and how many prefixes it has.
#[derive(Debug, Serialize)]
pub struct PoolSize {
    name: String,
    policy: String,
    action: Option<String>,
    answer: Option<String>,
    prefixes: usize,
}

/// Checks the configuration at `path`.
pub fn check(pins: &Pins, path: &Path) -> Result<Checked, Error> {
    let mut progress = Progress::new();
    let loaded = load(Source::Named(path), Base::default(), &mut progress);
    progress.finish();
    let Loaded {
        mut config, plan, ..
    } = loaded?;
    let readers = Readers::of(&config)?;
    let devices = devices().map_err(Error::system("list the network interfaces"))?;
    floor::check()?;
    let kernel = match privilege::check() {
        Ok(()) => {
            pins.check_file_system()?;
            if pins.root().exists() {
                pins.others()?;
                pins.check_version()?;
                kernel::check_pins(OBJECT, pins)?;
            }
            let wanted: Vec<_> = config.wanted().collect();
            attach::targets(&wanted, &devices, pins, Tolerance::Known(&[]))?;
            let mut gate = Gate::private(OBJECT)?;
            let info = gate.program()?.info().ok();
            Some(KernelCheck {
                verified_instructions: info.and_then(|info| info.verified_instruction_count()),
            })
        }
        Err(Error::Privilege { .. }) => {
            attach::check_present(&config, &devices)?;
            None
        }
        Err(error) => return Err(error),
    };
    let warnings = attach::check_stripped(&config, &devices, strips_vlans)?;
    config.warnings.extend(warnings);
    let warning = readers.warning(&config, pins)?;
    config.warnings.extend(warning);
    let Plan { manifest, .. } = plan;
    let pools = manifest
        .pools
        .iter()
        .zip(&config.pools)
        .map(|(named, pool)| PoolSize {
            name: named.name.clone(),
            policy: named.policy.clone(),
            action: named.action.clone(),
            answer: named.answer.clone(),
            prefixes: pool.prefixes.len(),
        });
    let observed = observed(&manifest, Timestamp::now());
    Ok(Checked {
        warnings: config.warnings.iter().map(ToString::to_string).collect(),
        kernel,
        pools: pools.collect(),
        interfaces: manifest.interfaces,
        throttle: config.port25.throttle,
        answers: config.answers,
        observed,
        classes: manifest.classes,
        readers: manifest.readers,
        databases: manifest.databases,
        attribution: manifest.attribution,
        lists: manifest.lists,
    })
}

impl Report for Checked {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        let mut table = Table::new(&["interface", "role", "mode", "identity"]);
        for it in &self.interfaces {
            let identity = word(&it.identity);
            table.row([it.label(), it.role.clone(), it.mode.clone(), identity]);
        }
        table.write(out)?;
        if !self.pools.is_empty() {
            let mut table = Table::new(&["pool", "policy", "action", "answer", "prefixes"]);
            for it in &self.pools {
                table.row([
                    it.name.clone(),
                    it.policy.clone(),
                    word(&it.action),
                    word(&it.answer),
                    it.prefixes.to_string(),
                ]);
            }
            writeln!(out)?;
            table.write(out)?;
        }
        let mut table = Table::new(&["list", "prefixes", "bytes"]);
        for (name, size) in &self.lists {
            table.row([
                name.clone(),
                size.prefixes.to_string(),
                size.bytes.to_string(),
            ]);
        }
        writeln!(out)?;
        table.write(out)?;
        let Answers { source, total } = &self.answers;
        writeln!(out, "\nanswers     to a source {source}; in all {total}")?;
        if let Some(throttle) = &self.throttle {
            writeln!(out, "throttle    {throttle}")?;
        }
        for it in &self.classes {
            let limit = match (&it.action, &it.connections) {
                (None, _) => "exempt".to_owned(),
                (Some(_), None) => "no limit".to_owned(),
                (Some(action), Some(limit)) => format!("{action}, connections {limit}"),
            };
            writeln!(out, "class       {}: {limit}", it.name)?;
        }
        for it in &self.observed {
            writeln!(out, "observed    {it}")?;
        }
        if let Some(group) = &self.readers {
            writeln!(out, "readers     members of the group {group}")?;
        }
        for it in &self.databases {
            writeln!(
                out,
                "database    {} (type \"{}\", built {:.0}, {} IPv4 and {} IPv6 networks, {} countries)",
                it.path.display(),
                it.kind,
                it.built,
                it.networks_v4,
                it.networks_v6,
                it.countries
            )?;
        }
        match &self.kernel {
            Some(KernelCheck {
                verified_instructions: Some(count),
            }) => {
                writeln!(
                    out,
                    "kernel      takes the program ({count} instructions verified)"
                )?;
            }
            Some(KernelCheck {
                verified_instructions: None,
            }) => writeln!(out, "kernel      takes the program")?,
            None => writeln!(
                out,
                "kernel      not asked: that needs {}",
                privilege::NEEDED.join(", ")
            )?,
        }
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}
