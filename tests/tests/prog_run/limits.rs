//! Answers on whatever kernel this is, and token buckets over several packets at set times.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use gate_common::{Addr, Answer, Answered, Flow, Shape, answer, parse::parse};
use gate_tests::packets::{self, DOT1AD, DOT1Q, Ethernet, Packet, PppoeSession, V4, V6, flag};
use gate_user::answer::Buffer;
use jiff::{Span, Timestamp};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::{Configuration, NOW},
    kernel::Action,
    rows::Side,
};

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial(
            "answers: every frame is the one that this process makes",
            answers,
        ),
        bench.trial(
            "limits: a throttled source has its burst, and then its rate",
            throttle,
        ),
        bench.trial("limits: answers to a source, and in all", answer_limits),
    ]
}

/// The helpers that move the ends of a frame are the kernel's; what they come to must be what plain memory comes to. The octets
/// themselves are judged end to end.
fn answers(state: &mut State) -> Result<()> {
    state.put_in_force(Configuration::Answers, Side::Access)?;
    state.device.set_time(NOW.parse()?)?;
    let from: IpAddr = "192.0.2.254".parse()?;
    for (source, answer, from) in [
        ("100.64.0.2", Answer::Reset, Addr::UNSPECIFIED),
        ("2001:db8:100::2", Answer::Reset, Addr::UNSPECIFIED),
        ("203.0.113.2", Answer::Prohibited, from.into()),
        ("2001:db8:200::2", Answer::Prohibited, Addr::UNSPECIFIED),
    ] {
        for (options, data) in [(0, 0), (5, 0), (10, 0), (0, 1), (3, 1000), (10, 3000)] {
            let segment = packets::tcp_with_options(40_000, 25, flag::SYN, options);
            let segment = packets::trail(segment, &vec![0x55; data]);
            for frame in links(&packet(source, &segment)?) {
                let mut flow = Flow::default();
                ensure!(
                    parse(frame.as_slice(), &mut flow) == Shape::Tcp,
                    "no segment"
                );
                let mut expected = Buffer::new(frame.clone());
                answer::make(&mut expected, &flow, answer, from)
                    .map_err(|it| anyhow::anyhow!("not answered: {it}"))?;
                let room = frame.len() + 100;
                let (action, heard) = state.device.run_and_read(&frame, room)?;
                ensure!(
                    action == Action::Answer,
                    "{source}: {action} of {frame:02x?}"
                );
                ensure!(
                    heard == expected.into_octets(),
                    "{source}, {options} words of options, {data} octets of data: {heard:02x?}"
                );
            }
        }
    }
    for (source, expected) in [("198.18.0.2", "quiet"), ("192.0.2.77", "unlisted")] {
        let segment = packets::tcp(40_000, 25, flag::SYN);
        let frame = Ethernet::new().carry(&packet(source, &segment)?);
        let (action, _) = state.observe(&frame)?;
        ensure!(action == Action::Drop, "{expected}: {action}");
    }
    Ok(())
}

fn packet(source: &str, segment: &[u8]) -> Result<Packet> {
    Ok(match source.parse()? {
        IpAddr::V4(source) => V4::new(source, "192.0.2.1".parse()?).tcp(segment),
        IpAddr::V6(source) => V6::new(source, "2001:db8:5::1".parse()?).tcp(segment),
    })
}

/// The packet behind everything that an answer keeps.
fn links(packet: &Packet) -> Vec<Vec<u8>> {
    let tags = Ethernet::new().tag(DOT1AD, 200).tag(DOT1Q, 100);
    let session = PppoeSession::new();
    vec![
        Ethernet::new().carry(packet),
        Ethernet::tags(1).carry(packet),
        tags.carry(packet),
        Ethernet::tags(4).carry(packet),
        session.frame(packet),
        session.compressed().frame(packet),
        session.within(&tags, packet),
        session.within(&Ethernet::tags(4), packet),
    ]
}

