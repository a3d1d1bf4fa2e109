//! The layout of everything that the kernel program, the loader and other readers share.
//!
//! Structures are `repr(C)` without padding, in host byte order unless a field says otherwise, and their layout is
//! recorded in `abi.lock`: a change of layout without a change of [`ABI_VERSION`] fails the test below and
//! `cargo xtask abi`.
//!
//! # Maps
//!
//! *State* maps live as long as the gate is attached and carry over from one generation to the next: [`maps::STATE`],
//! the counters, the flow tags. *Slotted* maps are arrays of maps with [`SLOTS`] slots; a generation is what is in the
//! same slot of each, written before the generation word names the slot, and never after. Prefix lists are
//! [tables](crate::table), each a root and nodes, at [`List::place`] of [`maps::ROOTS`] and [`maps::NODES`].

use bytemuck::{Pod, Zeroable};

use crate::{
    Addr, Answered, Bucket, Country, Flow, Reason, Role, Verdict,
    sets::{self, Kind, Tag},
};

/// The version of this layout. Pins live in a directory of that name, so that two versions never meet unawares.
pub const ABI_VERSION: u32 = 4;

/// Names of the maps, as the object and the pins have them.
pub mod maps {
    /// `ARRAY`, `u64` by [`State`](super::State): the words that change while the gate runs.
    pub const STATE: &str = "STATE";
    /// `PERCPU_ARRAY`, `u64` by [`total_index`](super::total_index): packets by verdict and reason.
    pub const TOTALS: &str = "TOTALS";
    /// `PERCPU_ARRAY`, [`Packets`](super::Packets) by counter number: packets by pool, prefix, relay, class, interface.
    pub const COUNTERS: &str = "COUNTERS";
    /// `PERCPU_ARRAY`, `u64` by [`Country::number`](crate::Country::number): packets tagged, by country.
    pub const COUNTRIES: &str = "COUNTRIES";
    /// `ARRAY` of [`SOURCE_SETS`](super::SOURCE_SETS) times [`SourceSet`](super::SourceSet): packets by source.
    pub const SOURCES: &str = "SOURCES";
    /// `LRU_HASH`, [`FlowTag`](super::FlowTag) by [`FlowKey`](super::FlowKey): the class of submission connections.
    pub const FLOWS: &str = "FLOWS";
    /// `PERCPU_ARRAY`, `u64` by [`Answered`](crate::Answered): what came of answers to refused clients.
    pub const ANSWERS: &str = "ANSWERS";
    /// `PERCPU_ARRAY`, [`Limited`](super::Limited) by [`Bucket`](crate::Bucket): what token buckets said.
    pub const LIMITED: &str = "LIMITED";
    /// `ARRAY` of [`BUCKET_SETS`](super::BUCKET_SETS) times [`BucketSet`](super::BucketSet): the [token buckets](crate::limit) of sources.
    pub const BUCKETS: &str = "BUCKETS";
    /// `ARRAY` of one `u64`: the token bucket of [`Bucket::AnswerTotal`](crate::Bucket::AnswerTotal). By itself, since CPUs write to it.
    pub const TOTAL_BUCKET: &str = "TOTAL_BUCKET";
    /// `HASH`, `u64` by [`DeviceKey`](super::DeviceKey): answers that failed to leave, by interface. The loader makes the entries, and the
    /// programs on [`TRACEPOINTS`](super::TRACEPOINTS) add to those that there are.
    pub const UNSENT: &str = "UNSENT";
    /// Slotted `ARRAY` of one [`Settings`](super::Settings).
    pub const SETTINGS: &str = "SETTINGS";
    /// Slotted `HASH`, [`Interface`](super::Interface) by [`InterfaceKey`](super::InterfaceKey).
    pub const INTERFACES: &str = "INTERFACES";
    /// Slotted `ARRAY`, [`Rule`](super::Rule) by rule number.
    pub const RULES: &str = "RULES";
    /// Slotted `ARRAY` by [`List::place`](super::List::place), [`ROOT_LINES`](crate::table::ROOT_LINES)
    /// [`Line`](crate::table::Line)s each.
    pub const ROOTS: &str = "ROOTS";
    /// Slotted `ARRAY` by [`List::place`](super::List::place), as many [`Line`](crate::table::Line)s as it takes.
    pub const NODES: &str = "NODES";

