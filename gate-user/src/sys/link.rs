//! What the kernel knows about a link.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

use bytemuck::{Pod, Zeroable};

use super::bpf;

/// `BPF_LINK_TYPE_RAW_TRACEPOINT`
const RAW_TRACEPOINT: u32 = 1;
/// `BPF_LINK_TYPE_XDP`
const XDP: u32 = 6;
/// What /proc says a descriptor of a link is: one spelling for a link just made, one for a link opened by its pin
/// (`bpf_link_prime` and `bpf_link_new_fd` in the kernel's `kernel/bpf/syscall.c`). The numbers of link, program and map types overlap, so that the kernel's
/// answer alone does not tell them apart.
const LINK: [&str; 2] = ["anon_inode:bpf_link", "anon_inode:bpf-link"];

/// The leading fields of the kernel's `struct bpf_link_info`, with as much of the member of its type as an XDP link has.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    /// Of an XDP link only.
    interface: u32,
    tail: u32,
}

impl LinkInfo {
    /// Looks at the link pinned at `path`, which must be of this type.
    fn open(path: &Path, kind: u32) -> io::Result<Self> {
        let fd: OwnedFd = bpf::open(path, 0)?;
        let object = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        if !LINK.iter().any(|link| object == Path::new(link)) {
            return Err(io::Error::other(format!(
                "a {}, not a link",
                object.display()
            )));
        }
        let info: Self = bpf::info(fd.as_fd())?;
        if info.kind == kind {
            Ok(info)
        } else {
            Err(io::Error::other(format!(
                "a link of type {}, not of type {kind}",
                info.kind
            )))
        }
    }
}

/// A pinned link between an XDP program and an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpLink {
    /// The kernel's number for the link.
    pub id: u32,
    /// The kernel's number for the program that it runs.
    pub program: u32,
    /// The index of the interface; 0 once the interface is gone.
    pub interface: u32,
}

impl XdpLink {
    /// Looks at the link pinned at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let LinkInfo {
            kind: _,
            id,
            program,
            padding: _,
            interface,
            tail: _,
        } = LinkInfo::open(path, XDP)?;
        Ok(Self {
            id,
            program,
            interface,
        })
    }
}

/// A pinned link between a program and a tracepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TracepointLink {
    /// The kernel's number for the program that it runs.
    pub program: u32,
}

impl TracepointLink {
    /// Looks at the link pinned at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let LinkInfo { program, .. } = LinkInfo::open(path, RAW_TRACEPOINT)?;
        Ok(Self { program })
    }
}
