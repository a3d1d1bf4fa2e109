//! What a rehearsal writes: how the generation in force and the candidate treat packets.

use bytemuck::{Pod, Zeroable};

use crate::{Addr, Reason, Rehearsed, Role, Verdict, abi::COUNTERS, decide::Decision};

/// What a generation makes of a packet, in one word that is never 0.
///
/// From the lowest bit up: 6 bits of the reason, 3 of one more than the verdict (0: the generation has no business with the packet), 14 of the
/// counter of the pool or class, one that says that it is a class, and the highest, which is always set. Counters stand for names: an object
/// keeps its counter from one generation to the next.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Treatment(pub u32);

const VERDICT: u32 = 6;
const GROUP: u32 = 9;
const CLASS: u32 = 1 << 23;
const SET: u32 = 1 << 31;

impl Treatment {
    /// Of a packet that a generation has no business with, which passes uncounted.
    pub const UNJUDGED: Self = Self(SET);

    /// What `decision` says.
    #[inline(always)]
    #[must_use]
    pub const fn of(decision: Option<&Decision>) -> Self {
        const {
            assert!(COUNTERS.is_power_of_two() && COUNTERS << GROUP <= CLASS);
            assert!(Reason::COUNT as u32 <= 1 << VERDICT && (Verdict::Unparsed as u32) < 7);
        }
        let Some(Decision {
            verdict,
            reason,
            group,
            role,
            ..
        }) = decision
        else {
            return Self::UNJUDGED;
        };
        let class = if let Some(Role::Uplink) = role {
            CLASS
        } else {
            0
        };
        Self(
            SET | class
                | (*group % COUNTERS) << GROUP
                | (*verdict as u32 + 1) << VERDICT
                | reason.number() as u32,
        )
    }

    /// Whether this is a treatment, and not a word of 0.
    #[inline(always)]
    #[must_use]
    pub const fn is_set(self) -> bool {
        self.0 & SET != 0
    }

    /// The verdict; none of a packet that the generation has no business with.
    #[must_use]
    pub fn verdict(self) -> Option<Verdict> {
        let number = (self.0 >> VERDICT & 7).checked_sub(1)?;
        Verdict::from_number(u8::try_from(number).ok()?)
    }

    /// The reason, likewise.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        self.verdict()?;
        Reason::all().find(|it| u32::from(it.number()) == self.0 & ((1 << VERDICT) - 1))
    }

    /// The counter of the pool or class; 0 is none.
    #[must_use]
    pub const fn group(self) -> u32 {
        self.0 >> GROUP & (COUNTERS - 1)
    }

    /// Whether the packet came in by an uplink, where the group is a class.
    #[must_use]
    pub const fn is_of_uplink(self) -> bool {
        self.0 & CLASS != 0
    }

    /// Whether verdict, reason or class differ. The pool alone makes no difference: it says how a subscriber is treated, and that is compared.
    #[inline(always)]
    #[must_use]
    pub const fn differs(self, other: Self) -> bool {
        let class = if self.0 & other.0 & CLASS != 0 {
            (COUNTERS - 1) << GROUP
        } else {
            0
        };
        (self.0 ^ other.0) & (CLASS | class | ((1 << GROUP) - 1)) != 0
    }
}

/// What the generation in force made of the packet that a CPU is at.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Judged {
    /// When it came, by `CLOCK_MONOTONIC`: both generations decide as of the same time.
    pub monotonic_ns: u64,
    /// What became of it.
    pub treatment: Treatment,
    /// Its [`Shape`](crate::Shape).
    pub shape: u32,
}

/// What the maps of [`maps::DIFFERENCES`](super::maps::DIFFERENCES) are.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Differences {
    /// Every pair of treatments, also equal ones, with the packets of each CPU; of no address.
    Treatments = 0,
    /// Pairs that differ, by source.
    Sources = 1,
}

