//! The frames, and what is to become of them.

use std::net::IpAddr;

use anyhow::{Result, bail};
use gate_tests::{
    gate::Packets,
    lab::{Family, Lab, Who},
    packets::{
        DOT1AD, DOT1Q, Ethernet, Extension, PppoeSession, V4, V6, flag, protocol, tcp,
        tcp_with_options, udp,
    },
};

/// `XDP_DROP`, `XDP_PASS` and `XDP_TX`.
pub(crate) const DROP: u32 = 1;
pub(crate) const PASS: u32 = 2;
pub(crate) const TX: u32 = 3;

/// The case that changes its frame.
pub(crate) const RESET: &str = "port 25, reset";

/// What the gate has to make of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// None of its business: passed, and counted nowhere.
    Unrelated,
    /// Passed by the port 25 rule.
    Passed,
    /// Refused without a word.
    Dropped,
    /// Refused with a reset.
    Reset,
    /// Given a class.
    Tagged,
}

impl Fate {
    /// The program's answer.
    pub(crate) fn action(self) -> u32 {
        match self {
            Self::Unrelated | Self::Passed | Self::Tagged => PASS,
            Self::Dropped => DROP,
            Self::Reset => TX,
        }
    }

    /// By how much so many packets move the gate's totals.
    pub(crate) fn moves(self, packets: u64) -> Packets {
        let mut moved = Packets::default();
        match self {
            Self::Unrelated => {}
            Self::Passed => moved.passed = packets,
            Self::Dropped | Self::Reset => moved.refused = packets,
            Self::Tagged => moved.tagged = packets,
        }
        moved
    }
}

/// A frame.
pub(crate) struct Shape {
    /// The case.
    pub(crate) name: &'static str,
    /// Who sends it.
    pub(crate) from: Who,
    pub(crate) frame: Vec<u8>,
    pub(crate) fate: Fate,
    /// xdp-filter's answer, where it does the same.
    pub(crate) filtered: Option<u32>,
}

/// How many words of options the SYN of a common client has: MSS, SACK, timestamps, window scale.
const OPTIONS: usize = 5;

/// All of them, the one that is refused with a reset last.
pub(crate) fn all(lab: &Lab) -> Result<Vec<Shape>> {
    let refused = Shape {
        name: RESET,
        from: Who::Subscriber,
        frame: opening(lab, Who::Subscriber, Who::OtherMail, 25)?,
        fate: Fate::Reset,
        filtered: None,
    };
    let judged = judged(lab)?.into_iter().chain([refused]);
    Ok(unrelated(lab)?.into_iter().chain(judged).collect())
}

/// Of these a gate reads the headers, and that is all. They come from a subscriber.
fn unrelated(lab: &Lab) -> Result<Vec<Shape>> {
    const DATA: usize = 512;
    let (from, to) = (Who::Subscriber, Who::OtherMail);
    let data = [tcp(40_000, 443, flag::ACK), vec![0; DATA]].concat();
    let web = addresses_v4(lab, from, to)?.tcp(&data);
    let web6 = addresses_v6(lab, from, to)?;
    let extended = web6
        .clone()
        .with(Extension::HOP_BY_HOP)
        .with(Extension::DESTINATION);
    let datagram = addresses_v4(lab, from, to)?.carry(protocol::UDP, &udp(40_000, 443, DATA));
    let plain = Ethernet::new();
    let stacked = Ethernet::new().tag(DOT1AD, 100).tag(DOT1Q, 200);
    let frames = [
        ("tcp 443, IPv4", plain.carry(&web), Some(PASS)),
        ("udp 443, IPv4", plain.carry(&datagram), Some(PASS)),
        ("tcp 443, IPv6", plain.carry(&web6.tcp(&data)), Some(PASS)),
        (
            "tcp 443, IPv6, 2 extension headers",
            plain.carry(&extended.tcp(&data)),
            Some(PASS),
        ),
        ("tcp 443, 2 VLAN tags", stacked.carry(&web), Some(PASS)),
        ("tcp 443, PPPoE", PppoeSession::new().frame(&web), None),
    ];
    let shape = |(name, frame, filtered)| Shape {
        name,
        from,
        frame,
        fate: Fate::Unrelated,
        filtered,
    };
    Ok(frames.into_iter().map(shape).collect())
}

/// What the rules are about, and what looks like it.
fn judged(lab: &Lab) -> Result<Vec<Shape>> {
    use Who::{Foreign, OtherMail, OwnMail, Static, Subscriber};
    let shape = |name, from, to, port, fate, filtered| {
        anyhow::Ok(Shape {
            name,
            from,
            frame: opening(lab, from, to, port)?,
            fate,
            filtered,
        })
    };
    let acknowledgment = tcp(40_000, 587, flag::ACK);
    Ok(vec![
        shape(
            "port 25, dropped",
            Subscriber,
            OtherMail,
            25,
            Fate::Dropped,
            Some(DROP),
        )?,
        shape("port 25, exempt", Static, OtherMail, 25, Fate::Passed, None)?,
        shape(
            "port 25, to a relay",
            Subscriber,
            OwnMail,
            25,
            Fate::Passed,
            None,
        )?,
        shape(
            "port 587, tagged",
            Foreign,
            OwnMail,
            587,
            Fate::Tagged,
            None,
        )?,
        Shape {
            name: "port 587, acknowledgment",
            from: Foreign,
            frame: Ethernet::new()
                .carry(&addresses_v4(lab, Foreign, OwnMail)?.tcp(&acknowledgment)),
            fate: Fate::Unrelated,
            filtered: None,
        },
    ])
}

/// The first segment of a connection.
fn opening(lab: &Lab, from: Who, to: Who, port: u16) -> Result<Vec<u8>> {
    let segment = tcp_with_options(40_000, port, flag::SYN, OPTIONS);
    Ok(Ethernet::new().carry(&addresses_v4(lab, from, to)?.tcp(&segment)))
}

/// A packet of IPv4 between two hosts of the lab.
pub(crate) fn addresses_v4(lab: &Lab, from: Who, to: Who) -> Result<V4> {
    match [from, to].map(|who| lab.address(who, Family::V4)) {
        [Ok(IpAddr::V4(from)), Ok(IpAddr::V4(to))] => Ok(V4::new(from, to)),
        _ => bail!("{from} or {to} has no address of IPv4"),
    }
}

/// The same of IPv6.
pub(crate) fn addresses_v6(lab: &Lab, from: Who, to: Who) -> Result<V6> {
    match [from, to].map(|who| lab.address(who, Family::V6)) {
        [Ok(IpAddr::V6(from)), Ok(IpAddr::V6(to))] => Ok(V6::new(from, to)),
        _ => bail!("{from} or {to} has no address of IPv6"),
    }
}
