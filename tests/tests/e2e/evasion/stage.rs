//! Tries every technique at once, and tells the connections apart by their ports.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use gate_tests::lab::{PATIENCE, Who, Wire};

use super::{
    shot::Shot,
    techniques::{TECHNIQUES, Technique},
};
use crate::bench::Bench;

/// Where each technique is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// Port 25 of a mail host on the Internet: what the rule is about.
    Mail,
    /// Submission there: open to everybody.
    Submission,
    /// Port 25 of the ISP's own relay: open as well.
    Relay,
}

impl Aim {
    pub(super) const ALL: [Self; 3] = [Self::Mail, Self::Submission, Self::Relay];

    fn target(self) -> (Who, u16) {
        match self {
            Self::Mail => (Who::OtherMail, 25),
            Self::Submission => (Who::OtherMail, 587),
            Self::Relay => (Who::OwnMail, 25),
        }
    }
}

/// What came of a technique at one aim.
pub(super) struct Outcome {
    pub(super) technique: &'static Technique,
    pub(super) aim: Aim,
    /// The server wanted to open a connection.
    pub(super) opened: bool,
    /// Something with both ports in it came out on the other side.
    pub(super) emerged: bool,
}

/// The first source port.
const FIRST: u16 = 41_000;
/// How long stragglers get after the last answer that must come has come.
const GRACE: Duration = Duration::from_millis(100);

/// A technique at one aim, with what it is made of.
type Attempt = (&'static Technique, Aim, Shot);

fn attempts(bench: &Bench<'_>) -> Result<Vec<Attempt>> {
    let lab = &bench.lab;
    let link = lab.link_addresses(Who::Subscriber)?;
    let mut attempts = Vec::new();
    for (technique, source_port) in TECHNIQUES.iter().zip((FIRST..).step_by(Aim::ALL.len())) {
        for (aim, source_port) in Aim::ALL.into_iter().zip(source_port..) {
            let (who, port) = aim.target();
            let shot = Shot {
                link,
                source: lab.address(Who::Subscriber, technique.family)?,
                destination: lab.address(who, technique.family)?,
                source_port,
                port,
            };
            attempts.push((technique, aim, shot));
        }
    }
    Ok(attempts)
}

/// All frames of all techniques, as the subscriber sends them.
pub(crate) fn frames(bench: &Bench<'_>) -> Result<Vec<Vec<u8>>> {
    let attempts = attempts(bench)?.into_iter();
    Ok(attempts
        .flat_map(|(technique, _, shot)| (technique.frames)(&shot))
        .collect())
}

/// Sends everything, and sees what comes of it.
pub(super) fn play(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let lab = &bench.lab;
    let link = lab.link_addresses(Who::Subscriber)?;
    let wire = lab.wire(Who::Subscriber)?;
    let servers = [lab.wire(Who::OtherMail)?, lab.wire(Who::OwnMail)?];
    let shots = attempts(bench)?;
    for (technique, _, shot) in &shots {
        for frame in (technique.frames)(shot) {
            wire.send(&frame)?;
        }
    }
    let mut opened = opened(bench, &wire, &link)?;
    let mut emerged = Vec::new();
    for server in &servers {
        emerged.extend(server.until(GRACE, |_| false)?.0);
    }
    opened.extend(
        wire.until(GRACE, |_| false)?
            .0
            .iter()
            .filter_map(|it| offer(it)),
    );
    let outcome = |(technique, aim, shot): Attempt| {
        let Shot {
            destination,
            source_port,
            port,
            ..
        } = shot;
        let ports = [source_port.to_be_bytes(), port.to_be_bytes()].concat();
        Outcome {
            technique,
            aim,
            opened: opened.contains(&(destination, port, source_port)),
            emerged: emerged
                .iter()
                .any(|frame| frame.windows(ports.len()).any(|it| it == ports)),
        }
    };
    Ok(shots.into_iter().map(outcome).collect())
}

/// A server that wants to open a connection: its address and port, and the client's port.
type Offer = (IpAddr, u16, u16);

/// Who has wanted to, up to where both servers have answered what was sent last: a plain SYN to submission.
fn opened(bench: &Bench<'_>, wire: &Wire, link: &[[u8; 6]; 2]) -> Result<BTreeSet<Offer>> {
    const LAST: u16 = 60_000;
    let mut opened = BTreeSet::new();
    let families = gate_tests::lab::Family::ALL;
    for (family, who) in families
        .into_iter()
        .flat_map(|family| [(family, Who::OtherMail), (family, Who::OwnMail)])
    {
        let shot = Shot {
            link: *link,
            source: bench.lab.address(Who::Subscriber, family)?,
            destination: bench.lab.address(who, family)?,
            source_port: LAST,
            port: 587,
        };
        for frame in shot.one(&shot.syn()) {
            wire.send(&frame)?;
        }
        let last = (shot.destination, shot.port, LAST);
        let (before, found) = wire.until(3 * PATIENCE, |frame| offer(frame) == Some(last))?;
        found.with_context(|| format!("{who} does not answer, {family}"))?;
        opened.extend(before.iter().filter_map(|frame| offer(frame)));
    }
    Ok(opened)
}

/// The offer in a frame.
pub(super) fn offer(frame: &[u8]) -> Option<Offer> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let from = match packet.net? {
        NetSlice::Ipv4(ip) => ip.header().source_addr().into(),
        NetSlice::Ipv6(ip) => ip.header().source_addr().into(),
        NetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        return None;
    };
    (tcp.syn() && tcp.ack()).then(|| (from, tcp.source_port(), tcp.destination_port()))
}

/// Frames of two KiB have to fit.
pub(crate) fn widen(bench: &Bench<'_>) -> Result<()> {
    for who in [Who::Subscriber, Who::OtherMail, Who::OwnMail] {
        let lines = format!("link set {} mtu 3000\n", who.interface());
        bench.lab.router().ip(&lines)?;
        bench.lab.netns(who)?.ip("link set eth0 mtu 3000\n")?;
    }
    Ok(())
}

/// Opens what everybody may open, so that neighbours know each other and nothing waits for that.
pub(super) fn warm_up(bench: &Bench<'_>) -> Result<()> {
    bench.open(Who::Subscriber, Who::OtherMail, 587)?;
    bench.open(Who::Subscriber, Who::OwnMail, 587)
}

/// Complains of every outcome that is wrong, all at once.
pub(super) fn ensure_none(wrong: &[String]) -> Result<()> {
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
