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

use crate::{Reason, Verdict};

mod event;
mod records;
mod rehearsal;
mod settings;

pub use self::{
    event::{CHANCES, Event, TOLD},
    records::{
        ANSWERS, BucketKey, BucketSet, FlowKey, FlowTag, LIMITED, Limited, Metadata, Packets,
        SHOWN, SOURCE_WORDS, SPENT, Source, SourceBucket, SourceKey, SourceSet, began_ns, moment,
    },
    rehearsal::{Difference, DifferenceKey, Differences, Judged, REHEARSED, Treatment},
    settings::{
        COUNTRIES, ClassSettings, ClassedCountry, DeviceKey, Interface, InterfaceKey, KernelLayout,
        Limit, PlacedInterface, Rule, Settings,
    },
};

/// The version of this layout. Pins live in a directory of that name, so that two versions never meet unawares.
pub const ABI_VERSION: u32 = 8;

/// Names of the maps, as the object and the pins have them.
pub mod maps {
    /// `ARRAY`, `u64` by [`State`](super::State): the words that change while the gate runs.
    pub const STATE: &str = "STATE";
    /// `PERCPU_ARRAY`, `u64` by [`total_index`](super::total_index): packets by verdict and reason.
    pub const TOTALS: &str = "TOTALS";
    /// `PERCPU_ARRAY`, [`Packets`](super::Packets) by counter number: packets by pool, prefix, relay, class, interface.
    pub const COUNTERS: &str = "COUNTERS";
    /// `PERCPU_ARRAY`, `u64` by [`Country::number`](crate::Country::number): connections that got a tag, by country.
    pub const COUNTRIES: &str = "COUNTRIES";
    /// `ARRAY` of [`SOURCE_SETS`](super::SOURCE_SETS) times [`SourceSet`](super::SourceSet): packets by source.
    pub const SOURCES: &str = "SOURCES";
    /// `ARRAY` of one [`Packets`](super::Packets): packets of sources whose entries were deleted, since their time was over or a person wanted it.
    /// No program looks at it; whoever deletes adds to it as to memory.
    pub const EXPIRED: &str = "EXPIRED";
    /// `LRU_HASH`, [`FlowTag`](super::FlowTag) by [`FlowKey`](super::FlowKey): the class of submission connections.
    pub const FLOWS: &str = "FLOWS";
    /// `PERCPU_ARRAY`, `u64` by [`Answered`](crate::Answered): what came of answers to refused clients.
    pub const ANSWERS: &str = "ANSWERS";
    /// `PERCPU_ARRAY`, `u64` by [`Shown`](crate::Shown): what came of showing tags to those behind the gate.
    pub const SHOWN: &str = "SHOWN";
    /// `PERCPU_ARRAY`, [`Limited`](super::Limited) by [`Bucket`](crate::Bucket): what token buckets said.
    pub const LIMITED: &str = "LIMITED";
    /// `ARRAY` of [`BUCKET_SETS`](super::BUCKET_SETS) times [`BucketSet`](super::BucketSet): the [token buckets](crate::limit) of sources.
    pub const BUCKETS: &str = "BUCKETS";
    /// `ARRAY` of one `u64`: the token bucket of [`Bucket::AnswerTotal`](crate::Bucket::AnswerTotal). By itself, since CPUs write to it.
    pub const TOTAL_BUCKET: &str = "TOTAL_BUCKET";
    /// `HASH`, `u64` by [`DeviceKey`](super::DeviceKey): answers that failed to leave, by interface. The loader makes the entries, and the
    /// programs on [`TRACEPOINTS`](super::TRACEPOINTS) add to those that there are.
    pub const UNSENT: &str = "UNSENT";
    /// `PERCPU_ARRAY`, `u64` by [`Rehearsed`](crate::Rehearsed): what came of packets in a rehearsal.
    pub const REHEARSED: &str = "REHEARSED";
    /// `PERCPU_ARRAY` of one [`Judged`](super::Judged): the packet that the CPU is at, in a rehearsal.
    pub const JUDGED: &str = "JUDGED";
    /// `ARRAY_OF_MAPS` by [`Differences`](super::Differences), `HASH` each, [`Difference`](super::Difference) by
    /// [`DifferenceKey`](super::DifferenceKey): how the generation in force and the candidate treat packets. Empty but in a rehearsal.
    pub const DIFFERENCES: &str = "DIFFERENCES";
    /// `ARRAY_OF_MAPS` of one `ARRAY` as [`BUCKETS`]: the token buckets of the candidate. Empty but in a rehearsal.
    pub const REHEARSED_BUCKETS: &str = "REHEARSED_BUCKETS";
    /// `ARRAY_OF_MAPS` of one `RINGBUF` of [`Event`](super::Event)s, which whoever listens brings along. Empty while nobody does.
    pub const EVENTS: &str = "EVENTS";
    /// `ARRAY` of one `u64`: the token bucket of events. By itself, since CPUs write to it.
    pub const EVENT_BUCKET: &str = "EVENT_BUCKET";
    /// `PERCPU_ARRAY`, `u64` by [`Told`](crate::Told): what became of events while somebody listened.
    pub const TOLD: &str = "TOLD";
    /// Slotted `ARRAY` of one [`Settings`](super::Settings).
    pub const SETTINGS: &str = "SETTINGS";
    /// Slotted `ARRAY` of [`INTERFACE_PLACES`](super::INTERFACE_PLACES) [`PlacedInterface`](super::PlacedInterface)s, each at its
    /// [`InterfaceKey::place`](super::InterfaceKey::place).
    pub const INTERFACES: &str = "INTERFACES";
    /// Slotted `HASH`, [`Interface`](super::Interface) by [`InterfaceKey`](super::InterfaceKey): those whose place another one has.
    pub const DISPLACED: &str = "DISPLACED";
    /// Slotted `ARRAY`, [`Rule`](super::Rule) by rule number.
    pub const RULES: &str = "RULES";
    /// Slotted `ARRAY` by [`List::place`](super::List::place), [`ROOT_LINES`](crate::table::ROOT_LINES)
    /// [`Line`](crate::table::Line)s each.
    pub const ROOTS: &str = "ROOTS";
    /// Slotted `ARRAY` by [`List::place`](super::List::place), as many [`Line`](crate::table::Line)s as it takes.
    pub const NODES: &str = "NODES";

