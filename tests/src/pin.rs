//! What the kernel says about pinned BPF objects, and foreign objects to put in the gate's way.
//!
//! Straight from `bpf(2)` and `/proc/self/fdinfo`: neither the gate's own code nor its library is asked.

mod dump;

use std::{
    ffi::CString,
    fs, io,
    os::{
        fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

pub use self::dump::dump;
use crate::test_run;

/// What is pinned somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// Where, below the directory that was listed.
    pub path: PathBuf,
    /// The number of the directory entry: another one is another pin.
    pub inode: u64,
    /// What it is.
    pub object: Object,
}

/// A BPF object, by its kernel-wide id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// A program attached to something.
    Link(u32),
    /// A program.
    Program(u32),
    /// A map.
    Map(u32),
    /// None that is known here.
    Other,
}

/// Everything pinned below `directory`, in order; nothing where there is no such directory.
pub fn list(directory: &Path) -> Result<Vec<Pin>> {
    let mut pins = Vec::new();
    if !directory.try_exists()? {
        return Ok(pins);
    }
    collect(directory, directory, &mut pins)
        .with_context(|| format!("cannot list {}", directory.display()))?;
    pins.sort();
    Ok(pins)
}

fn collect(top: &Path, directory: &Path, pins: &mut Vec<Pin>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(top, &path, pins)?;
            continue;
        }
        pins.push(Pin {
            inode: entry.metadata()?.ino(),
            object: identify(&path)?,
            path: path.strip_prefix(top)?.to_owned(),
        });
    }
    Ok(())
}

fn identify(path: &Path) -> Result<Object> {
    // bpffs shows some iterators and links to directories; what cannot be opened is there all the same.
    let Ok(object) = get(path) else {
        return Ok(Object::Other);
    };
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd()))?;
    Ok(parse(&info))
}

/// A link's page names its program too, so it is looked for first.
fn parse(info: &str) -> Object {
    id(info, "link_id:")
        .map(Object::Link)
        .or_else(|| id(info, "prog_id:").map(Object::Program))
        .or_else(|| id(info, "map_id:").map(Object::Map))
        .unwrap_or(Object::Other)
}

fn id(info: &str, name: &str) -> Option<u32> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// An XDP program that passes everything, such as another tool's.
pub fn passing_program() -> Result<OwnedFd> {
    // `r0 = 2 (XDP_PASS); exit`
    xdp_program(&[0x0000_0002_0000_00b7, 0x0000_0000_0000_0095])
}

/// An XDP program that sends everything back, changed in nothing.
pub fn returning_program() -> Result<OwnedFd> {
    // `r0 = 3 (XDP_TX); exit`
    xdp_program(&[0x0000_0003_0000_00b7, 0x0000_0000_0000_0095])
}

/// An XDP program that drops everything.
pub fn dropping_program() -> Result<OwnedFd> {
    // `r0 = 1 (XDP_DROP); exit`
    xdp_program(&[0x0000_0001_0000_00b7, 0x0000_0000_0000_0095])
}

/// The program with this id.
pub fn program(id: u64) -> Result<OwnedFd> {
    let id = u32::try_from(id)?;
    bpf(PROG_GET_FD_BY_ID, &mut [id, 0, 0]).with_context(|| format!("cannot open program {id}"))
}

/// The program that the link pinned at `path` runs.
pub fn program_of(path: &Path) -> Result<OwnedFd> {
    let link = get(path)?;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd()))?;
    let id = id(&info, "prog_id:");
    let id = id.with_context(|| format!("{} is no link of a program", path.display()))?;
    program(id.into())
}

/// A program of traffic control that hands every packet on.
pub fn handing_on_program() -> Result<OwnedFd> {
    // `r0 = -1 (TC_ACT_UNSPEC); exit`
    load(SCHED_CLS, 0, &[0xffff_ffff_0000_00b7, 0x95])
}

/// A program of traffic control that sets these bits of the skb mark, at most 31 of them, and hands the packet on.
pub fn marking_program(bits: u32) -> Result<OwnedFd> {
    load(
        SCHED_CLS,
        0,
        &[
            // `w2 = skb->mark; w2 |= bits; skb->mark = w2; r0 = -1 (TC_ACT_UNSPEC); exit`
            0x0008_1261,
            u64::from(bits) << 32 | 0x0244,
            0x0008_2163,
            0xffff_ffff_0000_00b7,
            0x95,
        ],
    )
}

