//! How many packets of each shape were compared, by what tshark says of them.

use std::collections::BTreeMap;

use super::{Frame, Reading, Row};

/// The longest frame of an Ethernet without jumbo frames: 1,500 octets of payload, the header, and a tag.
const LONGEST_PLAIN: usize = 1518;

macro_rules! kinds {
    ($($name:ident = $text:literal;)+) => {
        /// A shape that has to be among the captures.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the texts are below")]
        pub enum Kind {
            $($name,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What it is called in the report.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    Tcp = "TCP";
    Tagged = "one VLAN tag";
    QinQ = "QinQ (two VLAN tags)";
    ManyTags = "three VLAN tags or more";
    Snap = "LLC and SNAP";
    Pppoe = "PPPoE";
    PppoeV6 = "PPPoE with IPv6";
    Mpls = "MPLS";
    MplsStack = "MPLS, two labels or more";
    Options = "IPv4 options";
    FirstV4 = "IPv4, first fragment";
    LaterV4 = "IPv4, later fragment";
    Extensions = "IPv6 extension headers";
    ManyExtensions = "IPv6 extension headers, three or more";
    Routing = "IPv6 routing header";
    Authentication = "authentication header";
    FirstV6 = "IPv6, first fragment";
    LaterV6 = "IPv6, later fragment";
    Atomic = "IPv6, atomic fragment";
    V4InV4 = "IPv4 in IPv4";
    V6InV4 = "IPv6 in IPv4 (6in4)";
    V4InV6 = "IPv4 in IPv6 (4in6)";
    V6InV6 = "IPv6 in IPv6";
    Gre = "GRE";
    Nested = "a tunnel in a tunnel";
    InUdp = "TCP in a tunnel over UDP";
    Quoted = "TCP quoted by ICMP";
    PartOfTcp = "a part of a TCP header";
    Jumbo = "jumbo frames";
    CutShort = "captured shorter than sent";
}

/// Packets per kind: of all files, and of the generated ones among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    all: BTreeMap<Kind, u64>,
    generated: BTreeMap<Kind, u64>,
}

/// The folder of captures that a packet builder wrote.
const GENERATED: &str = "generated/";

impl Census {
    pub(super) fn add(&mut self, file: &str, frame: &Frame, reading: &Reading) {
        for kind in Kind::ALL.iter().filter(|kind| kind.is(frame, reading)) {
            *self.all.entry(*kind).or_default() += 1;
            if file.starts_with(GENERATED) {
                *self.generated.entry(*kind).or_default() += 1;
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (ours, theirs) in [
            (&mut self.all, &other.all),
            (&mut self.generated, &other.generated),
        ] {
            for (kind, count) in theirs {
                *ours.entry(*kind).or_default() += count;
            }
        }
    }

    /// How many packets of a kind there were.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.all.get(&kind).copied().unwrap_or_default()
    }

    /// How many of them were generated.
    #[must_use]
    pub fn generated(&self, kind: Kind) -> u64 {
        self.generated.get(&kind).copied().unwrap_or_default()
    }
}

impl Kind {
    fn is(self, frame: &Frame, reading: &Reading) -> bool {
        let passed = &reading.passed;
        let has = |kind| passed.kinds.contains(&kind);
        let versions = |wanted: [u8; 2]| passed.versions.starts_with(&wanted) && !has(Self::Gre);
        let beyond = |row| reading.end == Some(row) && reading.beyond.is_some();
        match self {
            Self::Tcp => reading.segment.is_some(),
            Self::Tagged => passed.tags == 1,
            Self::QinQ => passed.tags == 2,
            Self::ManyTags => passed.tags > 2,
            Self::PppoeV6 => has(Self::Pppoe) && passed.versions.first() == Some(&6),
            Self::Mpls => passed.labels > 0,
            Self::MplsStack => passed.labels > 1,
            Self::Extensions => passed.extensions > 0,
            Self::ManyExtensions => passed.extensions > 2,
            Self::V4InV4 => versions([4, 4]),
            Self::V6InV4 => versions([4, 6]),
            Self::V4InV6 => versions([6, 4]),
            Self::V6InV6 => versions([6, 6]),
            Self::Nested => passed.versions.len() > 2,
            Self::InUdp => beyond(Row::InUdp),
            Self::Quoted => beyond(Row::Quoted),
            Self::Jumbo => frame.octets.len() > LONGEST_PLAIN,
            Self::CutShort => frame.octets.len() < frame.length as usize,
            Self::Snap
            | Self::Pppoe
            | Self::Options
            | Self::FirstV4
            | Self::LaterV4
            | Self::Routing
            | Self::Authentication
            | Self::FirstV6
            | Self::LaterV6
            | Self::Atomic
            | Self::Gre
            | Self::PartOfTcp => has(self),
        }
    }
}
