//! The cases: a packet, and the gates that it is shown to.

use anyhow::Result;
use gate_tests::{
    lab::{Lab, Who},
    packets::{Ethernet, flag, tcp},
};

use super::{
    proof::Treated,
    setup::{FROM, Setup},
};
use crate::shapes::frame::{addresses_v4, addresses_v6};

/// A packet.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) packet: Packet,
    pub(super) program: Program,
    /// Who is measured, the baseline first.
    pub(super) subjects: &'static [(Setup, Treated)],
}

/// Which program of the gate runs, and what does before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// The XDP program alone.
    Alone,
    /// The XDP program after one of the benchmark that makes the packet again.
    Again,
    /// The one that sets the mark.
    Marker,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// It opens a connection to port 587.
    Opens,
    /// The same of IPv6.
    OpensV6,
    /// A later one of the same connection.
    Later,
    /// One of another service.
    Unrelated,
}

/// All of them.
pub(super) const CASES: [Case; 6] = [
    Case {
        name: "opens, IPv4",
        packet: Packet::Opens,
        program: Program::Again,
        subjects: &[
            (Setup::FlowMap, Treated::Tagged(None)),
            (Setup::Within, Treated::Tagged(None)),
            (Setup::Over, Treated::Over),
            (Setup::Mark, Treated::Tagged(Some("metadata"))),
            (Setup::Dscp, Treated::Tagged(Some("dscp"))),
        ],
    },
    Case {
        name: "opens, IPv6",
        packet: Packet::OpensV6,
        program: Program::Again,
        subjects: &[
            (Setup::FlowMap, Treated::Tagged(None)),
            (Setup::Dscp, Treated::Tagged(Some("dscp"))),
        ],
    },
    Case {
        name: "later, IPv4",
        packet: Packet::Later,
        program: Program::Again,
        subjects: &[
            (Setup::FlowMap, Treated::Passed),
            (Setup::Dscp, Treated::Passed),
            (Setup::EveryDscp, Treated::Shown("dscp")),
            (Setup::Bleach, Treated::Shown("bleached")),
        ],
    },
    Case {
        name: "unrelated, IPv4",
        packet: Packet::Unrelated,
        program: Program::Alone,
        subjects: &[
            (Setup::FlowMap, Treated::Passed),
            (Setup::EveryDscp, Treated::Passed),
        ],
    },
    Case {
        name: "tc, opens, IPv4",
        packet: Packet::Opens,
        program: Program::Marker,
        subjects: &[
            (Setup::Mark, Treated::Passed),
            (Setup::NoRoom, Treated::Shown("marked_by_lookup")),
        ],
    },
    Case {
        name: "tc, unrelated, IPv4",
        packet: Packet::Unrelated,
        program: Program::Marker,
        subjects: &[
            (Setup::Mark, Treated::Passed),
            (Setup::NoRoom, Treated::Passed),
        ],
    },
];

/// "Expedited forwarding", which no class has: whatever the gate writes, it changes the packet.
const EF: u8 = 46 << 2;

impl Packet {
    pub(super) fn frame(self, lab: &Lab) -> Result<Vec<u8>> {
        let to = Who::OwnMail;
        let (port, flags) = match self {
            Self::Opens | Self::OpensV6 => (587, flag::SYN),
            Self::Later => (587, flag::ACK),
            Self::Unrelated => (443, flag::ACK),
        };
        let segment = tcp(40_000, port, flags);
        let packet = if self == Self::OpensV6 {
            addresses_v6(lab, FROM, to)?.service(EF).tcp(&segment)
        } else {
            addresses_v4(lab, FROM, to)?.service(EF).tcp(&segment)
        };
        Ok(Ethernet::new().carry(&packet))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_case_has_a_baseline_and_names_of_its_own() {
        let names: BTreeSet<&str> = CASES.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), CASES.len());
        for case in &CASES {
            let subjects: BTreeSet<Setup> = case.subjects.iter().map(|it| it.0).collect();
            assert_eq!(subjects.len(), case.subjects.len(), "{}", case.name);
            assert!(subjects.len() > 1, "{}", case.name);
        }
    }

    #[test]
    fn what_changes_a_packet_gets_a_new_one_each_time() {
        for case in CASES.iter().filter(|it| it.program == Program::Alone) {
            let changes = |it: &(Setup, Treated)| {
                !matches!(
                    it.1,
                    Treated::Passed | Treated::Tagged(None) | Treated::Over
                )
            };
            assert!(!case.subjects.iter().any(changes), "{}", case.name);
        }
    }
}
