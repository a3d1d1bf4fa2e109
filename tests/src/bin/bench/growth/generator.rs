//! The program that makes packets of many sources, and what it goes on in.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{PerCpuArray, PerCpuValues, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp},
    util::nr_cpus,
};
use gate_tests::packets::{Ethernet, V4, flag, tcp};
use gate_user::kernel::LOOPBACK;

use super::world::World;
use crate::layout::{STRIDE, Sources};

/// `XDP_DROP` and `XDP_PASS`.
const DROP: u32 = 1;
const PASS: u32 = 2;
/// What one run is at most: a run cannot be interrupted.
const RUN: u64 = 1 << 20;

/// A row of sources, and the one with which it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) count: u64,
    apart: u64,
    first: u64,
}

impl Row {
    /// Neighbours, from the first address of the pool on.
    pub(super) fn new(count: u64) -> Self {
        Self {
            count,
            apart: 1,
            first: 0,
        }
    }

    /// From all over the pool.
    pub(super) fn over_all(count: u64) -> Self {
        Self {
            apart: (1 << 24) / count,
            ..Self::new(count)
        }
    }

    /// Begins after so many packets.
    pub(super) fn from(self, first: u64) -> Self {
        Self { first, ..self }
    }
}

/// The program.
pub(super) struct Generator {
    ebpf: Ebpf,
    frame: Vec<u8>,
    idle: ProgramFd,
}

impl Generator {
    pub(super) fn load(object: &[u8]) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .load(object)
            .context("cannot load the benchmark's maps: does this process have CAP_BPF?")?;
        for name in ["next_source", "no_judge"] {
            xdp(&mut ebpf, name)?
                .load()
                .with_context(|| format!("cannot load {name}"))?;
        }
        let idle = xdp(&mut ebpf, "no_judge")?.fd()?.try_clone()?;
        let packet = V4::new(Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(203, 0, 113, 25));
        let frame = Ethernet::new().carry(&packet.tcp(&tcp(40_000, 25, flag::SYN)));
        Ok(Self { ebpf, frame, idle })
    }

    /// What a packet costs without the gate.
    pub(super) fn floor(&mut self, row: Row, packets: u64) -> Result<f64> {
        self.aim(None)?;
        self.begin(&|_| row)?;
        self.repeat(packets.min(RUN), PASS)
    }

    /// What a packet costs with the gate, which has to drop it.
    pub(super) fn run(&mut self, world: &mut World, row: Row, packets: u64) -> Result<f64> {
        self.aim(Some(world))?;
        self.begin(&|_| row)?;
        self.repeat(packets, DROP)
    }

    /// Where packets go on: nowhere, or in a gate.
    pub(super) fn aim(&mut self, world: Option<&mut World>) -> Result<()> {
        let idle = self.idle.try_clone()?;
        let judge = match world {
            Some(world) => world.gate.program()?.fd()?.try_clone()?,
            None => idle,
        };
        let map = self.ebpf.map_mut("JUDGE").context("no map JUDGE")?;
        ProgramArray::try_from(map)?
            .set(0, &judge, 0)
            .context("cannot go on in that program")
    }

    /// Where the row begins for each processor.
    pub(super) fn begin(&mut self, row: &dyn Fn(u64) -> Row) -> Result<()> {
        let map = self.ebpf.map_mut("SOURCES").context("no map SOURCES")?;
        let mut map: PerCpuArray<_, [u64; 4]> = PerCpuArray::try_from(map)?;
        let cpus = nr_cpus().map_err(|(what, error)| anyhow::anyhow!("{what}: {error}"))?;
        let values = (0..cpus as u64).map(|cpu| {
            let Row {
                count,
                apart,
                first,
            } = row(cpu);
            bytemuck::cast(Sources {
                cursor: first,
                count,
                apart,
                first: u32::from(Ipv4Addr::new(10, 0, 0, 0)),
                reserved: 0,
            })
        });
        map.set(0, PerCpuValues::try_from(values.collect::<Vec<_>>())?, 0)?;
        Ok(())
    }

    /// So many packets on this processor, in ns each.
    pub(super) fn repeat(&self, packets: u64, answer: u32) -> Result<f64> {
        let program: &Xdp = self
            .ebpf
            .program("next_source")
            .context("no program next_source")?
            .try_into()?;
        let (mut left, mut ns) = (packets, 0.0);
        while left > 0 {
            let repeat = left.min(RUN);
            let context: Vec<u8> = [0, u32::try_from(self.frame.len())?, 0, LOOPBACK, 0, 0]
                .into_iter()
                .flat_map(u32::to_ne_bytes)
                .collect();
            let mut options = TestRunOptions::new();
            options.data_in = Some(&self.frame);
            options.ctx_in = Some(&context);
            options.repeat = u32::try_from(repeat)?;
            let result = program.test_run(options);
            gate_tests::interrupt::check()?;
            let result = result.context("cannot run next_source")?;
            ensure!(
                result.return_value == answer,
                "the program answered {} and not {answer}",
                result.return_value
            );
            ns += result.duration.as_nanos() as f64 * repeat as f64;
            left -= repeat;
        }
        Ok(ns / packets as f64)
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name);
    let program = program.with_context(|| {
        format!("the object has no program {name}: build it with `cargo xtask bench`")
    })?;
    Ok(program.try_into()?)
}

const _: () = assert!(
    !STRIDE.is_multiple_of(2) && !STRIDE.is_multiple_of(5),
    "counts are powers of ten: every source comes up once"
);