/// Three at once and one in ten seconds, by the configuration; ten segments that open nothing do not count.
fn throttle(state: &mut State) -> Result<()> {
    state.put_in_force(Configuration::Limits, Side::Access)?;
    state.device.fill_buckets()?;
    let source = |last: u8| format!("2001:db8:100:aa00::{last:x}");
    let neighbour = "2001:db8:100:ab00::1".to_owned();
    let steps = [
        // Seconds, source, whether it passes: the /56 is one source.
        (0, source(1), true),
        (0, source(2), true),
        (0, source(3), true),
        (0, source(4), false),
        (0, neighbour, true),
        (9, source(1), false),
        (10, source(1), true),
        (10, source(1), false),
        (29, source(5), true),
        (31, source(5), true),
        (31, source(5), false),
        (3_600, source(1), true),
        (3_600, source(1), true),
        (3_600, source(1), true),
        (3_600, source(1), false),
        // The clock was set back.
        (60, source(1), true),
    ];
    for (index, (seconds, source, passes)) in steps.iter().enumerate() {
        at(state, *seconds)?;
        for flags in [flag::ACK, flag::ACK | flag::PSH, flag::FIN | flag::ACK] {
            let ack = Ethernet::new().carry(&packet(source, &packets::tcp(40_000, 25, flags))?);
            ensure!(
                state.device.run(&ack)? == Action::Pass,
                "step {index}: a segment of a connection"
            );
        }
        let syn = Ethernet::new().carry(&packet(source, &packets::tcp(40_000, 25, flag::SYN))?);
        let (action, change) = state.observe(&syn)?;
        ensure!(
            (action == Action::Pass) == *passes,
            "step {index}, {source} after {seconds} s: {action}, and\n{change}"
        );
        let reason = if *passes {
            "within_limit"
        } else {
            "over_limit"
        };
        ensure!(change.reason() == Some(reason), "step {index}: {change}");
    }
    Ok(())
}

/// Two a second to a source, four a second in all.
fn answer_limits(state: &mut State) -> Result<()> {
    state.put_in_force(Configuration::Limits, Side::Access)?;
    state.device.fill_buckets()?;
    at(state, 0)?;
    let syn = |source: &str| -> Result<Vec<u8>> {
        Ok(Ethernet::new().carry(&packet(source, &packets::tcp(40_000, 25, flag::SYN))?))
    };
    let sources = ["100.64.0.2", "100.64.0.3", "100.64.0.4"];
    // The burst of the throttle passes.
    for source in sources {
        for _ in 0..3 {
            ensure!(
                state.device.run(&syn(source)?)? == Action::Pass,
                "the burst of {source}"
            );
        }
    }
    let steps = [
        (0, 0, Answered::Reset),
        (0, 0, Answered::Reset),
        (0, 0, Answered::SourceLimit),
        (0, 1, Answered::Reset),
        (0, 1, Answered::Reset),
        (0, 2, Answered::TotalLimit),
        (0, 0, Answered::SourceLimit),
        (1, 0, Answered::Reset),
        // What was over the limit of all has cost it one of its own, which is back by now.
        (1, 2, Answered::Reset),
        (1, 2, Answered::Reset),
        (1, 2, Answered::SourceLimit),
    ];
    for (index, (seconds, source, expected)) in steps.into_iter().enumerate() {
        at(state, seconds)?;
        let source = sources.get(source).context("no such source")?;
        let (action, change) = state.observe(&syn(source)?)?;
        let sent = expected == Answered::Reset;
        ensure!(
            (action == Action::Answer) == sent,
            "step {index}: {action}\n{change}"
        );
        ensure!(
            change.get(&format!("answer {expected}")) == 1,
            "step {index}, not {expected}:\n{change}"
        );
    }
    Ok(())
}

/// Makes it so many seconds after the beginning.
fn at(state: &State, seconds: i64) -> Result<()> {
    let beginning: Timestamp = NOW.parse()?;
    state
        .device
        .set_time(beginning.checked_add(Span::new().seconds(seconds))?)
}
