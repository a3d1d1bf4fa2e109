//! Reads of the frame, in the two forms that the verifier understands.

#![expect(
    clippy::cast_possible_truncation,
    reason = "words of 64 bits are usizes here, and octets are cut out of them; frames are shorter than 4 GiB"
)]

use core::{cell::UnsafeCell, hint::black_box, mem::MaybeUninit};

use aya_ebpf::{
    bindings::{__sk_buff, bpf_hdr_start_off::BPF_HDR_START_MAC, xdp_md},
    helpers,
    programs::XdpContext,
};
use gate_common::{
    Flow, Shape,
    parse::{self, Frame, Options, Packet, Transport, Version},
};

use crate::words;

/// How far into a frame a header may start that is read directly. The verifier wants a bound, and each doubling of it makes
/// the proof more than twice as long; what starts beyond is read as [`Far`].
const REACH: usize = 0x7ff;

/// The parts of the parser as calls of global functions, which the verifier proves once each, whoever calls them. They take
/// numbers.
macro_rules! parts {
    ($inner:ident, $extensions:ident, $source_route:ident) => {
        #[inline(always)]
        fn inner(&self, packet: Packet, flow: &mut Flow) -> Shape {
            // SAFETY: the context that the kernel handed to the program, and a flow.
            shape(unsafe { $inner(self.ctx, place(packet), packet.limit as u64, &raw mut *flow) })
        }

        #[inline(always)]
        fn extensions(&self, transport: Transport, flow: &mut Flow) -> Result<Transport, Shape> {
            let Transport {
                protocol,
                offset,
                end,
            } = transport;
            let place = (offset as u64) << 8 | u64::from(protocol);
            // SAFETY: the context that the kernel handed to the program, and a flow.
            let found = unsafe { $extensions(self.ctx, place, end as u64, &raw mut *flow) };
            if found & NO_TRANSPORT != 0 {
                return Err(shape(u32::from(found as u8)));
            }
            Ok(Transport {
                protocol: found as u8,
                offset: (found >> 8) as usize & PLACE,
                end,
            })
        }

        #[inline(always)]
        fn source_route(&self, options: Options) -> bool {
            let Options { start, end } = options;
            // SAFETY: the context that the kernel handed to the program.
            unsafe { $source_route(self.ctx, start as u64, end as u64) != 0 }
        }
    };
}

macro_rules! part_functions {
    ($frame:ident, $context:ident, $inner:ident, $extensions:ident) => {
        /// # Safety
        ///
        /// `ctx` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $inner(
            ctx: *mut $context,
            place: u64,
            limit: u64,
            flow: *mut Flow,
        ) -> u32 {
            // SAFETY: the caller's contract, which the verifier holds it to.
            let Some(flow) = (unsafe { flow.as_mut() }) else {
                return Shape::Unrelated as u32;
            };
            parse::inner(&$frame::new(ctx), packet(place, limit), flow) as u32
        }

        /// # Safety
        ///
        /// As above.
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $extensions(
            ctx: *mut $context,
            place: u64,
            end: u64,
            flow: *mut Flow,
        ) -> u64 {
            // SAFETY: the caller's contract, which the verifier holds it to.
            let Some(flow) = (unsafe { flow.as_mut() }) else {
                return NO_TRANSPORT | Shape::Unrelated as u64;
            };
            let transport = Transport {
                protocol: place as u8,
                offset: (place >> 8) as usize & PLACE,
                end: end as usize,
            };
            match parse::extensions(&$frame::new(ctx), transport, flow) {
                Ok(transport) => (transport.offset as u64) << 8 | u64::from(transport.protocol),
                Err(shape) => NO_TRANSPORT | shape as u64,
            }
        }
    };
}

/// The bits of a place in the frame, beside others in a word: more than frames have.
const PLACE: usize = 0xf_ffff;
/// Marks a place as that of an IPv6 packet.
const V6: u64 = 1 << 32;
/// Marks what [`Frame::extensions`] found as a shape.
const NO_TRANSPORT: u64 = 1 << 63;

/// Where a packet starts, and which IP it is, as one number.
#[inline(always)]
const fn place(packet: Packet) -> u64 {
    let offset = packet.offset as u64;
    match packet.version {
        Version::V4 => offset,
        Version::V6 => offset | V6,
    }
}