    /// The maps that carry over from one generation to the next.
    pub const STATES: [&str; 20] = [
        STATE,
        TOTALS,
        COUNTERS,
        COUNTRIES,
        SOURCES,
        EXPIRED,
        FLOWS,
        ANSWERS,
        SHOWN,
        LIMITED,
        BUCKETS,
        TOTAL_BUCKET,
        UNSENT,
        REHEARSED,
        JUDGED,
        DIFFERENCES,
        REHEARSED_BUCKETS,
        EVENTS,
        EVENT_BUCKET,
        TOLD,
    ];
    /// Those of them that belong to a rehearsal: nothing in them outlives it.
    pub const REHEARSAL: [&str; 4] = [REHEARSED, JUDGED, DIFFERENCES, REHEARSED_BUCKETS];
    /// Those that belong to whoever listens to events.
    pub const LISTENER: [&str; 3] = [EVENTS, EVENT_BUCKET, TOLD];
    /// The maps of maps, whose inner maps make a generation.
    pub const SLOTTED: [&str; 6] = [SETTINGS, INTERFACES, DISPLACED, RULES, ROOTS, NODES];
}

/// The name of the XDP program.
pub const PROGRAM: &str = "gate";
/// The name of the same program, where it also looks at the later packets of submission connections: for [`Settings::dscp_all`] and
/// [`Settings::bleach`]. A program of its own, so that nobody else pays for them.
pub const PROGRAM_EVERY: &str = "gate_every";
/// The name of the program that sets the skb mark.
pub const MARKER: &str = "gate_mark";
/// The tracepoints at which the kernel says that a frame failed to leave, and the names of the programs on them.
pub const TRACEPOINTS: [&str; 2] = ["xdp_bulk_tx", "xdp_exception"];
/// The symbol of the [`KernelLayout`] in the object, which the loader fills in.
pub const KERNEL_LAYOUT: &str = "KERNEL_LAYOUT";

