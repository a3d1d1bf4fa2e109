//! What the kernel knows about a link.

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::Path,
};

use bytemuck::{Pod, Zeroable};

use super::bpf;

/// `BPF_LINK_TYPE_RAW_TRACEPOINT`
const RAW_TRACEPOINT: u32 = 1;
/// `BPF_LINK_TYPE_XDP`
const XDP: u32 = 6;
/// `BPF_LINK_TYPE_TCX`
const TCX: u32 = 11;
/// `BPF_TCX_INGRESS`
const TCX_INGRESS: u32 = 46;
/// What /proc says a descriptor of a link is: one spelling for a link just made, one for a link opened by its pin
/// (`bpf_link_prime` and `bpf_link_new_fd` in the kernel's `kernel/bpf/syscall.c`). The numbers of link, program and map types overlap, so that the kernel's
/// answer alone does not tell them apart.
const LINK: [&str; 2] = ["anon_inode:bpf_link", "anon_inode:bpf-link"];

/// The leading fields of the kernel's `struct bpf_link_info`, with as much of the member of its type as a link to an interface has.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    /// Of links to interfaces only.
    interface: u32,
    /// Of a TCX link only.
    attach_type: u32,
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
            attach_type: _,
        } = LinkInfo::open(path, XDP)?;
        Ok(Self {
            id,
            program,
            interface,
        })
    }

    /// Takes the link that is pinned at `path` off its interface, at once; what is pinned is a link to nothing then.
    pub fn detach(path: &Path) -> io::Result<()> {
        let fd: OwnedFd = bpf::open(path, 0)?;
        bpf::detach_link(fd.as_fd())
    }

    /// Pins the link that is pinned at `from` at `to` as well: it lives as long as one of the two.
    pub fn pin_again(from: &Path, to: &Path) -> io::Result<()> {
        let fd: OwnedFd = bpf::open(from, 0)?;
        bpf::pin(fd.as_fd(), to)
    }
}

/// The tag of the program behind a descriptor, or of that which the link behind it runs: the kernel's digest of the instructions, in hexadecimal
/// digits. /proc has it for everybody who holds the descriptor, where to open a program by its number takes `CAP_SYS_ADMIN`.
pub fn program_tag(fd: BorrowedFd<'_>) -> io::Result<String> {
    told(fd, "prog_tag:")
}

/// The kernel's number for the program that is pinned at `path`.
pub fn program_id(path: &Path) -> io::Result<u32> {
    let id = told(bpf::open(path, 0)?.as_fd(), "prog_id:")?;
    id.parse().map_err(io::Error::other)
}

/// What /proc has of a program after this word.
fn told(fd: BorrowedFd<'_>, word: &str) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    let told = text.lines().find_map(|line| line.strip_prefix(word));
    told.map(|it| it.trim().to_owned())
        .ok_or_else(|| io::Error::other(format!("/proc names no {word} of a program")))
}

/// The tag of the program that the link pinned at `path` runs.
pub fn linked_program_tag(path: &Path) -> io::Result<String> {
    program_tag(bpf::open(path, 0)?.as_fd())
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

/// A pinned link between a program of traffic control and what an interface receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcxLink {
    /// The kernel's number for the program that it runs.
    pub program: u32,
    /// The index of the interface; 0 once the interface is gone, or somebody detached the link.
    pub interface: u32,
}

impl TcxLink {
    /// Looks at the link pinned at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let LinkInfo {
            program,
            interface,
            attach_type,
            ..
        } = LinkInfo::open(path, TCX)?;
        if interface != 0 && attach_type != TCX_INGRESS {
            return Err(io::Error::other("a link for what an interface sends"));
        }
        Ok(Self { program, interface })
    }
}

/// How often a program ran while the kernel measured it, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// How often.
    pub count: u64,
    /// For how many nanoseconds in all.
    pub time_ns: u64,
}

/// What the kernel has measured of the program pinned at `path`. It measures while `kernel.bpf_stats_enabled` is set or somebody holds
/// `BPF_ENABLE_STATS`; without any of that there is nothing.
pub fn program_runs(path: &Path) -> io::Result<Option<Runs>> {
    let fd = bpf::open(path, 0)?;
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    Ok(runs(&text))
}

fn runs(fdinfo: &str) -> Option<Runs> {
    let value = |name: &str| {
        let mut lines = fdinfo.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok())
    };
    let runs = Runs {
        count: value("run_cnt")?,
        time_ns: value("run_time_ns")?,
    };
    (runs != Runs::default()).then_some(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_nobody_measures_has_no_runs() {
        let fdinfo = |count, time| {
            format!("pos:\t0\nprog_tag:\tabc\nrun_time_ns:\t{time}\nrun_cnt:\t{count}\n")
        };
        let expected = Runs {
            count: 3,
            time_ns: 120,
        };
        assert_eq!(runs(&fdinfo(3, 120)), Some(expected));
        assert_eq!(runs(&fdinfo(0, 0)), None);
        assert_eq!(runs("prog_tag:\tabc\n"), None);
    }
}
