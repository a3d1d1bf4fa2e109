//! The closed sets of words that configuration, kernel and output share, each with its stable number.

use crate::Shape;

/// A word or a number that is none of the set it was looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord;

macro_rules! words {
    ($(#[doc = $doc:literal])+ $set:ident { $($(#[doc = $each:literal])+ $name:ident = $number:literal, $word:literal;)+ }) => {
        $(#[doc = $doc])+
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $set {
            $($(#[doc = $each])+ $name = $number,)+
        }

        impl $set {
            /// Every word of the set, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word with this number.
            #[inline(always)]
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The word itself.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }

        impl core::str::FromStr for $set {
            type Err = $crate::UnknownWord;

            fn from_str(word: &str) -> Result<Self, $crate::UnknownWord> {
                match word {
                    $($word => Ok(Self::$name),)+
                    _ => Err($crate::UnknownWord),
                }
            }
        }

        impl core::fmt::Display for $set {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What faces an interface.
    Role {
        /// Subscribers: the port 25 rule applies to what they send.
        Access = 1, "access";
        /// The Internet: connections to submission servers get a country class.
        Uplink = 2, "uplink";
    }
}

words! {
    /// Whether a rule applies to a pool's subscribers, or to the sources of a class.
    Policy {
        /// The port 25 rule applies to the pool; to the class, its limit.
        Restrict = 0, "restrict";
        /// Port 25 is open to the pool; the class has no limit.
        Exempt = 1, "exempt";
    }
}

words! {
    /// How a rule bites.
    Action {
        /// Count what would have been refused; refuse nothing.
        Observe = 0, "observe";
        /// Refuse new connections beyond a rate.
        Throttle = 1, "throttle";
        /// Refuse.
        Enforce = 2, "enforce";
    }
}

words! {
    /// What a refused client hears.
    Answer {
        /// Nothing: the packet is gone, and the client waits for its time-out.
        Drop = 0, "drop";
        /// A TCP reset.
        Reset = 1, "reset";
        /// ICMP "communication administratively prohibited".
        Prohibited = 2, "prohibited";
    }
}

words! {
    /// Whose address names the subscriber of a tunnelled packet.
    Identity {
        /// The source of the packet that carries the tunnel: what the ISP's own network gave to the line.
        Outer = 0, "outer";
        /// The source of the packet in the tunnel.
        Inner = 1, "inner";
    }
}

words! {
    /// What came of an answer to a refused client.
    Answered {
        /// A TCP reset was sent.
        Reset = 0, "reset";
        /// An ICMP error was sent.
        Prohibited = 1, "prohibited";
        /// The source had as many answers as it gets for now.
        SourceLimit = 2, "source_limit";
        /// There were as many answers as the gate gives in all for now.
        TotalLimit = 3, "total_limit";
        /// The packet was in a tunnel, under MPLS labels, or in IEEE 802.2 LLC: no answer is built there.
        Encapsulated = 4, "encapsulated";
        /// The packet was a fragment (RFC 1122 section 3.2.2).
        Fragment = 5, "fragment";
        /// The packet's shape hides what an answer needs to know.
        Shape = 6, "shape";
        /// The packet was a reset itself (RFC 9293 section 3.10.7.1).
        WasReset = 7, "was_reset";
        /// The packet came from, or went to, a group or no host at all (RFC 1122 section 3.2.2).
        Group = 8, "group";
        /// No pool of the operator's names the source.
        Unlisted = 9, "unlisted";
        /// The device takes VLAN tags off, and the answer would leave without one.
        Stripped = 10, "stripped";
        /// The kernel had no room in the frame.
        NoRoom = 11, "no_room";
    }
}

words! {
    /// What a token bucket is for.
    Bucket {
        /// New connections to port 25 of a source, where the action is `throttle`.
        Throttle = 0, "throttle";
        /// Answers to a source.
        Answer = 1, "answer";
        /// Answers in all.
        AnswerTotal = 2, "answer_total";
        /// New submission connections of a source, where its class has a limit.
        Class = 3, "class";
    }
}

words! {
    /// What becomes of a submission connection over the limit of its class.
    Over {
        /// It passes, and its tag says so.
        Tag = 0, "tag";
        /// It is refused with a TCP reset.
        Reset = 1, "reset";
        /// It is refused without a word.
        Drop = 2, "drop";
    }
}

words! {
    /// What came of showing the tag of a submission connection to those behind the gate, packet by packet.
    Shown {
        /// The mark was put before the frame, as metadata.
        Metadata = 0, "metadata";
        /// There was no room for metadata: the program that marks has to look the connection up.
        NoMetadata = 1, "no_metadata";
        /// The skb mark was set as the metadata said.
        Marked = 2, "marked";
        /// The skb mark was set after looking the connection up.
        MarkedByLookup = 3, "marked_by_lookup";
        /// The DSCP of the class was written.
        Dscp = 4, "dscp";
        /// A DSCP that came from outside was set to 0.
        Bleached = 5, "bleached";
        /// The packet was in a tunnel, and its DSCP was left alone.
        Tunnelled = 6, "tunnelled";
        /// The DSCP could not be written.
        Unwritten = 7, "unwritten";
    }
}

words! {
    /// Which segments the port 25 rule judges.
    Scope {
        /// Those that open a connection; established ones live on.
        Syn = 0, "syn";
        /// Every segment.
        All = 1, "all";
    }
}

words! {
    /// What came of packets in a rehearsal.
    Rehearsed {
        /// Packets that the generation in force and the candidate were both asked about.
        Compared = 0, "compared";
        /// Of those, the packets that they treat otherwise, if only for another reason.
        Different = 1, "different";
        /// Packets that no line says how they were treated: there was no room for another one.
        LostTreatments = 2, "lost_treatments";
        /// Of the different packets, those of sources that there was no room for.
        LostSources = 3, "lost_sources";
        /// Of the different packets, those whose source cannot be read.
        Sourceless = 4, "sourceless";
    }
}

words! {
    /// What became of an event: a packet that was refused, would have been, or was tagged, while somebody listened.
    Told {
        /// It is in the ring.
        Written = 0, "written";
        /// It was not chosen for the sample, which is no loss.
        Unsampled = 1, "unsampled";
        /// There were as many as whoever listens wants for now.
        OverRate = 2, "over_rate";
        /// The ring was full.
        NoRoom = 3, "no_room";
        /// Whoever listened has not been heard of for some seconds.
        Lapsed = 4, "lapsed";
    }
}

words! {
    /// What became of a packet that the gate judged. Each judged packet has exactly one.
    Verdict {
        /// The port 25 rule looked at it and let it through.
        Passed = 0, "passed";
        /// The port 25 rule refused it, or the limit of its country class.
        Refused = 1, "refused";
        /// It would have been refused, had the rule been in force.
        Observed = 2, "observed";
        /// It got a country class, and passed; perhaps over the limit of the class, which its tag then says. What hides its port has the
        /// class of its source, and no tag.
        Tagged = 3, "tagged";
        /// It could not be read, and passed as its shape's policy says.
        Unparsed = 4, "unparsed";
    }
}

/// Why a packet got its verdict. The numbers are stable; those from [`Reason::SHAPES`] on are a shape's number on top
/// of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No generation is loaded: the gate is open.
    NoGeneration,
    /// The generation gives this interface no role: the gate is open there.
    NoRole,
    /// No pool names the source.
    Unlisted,
    /// The source's pool is exempt.
    Exempt,
    /// The destination is a relay.
    Relay,
    /// The source's pool is restricted.
    Restricted,
    /// A class names the source by prefix.
    ClassPrefix,
    /// A class names the source's country, or takes all that no other class names.
    ClassCountry,
    /// The source is in no database.
    ClassUnknown,
    /// The source is restricted, and within the limit of `throttle`.
    WithinLimit,
    /// The source is restricted, and over the limit of `throttle`; or it is over the limit of its class.
    OverLimit,
    /// The destination is a relay, but the packet says that it goes on from there: an IPv4 source route (RFC 791 section 3.1) or an
    /// IPv6 routing header with segments left (RFC 8200 section 4.4).
    SourceRouted,
    /// The frame's shape hides its ports.
    Shape(Shape),
}

impl Reason {
    /// The number of the first shape.
    pub const SHAPES: u8 = 32;
    /// One more than the largest number.
    pub const COUNT: u8 = 64;
    /// The reasons that are no shape, in the order of the numbers.
    const PLAIN: [Self; 12] = [
        Self::NoGeneration,
        Self::NoRole,
        Self::Unlisted,
        Self::Exempt,
        Self::Relay,
        Self::Restricted,
        Self::ClassPrefix,
        Self::ClassCountry,
        Self::ClassUnknown,
        Self::WithinLimit,
        Self::OverLimit,
        Self::SourceRouted,
    ];

    /// The stable number, below [`Reason::COUNT`].
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::NoGeneration => 0,
            Self::NoRole => 1,
            Self::Unlisted => 2,
            Self::Exempt => 3,
            Self::Relay => 4,
            Self::Restricted => 5,
            Self::ClassPrefix => 6,
            Self::ClassCountry => 7,
            Self::ClassUnknown => 8,
            Self::WithinLimit => 9,
            Self::OverLimit => 10,
            Self::SourceRouted => 11,
            Self::Shape(shape) => Self::SHAPES + shape as u8,
        }
    }

    /// Every reason, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        let shapes = Shape::ALL.iter().filter(|shape| shape.is_unparsed());
        Self::PLAIN
            .into_iter()
            .chain(shapes.map(|shape| Self::Shape(*shape)))
    }

    /// The word for it in output, counters and documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoGeneration => "no_generation",
            Self::NoRole => "no_role",
            Self::Unlisted => "unlisted",
            Self::Exempt => "exempt",
            Self::Relay => "relay",
            Self::Restricted => "restricted",
            Self::ClassPrefix => "class_prefix",
            Self::ClassCountry => "class_country",
            Self::ClassUnknown => "class_unknown",
            Self::WithinLimit => "within_limit",
            Self::OverLimit => "over_limit",
            Self::SourceRouted => "source_routed",
            Self::Shape(shape) => shape.name(),
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_have_distinct_numbers_and_names_below_the_count() {
        let numbers: BTreeSet<u8> = Reason::all().map(Reason::number).collect();
        let names: BTreeSet<&str> = Reason::all().map(Reason::name).collect();
        assert_eq!(numbers.len(), Reason::all().count());
        assert_eq!(names.len(), numbers.len());
        assert!(numbers.iter().all(|number| *number < Reason::COUNT));
        assert!(
            Reason::PLAIN
                .iter()
                .all(|reason| reason.number() < Reason::SHAPES)
        );
    }

    #[test]
    fn words_come_back_from_text_and_number() {
        for action in Action::ALL {
            assert_eq!(action.name().parse(), Ok(*action));
            assert_eq!(Action::from_number(*action as u8), Some(*action));
        }
        assert_eq!("block".parse::<Action>(), Err(UnknownWord));
    }
}
