//! The gate in the kernel: its maps, its program, and how a generation gets in.
//!
//! Minimum kernel version: 6.1.

mod btf;
mod error;
mod maps;
mod notes;
mod tables;
mod test_run;

use std::{io, os::fd::AsFd as _, path::Path};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map as AyaMap, MapData},
    programs::{Program, ProgramError, RawTracePoint, SchedClassifier, Xdp},
};
use gate_common::abi::{self, KernelLayout};

pub(crate) use self::tables::{LEGEND, READABLE};
pub use self::{
    btf::LayoutError,
    error::KernelError,
    maps::{Buckets, Deleted, Found, Maps, Occupancy, Prepared, Rehearsal, Ring, Tale, Terms},
    notes::{read_note, remove_note, write_note},
    tables::{
        Loaded, interfaces, legend, list, list_ids, lists, manifest, manifest_of_another,
        named_interfaces, source_map,
    },
    test_run::{Action, LOOPBACK, SHORTEST, test_run, test_run_at, test_run_into},
};
use crate::{
    object,
    pins::Pins,
    sys::{Access, Map, program_tag},
};

/// Which packets of submission connections the program looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Those that open one.
    #[default]
    Opening,
    /// All, for their DSCP.
    Every,
}

impl Look {
    /// What these settings ask for.
    #[must_use]
    pub const fn of(settings: &abi::Settings) -> Self {
        if settings.dscp_all != 0 || settings.bleach != 0 {
            Self::Every
        } else {
            Self::Opening
        }
    }

    /// The name of the program.
    const fn program(self) -> &'static str {
        match self {
            Self::Opening => abi::PROGRAM,
            Self::Every => abi::PROGRAM_EVERY,
        }
    }
}

/// A loaded program and its maps.
#[derive(Debug)]
pub struct Gate {
    ebpf: Ebpf,
    look: Look,
    /// The maps.
    pub maps: Maps,
    /// What the programs on tracepoints were told, if anything is known.
    layout: Result<KernelLayout, LayoutError>,
}

impl Gate {
    /// Loads the program with maps of its own, that nobody else sees.
    pub fn private(object: &[u8]) -> Result<Self, KernelError> {
        Self::private_with(object, KernelLayout::default())
    }

    /// As [`Gate::private`]; the programs for tracepoints take the kernel's structures to be laid out so.
    pub fn private_with(object: &[u8], layout: KernelLayout) -> Result<Self, KernelError> {
        Self::load(object, None, Look::Opening, Ok(layout))
    }

    /// As [`Gate::private`], with the program that looks at these packets.
    pub fn private_looking(object: &[u8], look: Look) -> Result<Self, KernelError> {
        Self::load(object, None, look, Ok(KernelLayout::default()))
    }

    /// Loads the program with the pinned maps, pinning those that are not there yet.
    ///
    /// Pins that are there are checked first: aya adopts whatever it finds.
    pub fn pinned(object: &[u8], pins: &Pins, look: Look) -> Result<Self, KernelError> {
        check_pins(object, pins)?;
        Self::load(object, Some(pins), look, btf::layout())
    }

    fn load(
        object: &[u8],
        pins: Option<&Pins>,
        look: Look,
        layout: Result<KernelLayout, LayoutError>,
    ) -> Result<Self, KernelError> {
        let known = layout.as_ref().copied().unwrap_or_default();
        let known: [u8; size_of::<KernelLayout>()] = bytemuck::cast(known);
        let mut loader = EbpfLoader::new();
        loader.override_global(abi::KERNEL_LAYOUT, &known[..], true);
        if let Some(pins) = pins {
            for name in names() {
                loader.map_pin_path(name, pins.map(name));
            }
        }
        let mut ebpf = loader
            .load(object)
            .map_err(|error| KernelError::Load(Box::new(error)))?;
        program(&mut ebpf, look)
            .and_then(Xdp::load)
            .map_err(|error| KernelError::Program(Box::new(error)))?;
        let maps = Maps::open_each(|name| {
            let fd = ebpf
                .map(name)
                .and_then(data)
                .map(|data| data.fd().as_fd().try_clone_to_owned());
            fd.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
                .and_then(Map::from_fd)
                .map_err(KernelError::map(name, "read"))
        })?;
        if pins.is_some() {
            maps.seed()?;
        }
        Ok(Self {
            ebpf,
            look,
            maps,
            layout,
        })
    }

