//! Programs in the kernel on one frame, again and again.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use gate_tests::{
    lab::{LabName, NetNs},
    pin,
    test_run::Runs,
};
use nix::net::if_::if_nametoindex;

use crate::{
    cpu,
    layout::{TEMPLATE_WORDS, Template},
    object,
    suite::{Rounds, interleaved},
};

/// How often a program runs in each part of a measurement, of which the least disturbed counts, and before the first one.
pub(crate) const TIMES: u32 = 40_000;
pub(crate) const PARTS: u32 = 5;
pub(crate) const WARM: u32 = 5_000;

/// How a program of some kind is run.
pub(crate) type Repeat = fn(BorrowedFd<'_>, u32, &[u8], u32) -> Result<Runs>;

/// A program, and where frames for it arrive.
pub(crate) struct Place<'a> {
    pub(crate) netns: &'a NetNs,
    pub(crate) interface: &'a str,
    pub(crate) program: &'a OwnedFd,
    pub(crate) repeat: Repeat,
}

impl Place<'_> {
    /// How long one run took, in nanoseconds.
    pub(crate) fn run(&self, frame: &[u8], action: u32, times: u32) -> Result<f64> {
        let runs = self.netns.run(|| {
            cpu::keep_to(cpu::choose()?)?;
            let index = if_nametoindex(self.interface)?;
            (self.repeat)(self.program.as_fd(), index, frame, times)
        })??;
        ensure!(
            runs.action == action,
            "the program answered {} and not {action}",
            runs.action
        );
        Ok(runs.time.as_nanos() as f64 / f64::from(times))
    }
}

/// A network namespace with a wire between two interfaces, on which nothing arrives but what is sent here.
pub(crate) fn wire([one, other]: [&str; 2]) -> Result<NetNs> {
    let netns = NetNs::new(LabName::fresh().to_string())?;
    netns.set("net/ipv6/conf/default/disable_ipv6", "1")?;
    netns.ip(&format!(
        "link add {one} type veth peer name {other}\nlink set {one} up\nlink set {other} up\n"
    ))?;
    Ok(netns)
}

/// A program that passes everything, and the link that attaches it to `interface`: where a program is attached nowhere, the kernel patches
/// its code before and after each measurement to call it without a detour.
pub(crate) fn floor(netns: &NetNs, interface: &str) -> Result<(OwnedFd, OwnedFd)> {
    let program = pin::passing_program()?;
    let link = netns.run(|| pin::attach(&program, if_nametoindex(interface)?))??;
    Ok((program, link))
}

/// The times of one subject, round by round.
type Times = (String, Vec<f64>);

/// Every subject on `frame`, one round after the other. Returns how many packets each subject saw as well.
pub(crate) fn measure(
    frame: &[u8],
    subjects: &[(&str, Place<'_>, u32)],
    rounds: Rounds,
) -> Result<(Vec<Times>, u64)> {
    for (name, place, action) in subjects {
        place
            .run(frame, *action, WARM)
            .with_context(|| (*name).to_owned())?;
    }
    let mut turns: Vec<_> = subjects.iter().collect();
    let values = interleaved(&mut turns, rounds, |(name, place, action), _| {
        let mut least = f64::INFINITY;
        for _ in 0..PARTS {
            let ns = place.run(frame, *action, TIMES);
            least = least.min(ns.with_context(|| (*name).to_owned())?);
        }
        Ok(least)
    })?;
    let measured = values.iter().map(Vec::len).max().unwrap_or(0);
    let packets = u64::from(WARM) + measured as u64 * u64::from(PARTS * TIMES);
    let names = subjects.iter().map(|(name, ..)| (*name).to_owned());
    Ok((names.zip(values).collect(), packets))
}

/// A program that makes `frame`, without metadata before it, and goes on in `next`.
pub(crate) fn restoring(ebpf: &mut Ebpf, frame: &[u8], next: &OwnedFd) -> Result<OwnedFd> {
    ensure!(
        frame.len().is_multiple_of(2) && frame.len() <= TEMPLATE_WORDS * 2,
        "a frame of {} octets cannot be made again: at most {} are, two by two",
        frame.len(),
        TEMPLATE_WORDS * 2
    );
    let mut template = Template {
        length: u32::try_from(frame.len())?,
        words: [0; TEMPLATE_WORDS],
    };
    for (word, octets) in template.words.iter_mut().zip(frame.as_chunks().0) {
        *word = u16::from_ne_bytes(*octets);
    }
    object::map(ebpf, "TEMPLATE")?.update(&0_u32, &template)?;
    let program = object::program(ebpf, "frame_restore")?;
    object::map(ebpf, "NEXT")?
        .update(&0_u32, &next.as_raw_fd())
        .context("the kernel does not let a program of the benchmark go on in this one")?;
    Ok(program)
}
