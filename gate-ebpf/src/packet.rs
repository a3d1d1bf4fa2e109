//! Bounds-checked reads of the frame, in the one form that the verifier understands.

use aya_ebpf::programs::XdpContext;
use gate_common::parse::{Frame, REACH};

/// The frame of an XDP context.
pub(crate) struct Packet {
    data: usize,
    end: usize,
}

impl Packet {
    #[inline(always)]
    pub(crate) fn new(ctx: &XdpContext) -> Self {
        Self {
            data: ctx.data(),
            end: ctx.data_end(),
        }
    }
}

impl Frame for Packet {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // The parser never asks for more; the verifier wants a bound before it adds an offset to a packet pointer.
        if offset > REACH {
            return None;
        }
        let start = self.data + offset;
        if start + N > self.end {
            return None;
        }
        // SAFETY: the N bytes from `start` were just checked to lie in the frame, which lives as long as the program
        // runs; the verifier repeats the proof.
        Some(unsafe { (start as *const [u8; N]).read_unaligned() })
    }
}