#[inline(always)]
const fn packet(place: u64, limit: u64) -> Packet {
    Packet {
        version: if place & V6 == 0 {
            Version::V4
        } else {
            Version::V6
        },
        offset: place as usize & PLACE,
        limit: limit as usize,
    }
}

/// The shape with this number, which one of the functions here returned.
#[inline(always)]
pub(crate) fn shape(number: u32) -> Shape {
    u8::try_from(number)
        .ok()
        .and_then(Shape::from_number)
        .unwrap_or(Shape::Unrelated)
}

/// The frame, read where it lies: the first buffer of it, and that only to [`REACH`].
pub(crate) struct Near {
    ctx: *mut xdp_md,
    data: usize,
    end: usize,
}

impl Near {
    #[inline(always)]
    pub(crate) fn new(ctx: *mut xdp_md) -> Self {
        let context = XdpContext::new(ctx);
        Self {
            ctx,
            data: context.data(),
            end: context.data_end(),
        }
    }
}

impl Frame for Near {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        // The verifier wants a bound before it adds an offset to a packet pointer.
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

    #[inline(always)]
    fn network(&self, packet: Packet, flow: &mut Flow) -> Shape {
        // SAFETY: the context that the kernel handed to the program, and a flow.
        shape(unsafe { gate_network(self.ctx, place(packet), packet.limit as u64, &raw mut *flow) })
    }

    parts!(gate_inner, gate_extensions, gate_source_route);
}

/// The longest header that is read or written whole, IPv6's; and what Ethernet, VLAN tags and PPPoE come to at most.
pub(crate) const SCRATCH: usize = 40;

/// Room on the stack, not zeroed: that would be a call of `memset`, and one frame more of the few that there are.
type Scratch = UnsafeCell<MaybeUninit<[u64; SCRATCH / 8]>>;

/// The frame, read through the kernel: all of it, however many buffers it is in, and slower.
pub(crate) struct Far {
    ctx: *mut xdp_md,
    /// What the kernel copies to and from. One for all reads, since each would have its own room on the stack.
    scratch: Scratch,
}

