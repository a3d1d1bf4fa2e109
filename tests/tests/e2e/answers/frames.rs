//! Answers taken off the subscriber's link, octet by octet.

use std::{fs, net::IpAddr, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    exec,
    gate::{Answer, Limit, Mode},
    lab::{Addresses, Encapsulation, Family, PATIENCE, Who, Wire},
    packets::{Ethernet, Extension, V4, V6, checked, flag, put, tcp_with_options, trail},
};
use libtest_mimic::Trial;

use super::judge::{LinkAddresses, Segment, Sent, judge};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let in_mode = |mode: Mode| {
        let name = format!("answers::every_octet_is_right_in_{mode}_mode");
        found.lab_trial(name, move |bench| {
            answers(bench, mode, Answer::Reset, None)?;
            answers(bench, mode, Answer::Prohibited, None)?;
            answers(bench, mode, Answer::Prohibited, Some(ROUTER)).map(drop)
        })
    };
    let no_tshark = Command::new("tshark").arg("--version").output().is_err();
    let tshark = found.lab_trial("answers::tshark_finds_them_right", by_tshark);
    vec![
        in_mode(Mode::Native),
        in_mode(Mode::Generic),
        if no_tshark {
            tshark.with_ignored_flag(true)
        } else {
            tshark
        },
    ]
}

/// Where ICMP is to come from.
const ROUTER: Addresses = Addresses {
    v4: std::net::Ipv4Addr::new(192, 0, 2, 1),
    v6: std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
};

const fn segment(flags: u8, seq: u32, ack: u32, options: usize, data: usize) -> Segment {
    Segment {
        source_port: 0,
        flags,
        seq,
        ack,
        options,
        data,
    }
}

/// Bare, with options as real clients send them, with data, with what counts in sequence numbers, around the end of them, and of
/// connections that are open already.
const SEGMENTS: [Segment; 9] = [
    segment(flag::SYN, 1, 0, 0, 0),
    segment(flag::SYN, 0x8000_0000, 0, 5, 0),
    segment(flag::SYN, u32::MAX, 0, 10, 0),
    segment(flag::SYN, 77, 0, 0, 7),
    segment(flag::SYN, u32::MAX - 3, 0, 5, 1000),
    segment(flag::SYN | flag::FIN, 5, 0, 0, 33),
    segment(flag::SYN | flag::ECE | flag::CWR, 6, 99, 5, 0),
    segment(flag::ACK | flag::PSH, 1000, 0xfedc_ba98, 3, 500),
    segment(flag::FIN | flag::ACK, 1000, 1, 0, 0),
];

/// Sends every segment, behind every line, in both families, with and without options of IP; returns the answers.
fn answers(
    bench: &Bench<'_>,
    mode: Mode,
    answer: Answer,
    from: Option<Addresses>,
) -> Result<Vec<Vec<u8>>> {
    const PLENTY: Limit = Limit {
        limit: 1_000_000,
        per: "second",
        burst: 1_000_000,
    };
    let mut config = bench.config()?;
    config.mode = mode;
    config.answer = answer;
    config.answer_from = from;
    config.scope = "all";
    config.answers_source = Some(PLENTY);
    config.answers_total = Some(PLENTY);
    let daemon = bench.run(&config)?;
    let link = bench.lab.link_addresses(Who::Subscriber)?;
    let wire = bench.lab.wire(Who::Subscriber)?;
    let mut answers = Vec::new();
    let mut port = 40_000;
    for line in Encapsulation::ALL {
        for family in Family::ALL {
            for (segment, options) in SEGMENTS
                .iter()
                .flat_map(|segment| [(segment, false), (segment, true)])
            {
                port += 1;
                let segment = Segment {
                    source_port: port,
                    ..segment.clone()
                };
                let sent = sent(bench, line, family, segment, options)?;
                let what = || format!("{answer}, {line}, {family}, {:?}, {options}", sent.segment);
                let from = from.map(|from| from.of(family));
                let heard = exchange(&wire, &sent, link).with_context(what)?;
                judge(&sent, &heard, answer, from, link)
                    .with_context(|| format!("{}: {heard:02x?}", what()))?;
                answers.push(heard);
            }
        }
    }
    daemon.terminate()?;
    Ok(answers)
}

