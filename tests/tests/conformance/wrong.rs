//! Parsers that are wrong on purpose.
//!
//! Each is the gate's own, shown a frame that was bent so that it makes the mistake, or with its answer bent; tshark gets the frame as it is.
//! The comparison has to report differences that no row explains. On the same captures, the gate as it is has none: `committed` asks for that.

use std::{net::IpAddr, sync::Arc};

use anyhow::ensure;
use gate_tests::conformance::{self, Seen};
use libtest_mimic::Trial;

use crate::{Setup, gate, trial};

/// What is wrong, the capture of `generated` that shows it, and the parser.
type Wrong = (&'static str, &'static str, fn(&[u8]) -> Seen);

#[rustfmt::skip]
const WRONG: [Wrong; 14] = [
    ("IPv4 options are misread by four octets", "ipv4-options", |frame| bent(frame, 14, |first| if first > 0x45 { first - 1 } else { first })),
    ("IPv4 options are misread behind two tags", "ipv4-options-qinq", |frame| bent(frame, 22, |first| if first > 0x45 { first - 1 } else { first })),
    ("the SYN flag is lost", "untagged", |frame| segment(frame, |seen| seen.syn = false)),
    ("the ports are swapped", "untagged", |frame| segment(frame, |seen| std::mem::swap(&mut seen.source_port, &mut seen.destination_port))),
    ("the addresses are swapped", "vlan", |frame| segment(frame, |seen| std::mem::swap(&mut seen.source, &mut seen.destination))),
    ("the low octet of the port is lost", "untagged", |frame| segment(frame, |seen| seen.destination_port &= 0xff00)),
    ("a second tag is not looked behind", "qinq", |frame| bent(frame, 17, |_| 1)),
    ("the third tag is one too many", "vlan-three", |frame| hidden(frame, "too_many_tags")),
    ("an extension header is taken for shorter than it is", "ipv6-routing", |frame| bent(frame, 55, |length| length - 1)),
    ("a fragment header ends the reading", "ipv6-atomic-fragment", |frame| hidden(frame, "later_fragment")),
    ("TCP behind an extension header is no concern", "ipv6-hop-by-hop", |frame| hidden(frame, "unrelated")),
    ("all TCP is taken for a nested tunnel", "untagged", |frame| hidden(frame, "nested_tunnel")),
    ("what is no TCP is taken for TCP", "icmp-errors", |frame| invented(frame)),
    ("the addresses of UDP are misread", "untagged", |frame| moved(frame)),
];

pub(crate) fn trials(setup: Option<&Arc<Setup>>) -> Vec<Trial> {
    let trials = WRONG.iter().map(|(what, file, view)| {
        trial(format!("noticed: {what}"), setup, move |setup| {
            let path = setup.captures.join("generated").join(file);
            let files = [path.with_extension("pcap")];
            let report = conformance::compare_files(&setup.tshark, &setup.captures, &files, view)?;
            let noticed = report.unexplained().next().is_some();
            ensure!(noticed, "no difference in {file}");
            Ok(())
        })
    });
    trials.collect()
}

/// The view of a frame one octet of which is changed.
fn bent(frame: &[u8], at: usize, change: fn(u8) -> u8) -> Seen {
    let mut frame = frame.to_owned();
    if let Some(octet) = frame.get_mut(at) {
        *octet = change(*octet);
    }
    gate::view(&frame)
}

/// The view with another segment.
fn segment(frame: &[u8], change: fn(&mut conformance::Segment)) -> Seen {
    let mut seen = gate::view(frame);
    if let Some(segment) = &mut seen.segment {
        change(segment);
    }
    seen
}

/// The view of somebody who does not see TCP and has a word for it.
fn hidden(frame: &[u8], shape: &'static str) -> Seen {
    let seen = gate::view(frame);
    match seen.segment {
        Some(_) => Seen {
            shape,
            segment: None,
            ..seen
        },
        None => seen,
    }
}

/// TCP where there is none.
fn invented(frame: &[u8]) -> Seen {
    let seen = gate::view(frame);
    let segment = seen
        .between
        .map(|(source, destination)| conformance::Segment {
            source,
            destination,
            source_port: 25,
            destination_port: 25,
            syn: true,
        });
    Seen {
        shape: "tcp",
        segment,
        ..seen
    }
}

/// Other addresses on what is no TCP.
fn moved(frame: &[u8]) -> Seen {
    let seen = gate::view(frame);
    let nowhere = IpAddr::from([0, 0, 0, 0]);
    match seen.segment {
        Some(_) => seen,
        None => Seen {
            between: seen.between.map(|(_, destination)| (nowhere, destination)),
            ..seen
        },
    }
}