/// A program of traffic control that writes into the frame what is there already, and hands the packet on.
pub fn rewriting_program() -> Result<OwnedFd> {
    load(
        SCHED_CLS,
        0,
        &[
            // `r2 = skb->data; r3 = skb->data_end; r4 = r2 + 14; if r4 > r3 goto end; r5 = *(u8 *)r2; *(u8 *)r2 = r5`
            0x004c_1261,
            0x0050_1361,
            0x24bf,
            0x0000_000e_0000_0407,
            0x0002_342d,
            0x2571,
            0x5273,
            // `end: r0 = -1 (TC_ACT_UNSPEC); exit`
            0xffff_ffff_0000_00b7,
            0x95,
        ],
    )
}

/// A program of traffic control that takes every packet, so that no other one sees it.
pub fn ending_program() -> Result<OwnedFd> {
    // `r0 = 0 (TC_ACT_OK); exit`
    load(SCHED_CLS, 0, &[0xb7, 0x95])
}

/// A program of traffic control that gives every packet a tag of this VLAN, beside the frame as far as the device allows, and hands it on.
pub fn tagging_program(vlan: u16) -> Result<OwnedFd> {
    load(
        SCHED_CLS,
        0,
        &[
            // `r2 = htons(0x8100); r3 = vlan; call bpf_skb_vlan_push; r0 = -1 (TC_ACT_UNSPEC); exit`
            0x0000_0081_0000_02b7,
            u64::from(vlan) << 32 | 0x03b7,
            0x0000_0012_0000_0085,
            0xffff_ffff_0000_00b7,
            0x95,
        ],
    )
}

/// A program of traffic control that sets these bits of the skb mark, at most 31 of them, of packets that have the sum of all that is behind
/// the link's header (`CHECKSUM_COMPLETE`), and hands every packet on.
pub fn summed_program(bits: u32) -> Result<OwnedFd> {
    load(
        SCHED_CLS,
        0,
        &[
            // `r6 = skb; r2 = 0; call bpf_csum_update; if (s64) r0 < 0 goto end`: without such a sum there is nothing to update.
            0x16bf,
            0x02b7,
            0x0000_0028_0000_0085,
            0x0000_0000_0003_00c5,
            // `w2 = skb->mark; w2 |= bits; skb->mark = w2`
            0x0008_6261,
            u64::from(bits) << 32 | 0x0244,
            0x0008_2663,
            // `end: r0 = -1 (TC_ACT_UNSPEC); exit`
            0xffff_ffff_0000_00b7,
            0x95,
        ],
    )
}

/// `BPF_F_BEFORE`
const BEFORE: u32 = 1 << 3;

/// Has a program of traffic control run before all others on what the interface with this index receives, for as long as the link lives
/// that this returns.
pub fn attach_first(program: &OwnedFd, interface: u32) -> Result<OwnedFd> {
    /// `BPF_TCX_INGRESS`
    const TCX_INGRESS: u32 = 46;
    attach_to(program, interface, TCX_INGRESS, BEFORE)
}

/// The same, on what it sends.
pub fn attach_to_egress(program: &OwnedFd, interface: u32) -> Result<OwnedFd> {
    /// `BPF_TCX_EGRESS`
    const TCX_EGRESS: u32 = 47;
    attach_to(program, interface, TCX_EGRESS, BEFORE)
}

/// An XDP program of these instructions.
pub(crate) fn xdp_program(code: &[u64]) -> Result<OwnedFd> {
    const XDP: u32 = 6;
    load(XDP, TO_A_DEVICE, code)
}

fn load(kind: u32, attach_type: u32, code: &[u64]) -> Result<OwnedFd> {
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        code: u64,
        licence: u64,
        log: [u64; 2],
        version: u32,
        flags: u32,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }
    let mut attributes = Load {
        kind,
        instructions: u32::try_from(code.len())?,
        code: code.as_ptr() as u64,
        licence: c"MIT".as_ptr() as u64,
        log: [0; 2],
        version: 0,
        flags: 0,
        name: [0; 16],
        interface: 0,
        attach_type,
    };
    bpf(PROG_LOAD, &mut attributes).with_context(|| format!("cannot load a program of type {kind}"))
}

/// Attaches `program` in the driver of the interface with this index of this thread's network namespace, for as long as the link
/// lives that this returns.
pub fn attach(program: &OwnedFd, interface: u32) -> Result<OwnedFd> {
    /// `XDP_FLAGS_DRV_MODE`
    const IN_THE_DRIVER: u32 = 1 << 2;
    attach_to(program, interface, TO_A_DEVICE, IN_THE_DRIVER)
}