    /// The maps that carry over from one generation to the next.
    pub const STATES: [&str; 11] = [
        STATE,
        TOTALS,
        COUNTERS,
        COUNTRIES,
        SOURCES,
        FLOWS,
        ANSWERS,
        LIMITED,
        BUCKETS,
        TOTAL_BUCKET,
        UNSENT,
    ];
    /// The maps of maps, whose inner maps make a generation.
    pub const SLOTTED: [&str; 5] = [SETTINGS, INTERFACES, RULES, ROOTS, NODES];
}

/// The name of the XDP program.
pub const PROGRAM: &str = "gate";
/// The tracepoints at which the kernel says that a frame failed to leave, and the names of the programs on them.
pub const TRACEPOINTS: [&str; 2] = ["xdp_bulk_tx", "xdp_exception"];
/// The symbol of the [`KernelLayout`] in the object, which the loader fills in.
pub const KERNEL_LAYOUT: &str = "KERNEL_LAYOUT";

/// Slots of a slotted map: two that take turns, and one reserved for a candidate generation (rehearsal).
pub const SLOTS: u32 = 3;
/// How many counters there are ([`maps::COUNTERS`]). Number 0 counts nothing.
pub const COUNTERS: u32 = 16_384;
/// How many objects a configuration can count one by one: half, so that the next generation has counters for as many
/// others while this one still counts.
pub const COUNTED: u32 = (COUNTERS - 1) / 2;
/// How many sets of sources there are, a power of two ([`maps::SOURCES`]); each has room for [`sets::WAYS`].
pub const SOURCE_SETS: u32 = 1 << 15;
/// How many sets of token buckets there are, a power of two ([`maps::BUCKETS`]); each has room for [`sets::WAYS`].
pub const BUCKET_SETS: u32 = 1 << 15;
/// How many interfaces have their unsent answers counted ([`maps::UNSENT`]).
pub const DEVICES: u32 = 1_024;
/// How many submission connections keep a tag ([`maps::FLOWS`]) before the least recently seen makes room.
pub const FLOWS: u32 = 65_536;
/// How many classes a configuration can have.
pub const CLASSES: usize = 64;
/// How many deadlines can follow one another for one source ([`Rule::next`]).
pub const DEADLINES: u32 = 8;
/// How long the tag of a connection means anything, in nanoseconds: one day.
pub const FLOW_TTL_NS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// Indices of [`maps::STATE`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The [`GenerationWord`].
    Generation = 0,
    /// What to add to `CLOCK_MONOTONIC` to get UNIX time, in nanoseconds, wrapping; written by the loader whenever the
    /// clock is set, or the machine wakes from a sleep in which `CLOCK_MONOTONIC` stood still, so that deadlines follow the wall clock and hold
    /// while no loader runs.
    WallOffset = 1,
    /// The UNIX time in nanoseconds that the program is to go by; 0 is the clock's. Only instances that are attached to nothing
    /// have it, to judge a capture at the time of the capture.
    Now = 2,
    /// What goes into every [`Hash`](sets::Hash): a number that nobody outside knows, written once, before the first generation.
    Seed = 3,
}

impl State {
    /// How many there are.
    pub const COUNT: u32 = 4;
}

/// Which generation is in force, and in which slot: one word, so that one load reads both.
///
/// The number is in the upper 62 bits, the slot in the lower two. The word is 0 before the first generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GenerationWord(pub u64);

impl GenerationWord {
    /// Generation `number` in `slot`; slots count below [`SLOTS`].
    #[must_use]
    pub const fn new(number: u32, slot: u32) -> Self {
        Self(((number as u64) << 2) | (slot & 3) as u64)
    }

    /// The number, from 1; 0 when there is no generation.
    #[inline(always)]
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "numbers are made from a u32"
    )]
    pub const fn number(self) -> u32 {
        (self.0 >> 2) as u32
    }

    /// The slot.
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> u32 {
        (self.0 & 3) as u32
    }
}

/// The index of a verdict and reason in [`maps::TOTALS`].
#[inline(always)]
#[must_use]
pub const fn total_index(verdict: Verdict, reason: Reason) -> u32 {
    verdict as u32 * Reason::COUNT as u32 + reason.number() as u32
}

