//! The benchmark's own BPF programs.

use std::{
    env, fs,
    os::fd::{AsFd as _, OwnedFd},
};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map as AyaMap, MapData},
    programs::Xdp,
};
use gate_user::sys::Map;

/// The environment variable with the path of their object.
const OBJECT: &str = "GATE_BENCH_OBJECT";

/// The object.
pub(crate) fn read() -> Result<Vec<u8>> {
    let object = env::var_os(OBJECT)
        .with_context(|| format!("{OBJECT} is not set: run this through `cargo xtask bench`"))?;
    fs::read(&object).with_context(|| format!("{OBJECT}={}", object.to_string_lossy()))
}

/// Its maps, in the kernel.
pub(crate) fn load() -> Result<Ebpf> {
    EbpfLoader::new()
        .load(&read()?)
        .context("cannot load the benchmark's maps: does this process have CAP_BPF?")
}

/// One of its programs, in the kernel.
pub(crate) fn program(ebpf: &mut Ebpf, name: &str) -> Result<OwnedFd> {
    let program: &mut Xdp = ebpf
        .program_mut(name)
        .with_context(|| {
            format!("the object has no program {name}: build it with `cargo xtask bench`")
        })?
        .try_into()?;
    program
        .load()
        .with_context(|| format!("the verifier refuses {name}"))?;
    let program = program.fd()?.as_fd().try_clone_to_owned();
    program.with_context(|| format!("cannot keep {name}"))
}

/// One of its maps.
pub(crate) fn map(ebpf: &Ebpf, name: &str) -> Result<Map> {
    let data = ebpf.map(name).and_then(data);
    let data = data.with_context(|| {
        format!("the object has no map {name}: build it with `cargo xtask bench`")
    })?;
    let fd = data.fd().as_fd().try_clone_to_owned();
    fd.and_then(Map::from_fd)
        .with_context(|| format!("cannot open the map {name}"))
}

/// The descriptor behind aya's typed map, for the kinds that the benchmark has.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the benchmark has four of the kernel's thirty kinds of maps"
)]
fn data(map: &AyaMap) -> Option<&MapData> {
    match map {
        AyaMap::Array(data)
        | AyaMap::ArrayOfMaps(data)
        | AyaMap::LpmTrie(data)
        | AyaMap::ProgramArray(data) => Some(data),
        _ => None,
    }
}