fn attach_to(program: &OwnedFd, interface: u32, attach_type: u32, flags: u32) -> Result<OwnedFd> {
    #[repr(C)]
    struct Create {
        program: i32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    let mut attributes = Create {
        program: program.as_raw_fd(),
        interface,
        attach_type,
        flags,
    };
    bpf(LINK_CREATE, &mut attributes)
        .with_context(|| format!("cannot attach a program (type {attach_type})"))
}

/// Puts `program` in the place of what the link pinned at `path` runs.
pub fn replace_program(path: &Path, program: &OwnedFd) -> Result<()> {
    #[repr(C)]
    struct Update {
        link: i32,
        program: i32,
        flags: u32,
        old: i32,
    }
    let link = get(path)?;
    let mut attributes = Update {
        link: link.as_raw_fd(),
        program: program.as_raw_fd(),
        flags: 0,
        old: 0,
    };
    command(LINK_UPDATE, &mut attributes)
        .map(drop)
        .with_context(|| format!("cannot update the link at {}", path.display()))
}

/// A map that is none of the gate's: an array with one value of four bytes.
pub fn tiny_map() -> Result<OwnedFd> {
    array(4)
}

/// Memory of the kernel at a known address: an array with one value of `size` bytes, the first eight of which are where in the kernel
/// the value is. A program has written it there, which the verifier lets root's programs do, and which takes no symbols.
pub fn addressed_memory(size: u32) -> Result<OwnedFd> {
    /// The index of the loopback device in every network namespace.
    const LOOPBACK: u32 = 1;
    /// The shortest frame that the kernel takes: an Ethernet header.
    const FRAME: [u8; 14] = [0; 14];
    let map = array(size)?;
    let descriptor = u64::from(map.as_raw_fd().cast_unsigned());
    // `r1 = the address of the map's value; *(u64 *)(r1 + 0) = r1; r0 = 2 (XDP_PASS); exit`
    let program = xdp_program(&[
        0x2118 | descriptor << 32,
        0,
        0x0000_0000_0000_117b,
        0x0000_0002_0000_00b7,
        0x0000_0000_0000_0095,
    ])?;
    test_run::repeat(program.as_fd(), LOOPBACK, &FRAME, 1)?;
    Ok(map)
}

fn array(value_size: u32) -> Result<OwnedFd> {
    const ARRAY: u32 = 2;
    #[repr(C)]
    struct Create {
        kind: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
    }
    let mut attributes = Create {
        kind: ARRAY,
        key_size: 4,
        value_size,
        max_entries: 1,
    };
    bpf(MAP_CREATE, &mut attributes).context("cannot make a map")
}

/// Pins `object` at `path`.
pub fn pin(object: &OwnedFd, path: &Path) -> Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Named {
        path: name.as_ptr() as u64,
        object: object.as_raw_fd().cast_unsigned(),
        flags: 0,
    };
    command(OBJ_PIN, &mut attributes)
        .map(drop)
        .with_context(|| format!("cannot pin at {}", path.display()))
}

/// The object pinned at `path`.
pub fn get(path: &Path) -> Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes = Named {
        path: name.as_ptr() as u64,
        object: 0,
        flags: 0,
    };
    bpf(OBJ_GET, &mut attributes).with_context(|| format!("cannot open {}", path.display()))
}

/// Has the kernel measure how often programs run, and for how long, while the descriptor is open.
pub fn measure_programs() -> Result<OwnedFd> {
    let mut run_time = 0u32;
    bpf(ENABLE_STATS, &mut run_time).context("cannot have programs measured")
}

/// The attributes of `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
#[repr(C)]
struct Named {
    path: u64,
    object: u32,
    flags: u32,
}

/// `BPF_XDP`, which a link wants its next program to be for if its first one was.
const TO_A_DEVICE: u32 = 37;

/// `BPF_PROG_TYPE_SCHED_CLS`
const SCHED_CLS: u32 = 3;

const MAP_CREATE: libc::c_long = 0;
const PROG_LOAD: libc::c_long = 5;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
pub(crate) const PROG_TEST_RUN: libc::c_long = 10;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;
const ENABLE_STATS: libc::c_long = 32;

/// A command of `bpf(2)` that returns a descriptor.
fn bpf<T>(number: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    let descriptor = command(number, attributes)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Any command. The kernel may write its answer into `attributes`.
pub(crate) fn command<T>(number: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: `attributes` is plain data of exactly this size, a prefix of `union bpf_attr`; the addresses in it are
    // those of memory that its maker holds until this returns. The kernel takes what is left out as zeroes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            number,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    match i32::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_told_apart_by_their_page() {
        assert_eq!(
            parse("pos:\t0\nlink_type:\txdp\nlink_id:\t7\nprog_id:\t3\n"),
            Object::Link(7)
        );
        assert_eq!(parse("prog_type:\t6\nprog_id:\t3\n"), Object::Program(3));
        assert_eq!(parse("map_type:\t2\nmap_id:\t9\n"), Object::Map(9));
        assert_eq!(parse("pos:\t0\n"), Object::Other);
        assert_eq!(id("link_id:\t7\nprog_id:\t3\n", "prog_id:"), Some(3));
    }
}
