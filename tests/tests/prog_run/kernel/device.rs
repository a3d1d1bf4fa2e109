//! A loaded program with maps that nobody else sees.

use std::{borrow::Cow, env, fmt, fs, os::fd::AsFd as _};

use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    maps::MapData,
    programs::{TestRun as _, TestRunOptions, Xdp},
};
use aya_obj::programs::XdpAttachType;
use gate_common::{Country, abi};
use gate_user::{
    clock,
    generation::{Manifest, Plan},
    kernel::Gate,
    object,
    sys::Map,
};
use jiff::Timestamp;

use super::tally::{Reader, Tally};

/// The index of the loopback device, the first of every network namespace.
pub(crate) const LOOPBACK: u32 = 1;
/// The shortest frame that `BPF_PROG_TEST_RUN` takes: an Ethernet header (`ETH_HLEN`).
pub(crate) const SHORTEST: usize = 14;
/// Where the object is, if not the one that is built in: the other kernels' machines have it as a file.
const OBJECT: &str = "GATE_BPF_OBJECT";

/// What the program wants done with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// `XDP_DROP`.
    Drop,
    /// `XDP_PASS`.
    Pass,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "XDP_DROP",
            Self::Pass => "XDP_PASS",
        })
    }
}

/// The program, its maps, and what is in force.
pub(crate) struct Device {
    /// The gate, as the daemon loads it.
    pub(crate) gate: Gate,
    program: Xdp,
    reader: Reader,
    manifest: Option<Manifest>,
}

impl Device {
    /// Loads the program. The counters of the countries in `watched` are read each time.
    pub(crate) fn load(watched: &[Country]) -> Result<Self> {
        let mut gate = match env::var_os(OBJECT) {
            None => Gate::private(object::OBJECT),
            Some(path) => {
                let bytes = fs::read(&path)
                    .with_context(|| format!("{OBJECT}={}", path.to_string_lossy()))?;
                Gate::private(&bytes)
            }
        }?;
        let program = gate.program()?;
        let reader = Reader::of(&program.info()?, watched)?;
        let program = again(program)?;
        Ok(Self {
            gate,
            program,
            reader,
            manifest: None,
        })
    }

    /// How many instructions the verifier went through, where the kernel says so (since 5.16).
    pub(crate) fn verified_instructions(&self) -> Result<u32> {
        let count = self.program.info()?.verified_instruction_count();
        count.context("this kernel does not say how many instructions it verified")
    }

    /// What the numbers of the generation in force mean.
    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The program alone, to run frames while the maps change.
    pub(crate) fn program_again(&self) -> Result<Xdp> {
        again(&self.program)
    }

    /// Puts a generation in force; `index` gives the index of an interface by its name.
    pub(crate) fn put_in_force(
        &mut self,
        plan: &Plan,
        index: &dyn Fn(&str) -> Option<u32>,
    ) -> Result<()> {
        let prepared = self.gate.maps.prepare(plan, index, None)?;
        self.gate.maps.activate(&prepared)?;
        self.manifest = Some(plan.manifest.clone());
        Ok(())
    }

    /// One of the program's maps, as the gate has it.
    pub(crate) fn map(&self, name: &str) -> Result<Map> {
        let ids = self.program.info()?.map_ids()?;
        for id in ids.context("the kernel names no maps")? {
            let data = MapData::from_id(id)?;
            if data.info()?.name_as_str() == Some(name) {
                return owned(&data);
            }
        }
        bail!("the program has no map {name}")
    }

    /// What is in a place of a map of maps.
    pub(crate) fn inner(outer: &Map, place: u32) -> Result<Map> {
        let id: Option<u32> = outer.lookup(&place)?;
        let id = id.with_context(|| format!("nothing is in place {place}"))?;
        owned(&MapData::from_id(id)?)
    }

    /// Makes it `now` for the program.
    pub(crate) fn set_time(&self, now: Timestamp) -> Result<()> {
        let now = u64::try_from(now.as_nanosecond()).context("the time is before 1970")?;
        let offset = now.wrapping_sub(clock::boot_ns()?);
        Ok(self.gate.maps.set_wall_offset(offset)?)
    }

    /// Everything that the maps say.
    pub(crate) fn tally(&self) -> Result<Tally> {
        self.reader.read(self.manifest.as_ref())
    }

    /// What was counted that [`Device::tally`] does not show; counters have names below `named`.
    pub(crate) fn stray(&self, named: u32) -> Result<Vec<String>> {
        self.reader.stray(named)
    }

    /// One frame through the program.
    pub(crate) fn run(&self, frame: &[u8]) -> Result<Action> {
        run(&self.program, frame)
    }
}

fn owned(data: &MapData) -> Result<Map> {
    Ok(Map::from_fd(data.fd().as_fd().try_clone_to_owned()?)?)
}

/// Another handle of the same program.
fn again(program: &Xdp) -> Result<Xdp> {
    let info = program.info()?;
    Ok(Xdp::from_program_info(
        info,
        Cow::Borrowed(abi::PROGRAM),
        XdpAttachType::Interface,
    )?)
}

/// One frame through `program`, as if it had come in by the loopback device.
pub(crate) fn run(program: &Xdp, frame: &[u8]) -> Result<Action> {
    ensure!(
        frame.len() >= SHORTEST,
        "the kernel takes no frame of {} octets",
        frame.len()
    );
    let context = context(u32::try_from(frame.len())?);
    let mut options = TestRunOptions::new();
    options.data_in = Some(frame);
    options.ctx_in = Some(&context);
    let result = program
        .test_run(options)
        .with_context(|| format!("BPF_PROG_TEST_RUN with {} octets", frame.len()))?;
    match result.return_value {
        1 => Ok(Action::Drop),
        2 => Ok(Action::Pass),
        other => bail!("the program answered {other}, which is neither XDP_DROP nor XDP_PASS"),
    }
}

/// `struct xdp_md`: `data`, `data_end`, `data_meta`, `ingress_ifindex`, `rx_queue_index`, `egress_ifindex`.
fn context(length: u32) -> Vec<u8> {
    [0, length, 0, LOOPBACK, 0, 0]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect()
}
