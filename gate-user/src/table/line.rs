//! The fields of a line.

use bytemuck::{must_cast_mut, must_cast_ref};
use gate_common::table::{ENTRIES, Line};

/// Where `2000::/3` begins and ends, which has entries of its own in the root.
pub(super) const GLOBAL: std::ops::Range<u128> = 0x2000 << 112..0x4000 << 112;
/// How many `u16` are in a line.
pub(super) const HALVES: usize = size_of::<Line>() / size_of::<u16>();

pub(super) fn half(line: &Line, at: usize) -> u16 {
    let halves: &[u16; HALVES] = must_cast_ref(line);
    halves.get(at).copied().unwrap_or(0)
}

pub(super) fn word(line: &Line, at: usize) -> u32 {
    let words: &[u32; ENTRIES] = must_cast_ref(line);
    words.get(at).copied().unwrap_or(0)
}

pub(super) fn octet(line: &Line, at: usize) -> u8 {
    let octets: &[u8; size_of::<Line>()] = must_cast_ref(line);
    octets.get(at).copied().unwrap_or(0)
}

pub(super) fn set_half(line: &mut Line, at: usize, value: u16) {
    let halves: &mut [u16; HALVES] = must_cast_mut(line);
    if let Some(half) = halves.get_mut(at) {
        *half = value;
    }
}

pub(super) fn set_word(line: &mut Line, at: usize, value: u32) {
    let words: &mut [u32; ENTRIES] = must_cast_mut(line);
    if let Some(word) = words.get_mut(at) {
        *word = value;
    }
}

pub(super) fn set_octet(line: &mut Line, at: usize, value: u8) {
    let octets: &mut [u8; size_of::<Line>()] = must_cast_mut(line);
    if let Some(octet) = octets.get_mut(at) {
        *octet = value;
    }
}
