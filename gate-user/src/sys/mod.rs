//! The raw system calls of the loader, and the only `unsafe` code in this crate.
//!
//! aya loads and attaches the program; what it does not offer is here: maps as bytes of a checked size, as memory, batch
//! updates and look-ups, freezing, and what the kernel knows about a link, a
//! device, a filter, a clock or a table of nftables.

#![expect(unsafe_code, reason = "system calls take pointers")]

mod address;
mod bpf;
mod clock;
mod details;
mod device;
mod ethtool;
mod events;
mod filter;
mod link;
mod map;
mod mapping;
mod netdev;
mod nftables;
mod program;

pub use address::{Route, addresses, routes};
pub use clock::is_synchronised;
pub use details::{Details, Kind, details};
pub use device::{AttachedXdp, Device, XdpMode, devices};
pub use ethtool::{has_gro, joins_segments, strips_vlans};
pub use events::DeviceEvents;
pub use filter::{BpfFilter, ingress_filters, remove_empty_clsact};
pub use link::{
    Runs, TcxLink, TracepointLink, XdpLink, linked_program_tag, program_id, program_runs,
    program_tag,
};
pub use map::{Access, Map, MapKind, MapSpec, possible_cpus};
pub use mapping::Shared;
pub use netdev::{XdpFeatures, xdp_features};
pub use nftables::has_table;
pub use program::{pinned_program, tcx_ingress};