/// How many totals there are.
pub const TOTALS: u32 = (Verdict::Unparsed as u32 + 1) * Reason::COUNT as u32;

/// The prefix lists of a generation, and what their numbers are.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// Sources on access interfaces: rule numbers.
    Access = 0,
    /// Relays: counter numbers.
    Relays = 1,
    /// Submission servers: 1.
    Servers = 2,
    /// Sources that a class names: one more than the class number.
    Classes = 3,
    /// Sources by country: indices of [`Settings::countries`].
    Countries = 4,
}

impl List {
    /// How many there are.
    pub const COUNT: u32 = 5;

    /// Every list, by number.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::Access,
        Self::Relays,
        Self::Servers,
        Self::Classes,
        Self::Countries,
    ];

    /// Where the list of the generation in `slot` is in [`maps::ROOTS`] and [`maps::NODES`].
    #[inline(always)]
    #[must_use]
    pub const fn place(self, slot: u32) -> u32 {
        slot * Self::COUNT + self as u32
    }

    /// What its pins are called, and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Relays => "relays",
            Self::Servers => "servers",
            Self::Classes => "classes",
            Self::Countries => "countries",
        }
    }
}

/// What one generation decides by, apart from its lists.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// The set of [`Shape::bit`](crate::Shape::bit)s of shapes that a restricted source may not send.
    pub dropped_shapes: u64,
    /// How many new connections to port 25 a source has, where the action is `throttle`.
    pub throttle: Limit,
    /// How many answers a source gets.
    pub answer_source: Limit,
    /// How many answers there are in all.
    pub answer_total: Limit,
    /// Where ICMP answers over IPv4 come from; [`Addr::default`] is the refused destination.
    pub answer_v4: Addr,
    /// Where ICMP answers over IPv6 come from, likewise.
    pub answer_v6: Addr,
    /// The counter of each class; 0 where there is no class.
    pub class_counters: [u32; CLASSES],
    /// The countries and their classes, in the order of the country table's numbers. The first one is
    /// [`Country::NONE`]: addresses in no database.
    pub countries: [ClassedCountry; COUNTRIES],
    /// The [`Scope`](crate::Scope).
    pub scope: u8,
    /// The [`Policy`](crate::Policy) for sources that no pool names.
    pub unlisted: u8,
    /// The [`Action`](crate::Action) for them.
    pub unlisted_action: u8,
    /// The [`Answer`](crate::Answer) for them.
    pub unlisted_answer: u8,
    /// 1 if port 587 is watched, else 0.
    pub submission: u8,
    /// 1 if port 465 is watched, else 0.
    pub submissions: u8,
    /// 1 if a connection to any destination gets a class, 0 if only one to a listed submission server.
    pub any_server: u8,
    /// 1 if sources are counted one by one, else 0.
    pub count_sources: u8,
    /// The [`Action`](crate::Action) for shapes whose source cannot be read.
    pub sourceless_action: u8,
    /// Always 0.
    pub reserved: [u8; 3],
}

impl Settings {
    /// The limit that a bucket keeps.
    #[inline(always)]
    #[must_use]
    pub const fn limit(&self, bucket: Bucket) -> &Limit {
        match bucket {
            Bucket::Throttle => &self.throttle,
            Bucket::Answer => &self.answer_source,
            Bucket::AnswerTotal => &self.answer_total,
        }
    }
}

/// A limit, as a [token bucket](crate::limit) keeps it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Limit {
    /// Nanoseconds from one event to the next.
    pub interval_ns: u64,
    /// How many events there may be at once, times the interval.
    pub burst_ns: u64,
}

/// The length of [`Settings::countries`]: every country that there can be.
pub const COUNTRIES: usize = Country::COUNT;

/// A country and its class.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassedCountry {
    /// The [`Country::number`].
    pub country: u16,
    /// The class.
    pub class: u8,
    /// Always 0.
    pub reserved: u8,
}

/// An interface, or one VLAN of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct InterfaceKey {
    /// The index of the interface.
    pub index: u32,
    /// The outermost VLAN ID, 0 for frames without one; [`InterfaceKey::PORT`] for the interface itself.
    pub vlan: u16,
    /// Always 0.
    pub reserved: u16,
}

