//! Maps as typed arrays of plain values.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use bytemuck::{Pod, Zeroable};

use super::{
    bpf::{self, Command},
    mapping::{Mapping, Shared},
};

/// How many elements one batch carries: large enough to make the system call vanish, small enough for the stack of
/// pages that the kernel copies through.
const BATCH: usize = 4096;

/// A kind of map, by its number in the kernel's `enum bpf_map_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapKind {
    /// `BPF_MAP_TYPE_HASH`
    Hash = 1,
    /// `BPF_MAP_TYPE_ARRAY`
    Array = 2,
    /// `BPF_MAP_TYPE_LPM_TRIE`
    LpmTrie = 11,
    /// `BPF_MAP_TYPE_RINGBUF`, with no keys, no values, and a size for entries
    RingBuf = 27,
}

/// What makes two maps interchangeable to a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSpec {
    /// `enum bpf_map_type`.
    pub kind: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// How many elements it can have.
    pub max_entries: u32,
    /// `BPF_F_*` of its creation.
    pub flags: u32,
}

impl fmt::Display for MapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            key_size,
            value_size,
            max_entries,
            flags,
        } = self;
        write!(
            f,
            "type {kind}, key {key_size} bytes, value {value_size} bytes, {max_entries} entries, flags {flags:#x}"
        )
    }
}

/// What one may do with a map that one opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look up.
    Read,
    /// Look up and change.
    Write,
}

impl Access {
    fn file_flags(self) -> u32 {
        /// `BPF_F_RDONLY`
        const READ_ONLY: u32 = 1 << 3;
        match self {
            Self::Read => READ_ONLY,
            Self::Write => 0,
        }
    }
}

/// The leading fields of the kernel's `struct bpf_map_info`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// An open map.
#[derive(Debug)]
pub struct Map {
    fd: OwnedFd,
    id: u32,
    spec: MapSpec,
}

impl Map {
    /// Makes a map.
    pub fn create(
        name: &str,
        kind: MapKind,
        key_size: usize,
        value_size: usize,
        max_entries: usize,
        flags: u32,
    ) -> io::Result<Self> {
        let mut attribute = bpf::MapCreate {
            map_type: kind as u32,
            key_size: narrow(key_size)?,
            value_size: narrow(value_size)?,
            max_entries: narrow(max_entries)?,
            map_flags: flags,
            inner_map_fd: 0,
            numa_node: 0,
            map_name: map_name(name),
        };
        // SAFETY: the attribute holds no address.
        let fd = unsafe { bpf::call_for_fd(Command::MapCreate, &mut attribute) }?;
        Self::from_fd(fd)
    }

    /// Opens the map pinned at `path`.
    pub fn open(path: &Path, access: Access) -> io::Result<Self> {
        Self::from_fd(bpf::open(path, access.file_flags())?)
    }

