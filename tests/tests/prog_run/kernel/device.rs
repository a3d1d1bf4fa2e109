//! A loaded program with maps that nobody else sees.

use std::{borrow::Cow, env, fs, os::fd::AsFd as _};

use anyhow::{Context as _, Result, bail};
use aya::{
    maps::MapData,
    programs::{ProgramInfo, Xdp},
};
use aya_obj::programs::XdpAttachType;
use gate_common::{Country, abi};
use gate_user::{
    generation::{Manifest, Plan},
    kernel::{Action, Gate, Look, test_run, test_run_into},
    object,
    sys::Map,
};
use jiff::Timestamp;

use super::tally::{Reader, Tally};

/// Where the object is, if not the one that is built in: the other kernels' machines have it as a file.
const OBJECT: &str = "GATE_BPF_OBJECT";

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
        let mut gate = Gate::private(&object()?)?;
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

    /// The programs' names, and how many instructions the verifier went through, where the kernel says so (since 5.16).
    pub(crate) fn verified_instructions(&mut self) -> Result<Vec<(String, u32)>> {
        let mut every = Gate::private_looking(&object()?, Look::Every)?;
        let mut infos = vec![
            self.program.info()?,
            every.program()?.info()?,
            self.gate.marker()?.info()?,
        ];
        for tracepoint in abi::TRACEPOINTS {
            infos.push(self.gate.tracepoint(tracepoint)?.info()?);
        }
        let count = |info: ProgramInfo| {
            let name = info.name_as_str().context("the program has no name")?;
            let count = info
                .verified_instruction_count()
                .context("this kernel does not say how many instructions it verified")?;
            Ok((name.to_owned(), count))
        };
        infos.into_iter().map(count).collect()
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
        map_of(&self.program, name)
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
        Ok(self.gate.maps.set_now(now)?)
    }

    /// Makes all token buckets full.
    pub(crate) fn fill_buckets(&self) -> Result<()> {
        let empty: abi::BucketSet = bytemuck::Zeroable::zeroed();
        let buckets = self.map(abi::maps::BUCKETS)?;
        buckets.fill(&vec![empty; abi::BUCKET_SETS as usize])?;
        Ok(self.map(abi::maps::TOTAL_BUCKET)?.update(&0u32, &0u64)?)
    }

    /// Empties the map of sources.
    pub(crate) fn forget_sources(&self) -> Result<()> {
        let empty: abi::SourceSet = bytemuck::Zeroable::zeroed();
        let sources = self.map(abi::maps::SOURCES)?;
        Ok(sources.fill(&vec![empty; abi::SOURCE_SETS as usize])?)
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
        Ok(test_run(&self.program, frame)?)
    }

    /// One frame through the program, and what has become of it, which is cut to `room` octets.
    pub(crate) fn run_and_read(&self, frame: &[u8], room: usize) -> Result<(Action, Vec<u8>)> {
        let mut out = vec![0; room];
        let (action, length) = test_run_into(&self.program, frame, &mut out)?;
        out.truncate(length);
        Ok((action, out))
    }
}

/// A map of a program.
pub(crate) fn map_of(program: &Xdp, name: &str) -> Result<Map> {
    let ids = program.info()?.map_ids()?;
    for id in ids.context("the kernel names no maps")? {
        let data = MapData::from_id(id)?;
        if data.info()?.name_as_str() == Some(name) {
            return owned(&data);
        }
    }
    bail!("the program has no map {name}")
}

/// The object with the programs.
pub(crate) fn object() -> Result<Cow<'static, [u8]>> {
    let Some(path) = env::var_os(OBJECT) else {
        return Ok(Cow::Borrowed(object::OBJECT));
    };
    let bytes = fs::read(&path).with_context(|| format!("{OBJECT}={}", path.to_string_lossy()))?;
    Ok(Cow::Owned(bytes))
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
