//! The raw system calls of the loader, and the only `unsafe` code in this crate.
//!
//! aya loads and attaches the program; what it does not offer is here: maps as bytes of a checked size, as memory, batch
//! updates and look-ups, freezing, and what the kernel knows about a link, a
//! device or a filter.

#![expect(unsafe_code, reason = "system calls take pointers")]

mod bpf;
mod device;
mod ethtool;
mod events;
mod filter;
mod link;
mod map;
mod mapping;

pub use device::{AttachedXdp, Device, XdpMode, devices};
pub use ethtool::strips_vlans;
pub use events::DeviceEvents;
pub use filter::{BpfFilter, ingress_filters, remove_empty_clsact};
pub use link::{TcxLink, TracepointLink, XdpLink, linked_program_tag, program_tag};
pub use map::{Access, Map, MapKind, MapSpec};
