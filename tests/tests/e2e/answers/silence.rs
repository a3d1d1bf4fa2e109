//! Who is refused and hears nothing, and the word that counts it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use etherparse::{SlicedPacket, TransportSlice};
use gate_tests::{
    gate::{Answer, Config, Counters, Limit},
    lab::{Family, PATIENCE, Who, Wire},
    packets::{
        self, Ethernet, Extension, Packet, V4, V6, checked, cut, flag, labels, llc, protocol, put,
        tcp,
    },
};
use libtest_mimic::Trial;

use super::judge::LinkAddresses;
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("answers::what_must_not_be_answered_is_not", unanswered),
        found.lab_trial("answers::stripped_frames_are_not_answered", stripped),
        found.lab_trial("answers::a_source_gets_so_many", of_a_source),
        found.lab_trial("answers::all_sources_together_get_so_many", of_all),
    ]
}

/// The subscriber's link, and who is on it and behind it.
struct Link<'a> {
    bench: &'a Bench<'a>,
    wire: Wire,
    addresses: LinkAddresses,
    v4: (Ipv4Addr, Ipv4Addr),
    v6: (Ipv6Addr, Ipv6Addr),
    mail: IpAddr,
}

impl<'a> Link<'a> {
    fn new(bench: &'a Bench<'a>) -> Result<Self> {
        let lab = &bench.lab;
        let pair = |family| -> Result<_> {
            Ok((
                lab.address(Who::Subscriber, family)?,
                lab.address(Who::OtherMail, family)?,
            ))
        };
        let ((IpAddr::V4(from_v4), IpAddr::V4(to_v4)), (IpAddr::V6(from_v6), IpAddr::V6(to_v6))) =
            (pair(Family::V4)?, pair(Family::V6)?)
        else {
            anyhow::bail!("addresses of another family");
        };
        Ok(Self {
            bench,
            wire: lab.wire(Who::Subscriber)?,
            addresses: lab.link_addresses(Who::Subscriber)?,
            v4: (from_v4, to_v4),
            v6: (from_v6, to_v6),
            mail: lab.address(Who::OwnMail, Family::V4)?,
        })
    }

    fn frame(&self, link: &Ethernet, packet: &Packet) -> Vec<u8> {
        put(link.carry(packet), 0, &self.addresses.concat())
    }

    fn syn_from(&self, source: Ipv4Addr) -> Vec<u8> {
        let packet = V4::new(source, self.v4.1).tcp(&tcp(40_025, 25, flag::SYN));
        self.frame(&Ethernet::new(), &packet)
    }

    /// Sends `frames`, and returns what came back until a connection to submission was answered that was opened after
    /// them: what is answered at once comes before what goes through two kernels more.
    fn heard(&self, frames: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        const PORT: u16 = 40_587;
        for frame in frames {
            self.wire.send(frame)?;
        }
        let (source, IpAddr::V4(mail)) = (self.v4.0, self.mail) else {
            anyhow::bail!("{} is no IPv4 address", self.mail);
        };
        let syn = checked(source.into(), mail.into(), tcp(PORT, 587, flag::SYN));
        let packet = V4::new(source, mail).tcp(&syn);
        self.wire.send(&self.frame(&Ethernet::new(), &packet))?;
        let last = |frame: &[u8]| ports(frame) == Some((587, PORT));
        let (before, last) = self.wire.until(3 * PATIENCE, last)?;
        last.context("submission is not answered")?;
        Ok(before.into_iter().filter(|it| !is_upkeep(it)).collect())
    }

    /// Sends `frames`, and expects so many to be counted by each word; the first `words` are answers.
    fn expect(
        &self,
        what: &str,
        frames: &[Vec<u8>],
        answers: usize,
        words: &[(&str, u64)],
    ) -> Result<()> {
        let before = self.bench.gate().counters()?;
        let heard = self.heard(frames)?;
        let after = self.bench.gate().counters()?;
        ensure!(heard.len() == answers, "{what}: heard {heard:02x?}");
        let moved = moved(&before, &after);
        let expected: Vec<(String, u64)> = words
            .iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect();
        ensure!(moved == expected, "{what}: {moved:?}, not {expected:?}");
        let refused = after.verdicts.refused - before.verdicts.refused;
        ensure!(refused == frames.len() as u64, "{what}: {refused} refused");
        Ok(())
    }
}

