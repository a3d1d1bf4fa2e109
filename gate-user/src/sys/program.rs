//! Which program a pin is, and which programs traffic control runs on a device.

use std::{fs, io, os::fd::AsRawFd as _, path::Path};

use bytemuck::{Pod, Zeroable};

use super::bpf;

/// `BPF_TCX_INGRESS`
const TCX_INGRESS: u32 = 46;
/// As many programs of one device as are asked for; the kernel takes 64 (`BPF_MPROG_MAX`).
const MOST: usize = 64;

/// The number of the program that is pinned at `path`, or that the link pinned there runs; nothing where that is a map.
pub fn pinned_program(path: &Path) -> io::Result<Option<u32>> {
    let fd = bpf::open(path, 0)?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
    Ok(id.and_then(|id| id.trim().parse().ok()))
}

/// The member of `union bpf_attr` for `BPF_PROG_QUERY`, up to what the programs of a device want.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Query {
    index: u32,
    attach_type: u32,
    asked_flags: u32,
    attach_flags: u32,
    programs: u64,
    count: u32,
    padding: u32,
    program_flags: u64,
    links: u64,
    link_flags: u64,
    revision: u64,
}

/// The numbers of the programs that TCX runs on what the device with this index receives, in their order; none where the kernel has no TCX (before
/// 6.6).
pub fn tcx_ingress(index: u32) -> io::Result<Vec<u32>> {
    let mut programs = [0u32; MOST];
    let mut attribute = Query {
        index,
        attach_type: TCX_INGRESS,
        programs: bpf::address_mut(&mut programs),
        count: u32::try_from(MOST).map_err(io::Error::other)?,
        ..Query::zeroed()
    };
    // SAFETY: the kernel writes at most `count` numbers to `programs`.
    match unsafe { bpf::call(bpf::Command::ProgramQuery, &mut attribute) } {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(_) => Ok(programs
            .into_iter()
            .take(attribute.count as usize)
            .collect()),
    }
}