    /// Takes over a descriptor.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let MapInfo {
            kind,
            id,
            key_size,
            value_size,
            max_entries,
            map_flags,
        } = bpf::info(fd.as_fd())?;
        let spec = MapSpec {
            kind,
            key_size,
            value_size,
            max_entries,
            flags: map_flags,
        };
        Ok(Self { fd, id, spec })
    }

    /// The kernel's number for it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What kind of map it is.
    #[must_use]
    pub fn spec(&self) -> MapSpec {
        self.spec
    }

    /// Pins it at `path`.
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        bpf::pin(self.fd.as_fd(), path)
    }

    /// Makes it read-only for user space, for good.
    pub fn freeze(&self) -> io::Result<()> {
        let mut attribute = [bpf::raw(self.fd.as_fd())];
        // SAFETY: the attribute holds no address.
        unsafe { bpf::call(Command::MapFreeze, &mut attribute) }.map(|_| ())
    }

    /// Stores an element.
    pub fn update<K: Pod, V: Pod>(&self, key: &K, value: &V) -> io::Result<()> {
        self.check::<K>(size_of::<V>())?;
        self.element(
            Command::MapUpdate,
            bytemuck::bytes_of(key),
            bpf::address(std::slice::from_ref(value)),
        )
    }

    /// Stores a map in a map of maps.
    ///
    /// The kernel returns after a grace period: no program that started before the call still sees what was there.
    pub fn update_inner(&self, index: u32, inner: &Self) -> io::Result<()> {
        self.update(&index, &bpf::raw(inner.fd.as_fd()))
    }

    /// Removes an element; it is no error if there is none.
    pub fn delete<K: Pod>(&self, key: &K) -> io::Result<()> {
        self.check::<K>(self.spec.value_size as usize)?;
        match self.element(Command::MapDelete, bytemuck::bytes_of(key), 0) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            result => result,
        }
    }

    /// Looks an element up; `None` if there is none.
    pub fn lookup<K: Pod, V: Pod>(&self, key: &K) -> io::Result<Option<V>> {
        self.check::<K>(size_of::<V>())?;
        let mut value = [V::zeroed()];
        let found = self.found(bytemuck::bytes_of(key), bpf::address_mut(&mut value))?;
        let [value] = value;
        Ok(found.then_some(value))
    }

    /// Looks an element of a per-CPU map up: one value for each possible CPU; `None` if there is none.
    pub fn lookup_per_cpu<K: Pod, V: Pod>(&self, key: &K) -> io::Result<Option<Vec<V>>> {
        self.check::<K>(size_of::<V>())?;
        per_cpu_size::<V>()?;
        let mut values = vec![V::zeroed(); possible_cpus()?];
        let found = self.found(bytemuck::bytes_of(key), bpf::address_mut(&mut values))?;
        Ok(found.then_some(values))
    }

    /// Stores the same value for every CPU.
    pub fn update_per_cpu<K: Pod, V: Pod>(&self, key: &K, value: &V) -> io::Result<()> {
        self.check::<K>(size_of::<V>())?;
        per_cpu_size::<V>()?;
        let values = vec![*value; possible_cpus()?];
        self.element(
            Command::MapUpdate,
            bytemuck::bytes_of(key),
            bpf::address(&values),
        )
    }

    /// Stores many elements.
    pub fn update_batch<K: Pod, V: Pod>(&self, keys: &[K], values: &[V]) -> io::Result<()> {
        self.check::<K>(size_of::<V>())?;
        if keys.len() != values.len() {
            return Err(io::Error::other("as many keys as values are needed"));
        }
        for (keys, values) in keys.chunks(BATCH).zip(values.chunks(BATCH)) {
            let mut attribute = bpf::Batch {
                keys: bpf::address(keys),
                values: bpf::address(values),
                count: narrow(keys.len())?,
                map_fd: bpf::raw(self.fd.as_fd()),
                ..Zeroable::zeroed()
            };
            // SAFETY: both slices have `count` elements of the map's sizes.
            unsafe { bpf::call(Command::MapUpdateBatch, &mut attribute) }?;
        }
        Ok(())
    }

    /// Writes the elements of an array made with `BPF_F_MMAPABLE`, whose elements lie side by side.
    pub fn fill<V: Pod>(&self, values: &[V]) -> io::Result<()> {
        self.check::<u32>(size_of::<V>())?;
        if values.len() > self.spec.max_entries as usize || !size_of::<V>().is_multiple_of(8) {
            return Err(io::Error::other(
                "more or other values than the map has room for",
            ));
        }
        let bytes: &[u8] = bytemuck::cast_slice(values);
        if let Some(mut mapping) = Mapping::new(self.fd.as_fd(), bytes.len())? {
            mapping.bytes().copy_from_slice(bytes);
        }
        Ok(())
    }

    /// The elements of an array made with `BPF_F_MMAPABLE`, whose elements lie side by side, as words that others write as well.
    pub fn shared<V: Pod>(&self) -> io::Result<Shared> {
        self.check::<u32>(size_of::<V>())?;
        let Self { fd, spec, .. } = self;
        Shared::new(fd.as_fd(), spec.max_entries as usize * size_of::<V>())
    }

    /// Reads every element of an array, in order. (Not as memory: the kernel maps it only for who may write, too.)
    pub fn read_all<V: Pod>(&self) -> io::Result<Vec<V>> {
        self.check::<u32>(size_of::<V>())?;
        self.read_array(1)
    }

    /// Reads every element of a per-CPU array, in order: of each one value for every possible CPU.
    pub fn read_all_per_cpu<V: Pod>(&self) -> io::Result<Vec<Vec<V>>> {
        self.check::<u32>(size_of::<V>())?;
        per_cpu_size::<V>()?;
        let cpus = possible_cpus()?;
        let values = self.read_array(cpus)?;
        Ok(values.chunks(cpus).map(<[V]>::to_vec).collect())
    }

    /// Reads an array of which the kernel copies so many values an element.
    fn read_array<V: Pod>(&self, copied: usize) -> io::Result<Vec<V>> {
        let mut values = vec![V::zeroed(); self.spec.max_entries as usize * copied];
        let mut keys = [0u32; BATCH];
        let mut position = None;
        for values in values.chunks_mut(BATCH * copied) {
            let elements = values.len() / copied;
            let mut next = [0u32];
            let mut attribute = bpf::Batch {
                from: position
                    .as_ref()
                    .map_or(0, |it: &[u32; 1]| bpf::address(it)),
                next: bpf::address_mut(&mut next),
                keys: bpf::address_mut(&mut keys),
                values: bpf::address_mut(values),
                count: narrow(elements)?,
                map_fd: bpf::raw(self.fd.as_fd()),
                ..Zeroable::zeroed()
            };
            // SAFETY: both slices have room for `count` elements of the map's sizes, per-CPU ones with a value for each
            // possible CPU, and arrays keep their position in a key.
            match unsafe { bpf::call(Command::MapLookupBatch, &mut attribute) } {
                Ok(_) => {}
                // These were the last ones.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
            if attribute.count as usize != elements {
                return Err(io::Error::other(
                    "the kernel returned too few elements of an array",
                ));
            }
            position = Some(next);
        }
        Ok(values)
    }

    /// Another descriptor of the same map.
    pub fn share(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            id: self.id,
            spec: self.spec,
        })
    }

    /// Every element of a hash map, once; elements that come or go meanwhile may or may not be among them.
    pub fn entries<K: Pod + Eq + Hash, V: Pod>(&self) -> io::Result<HashMap<K, V>> {
        self.check::<K>(size_of::<V>())?;
        let mut entries = HashMap::new();
        // The kernel hands out whole buckets, so that the batch must have room for the longest.
        let mut room = BATCH;
        let mut position = None;
        loop {
            let mut keys = vec![K::zeroed(); room];
            let mut values = vec![V::zeroed(); room];
            let mut next = [0u32];
            let mut attribute = bpf::Batch {
                from: position
                    .as_ref()
                    .map_or(0, |it: &[u32; 1]| bpf::address(it)),
                next: bpf::address_mut(&mut next),
                keys: bpf::address_mut(&mut keys),
                values: bpf::address_mut(&mut values),
                count: narrow(room)?,
                map_fd: bpf::raw(self.fd.as_fd()),
                ..Zeroable::zeroed()
            };
            // SAFETY: the slices have room for `count` elements of the map's sizes, and hash maps keep their position
            // in four bytes.
            let result = unsafe { bpf::call(Command::MapLookupBatch, &mut attribute) };
            let last = match result {
                Ok(_) => false,
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    room *= 2;
                    continue;
                }
                Err(error) => return Err(error),
            };
            entries.extend(keys.into_iter().zip(values).take(attribute.count as usize));
            if last {
                return Ok(entries);
            }
            position = Some(next);
        }
    }

    fn element(&self, command: Command, key: &[u8], value: u64) -> io::Result<()> {
        let mut attribute = bpf::Element {
            map_fd: bpf::raw(self.fd.as_fd()),
            padding: 0,
            key: bpf::address(key),
            value,
            flags: 0,
        };
        // SAFETY: the callers checked that key and value have the map's sizes.
        unsafe { bpf::call(command, &mut attribute) }.map(|_| ())
    }

    fn found(&self, key: &[u8], value: u64) -> io::Result<bool> {
        match self.element(Command::MapLookup, key, value) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The kernel copies as many bytes as the map says, so that is what we must have.
    fn check<K>(&self, value_size: usize) -> io::Result<()> {
        let spec = self.spec;
        if spec.key_size as usize == size_of::<K>() && spec.value_size as usize == value_size {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the map has {spec}; keys of {} and values of {value_size} bytes were expected",
            size_of::<K>()
        )))
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How many CPUs the kernel keeps a value of a per-CPU map for.
pub fn possible_cpus() -> io::Result<usize> {
    aya::util::nr_cpus().map_err(|(_, error)| error)
}

/// The kernel rounds the values of per-CPU maps up to eight bytes.
fn per_cpu_size<V>() -> io::Result<()> {
    if size_of::<V>().is_multiple_of(8) {
        Ok(())
    } else {
        Err(io::Error::other(
            "values of per-CPU maps must be a multiple of eight bytes",
        ))
    }
}

fn narrow(size: usize) -> io::Result<u32> {
    u32::try_from(size).map_err(io::Error::other)
}

/// The kernel takes 15 bytes of a name.
fn map_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}
