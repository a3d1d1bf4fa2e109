//! Answers to refused clients as this process gives them, for whatever judges packets without the kernel.
//!
//! The answer itself is [`gate_common::answer`]'s; here is a frame in memory that can be written.

use gate_common::{
    Addr, Answered, Flow,
    answer::{self, Edit},
    decide::{Decision, Tables},
    parse::Frame,
};

/// A frame in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// The frame with these octets.
    #[must_use]
    pub const fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// What it has become.
    #[must_use]
    pub fn into_octets(self) -> Vec<u8> {
        self.0
    }
}

impl Frame for Buffer {
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.0.as_slice().read(offset)
    }
}

impl Edit for Buffer {
    fn sum(&self, offset: usize, length: usize) -> Option<u64> {
        let octets = self.0.get(offset..offset.checked_add(length)?)?;
        let (pairs, rest) = octets.as_chunks();
        let last = rest.first().map_or(0, |octet| u64::from(*octet) << 8);
        let pairs = pairs.iter().map(|it| u64::from(u16::from_be_bytes(*it)));
        Some(pairs.sum::<u64>() + last)
    }

    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) -> Option<()> {
        let place = self.0.get_mut(offset..)?.first_chunk_mut()?;
        *place = bytes;
        Some(())
    }

    fn put_words<const N: usize>(&mut self, offset: usize, words: [u32; N]) -> Option<()> {
        let octets = words.map(u32::to_be_bytes);
        let octets = octets.as_flattened();
        let place = self.0.get_mut(offset..offset.checked_add(octets.len())?)?;
        place.copy_from_slice(octets);
        Some(())
    }

    fn insert(&mut self, offset: usize, length: usize) -> Option<()> {
        if offset > self.0.len() {
            return None;
        }
        self.0
            .splice(offset..offset, std::iter::repeat_n(0, length));
        Some(())
    }

    fn resize(&mut self, length: usize) -> Option<()> {
        self.0.resize(length, 0);
        Some(())
    }
}

/// What a refused client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What came of the answer.
    pub answered: Answered,
    /// The frame that goes back, if one does.
    pub frame: Option<Vec<u8>>,
}

/// The answer to `frame`, which `flow` was read from and `decision` refused at `monotonic_ns`; nothing if none is wanted.
pub fn reply<T: Tables>(
    frame: &[u8],
    flow: &Flow,
    decision: &Decision,
    tables: &T,
    monotonic_ns: u64,
) -> Option<Reply> {
    let made = answer::due(decision, tables, monotonic_ns)?.and_then(|answer| {
        let from = tables
            .settings()
            .map_or(Addr::UNSPECIFIED, |settings| answer::source(settings, flow));
        let mut buffer = Buffer::new(frame.to_vec());
        answer::make(&mut buffer, flow, answer, from).map(|answered| (answered, buffer))
    });
    Some(match made {
        Ok((answered, buffer)) => Reply {
            answered,
            frame: Some(buffer.into_octets()),
        },
        Err(answered) => Reply {
            answered,
            frame: None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_past_the_end_is_neither_read_nor_written() {
        let mut frame = Buffer::new(vec![1, 2, 3, 4]);
        assert_eq!(frame.read::<2>(3), None);
        assert_eq!(frame.put(3, [0, 0]), None);
        assert_eq!(frame.put_words(1, [0]), None);
        assert_eq!(frame.insert(5, 1), None);
        assert_eq!(frame.sum(0, 8), None);
        assert_eq!(frame.into_octets(), [1, 2, 3, 4]);
    }

    #[test]
    fn room_is_made_between_what_was_there() {
        let mut frame = Buffer::new(vec![1, 2, 3, 4]);
        assert_eq!(frame.insert(1, 4), Some(()));
        assert_eq!(frame.put_words(1, [0x0506_0708]), Some(()));
        assert_eq!(frame.sum(1, 4), Some(0x0506 + 0x0708));
        assert_eq!(frame.resize(6), Some(()));
        assert_eq!(frame.resize(7), Some(()));
        assert_eq!(frame.into_octets(), [1, 5, 6, 7, 8, 2, 0]);
    }
}
