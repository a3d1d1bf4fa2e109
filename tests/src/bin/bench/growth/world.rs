//! A gate that is attached to nothing, and whose maps nobody else sees.

use std::{env, fmt::Write as _, fs};

use anyhow::{Context as _, Result};
use gate_common::{Reason, Verdict};
use gate_user::{
    Progress,
    kernel::{Gate, LOOPBACK},
    load::{self, Base, Source},
    object::OBJECT,
};

/// The files of the two pools.
pub(super) const LISTS: [&str; 2] = ["even.txt", "odd.txt"];
/// The environment variable with the path of the gate's BPF object.
const GATE_BPF_OBJECT: &str = "GATE_BPF_OBJECT";
/// All sources are out of `10.0.0.0/8`.
const SPACE: u32 = 1 << 24;

/// The gate.
pub(super) struct World {
    pub(super) gate: Gate,
}

impl World {
    /// Loads the program and puts `config` in force, which may name `files`.
    pub(super) fn new(config: &str, files: &[(&str, String)]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        for (name, text) in files {
            fs::write(directory.path().join(name), text)?;
        }
        let path = directory.path().join("gate.toml");
        fs::write(&path, config)?;
        let loaded = load::load(Source::Named(&path), Base::default(), &mut Progress::new())
            .context("cannot make a gate of the benchmark's configuration")?;
        let gate = Gate::private(&object()?)?;
        let prepared = gate.maps.prepare(&loaded.plan, &|_| Some(LOOPBACK), None)?;
        gate.maps.activate(&prepared)?;
        Ok(Self { gate })
    }

    /// How many packets it has refused by the rule for port 25.
    pub(super) fn refused(&self) -> Result<u64> {
        Ok(self.gate.maps.total(Verdict::Refused, Reason::Restricted)?)
    }
}

/// The gate's object: that of the environment, for who compares objects, or else the one that is built in.
fn object() -> Result<Vec<u8>> {
    match env::var_os(GATE_BPF_OBJECT) {
        Some(path) => fs::read(&path).with_context(|| path.to_string_lossy().into_owned()),
        None => Ok(OBJECT.to_vec()),
    }
}

/// So many prefixes of one length that fill `10.0.0.0/8`, or nearly, by turns and by chance in one list or the other.
pub(super) fn lists(count: u32) -> [(&'static str, String); 2] {
    let mut rng = fastrand::Rng::with_seed(25);
    let bits = u32::BITS - (count - 1).leading_zeros();
    let mut lists = [String::new(), String::new()];
    for index in 0..1 << bits {
        let address = std::net::Ipv4Addr::from((10 << 24) + index * (SPACE >> bits));
        // One list has what the other has not, so that neighbours do not become one prefix.
        let [even, odd] = &mut lists;
        let list = if rng.bool() { even } else { odd };
        // A string takes everything.
        let _ = writeln!(list, "{address}/{}", 8 + bits);
    }
    let [even, odd] = lists;
    [(LISTS[0], even), (LISTS[1], odd)]
}