    /// Whether its maps are those that are pinned.
    #[must_use]
    pub fn is_pinned(&self, pins: &Pins) -> bool {
        self.maps.ids().all(|(name, id)| {
            Map::open(&pins.map(name), Access::Read).is_ok_and(|map| map.id() == id)
        })
    }

    /// What aya loaded.
    #[cfg(feature = "log")]
    pub(crate) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Why its programs for tracepoints cannot work, if they cannot.
    #[must_use]
    pub fn blind(&self) -> Option<&LayoutError> {
        self.layout.as_ref().err()
    }

    /// The program for a tracepoint, loaded when it is first asked for: the gate does its work without.
    pub fn tracepoint(&mut self, name: &str) -> Result<&mut RawTracePoint, ProgramError> {
        let program: &mut Program = self.ebpf.program_mut(name).ok_or(ProgramError::NotLoaded)?;
        let program: &mut RawTracePoint = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// The program that sets the skb mark, loaded when it is first asked for: only those who want marks have it.
    pub fn marker(&mut self) -> Result<&mut SchedClassifier, ProgramError> {
        let program: &mut Program = self
            .ebpf
            .program_mut(abi::MARKER)
            .ok_or(ProgramError::NotLoaded)?;
        let program: &mut SchedClassifier = program.try_into()?;
        if program.fd().is_err() {
            program.load()?;
        }
        Ok(program)
    }

    /// Which packets of submission connections the program looks at.
    #[must_use]
    pub const fn look(&self) -> Look {
        self.look
    }

    /// The kernel's digest of the program's instructions: two programs with one tag do the same.
    pub fn tag(&mut self) -> Result<String, KernelError> {
        let program = self.program()?;
        let tag = program.fd().map(|fd| program_tag(fd.as_fd()));
        tag.map_err(|error| KernelError::Program(Box::new(error)))?
            .map_err(|error| KernelError::Program(Box::new(ProgramError::IOError(error))))
    }

    /// The program.
    pub fn program(&mut self) -> Result<&mut Xdp, KernelError> {
        program(&mut self.ebpf, self.look).map_err(|error| KernelError::Program(Box::new(error)))
    }
}

fn program(ebpf: &mut Ebpf, look: Look) -> Result<&mut Xdp, ProgramError> {
    let program: &mut Program = ebpf
        .program_mut(look.program())
        .ok_or(ProgramError::NotLoaded)?;
    program.try_into()
}

/// The descriptor behind aya's typed map, for the kinds that the gate has.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the gate has five of the kernel's thirty kinds of maps"
)]
fn data(map: &AyaMap) -> Option<&MapData> {
    match map {
        AyaMap::Array(data)
        | AyaMap::PerCpuArray(data)
        | AyaMap::HashMap(data)
        | AyaMap::LruHashMap(data)
        | AyaMap::ArrayOfMaps(data) => Some(data),
        _ => None,
    }
}

/// Every map that is pinned by its name.
fn names() -> impl Iterator<Item = &'static str> {
    abi::maps::STATES.into_iter().chain(abi::maps::SLOTTED)
}

/// Makes sure that each map that is pinned is what the program in `object` needs.
pub fn check_pins(object: &[u8], pins: &Pins) -> Result<(), KernelError> {
    names().try_for_each(|name| check_pin(object, name, &pins.map(name)))
}

fn check_pin(object: &[u8], name: &str, path: &Path) -> Result<(), KernelError> {
    let Some(wanted) = object::map_spec(object, name)? else {
        return Ok(());
    };
    let found = match Map::open(path, Access::Write) {
        Ok(map) if map.spec() == wanted => return Ok(()),
        Ok(map) => map.spec().to_string(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => format!("something that is no map of ours ({error})"),
    };
    Err(KernelError::Incompatible {
        path: path.to_owned(),
        found,
        wanted,
    })
}