fn moved(before: &Counters, after: &Counters) -> Vec<(String, u64)> {
    after
        .answers
        .iter()
        .map(|it| {
            (
                it.answered.clone(),
                it.packets - before.answered(&it.answered),
            )
        })
        .filter(|(_, packets)| *packets > 0)
        .collect()
}

/// Source and destination port of a TCP segment.
fn ports(frame: &[u8]) -> Option<(u16, u16)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        return None;
    };
    Some((tcp.source_port(), tcp.destination_port()))
}

/// ARP, and `ICMPv6` that is no error: neighbours look for each other all the time.
fn is_upkeep(frame: &[u8]) -> bool {
    const ERRORS: u8 = 128;
    match SlicedPacket::from_ethernet(frame) {
        Ok(packet) => match packet.transport {
            Some(TransportSlice::Icmpv6(icmp)) => icmp.type_u8() >= ERRORS,
            Some(_) => false,
            None => frame.get(12..14) == Some(&[0x08, 0x06]),
        },
        Err(_) => false,
    }
}

fn answering(bench: &Bench<'_>) -> Result<Config> {
    let mut config = bench.config()?;
    config.answer = Answer::Reset;
    Ok(config)
}

fn unanswered(bench: &Bench<'_>) -> Result<()> {
    let mut config = answering(bench)?;
    config.scope = "all";
    config.unlisted = "refuse";
    let link = Link::new(bench)?;
    for answer in [Answer::Reset, Answer::Prohibited] {
        config.answer = answer;
        let daemon = bench.run(&config)?;
        each_unanswered(&link).with_context(|| format!("answer {answer}"))?;
        let control = [link.syn_from(link.v4.0)];
        link.expect("a SYN", &control, 1, &[(&answer.to_string(), 1)])?;
        daemon.terminate()?;
    }
    Ok(())
}

fn each_unanswered(link: &Link<'_>) -> Result<()> {
    let plain = Ethernet::new();
    let (v4, v6) = (V4::new(link.v4.0, link.v4.1), V6::new(link.v6.0, link.v6.1));
    let syn = tcp(40_025, 25, flag::SYN);
    let in_v4 = v4.clone().tcp(&syn);
    let frame = |packet: &Packet| link.frame(&plain, packet);
    let macs = |frame: Vec<u8>| put(frame, 0, &link.addresses.concat());

    let resets = [flag::RST, flag::RST | flag::ACK].map(|flags| tcp(40_025, 25, flags));
    let resets = resets.map(|reset| [frame(&v4.clone().tcp(&reset)), frame(&v6.tcp(&reset))]);
    link.expect("resets", &resets.concat(), 0, &[("was_reset", 4)])?;

    let fragments = [
        frame(&v4.clone().fragment(0, true).tcp(&syn)),
        frame(&v6.clone().with(Extension::Fragment(0, true)).tcp(&syn)),
        frame(&v4.clone().fragment(0, true).tcp(&cut(syn.clone(), 8))),
    ];
    link.expect("fragments", &fragments, 0, &[("fragment", 3)])?;

    let groups = [
        put(frame(&in_v4), 0, &[0xff; 6]),
        put(frame(&in_v4), 0, &[0x01, 0, 0x5e, 0, 0, 1]),
        put(frame(&in_v4), 6, &[0x03]),
        frame(&V4::new(link.v4.0, [224, 0, 0, 1].into()).tcp(&syn)),
        frame(&V4::new(link.v4.0, [255; 4].into()).tcp(&syn)),
        frame(&V6::new(link.v6.0, "ff02::1".parse()?).tcp(&syn)),
    ];
    link.expect("groups", &groups, 0, &[("group", 6)])?;

    let inner = |packet: &Packet| match packet.ether_type {
        0x0800 => protocol::IPV4,
        _ => protocol::IPV6,
    };
    let in_v6 = v6.tcp(&syn);
    let encapsulated = [
        frame(&v4.clone().carry(inner(&in_v4), &in_v4.bytes)),
        frame(&v4.clone().carry(inner(&in_v6), &in_v6.bytes)),
        frame(
            &v4.clone()
                .carry(protocol::GRE, &packets::gre(0, 0x0800, &in_v4.bytes)),
        ),
        frame(&v6.carry(inner(&in_v4), &in_v4.bytes)),
        macs(plain.carry_raw(0x8847, &labels(2, &in_v4.bytes))),
        macs(llc(&plain, 0, 0x0800, &in_v4.bytes)),
    ];
    link.expect("encapsulated", &encapsulated, 0, &[("encapsulated", 6)])?;

    let unlisted = [link.syn_from([192, 0, 2, 130].into())];
    link.expect("unlisted", &unlisted, 0, &[("unlisted", 1)])?;

    let hidden = [frame(&v6.with_all(&[Extension::DESTINATION; 9]).tcp(&syn))];
    link.expect("hidden", &hidden, 0, &[("shape", 1)])?;

    // Not even the source can be read: there is nobody to answer, and no answer that was not given.
    let tags = (0..5).fold(Ethernet::new(), |link, _| link.tag(packets::DOT1Q, 0));
    link.expect("five tags", &[link.frame(&tags, &in_v4)], 0, &[])
}