impl InterfaceKey {
    /// What stands for the interface itself; no VLAN ID (IEEE 802.1Q clause 9.6).
    pub const PORT: u16 = 0xffff;

    /// The interface with this index.
    #[inline(always)]
    #[must_use]
    pub const fn port(index: u32) -> Self {
        Self::of(index, Self::PORT)
    }

    /// The VLAN `vlan` of the interface with this index; 0 is what has none.
    #[inline(always)]
    #[must_use]
    pub const fn of(index: u32, vlan: u16) -> Self {
        Self {
            index,
            vlan,
            reserved: 0,
        }
    }
}

/// A network device. An index alone is not enough at a tracepoint, which sees the devices of every network namespace.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct DeviceKey {
    /// The number of its network namespace: the inode of `/proc/PID/ns/net`.
    pub netns: u32,
    /// Its index there.
    pub index: u32,
}

/// Where the running kernel keeps what [`DeviceKey`] is made of: offsets in bytes, from the kernel's BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct KernelLayout {
    /// `net_device.ifindex`.
    pub device_index: u32,
    /// `net_device.nd_net.net`, a pointer.
    pub device_netns: u32,
    /// `net.ns.inum`.
    pub netns_number: u32,
}

/// An interface that the configuration names, or one VLAN of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Interface {
    /// Its counter.
    pub counter: u32,
    /// Its [`Role`]; 0 if its VLANs have roles, each under a key of its own.
    pub role: u8,
    /// The [`Identity`](crate::Identity) of tunnelled subscribers.
    pub identity: u8,
    /// 1 if no answer can be sent here, since the device takes VLAN tags off, else 0.
    pub stripped: u8,
    /// The [`Role`] of frames whose tags hide their VLAN, where VLANs have roles: `access` if one of them has it, else 0.
    pub hidden_role: u8,
}

/// How a source is treated, until when, and what then.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Rule {
    /// UNIX time in nanoseconds from which `next` applies instead; 0 is never.
    pub until_ns: u64,
    /// The number of the rule that follows; 0 is none, and the source is then unlisted.
    pub next: u32,
    /// The counter of the pool.
    pub pool_counter: u32,
    /// The counter of the prefix, or 0.
    pub prefix_counter: u32,
    /// The [`Policy`](crate::Policy) of the pool.
    pub policy: u8,
    /// The [`Action`](crate::Action) of the pool.
    pub action: u8,
    /// The [`Answer`](crate::Answer) of the pool.
    pub answer: u8,
    /// How many bits of an IPv4 address make a source.
    pub source_v4: u8,
    /// How many bits of an IPv6 address make a source.
    pub source_v6: u8,
    /// Always 0.
    pub reserved: [u8; 7],
}

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
    /// Its packets by verdict. None is [`Verdict::Unparsed`]: such a packet has no source that could be told.
    pub packets: [u64; SOURCE_VERDICTS],
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

impl Source {
    /// Its packets.
    #[must_use]
    pub const fn by_verdict(&self) -> Packets {
        let [passed, refused, observed, tagged] = self.packets;
        Packets {
            passed,
            refused,
            observed,
            tagged,
            unparsed: 0,
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

/// How many verdicts are counted by source: those before [`Verdict::Unparsed`].
pub const SOURCE_VERDICTS: usize = Verdict::Unparsed as usize;

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
    /// Whose it is: beside what all tags have, the [`Bucket`], and the lengths that the address was cut to, for IPv4 and for IPv6.
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
            v4_length: lengths.0,
            v6_length: lengths.1,
        }
    }

    /// What the tag of its way says.
    #[inline(always)]
    #[must_use]
    pub const fn kind(&self) -> Kind {
        [self.bucket as u8, self.v4_length, self.v6_length]
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
pub const LIMITED: u32 = Bucket::AnswerTotal as u32 + 1;
/// How many outcomes of answers there are.
pub const ANSWERS: u32 = Answered::NoRoom as u32 + 1;

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
    /// The [`Country::number`] of the source.
    pub country: u16,
    /// The number of the class, in the order of the configuration of that generation.
    pub class: u8,
    /// Always 0; room for an over-limit mark.
    pub flags: u8,
}

#[cfg(test)]
mod tests;
