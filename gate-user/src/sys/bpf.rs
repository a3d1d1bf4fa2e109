//! `bpf(2)`, one attribute structure a command.
//!
//! The structures are the leading fields of the matching members of `union bpf_attr` in the kernel's
//! `include/uapi/linux/bpf.h`; the kernel takes a shorter attribute as one padded with zeros.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use bytemuck::{Pod, Zeroable};

/// `enum bpf_cmd`.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum Command {
    MapCreate = 0,
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    ObjectPin = 6,
    ObjectGet = 7,
    ObjectInfo = 15,
    ProgramQuery = 16,
    MapFreeze = 22,
    MapLookupBatch = 24,
    MapUpdateBatch = 26,
    LinkDetach = 34,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct MapCreate {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    pub(super) map_name: [u8; 16],
}

/// For look-up, update and deletion of one element, and for the key after one.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Element {
    pub(super) map_fd: u32,
    pub(super) padding: u32,
    pub(super) key: u64,
    pub(super) value: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub(super) struct Batch {
    pub(super) from: u64,
    pub(super) next: u64,
    pub(super) keys: u64,
    pub(super) values: u64,
    pub(super) count: u32,
    pub(super) map_fd: u32,
    pub(super) element_flags: u64,
    pub(super) flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Object {
    path: u64,
    fd: u32,
    file_flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Info {
    fd: u32,
    length: u32,
    address: u64,
}

/// Calls `bpf(2)`.
///
/// # Safety
///
/// Every address in `attribute` is null or that of memory which is long enough for what the command reads or writes
/// there, and outlives the call.
pub(super) unsafe fn call<T: Pod>(command: Command, attribute: &mut T) -> io::Result<i32> {
    // SAFETY: `attribute` is memory of the size given; the rest is the caller's contract.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command as i32,
            std::ptr::from_mut(attribute),
            size_of::<T>(),
        )
    };
    match i32::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

/// As [`call`], for commands that return a descriptor.
///
/// # Safety
///
/// As [`call`].
pub(super) unsafe fn call_for_fd<T: Pod>(
    command: Command,
    attribute: &mut T,
) -> io::Result<OwnedFd> {
    // SAFETY: the caller's contract.
    let fd = unsafe { call(command, attribute) }?;
    // SAFETY: the kernel just opened this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor as the attributes have it.
pub(super) fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// The address of a value, for an attribute.
pub(super) fn address<T>(value: &[T]) -> u64 {
    value.as_ptr() as u64
}

/// The address of a value that the kernel writes, for an attribute.
pub(super) fn address_mut<T>(value: &mut [T]) -> u64 {
    value.as_mut_ptr() as u64
}

/// Pins the object behind `fd` at `path`.
pub(super) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attribute = Object {
        path: address(path.as_bytes_with_nul()),
        fd: raw(fd),
        file_flags: 0,
    };
    // SAFETY: `path` is a string that ends in a null byte and outlives the call.
    unsafe { call(Command::ObjectPin, &mut attribute) }.map(|_| ())
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Link {
    fd: u32,
}

/// Detaches the link behind `link`.
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attribute = Link { fd: raw(link) };
    // SAFETY: the command has no address.
    unsafe { call(Command::LinkDetach, &mut attribute) }.map(|_| ())
}

/// Opens the object pinned at `path`; `file_flags` are those of `BPF_OBJ_GET`.
pub(super) fn open(path: &Path, file_flags: u32) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attribute = Object {
        path: address(path.as_bytes_with_nul()),
        fd: 0,
        file_flags,
    };
    // SAFETY: as in `pin`.
    unsafe { call_for_fd(Command::ObjectGet, &mut attribute) }
}

/// What the kernel says about the object behind `fd`: the leading fields of its info structure.
pub(super) fn info<T: Pod>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = [T::zeroed()];
    let mut attribute = Info {
        fd: raw(fd),
        length: u32::try_from(size_of::<T>()).map_err(io::Error::other)?,
        address: address_mut(&mut info),
    };
    // SAFETY: the kernel writes at most `length` bytes there.
    unsafe { call(Command::ObjectInfo, &mut attribute) }?;
    let [info] = info;
    Ok(info)
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
