//! What etherparse makes of the same frames, wherever it has an opinion: behind tags, of IPv4 and IPv6 that carry TCP, UDP or ICMP themselves.
//!
//! It is content with lengths and versions that do not fit and with any number of extension headers; where the gate says that of a frame, it
//! is not asked.

use std::{
    io::{self, Write as _},
    net::IpAddr,
    sync::Arc,
};

use anyhow::{Result, ensure};
use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use gate_tests::conformance::{self, Capture, Segment};
use libtest_mimic::Trial;

use crate::{Setup, gate, trial};

/// How many packets it has to have an opinion of: most of them are plain.
const OPINIONS: usize = 150_000;

pub(crate) fn trials(setup: Option<&Arc<Setup>>) -> Vec<Trial> {
    let name = "etherparse agrees wherever it has an opinion";
    vec![trial(name.to_owned(), setup, agrees)]
}

fn agrees(setup: &Setup) -> Result<()> {
    let mut opinions = 0;
    for path in conformance::captures(&setup.captures)?
        .into_values()
        .flatten()
    {
        for frame in Capture::read(&path)?.frames {
            let seen = gate::view(&frame.octets);
            if matches!(seen.shape, "bad_ip_header" | "too_many_extensions") {
                continue;
            }
            let Some(theirs) = opinion(&frame.octets) else {
                continue;
            };
            opinions += 1;
            let theirs = match theirs {
                Opinion::Tcp(segment) => Some(segment),
                Opinion::NoTcp => None,
            };
            ensure!(
                theirs == seen.segment,
                "{} packet {}: the gate sees {seen:?}, etherparse {theirs:?}",
                path.display(),
                frame.number
            );
        }
    }
    // Where standard output is closed there is nobody to tell.
    let _ = writeln!(io::stdout(), "etherparse: {opinions} opinions");
    ensure!(opinions >= OPINIONS, "only {opinions} opinions");
    Ok(())
}

/// What the library found.
enum Opinion {
    Tcp(Segment),
    NoTcp,
}

/// `None` where it does not read as far.
fn opinion(frame: &[u8]) -> Option<Opinion> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let mut tags = packet.link_exts.iter();
    if packet.stop_err.is_some() || !tags.all(|it| matches!(it, LaxLinkExtSlice::Vlan(_))) {
        return None;
    }
    let (source, destination): (IpAddr, IpAddr) = match packet.net? {
        LaxNetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        LaxNetSlice::Ipv6(ip) => (
            ip.header().source_addr().to_canonical(),
            ip.header().destination_addr().to_canonical(),
        ),
        LaxNetSlice::Arp(_) => return Some(Opinion::NoTcp),
    };
    Some(match packet.transport? {
        TransportSlice::Tcp(tcp) => Opinion::Tcp(Segment {
            source,
            destination,
            source_port: tcp.source_port(),
            destination_port: tcp.destination_port(),
            syn: tcp.syn(),
        }),
        TransportSlice::Udp(_)
        | TransportSlice::Icmpv4(_)
        | TransportSlice::Icmpv6(_)
        | TransportSlice::Igmp(_) => Opinion::NoTcp,
    })
}
