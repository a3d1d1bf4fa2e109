//! What the program writes: counters, sources, token buckets, tags of connections.

use bytemuck::{Pod, Zeroable};

use crate::{
    Addr, Answered, Bucket, Flow, Reason, Role, Shown, Verdict,
    abi::CLASSES,
    sets::{self, Kind, Tag},
};

/// Packets by verdict.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Packets {
    /// [`Verdict::Passed`].
    pub passed: u64,
    /// [`Verdict::Refused`].
    pub refused: u64,
    /// [`Verdict::Observed`].
    pub observed: u64,
    /// [`Verdict::Tagged`].
    pub tagged: u64,
    /// [`Verdict::Unparsed`].
    pub unparsed: u64,
    /// Of all of these, those for [`Reason::OverLimit`].
    pub over_limit: u64,
}

impl Packets {
    /// The count of a verdict.
    #[inline(always)]
    #[must_use]
    pub const fn of(&mut self, verdict: Verdict) -> &mut u64 {
        match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Refused => &mut self.refused,
            Verdict::Observed => &mut self.observed,
            Verdict::Tagged => &mut self.tagged,
            Verdict::Unparsed => &mut self.unparsed,
        }
    }
}

/// What is known of a source since its entry exists: a way of a [`SourceSet`], and one cache line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Source {
    /// Whose it is: beside what all tags have, the lengths that the address was cut to, for IPv4 and for IPv6, and the
    /// [`Role`] of the interface that it came in by.
    pub tag: Tag,
    /// The address, the rest of its bits 0; two words in host byte order.
    pub address: Addr,
    /// Its packets, by [`Source::word`].
    pub packets: [u64; SOURCE_WORDS],
    /// When the first of them came, see [`moment`].
    pub first: u32,
    /// When the last of them came, see [`moment`].
    pub last: u32,
}

/// A time of `CLOCK_MONOTONIC`, in units of 2^30 nanoseconds, which is a second and 7 %.
#[inline(always)]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the word lasts for 146 years"
)]
pub const fn moment(monotonic_ns: u64) -> u32 {
    (monotonic_ns >> MOMENT_BITS) as u32
}

/// The nanoseconds of `CLOCK_MONOTONIC` at which a [`moment`] began.
#[must_use]
pub const fn began_ns(moment: u32) -> u64 {
    (moment as u64) << MOMENT_BITS
}

const MOMENT_BITS: u32 = 30;

/// After how many [`moment`]s without a packet a source makes room before others: some ten minutes.
pub const SPENT: u32 = 600;

/// How many words a source has its packets counted in.
pub const SOURCE_WORDS: usize = 4;

impl Source {
    /// The word of [`Source::packets`] that counts a packet: that of its verdict, which is never [`Verdict::Unparsed`], since such a packet
    /// has no source that could be told.
    ///
    /// Nothing passes an uplink untagged. There, the word of [`Verdict::Passed`] has what was tagged over the limit of its class, and that of
    /// [`Verdict::Tagged`] the rest: a line of the cache has no room for a word more.
    #[inline(always)]
    #[must_use]
    pub const fn word(verdict: Verdict, reason: Reason) -> usize {
        match (verdict, reason) {
            (Verdict::Tagged, Reason::OverLimit) => Verdict::Passed as usize,
            _ => verdict as usize % SOURCE_WORDS,
        }
    }

    /// Its packets.
    #[must_use]
    pub const fn by_verdict(&self) -> Packets {
        let [passed, refused, observed, tagged] = self.packets;
        let by_verdict = Packets {
            passed,
            refused,
            observed,
            tagged,
            unparsed: 0,
            over_limit: 0,
        };
        let [_, _, role] = self.tag.kind();
        if role == Role::Uplink as u8 {
            Packets {
                passed: 0,
                tagged: passed + tagged,
                // Whatever else happens to a connection with a class is for its limit.
                over_limit: passed + refused + observed,
                ..by_verdict
            }
        } else {
            by_verdict
        }
    }
}

/// What a source is looked up by: an address cut to the length that its pool counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceKey {
    /// The address, the rest of its bits 0.
    pub address: Addr,
    /// How many bits of an IPv4 address were kept.
    pub v4_length: u8,
    /// How many bits of an IPv6 address were kept.
    pub v6_length: u8,
    /// The [`Role`] of the interface that it came in by.
    pub role: u8,
}

impl SourceKey {
    /// The source `address`, of which the first `lengths` bits (IPv4, IPv6) count, where `role` says who sends.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Addr, lengths: (u8, u8), role: Role) -> Self {
        Self {
            address: address.truncated(lengths.0, lengths.1),
            v4_length: lengths.0,
            v6_length: lengths.1,
            role: role as u8,
        }
    }

    /// What the tag of its way says.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> Kind {
        [self.v4_length, self.v6_length, self.role]
    }

    /// Of a way with this tag.
    #[must_use]
    pub const fn of(tag: Tag, address: Addr) -> Self {
        let [v4_length, v6_length, role] = tag.kind();
        Self {
            address,
            v4_length,
            v6_length,
            role,
        }
    }
}

/// Some sources.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct SourceSet {
    /// The ways.
    pub ways: [Source; sets::WAYS],
}

/// A source's token bucket: a way of a [`BucketSet`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct SourceBucket {
    /// Whose it is: beside what all tags have, [`BucketKey::kind`].
    pub tag: Tag,
    /// The address, the rest of its bits 0; two words in host byte order.
    pub address: Addr,
    /// What [`limit::take`](crate::limit::take) makes of it.
    pub word: u64,
}