impl Far {
    #[inline(always)]
    pub(crate) const fn new(ctx: *mut xdp_md) -> Self {
        Self {
            ctx,
            scratch: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The context.
    #[inline(always)]
    pub(crate) const fn ctx(&self) -> *mut xdp_md {
        self.ctx
    }

    /// Copies `length` octets at `offset` to the scratch.
    #[inline(always)]
    fn fetch(&self, offset: usize, length: usize) -> Option<()> {
        // SAFETY: the helper writes `length` octets, or fails, and the verifier refuses a program that has no room for them.
        let outcome = unsafe {
            helpers::generated::bpf_xdp_load_bytes(
                self.ctx,
                offset as u32,
                self.scratch.get().cast(),
                length as u32,
            )
        };
        (outcome == 0).then_some(())
    }

    /// Overwrites `length` octets at `offset` with those of the scratch.
    #[inline(always)]
    fn flush(&mut self, offset: usize, length: usize) -> Option<()> {
        // SAFETY: the helper reads `length` octets, and the verifier refuses a program that does not have them.
        let outcome = unsafe {
            helpers::generated::bpf_xdp_store_bytes(
                self.ctx,
                offset as u32,
                self.scratch.get().cast(),
                length as u32,
            )
        };
        (outcome == 0).then_some(())
    }

    /// The `length` octets at `offset`, at least one and at most [`SCRATCH`], and zeros.
    #[inline(always)]
    pub(crate) fn load(&self, offset: usize, length: usize) -> Option<[u64; SCRATCH / 8]> {
        let length = bounded(length)?;
        // SAFETY: the scratch is this function's alone until the helper has filled it.
        let words = words::zero(unsafe { &mut *self.scratch.get() });
        self.fetch(offset, length)?;
        Some(*words)
    }

    /// Overwrites what is at `offset` with `value`.
    #[inline(always)]
    pub(crate) fn store<T: Copy>(&mut self, offset: usize, value: T) -> Option<()> {
        const { assert!(size_of::<T>() <= SCRATCH && align_of::<T>() <= 8) };
        // SAFETY: it fits, and nothing else uses the scratch meanwhile.
        unsafe { self.scratch.get().cast::<T>().write(value) };
        self.flush(offset, size_of::<T>())
    }

    /// Copies `length` octets, at least one and at most [`SCRATCH`], from one place to another.
    #[inline(always)]
    pub(crate) fn copy(&mut self, from: usize, to: usize, length: usize) -> Option<()> {
        let length = bounded(length)?;
        // The verifier does not see that what is read is no more than what was written.
        // SAFETY: as in `load`.
        words::zero(unsafe { &mut *self.scratch.get() });
        self.fetch(from, length)?;
        self.flush(to, length)
    }
}

/// A length from 1 to [`SCRATCH`], as the verifier wants to see it. It learns nothing of a comparison with 0 before kernel 6.8, nor, where
/// LLVM makes one comparison of two, of the difference compared.
#[inline(always)]
fn bounded(length: usize) -> Option<usize> {
    let below = black_box(length.wrapping_sub(1));
    (below < SCRATCH).then(|| below + 1)
}

impl Frame for Far {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        const { assert!(N <= SCRATCH) };
        self.fetch(offset, N)?;
        // SAFETY: N bytes were written, and nothing writes the scratch meanwhile.
        Some(unsafe { self.scratch.get().cast::<[u8; N]>().read() })
    }

    parts!(gate_far_inner, gate_far_extensions, gate_source_route);
}

/// A frame in a socket buffer, read through the kernel, from its link-layer header on: after XDP in generic mode the kernel can forget how
/// long that is (`skb_pp_cow_data` in `net/core/skbuff.c` copies all of a socket buffer but `mac_len`), and what a program is shown then
/// begins behind it. Where the VLAN tag was taken off, it is not in the frame.
pub(crate) struct Skb {
    ctx: *mut __sk_buff,
    scratch: Scratch,
}

impl Skb {
    #[inline(always)]
    pub(crate) const fn new(ctx: *mut __sk_buff) -> Self {
        Self {
            ctx,
            scratch: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

impl Frame for Skb {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        const { assert!(N <= SCRATCH) };
        // SAFETY: the helper writes N octets, or fails, and the verifier refuses a program that has no room for them.
        let outcome = unsafe {
            helpers::generated::bpf_skb_load_bytes_relative(
                self.ctx.cast(),
                offset as u32,
                self.scratch.get().cast(),
                N as u32,
                BPF_HDR_START_MAC,
            )
        };
        if outcome != 0 {
            return None;
        }
        // SAFETY: N bytes were written, and nothing writes the scratch meanwhile.
        Some(unsafe { self.scratch.get().cast::<[u8; N]>().read() })
    }

    parts!(gate_skb_inner, gate_skb_extensions, gate_skb_source_route);
}

/// # Safety
///
/// `ctx` is the context that the kernel handed to the program, and `flow` is null or points to a [`Flow`].
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn gate_network(
    ctx: *mut xdp_md,
    place: u64,
    limit: u64,
    flow: *mut Flow,
) -> u32 {
    // SAFETY: the caller's contract, which the verifier holds it to.
    let Some(flow) = (unsafe { flow.as_mut() }) else {
        return Shape::Unrelated as u32;
    };
    parse::network(&Near::new(ctx), packet(place, limit), flow) as u32
}

macro_rules! source_route_function {
    ($frame:ident, $context:ident, $source_route:ident) => {
        /// Whether IPv4 options have a source route. Through the kernel, for whatever frame: of forty steps of uneven length, each of
        /// which would read the packet directly, the verifier sees too many combinations.
        ///
        /// # Safety
        ///
        /// `ctx` is the context that the kernel handed to the program.
        #[unsafe(no_mangle)]
        #[inline(never)]
        unsafe extern "C" fn $source_route(ctx: *mut $context, start: u64, end: u64) -> u32 {
            let options = Options {
                start: start as usize & PLACE,
                end: end as usize & PLACE,
            };
            parse::source_route(&$frame::new(ctx), options).into()
        }
    };
}

source_route_function!(Far, xdp_md, gate_source_route);
source_route_function!(Skb, __sk_buff, gate_skb_source_route);
part_functions!(Near, xdp_md, gate_inner, gate_extensions);
part_functions!(Far, xdp_md, gate_far_inner, gate_far_extensions);
part_functions!(Skb, __sk_buff, gate_skb_inner, gate_skb_extensions);
