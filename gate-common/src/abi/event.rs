//! What the program tells of single connections to whoever listens.

use bytemuck::{Pod, Zeroable};

use crate::{Addr, Told, Verdict};

/// A packet that was refused, would have been, or was tagged, in the ring of [`maps::EVENTS`](super::maps::EVENTS).
///
/// Every number is in host byte order. Counters are those of [`maps::COUNTERS`](super::maps::COUNTERS), as the generation has them; 0 is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Event {
    /// `CLOCK_MONOTONIC` in nanoseconds, as of the last timer interrupt.
    pub time_ns: u64,
    /// Who sent it, cut to the lengths below, the rest of its bits 0; two words, IPv4 in IPv4-mapped form. [`Addr::UNSPECIFIED`] if the packet
    /// does not say.
    pub source: Addr,
    /// The submission server that it is for, in full, where the configuration lists servers. [`Addr::UNSPECIFIED`] of everything else: where a subscriber
    /// connects to is told to nobody.
    pub destination: Addr,
    /// The number of the generation that decided.
    pub generation: u32,
    /// Source port; 0 if it could not be read.
    pub sport: u16,
    /// Destination port, likewise.
    pub dport: u16,
    /// The counter of the interface.
    pub interface: u16,
    /// The counter of the pool, or of the class.
    pub group: u16,
    /// The counter of the source prefix.
    pub prefix: u16,
    /// The [number](crate::Country::number) of the country of the source, on an uplink.
    pub country: u16,
    /// The [`Verdict`].
    pub verdict: u8,
    /// The [number](crate::Reason::number) of the reason.
    pub reason: u8,
    /// The [`Role`](crate::Role) of the interface.
    pub role: u8,
    /// The [flags](super::FlowTag::flags) of the tag, on an uplink.
    pub flags: u8,
    /// How many bits of an IPv4 source were kept.
    pub v4_length: u8,
    /// How many bits of an IPv6 source were kept.
    pub v6_length: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

impl Event {
    /// Whether a packet with this verdict is one.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(verdict: Verdict) -> bool {
        match verdict {
            Verdict::Refused | Verdict::Observed | Verdict::Tagged => true,
            Verdict::Passed | Verdict::Unparsed => false,
        }
    }
}

/// Out of how many events [`State::EventsChance`](super::State::EventsChance) takes some: all there are of a random word.
pub const CHANCES: u64 = 1 << 32;

/// How many words [`maps::TOLD`](super::maps::TOLD) has.
pub const TOLD: u32 = Told::Lapsed as u32 + 1;