impl Differences {
    /// How many there are.
    pub const COUNT: u32 = 2;
    /// Each of them, by number.
    pub const ALL: [Self; Self::COUNT as usize] = [Self::Treatments, Self::Sources];
}

/// Packets that two generations treat in one way each.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct DifferenceKey {
    /// The source that the candidate counts the packet as, the rest of its bits 0.
    pub address: Addr,
    /// What the generation in force makes of it.
    pub from: Treatment,
    /// What the candidate would.
    pub to: Treatment,
    /// The CPU that counts, of [`Differences::Treatments`]: many packets have one treatment, and no CPU is to wait for another one.
    pub cpu: u32,
    /// How many bits of an IPv4 address make a source.
    pub v4_length: u8,
    /// How many bits of an IPv6 address make a source.
    pub v6_length: u8,
    /// The [`Role`] of the interface that the packet came in by, as the candidate has it; 0 is none.
    pub role: u8,
    /// Always 0.
    pub reserved: u8,
}

/// How many packets there were.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Difference {
    /// Packets.
    pub packets: u64,
}

/// How many words [`maps::REHEARSED`](super::maps::REHEARSED) has.
pub const REHEARSED: u32 = Rehearsed::Sourceless as u32 + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Country, Shape};

    fn treatment(verdict: Verdict, reason: Reason, group: u32, role: Option<Role>) -> Treatment {
        Treatment::of(Some(&Decision {
            verdict,
            reason,
            answer: Ok(Answer::Drop),
            class: 0,
            country: Country::NONE,
            flags: 0,
            source: Addr::UNSPECIFIED,
            source_v4: 32,
            source_v6: 64,
            role,
            interface: 0,
            group,
            prefix: 0,
            relay: 0,
        }))
    }

    #[test]
    fn a_treatment_says_what_the_decision_said() {
        for verdict in Verdict::ALL {
            for reason in Reason::all() {
                for (role, of_uplink) in [
                    (None, false),
                    (Some(Role::Access), false),
                    (Some(Role::Uplink), true),
                ] {
                    let it = treatment(*verdict, reason, COUNTERS - 1, role);
                    let found = (it.verdict(), it.reason(), it.group(), it.is_of_uplink());
                    let expected = (Some(*verdict), Some(reason), COUNTERS - 1, of_uplink);
                    assert_eq!(found, expected);
                    assert!(it.is_set() && it.differs(Treatment::UNJUDGED));
                }
            }
        }
        let unjudged = Treatment::of(None);
        assert!(unjudged.is_set() && !unjudged.differs(unjudged));
        assert_eq!((unjudged.verdict(), unjudged.reason()), (None, None));
        assert!(!Treatment(0).is_set());
    }

    #[test]
    fn verdict_reason_and_class_make_a_difference_and_a_pool_makes_none() {
        let (access, uplink) = (Some(Role::Access), Some(Role::Uplink));
        let one = treatment(Verdict::Refused, Reason::Restricted, 7, access);
        for (other, differs) in [
            (
                treatment(Verdict::Refused, Reason::Restricted, 8, access),
                false,
            ),
            (
                treatment(Verdict::Observed, Reason::Restricted, 7, access),
                true,
            ),
            (
                treatment(Verdict::Refused, Reason::Unlisted, 7, access),
                true,
            ),
            (
                treatment(Verdict::Refused, Reason::Restricted, 7, uplink),
                true,
            ),
        ] {
            assert_eq!(one.differs(other), differs, "{other:?}");
            assert_eq!(other.differs(one), differs, "{other:?}");
        }
        let near = treatment(Verdict::Tagged, Reason::ClassCountry, 7, uplink);
        let far = treatment(Verdict::Tagged, Reason::ClassCountry, 8, uplink);
        assert!(near.differs(far) && !near.differs(near));
        let shape = Reason::Shape(Shape::TooManyTags);
        let hidden = treatment(Verdict::Unparsed, shape, 0, None);
        assert!(hidden.differs(treatment(Verdict::Refused, shape, 0, None)));
    }
}
