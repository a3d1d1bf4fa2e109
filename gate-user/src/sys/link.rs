//! What the kernel knows about an XDP link.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    path::Path,
};

use bytemuck::{Pod, Zeroable};

use super::bpf;

/// `BPF_LINK_TYPE_XDP`
const XDP: u32 = 6;
/// What /proc says a descriptor of a link is: one spelling for a link just made, one for a link opened by its pin
/// (`bpf_link_prime` and `bpf_link_new_fd` in the kernel's `kernel/bpf/syscall.c`). The numbers of link, program and map types overlap, so that the kernel's
/// answer alone does not tell them apart.
const LINK: [&str; 2] = ["anon_inode:bpf_link", "anon_inode:bpf-link"];

/// The leading fields of the kernel's `struct bpf_link_info`, XDP member.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    interface: u32,
    tail: u32,
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
        let fd: OwnedFd = bpf::open(path, 0)?;
        let object = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
        if !LINK.iter().any(|link| object == Path::new(link)) {
            return Err(io::Error::other(format!(
                "a {}, not a link",
                object.display()
            )));
        }
        let LinkInfo {
            kind,
            id,
            program,
            padding: _,
            interface,
            tail: _,
        } = bpf::info(fd.as_fd())?;
        if kind == XDP {
            Ok(Self {
                id,
                program,
                interface,
            })
        } else {
            Err(io::Error::other(format!(
                "a link of type {kind}, not an XDP link"
            )))
        }
    }
}
