//! The BPF object, embedded.

use aya_obj::{Object, ParseError};

use crate::sys::MapSpec;

/// The object that `cargo xtask build` compiled from `gate-ebpf`.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("GATE_BPF_OBJECT"));

/// The object that logs every judged packet through aya-log.
#[cfg(feature = "log")]
pub static LOG_OBJECT: &[u8] = aya::include_bytes_aligned!(env!("GATE_BPF_LOG_OBJECT"));

/// What the object wants its map `name` to be; `None` if it has no such map.
pub fn map_spec(object: &[u8], name: &str) -> Result<Option<MapSpec>, ParseError> {
    let object = Object::parse(object)?;
    Ok(object.maps.get(name).map(|map| MapSpec {
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: map.value_size(),
        max_entries: map.max_entries(),
        flags: map.map_flags(),
    }))
}