/// Some token buckets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct BucketSet {
    /// The ways.
    pub ways: [SourceBucket; sets::WAYS],
}

/// What a token bucket of one source is looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketKey {
    /// The address, the rest of its bits 0.
    pub address: Addr,
    /// What the bucket is for.
    pub bucket: Bucket,
    /// The number of the class, of [`Bucket::Class`]; else 0.
    pub class: u8,
    /// How many bits of an IPv4 address were kept.
    pub v4_length: u8,
    /// How many bits of an IPv6 address were kept.
    pub v6_length: u8,
}

impl BucketKey {
    /// The bucket of `address`, of which the first `lengths` bits (IPv4, IPv6) count.
    #[inline(always)]
    #[must_use]
    pub const fn new(bucket: Bucket, address: Addr, lengths: (u8, u8)) -> Self {
        Self {
            address: address.truncated(lengths.0, lengths.1),
            bucket,
            class: 0,
            v4_length: lengths.0,
            v6_length: lengths.1,
        }
    }

    /// The bucket of `address` for the limit of its class. Each class has its own: one class's limit says nothing about what is left of another's,
    /// and where a source is a whole network its hosts can be in several.
    #[inline(always)]
    #[must_use]
    pub const fn of_class(class: u8, address: Addr, lengths: (u8, u8)) -> Self {
        Self {
            class,
            ..Self::new(Bucket::Class, address, lengths)
        }
    }

    /// Of a way with this tag; nothing if there is no such bucket.
    #[must_use]
    pub fn of(tag: Tag, address: Addr) -> Option<Self> {
        let [what, v4_length, v6_length] = tag.kind();
        Some(Self {
            address,
            bucket: Bucket::from_number(what & 3)?,
            class: what >> 2,
            v4_length,
            v6_length,
        })
    }

    /// What the tag of its way says.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> Kind {
        const {
            assert!(LIMITED <= 4 && CLASSES <= 64, "two bits and six");
        }
        [
            self.bucket as u8 | self.class << 2,
            self.v4_length,
            self.v6_length,
        ]
    }
}

/// What token buckets said.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Limited {
    /// Events within the limit.
    pub within: u64,
    /// Events over the limit.
    pub over: u64,
    /// Events taken for over the limit because other CPUs were faster each time, or no bucket was to be had: all ways of the set were in use.
    pub contended: u64,
    /// Buckets made.
    pub made: u64,
    /// Buckets that made room for others before they were full again: those sources had their burst anew.
    pub evicted: u64,
}

/// How many kinds of buckets there are.
pub const LIMITED: u32 = Bucket::Class as u32 + 1;
/// How many outcomes of answers there are.
pub const ANSWERS: u32 = Answered::NoRoom as u32 + 1;

/// How many outcomes of showing a tag there are.
pub const SHOWN: u32 = Shown::Unwritten as u32 + 1;

/// What the XDP program puts before a frame, for the program that sets the skb mark: in host byte order, where the frame's metadata
/// begins.
///
/// It has mask and value, so that both are of one generation, whichever is in force when the mark is set.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Metadata {
    /// Always [`Metadata::MAGIC`]: other programs write metadata too.
    pub magic: u32,
    /// The bits to set.
    pub mark: u32,
    /// The bits that the gate writes.
    pub mask: u32,
}

impl Metadata {
    /// "gate" and the version of its layout, 1.
    pub const MAGIC: u32 = 0x6761_7401;

    /// These bits of the skb mark under `mask`.
    #[inline(always)]
    #[must_use]
    pub const fn new(bits: u32, mask: u32) -> Self {
        Self {
            magic: Self::MAGIC,
            mark: bits,
            mask,
        }
    }

    /// The skb mark of a packet that has `mark`; nothing if this is not the gate's.
    #[inline(always)]
    #[must_use]
    pub const fn apply(self, mark: u32) -> Option<u32> {
        if self.magic == Self::MAGIC {
            Some(mark & !self.mask | self.mark & self.mask)
        } else {
            None
        }
    }
}

/// A connection: the 5-tuple of its first segment.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct FlowKey {
    /// Source address; two words in host byte order, IPv4 in IPv4-mapped form.
    pub src: Addr,
    /// Destination address, likewise.
    pub dst: Addr,
    /// Source port in host byte order.
    pub sport: u16,
    /// Destination port in host byte order.
    pub dport: u16,
    /// Protocol number; always 6, TCP.
    pub protocol: u8,
    /// Always 0.
    pub reserved: u8,
    /// Always 0.
    pub spare: u16,
}

impl FlowKey {
    /// The key of the connection that `flow` opens.
    #[inline(always)]
    #[must_use]
    pub const fn of(flow: &Flow) -> Self {
        Self {
            src: flow.src,
            dst: flow.dst,
            sport: flow.sport,
            dport: flow.dport,
            protocol: 6,
            reserved: 0,
            spare: 0,
        }
    }
}

/// The tag of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct FlowTag {
    /// `CLOCK_MONOTONIC` in nanoseconds of the segment that opened it.
    pub time_ns: u64,
    /// The number of the generation that decided.
    pub generation: u32,
    /// The [number](crate::Country::number) of the country of the source.
    pub country: u16,
    /// The number of the class, in the order of the configuration of that generation.
    pub class: u8,
    /// [`FlowTag::OVER_LIMIT`] and [`FlowTag::OBSERVED`].
    pub flags: u8,
}

impl FlowTag {
    /// The source had more new connections than the limit of its class.
    pub const OVER_LIMIT: u8 = 1;
    /// The class is only observed, by its action or until its `effective_from`: the connection was counted, and nothing else is to be done.
    pub const OBSERVED: u8 = 2;
}