fn sent(
    bench: &Bench<'_>,
    line: Encapsulation,
    family: Family,
    segment: Segment,
    options: bool,
) -> Result<Sent> {
    let source = bench.lab.address(Who::Subscriber, family)?;
    let destination = bench.lab.address(Who::OtherMail, family)?;
    let Segment {
        source_port,
        flags,
        seq,
        ack,
        options: words,
        data,
    } = segment;
    let bytes = tcp_with_options(source_port, 25, flags, words);
    let bytes = put(bytes, 4, &[seq.to_be_bytes(), ack.to_be_bytes()].concat());
    let bytes = checked(source, destination, trail(bytes, &vec![0xda; data]));
    let (packet, header) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let words = if options { 10 } else { 0 };
            let ip = V4::new(source, destination).options(words);
            (ip.tcp(&bytes), 20 + 4 * words)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = V6::new(source, destination);
            let ip = if options {
                ip.with_all(&[Extension::HOP_BY_HOP, Extension::DESTINATION])
            } else {
                ip
            };
            (ip.tcp(&bytes), 40)
        }
        _ => bail!("two families"),
    };
    Ok(Sent {
        line,
        source,
        destination,
        header,
        packet,
        segment,
    })
}

/// Sends it, and returns what comes back. What the subscriber's own padding holds must not.
fn exchange(wire: &Wire, sent: &Sent, link: LinkAddresses) -> Result<Vec<u8>> {
    let frame = put(Ethernet::new().carry(&sent.packet), 0, &link.concat());
    let mut frame = sent.line.wrap(&frame).context("no such frame")?;
    frame.resize(frame.len().max(60), 0xee);
    wire.send(&frame)?;
    let answers = |frame: &[u8]| {
        let plain = sent.line.unwrap(frame);
        plain.is_some_and(|plain| is_answer(&plain))
    };
    let (_, heard) = wire.until(PATIENCE, answers)?;
    heard.context("no answer")
}

/// TCP, or an ICMP error, and neither ARP nor the neighbour discovery that is always going on.
fn is_answer(plain: &[u8]) -> bool {
    let at = |offset: usize| plain.get(offset).copied().unwrap_or(0);
    match (at(12), at(13)) {
        (0x08, 0x00) => matches!((at(23), at(34)), (6, _) | (1, 3)),
        (0x86, 0xdd) => matches!((at(20), at(54)), (6, _) | (58, 1)),
        _ => false,
    }
}

/// Wireshark's dissectors, which know nothing of the gate and check every checksum.
fn by_tshark(bench: &Bench<'_>) -> Result<()> {
    let mut frames = answers(bench, Mode::Native, Answer::Reset, None)?;
    frames.extend(answers(
        bench,
        Mode::Native,
        Answer::Prohibited,
        Some(ROUTER),
    )?);
    let path = bench.lab.scratch().join("answers.pcap");
    fs::write(&path, pcap(&frames)?)?;
    let lines = tshark(&path)?;
    ensure!(
        lines.len() == frames.len(),
        "{} answers, tshark reads {}",
        frames.len(),
        lines.len()
    );
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let [number, malformed, ip, icmp, icmp_v6, tcp] = fields[..] else {
            bail!("tshark says: {line}");
        };
        // Of two headers of a kind, that of the answer comes first. A quoted segment is cut off: its checksum says nothing.
        let right = |status: &str| status.split(',').next() == Some("1");
        let outer = [icmp, icmp_v6, tcp]
            .into_iter()
            .find(|status| !status.is_empty());
        ensure!(
            malformed.is_empty() && (ip.is_empty() || right(ip)) && outer.is_some_and(right),
            "answer {number}: {line}"
        );
    }
    Ok(())
}

fn tshark(path: &Path) -> Result<Vec<String>> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-n").arg("-r").arg(path).args(["-T", "fields"]);
    for preference in ["tcp.check_checksum:TRUE", "ip.check_checksum:TRUE"] {
        tshark.args(["-o", preference]);
    }
    for field in [
        "frame.number",
        "_ws.malformed",
        "ip.checksum.status",
        "icmp.checksum.status",
        "icmpv6.checksum.status",
        "tcp.checksum.status",
    ] {
        tshark.args(["-e", field]);
    }
    let text = exec::tool(&mut tshark, "")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The frames as a capture file (draft-ietf-opsawg-pcap).
fn pcap(frames: &[Vec<u8>]) -> Result<Vec<u8>> {
    const ETHERNET: u32 = 1;
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 0x4_0000, ETHERNET] {
        bytes.extend(u32::to_ne_bytes(word));
    }
    for frame in frames {
        let length = u32::try_from(frame.len())?;
        for word in [0, 0, length, length] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        bytes.extend(frame);
    }
    Ok(bytes)
}
