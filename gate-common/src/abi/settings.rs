//! What a generation decides by, apart from its prefix lists.

use bytemuck::{Pod, Zeroable};

use super::{BucketKey, CLASSES, INTERFACE_PLACES};
use crate::{Addr, Bucket, Country};

/// What one generation decides by, apart from its lists.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// The set of [`Shape::bit`](crate::Shape::bit)s of shapes that hide a port: a restricted source may not send them, and from an
    /// uplink to a listed server they are new connections.
    pub dropped_shapes: u64,
    /// How many new connections to port 25 a source has, where the action is `throttle`.
    pub throttle: Limit,
    /// How many answers a source gets.
    pub answer_source: Limit,
    /// How many answers there are in all.
    pub answer_total: Limit,
    /// UNIX time in nanoseconds before which sources that no pool names are only observed; 0 is always past.
    pub unlisted_effective_from_ns: u64,
    /// The same for shapes whose source cannot be read.
    pub sourceless_effective_from_ns: u64,
    /// Where ICMP answers over IPv4 come from; [`Addr::default`] is the refused destination.
    pub answer_v4: Addr,
    /// Where ICMP answers over IPv6 come from, likewise.
    pub answer_v6: Addr,
    /// The classes, by number; all 0 where there is none.
    pub classes: [ClassSettings; CLASSES],
    /// The bits of the skb mark that the gate writes; 0 if it writes none.
    pub mark_mask: u32,
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
    /// 1 if every packet of a submission connection gets the DSCP of its class, 0 if only the one that opens it does.
    pub dscp_all: u8,
    /// 1 if an uplink's packets lose the DSCP that they come with, else 0.
    pub bleach: u8,
    /// 1 if any class shows by mark or DSCP, or `bleach` is 1, else 0: asked before anything else about them.
    pub shows: u8,
    /// How many bits of an IPv4 address the entry of a source has at most, whatever the pool counts by.
    pub kept_v4: u8,
    /// How many bits of an IPv6 address the entry of a source has at most.
    pub kept_v6: u8,
    /// Always 0.
    pub reserved: [u8; 2],
}

/// A country class of submission connections.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassSettings {
    /// UNIX time in nanoseconds before which it is only observed, whatever `action` says; 0 is always past.
    pub effective_from_ns: u64,
    /// How many new connections a source has; an interval of 0 is no limit.
    pub connections: Limit,
    /// Its counter.
    pub counter: u32,
    /// What the skb mark of its packets is under [`Settings::mark_mask`].
    pub mark: u32,
    /// The same for connections over the limit.
    pub over_mark: u32,
    /// The DSCP of its packets (RFC 2474), or [`ClassSettings::NO_DSCP`].
    pub dscp: u8,
    /// The same for connections over the limit.
    pub over_dscp: u8,
    /// What becomes of connections over the limit: an [`Over`](crate::Over).
    pub over: u8,
    /// Its [`Action`](crate::Action): `observe` or `enforce`.
    pub action: u8,
    /// Its [`Policy`](crate::Policy): what is exempt has no limit, and is not observed.
    pub policy: u8,
    /// How many bits of an IPv4 address make a source.
    pub source_v4: u8,
    /// How many bits of an IPv6 address make a source.
    pub source_v6: u8,
    /// Always 0.
    pub reserved: [u8; 5],
}

impl ClassSettings {
    /// Leaves the DSCP as it is; no code point has more than six bits.
    pub const NO_DSCP: u8 = 0xff;
}

impl Settings {
    /// The limit that a bucket keeps.
    #[inline(always)]
    #[must_use]
    pub const fn limit(&self, key: &BucketKey) -> &Limit {
        match key.bucket {
            Bucket::Throttle => &self.throttle,
            Bucket::Answer => &self.answer_source,
            Bucket::AnswerTotal => &self.answer_total,
            Bucket::Class => &self.class(key.class).connections,
        }
    }

    /// The class with this number.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the remainder is always in range")]
    pub const fn class(&self, number: u8) -> &ClassSettings {
        // A remainder, which becomes a mask: of a comparison the verifier learns less. The loader makes no number that it would change.
        &self.classes[number as usize % CLASSES]
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

    /// Where its interface is, or one that has the same place.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "ten bits are left")]
    pub const fn place(self) -> u32 {
        // Fibonacci hashing (Knuth, TAOCP volume 3, section 6.4): the upper bits of a product with 2^64 divided by the golden ratio, which
        // sends numbers that follow one another, as indices do, far from each other.
        let key = self.index as u64 | (self.vlan as u64) << 32;
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - INTERFACE_PLACES.ilog2())) as u32
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
    /// Its [`Role`](crate::Role); 0 if its VLANs have roles, each under a key of its own.
    pub role: u8,
    /// The [`Identity`](crate::Identity) of tunnelled subscribers.
    pub identity: u8,
    /// 1 if no answer can be sent here, since the device takes VLAN tags off, else 0.
    pub stripped: u8,
    /// The [`Role`](crate::Role) of frames whose tags hide their VLAN, where VLANs have roles: `access` if one of them has it, else 0.
    pub hidden_role: u8,
}

/// An interface at its [place](InterfaceKey::place).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct PlacedInterface {
    /// Which one it is; an index of 0, which no interface has, is none.
    pub key: InterfaceKey,
    /// The interface.
    pub interface: Interface,
}

/// How a source is treated, until when, and what then.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Rule {
    /// UNIX time in nanoseconds from which `next` applies instead; 0 is never.
    pub until_ns: u64,
    /// UNIX time in nanoseconds before which the pool is only observed, whatever `action` says; 0 is always past.
    pub effective_from_ns: u64,
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
