//! Where the running kernel keeps the fields that the programs on tracepoints read, from its own description (BTF).

use std::{fs, io};

use btfparse::{Error as ParseError, ErrorKind, Offset, Readable, TypeInformation, TypeVariant};
use gate_common::abi::KernelLayout;

/// Where the kernel describes itself.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Why it is not known where the kernel keeps something.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The kernel does not describe itself.
    #[error("{BTF}: {0}")]
    Absent(io::Error),
    /// It cannot be understood.
    #[error("{BTF}: cannot be understood: {0:?}")]
    Garbled(ParseError),
    /// It has no such field, or one of another kind.
    #[error("{BTF}: has no field {structure}.{field} at a whole number of bytes")]
    NoField {
        /// The structure.
        structure: &'static str,
        /// The field, and how to get there.
        field: &'static str,
    },
}

/// Reads it.
pub(super) fn layout() -> Result<KernelLayout, LayoutError> {
    of(fs::read(BTF).map_err(LayoutError::Absent)?)
}

fn of(btf: Vec<u8>) -> Result<KernelLayout, LayoutError> {
    let types = TypeInformation::new(&Bytes(btf)).map_err(LayoutError::Garbled)?;
    let offset = |structure, field| {
        offset(&types, structure, field).ok_or(LayoutError::NoField { structure, field })
    };
    Ok(KernelLayout {
        device_index: offset("net_device", "ifindex")?,
        device_netns: offset("net_device", "nd_net.net")?,
        netns_number: offset("net", "ns.inum")?,
    })
}

/// The offset of a field. By name alone another type, or a function, could be meant.
fn offset(types: &TypeInformation, structure: &str, field: &str) -> Option<u32> {
    let named = |it: &TypeVariant| matches!(it, TypeVariant::Struct(it) if it.name().as_deref() == Some(structure));
    let mut structures = types.get().iter().filter(|(_, it)| named(it));
    structures.find_map(|(id, _)| match types.offset_of(*id, field) {
        Ok((_, Offset::ByteOffset(offset))) => Some(offset),
        Ok((_, Offset::BitOffsetAndSize(..))) | Err(_) => None,
    })
}

/// The file, read at once.
struct Bytes(Vec<u8>);

impl Readable for Bytes {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ParseError> {
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(buffer.len())?));
        let Some(bytes) = range.and_then(|range| self.0.get(range)) else {
            return Err(ParseError::new(ErrorKind::EOF, "past the end of the file"));
        };
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BTF file of two structures called `net_device`: `{ u32 other; }`, and what the gate looks for.
    fn file() -> Vec<u8> {
        const INT: u32 = 1 << 24;
        const STRUCT: u32 = 4 << 24;
        const FUNCTION: u32 = 12 << 24;
        const PROTOTYPE: u32 = 13 << 24;
        let mut strings = vec![0u8];
        let mut name = |text: &str| {
            let at = u32::try_from(strings.len()).unwrap();
            strings.extend(text.bytes().chain([0]));
            at
        };
        let members = |size: u32, it: &[(u32, u32, u32)]| {
            let head = [STRUCT | u32::try_from(it.len()).unwrap(), size];
            let rest = it
                .iter()
                .flat_map(|(name, kind, bytes)| [*name, *kind, bytes * 8]);
            head.into_iter().chain(rest).collect::<Vec<u32>>()
        };
        let net_device = name("net_device");
        let ns = name("ns");
        let types = [
            // 1: an integer of four bytes, 2: one of eight, which stands for a pointer.
            vec![name("unsigned int"), INT, 4, 32],
            vec![name("long"), INT, 8, 64],
            // 3 and 4: a function of the name, and its prototype.
            vec![0, PROTOTYPE, 0],
            vec![net_device, FUNCTION, 3],
            // 5: a structure of the name that is another one.
            [vec![net_device], members(4, &[(name("other"), 1, 0)])].concat(),
            // 6: another one that has such a field.
            [vec![name("tun")], members(24, &[(name("ifindex"), 1, 20)])].concat(),
            // 7: possible_net_t; 8: the device, in which an anonymous structure (9) is.
            [vec![0], members(8, &[(name("net"), 2, 0)])].concat(),
            [
                vec![net_device],
                members(40, &[(0, 9, 8), (name("nd_net"), 7, 24)]),
            ]
            .concat(),
            [
                vec![0],
                members(8, &[(name("flags"), 1, 0), (name("ifindex"), 1, 4)]),
            ]
            .concat(),
            // 10: struct ns_common; 11: struct net.
            [
                vec![name("ns_common")],
                members(16, &[(name("inum"), 1, 12)]),
            ]
            .concat(),
            [vec![name("net")], members(64, &[(ns, 10, 32)])].concat(),
        ];
        let types: Vec<u8> = types
            .concat()
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect();
        let [types_length, strings_length] =
            [types.len(), strings.len()].map(|it| u32::try_from(it).unwrap());
        let mut file = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, types_length, types_length, strings_length] {
            file.extend(u32::to_le_bytes(word));
        }
        file.extend(types);
        file.extend(strings);
        file
    }

    #[test]
    fn fields_are_found_in_the_structure_that_has_them() {
        let expected = KernelLayout {
            device_index: 12,
            device_netns: 24,
            netns_number: 44,
        };
        assert_eq!(of(file()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_btf_or_lacks_a_field_is_named() {
        assert!(matches!(of(Vec::new()), Err(LayoutError::Garbled(_))));
        let mut cut = file();
        cut.truncate(60);
        assert!(matches!(of(cut), Err(LayoutError::Garbled(_))));
        let renamed = String::from_utf8_lossy(&file()).into_owned();
        assert!(renamed.contains("inum"));
        let mut other = file();
        let at = other.windows(4).position(|it| it == b"inum").unwrap();
        other[at] = b'x';
        let error = of(other).unwrap_err();
        assert!(
            matches!(
                error,
                LayoutError::NoField {
                    structure: "net",
                    field: "ns.inum"
                }
            ),
            "{error}"
        );
    }
}
