//! The programs on tracepoints, run without their tracepoints.
//!
//! What they take for a device is the value of a map, at an address that is known, under a layout of the trial's own.

use anyhow::{Context as _, Result, ensure};
use aya::programs::{RawTracePointRunOptions, TestRun as _};
use gate_common::abi::{DEVICES, DeviceKey, KernelLayout};
use gate_tests::pin;
use gate_user::{attach::UnsentError, kernel::Gate, sys::Map};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    kernel::object,
};

/// `XDP_TX`, and what comes before it.
const XDP_TX: u64 = 3;
const XDP_PASS: u64 = 2;

/// Where the fields of a [`Memory`] are.
const LAYOUT: KernelLayout = KernelLayout {
    device_index: 4,
    device_netns: 8,
    netns_number: 12,
};

/// A device, and behind it its network namespace.
type Memory = [u32; 8];

/// Where in a [`Memory`] its network namespace is, and where a device that has none.
const NETNS: u64 = 16;
const ORPHAN: u64 = 12;

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial(
            "unsent: frames are counted for the devices that have an entry",
            counts,
        ),
        bench.trial("unsent: more devices than entries", many),
    ]
}

/// Makes the device called `key`; the map is its memory.
fn device(key: DeviceKey) -> Result<(u64, Map)> {
    let memory = Map::from_fd(pin::addressed_memory(u32::try_from(size_of::<Memory>())?)?)?;
    let [one, other, ..] = memory
        .lookup::<u32, Memory>(&0)?
        .context("an array has no value")?;
    let address: u64 = bytemuck::cast([one, other]);
    ensure!(address != 0, "no program wrote the address of the memory");
    let [one, other]: [u32; 2] = bytemuck::cast(address + NETNS);
    let fields: Memory = [0, key.index, one, other, 0, 0, 0, key.netns];
    memory.update(&0u32, &fields)?;
    Ok((address, memory))
}

fn counts(_: &mut State) -> Result<()> {
    let (netns, index) = (4_026_531_840, 77);
    let key = DeviceKey { netns, index };
    let (device, _memory) = device(key)?;
    let orphan = device + ORPHAN;
    let neighbours = [
        DeviceKey { netns, index: 0 },
        DeviceKey {
            netns: index,
            index: netns,
        },
    ];
    let mut gate = Gate::private_with(&object()?, LAYOUT)?;
    gate.maps
        .count_unsent(&[key, neighbours[0], neighbours[1]])?;
    let mut expected = 0;
    for (tracepoint, arguments, counted) in [
        // device, sent, drops, err
        ("xdp_bulk_tx", [device, 0, 1, 0], 1),
        ("xdp_bulk_tx", [device, 7, 16, 0], 16),
        ("xdp_bulk_tx", [device, 16, 0, 0], 0),
        ("xdp_bulk_tx", [0, 0, 5, 0], 0),
        ("xdp_bulk_tx", [orphan, 0, 5, 0], 0),
        // device, program, action
        ("xdp_exception", [device, 0, XDP_TX, 0], 1),
        ("xdp_exception", [device, 0, XDP_PASS, 0], 0),
        ("xdp_exception", [device, 0, 0, 0], 0),
        ("xdp_exception", [0, 0, XDP_TX, 0], 0),
    ] {
        let mut options = RawTracePointRunOptions::new();
        options.args[..4].copy_from_slice(&arguments);
        gate.tracepoint(tracepoint)?.test_run(options)?;
        expected += counted;
        let found = gate.maps.unsent()?;
        ensure!(
            found.get(&key) == Some(&expected)
                && neighbours.iter().all(|it| found.get(it) == Some(&0)),
            "{tracepoint}{arguments:x?}: {found:?}, not {expected}"
        );
    }
    // Entries are the loader's: what has none is not counted, and what stays keeps its count.
    gate.maps.count_unsent(&neighbours[..1])?;
    let mut options = RawTracePointRunOptions::new();
    options.args[..3].copy_from_slice(&[device, 0, XDP_TX]);
    gate.tracepoint("xdp_exception")?.test_run(options)?;
    let found = gate.maps.unsent()?;
    ensure!(
        found.len() == 1 && found.contains_key(&neighbours[0]),
        "{found:?}"
    );
    Ok(())
}

/// As many have an entry as there are, and the operator reads how many that is.
fn many(_: &mut State) -> Result<()> {
    let gate = Gate::private(&object()?)?;
    let devices: Vec<_> = (0..=DEVICES)
        .map(|index| DeviceKey { netns: 1, index })
        .collect();
    let error = gate.maps.count_unsent(&devices);
    let warning = UnsentError::Map(error.err().context("there is room")?).warning();
    let found = gate.maps.unsent()?;
    ensure!(
        found.len() == devices.len() - 1 && warning.contains("counters for 1024 interfaces"),
        "{warning}: {} entries",
        found.len()
    );
    Ok(())
}