/// Where the device takes tags off, answers would leave without them.
fn stripped(bench: &Bench<'_>) -> Result<()> {
    let mut config = answering(bench)?;
    config.access_keys = "vlans = [100]\nstripped = \"access\"\n";
    let _daemon = bench.run(&config)?;
    let link = Link::new(bench)?;
    let without = [link.syn_from(link.v4.0)];
    link.expect("without a tag", &without, 0, &[("stripped", 1)])?;
    let packet = V4::new(link.v4.0, link.v4.1).tcp(&tcp(40_025, 25, flag::SYN));
    let with = link.frame(&Ethernet::new().tag(packets::DOT1Q, 100), &packet);
    link.expect("with a tag", &[with], 1, &[("reset", 1)])
}

/// In an hour, what is over a limit stays over it.
const fn burst(burst: u32) -> Limit {
    Limit {
        limit: 1,
        per: "hour",
        burst,
    }
}

fn of_a_source(bench: &Bench<'_>) -> Result<()> {
    let mut config = answering(bench)?;
    config.answers_source = Some(burst(3));
    let _daemon = bench.run(&config)?;
    let link = Link::new(bench)?;
    let (one, other) = ([100, 64, 7, 1].into(), [100, 64, 7, 2].into());
    let five = vec![link.syn_from(one); 5];
    link.expect(
        "five of one",
        &five,
        3,
        &[("reset", 3), ("source_limit", 2)],
    )?;
    let two = vec![link.syn_from(other); 2];
    link.expect("two of another", &two, 2, &[("reset", 2)])?;
    let more = vec![
        link.syn_from(one),
        link.syn_from(other),
        link.syn_from(other),
    ];
    link.expect("both again", &more, 1, &[("reset", 1), ("source_limit", 2)])
}

fn of_all(bench: &Bench<'_>) -> Result<()> {
    let mut config = answering(bench)?;
    config.answers_source = Some(burst(2));
    config.answers_total = Some(burst(4));
    let _daemon = bench.run(&config)?;
    let link = Link::new(bench)?;
    let from = |host| link.syn_from([100, 64, 7, host].into());
    let frames = [1, 1, 1, 2, 2, 3, 4].map(from);
    let words = [("reset", 4), ("source_limit", 1), ("total_limit", 2)];
    link.expect("seven of four", &frames, 4, &words)?;
    let limits = bench.gate().counters()?.limits;
    let of = |kind: &str| {
        let it = limits.iter().find(|it| it.limit == kind);
        it.map(|it| (it.within, it.over, it.contended))
    };
    ensure!(
        (of("answer"), of("answer_total")) == (Some((6, 1, 0)), Some((4, 2, 0))),
        "{limits:?}"
    );
    Ok(())
}