/// Slots of a slotted map: two that take turns, and [`CANDIDATE`].
pub const SLOTS: u32 = 3;
/// The slot of the generation that a rehearsal compares with the one in force.
pub const CANDIDATE: u32 = 2;
/// How many counters there are ([`maps::COUNTERS`]). Number 0 counts nothing.
pub const COUNTERS: u32 = 16_384;
/// How many objects a configuration can count one by one: half, so that the next generation has counters for as many
/// others while this one still counts.
pub const COUNTED: u32 = (COUNTERS - 1) / 2;
/// How many sets of sources there are, a power of two ([`maps::SOURCES`]); each has room for [`sets::WAYS`](crate::sets::WAYS).
pub const SOURCE_SETS: u32 = 1 << 15;
/// How many sets of token buckets there are, a power of two ([`maps::BUCKETS`]); each has room for [`sets::WAYS`](crate::sets::WAYS).
pub const BUCKET_SETS: u32 = 1 << 15;
/// How many interfaces have their unsent answers counted ([`maps::UNSENT`]).
pub const DEVICES: u32 = 1_024;
/// How many submission connections keep a tag ([`maps::FLOWS`]) before the least recently seen makes room.
pub const FLOWS: u32 = 65_536;
/// How many places there are for interfaces and VLANs of them in a generation ([`maps::INTERFACES`]), a power of two.
pub const INTERFACE_PLACES: u32 = 1 << 10;
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
    /// The UNIX time in nanoseconds that the program is to go by, for deadlines and for token buckets; 0 is the clocks'. Only instances that are attached to nothing
    /// have it, to judge a capture at the time of the capture.
    Now = 2,
    /// What goes into every [`Hash`](crate::sets::Hash): a number that nobody outside knows, written once, before the first generation.
    Seed = 3,
    /// The [`NoMetadata`]: whether the program that marks looks up what has no metadata, and why. As long as it is 0, that program leaves
    /// such packets alone.
    NoMetadata = 4,
    /// The UNIX time in nanoseconds until which everything is only observed, whatever is configured; 0 is no bypass. It is written when a
    /// person asks, and moved with [`State::WallOffset`] where somebody set the clock, so that a bypass is as long as was asked for; by nothing else: no
    /// start, reload or end of the loader touches it.
    Bypass = 5,
    /// The number of the generation that the one in the slot [`CANDIDATE`] is compared with; 0 is no rehearsal. While another generation is in force
    /// there is none either.
    Rehearsal = 6,
    /// The nanoseconds of `CLOCK_MONOTONIC` at which the rehearsal is over, whether anybody is there to end it or not.
    RehearsalUntil = 7,
    /// The nanoseconds of `CLOCK_MONOTONIC` at which the lease of whoever listens to events is over; 0 is nobody.
    EventsUntil = 8,
    /// How many events of [`CHANCES`] are told.
    EventsChance = 9,
    /// The [`Limit::interval_ns`] of all events.
    EventsInterval = 10,
    /// The [`Limit::burst_ns`] of all events.
    EventsBurst = 11,
}

/// Why packets that are to be marked have no [`Metadata`].
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMetadata {
    /// They have.
    Never = 0,
    /// There was a frame without room for it; written by the program.
    NoRoom = 1,
    /// It is written and does not arrive, as it seems to the loader, which notices by the counters.
    Lost = 2,
}

impl NoMetadata {
    /// What a word of the map says. One that nobody wrote says that there was a frame without room: the program looks up in any case.
    #[must_use]
    pub const fn of(word: u64) -> Self {
        match word {
            0 => Self::Never,
            2 => Self::Lost,
            _ => Self::NoRoom,
        }
    }
}

impl State {
    /// How many there are.
    pub const COUNT: u32 = 12;
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

#[cfg(test)]
mod tests;
