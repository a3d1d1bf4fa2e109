//! What hides its port on its way in from an uplink, as the limit of its class has it, and what shows of the class on it.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use gate_common::{
    Shown,
    abi::{State as Word, maps},
};
use gate_tests::packets::{
    self, DOT1Q, Ethernet, Extension, Packet, PppoeSession, V4, V6, flag, protocol,
};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    class_limits::{self, CASES, Case, Second},
    configurations::Configuration,
    kernel::{Action, Change, map_of},
    show::{ABROAD, AF43, HOME, LE, MAGIC, SERVER, SERVER_6, SPAM, Shower, UNKNOWN, marked},
};

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    let mut trials: Vec<Trial> = CASES
        .iter()
        .map(|case| {
            bench.trial(format!("hidden: {}", case.name), move |state| {
                limited(state, case)
            })
        })
        .collect();
    trials.extend([
        bench.trial("hidden: its class shows", shows),
        bench.trial("hidden: it is bleached", bleached),
        bench.trial("hidden: in a tunnel the mark shows alone", tunnelled),
        bench.trial("hidden: other people's packets stay as they are", untouched),
        bench.trial("hidden: the skb mark by look-up", marks),
    ]);
    trials
}

/// A packet that hides its port.
struct Hidden {
    shape: &'static str,
    /// Why nothing would answer it.
    unanswered: &'static str,
    frame: Vec<u8>,
}

/// Packets of every shape that hides a port by default and tells an address, each with this octet of DSCP and ECN.
fn hidden(source: &str, destination: &str, service: u8) -> Result<Vec<Hidden>> {
    let syn = packets::tcp(40_000, 587, flag::SYN);
    let head = |length| packets::cut(syn.clone(), length);
    let link = Ethernet::new().tag(DOT1Q, 100);
    let plain = |shape, unanswered, packet: &Packet| Hidden {
        shape,
        unanswered,
        frame: link.carry(packet),
    };
    let (tiny, overlapping) = ("tiny_fragment", "overlapping_fragment");
    let session = |packet: &Packet, short: u8| Hidden {
        shape: "bad_length",
        unanswered: "shape",
        frame: packets::put(PppoeSession::new().frame(packet), 18, &[0, short]),
    };
    Ok(match (source.parse()?, destination.parse()?) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = V4::new(source, destination).service(service);
            let of = |offset, more, part: &[u8]| header.clone().fragment(offset, more).tcp(part);
            vec![
                plain(tiny, "fragment", &of(0, true, &[])),
                plain(tiny, "fragment", &of(0, true, &head(8))),
                plain(overlapping, "shape", &of(1, false, &[0; 24])),
                session(&header.clone().tcp(&syn), 41),
            ]
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = V6::new(source, destination).service(service);
            let of = |offset, more, part: &[u8]| {
                let fragment = Extension::Fragment(offset, more);
                header.clone().with(fragment).tcp(part)
            };
            let nine = header.clone().with_all(&[Extension::DESTINATION; 9]);
            vec![
                plain(tiny, "fragment", &of(0, true, &[])),
                plain(tiny, "fragment", &of(0, true, &head(8))),
                plain(overlapping, "shape", &of(3, false, &[0; 24])),
                plain("too_many_extensions", "shape", &nine.tcp(&syn)),
                session(&header.tcp(&syn), 61),
            ]
        }
        _ => anyhow::bail!("two families"),
    })
}

/// The first of two packets is within the limit, the second over it.
fn limited(state: &mut State, case: &Case) -> Result<()> {
    let country = format!("country {}", case.country());
    let country = country.as_str();
    for hidden in hidden(case.source, SERVER, 0)? {
        class_limits::begin(state)?;
        state.device.set_time(case.at.parse()?)?;
        let mut holds = |action: Action, expected: &Change| -> Result<()> {
            let found = state.observe(&hidden.frame)?;
            ensure!(
                found.0 == action && found.1 == *expected,
                "{}: expected {action}, and\n{expected}  seen {}, and\n{}",
                hidden.shape,
                found.0,
                found.1
            );
            Ok(())
        };
        let unlimited = case.counted("tagged", hidden.shape, None, &[country]);
        if matches!(case.second, Second::Unlimited) {
            holds(Action::Pass, &unlimited)?;
            holds(Action::Pass, &unlimited)?;
            continue;
        }
        let within = ["bucket class within", "bucket class made", country];
        let within = case.counted("tagged", hidden.shape, None, &within);
        holds(Action::Pass, &within)?;
        let over = "bucket class over";
        let unanswered = format!("answer {}", hidden.unanswered);
        let (action, verdict, more) = match case.second {
            Second::Unlimited | Second::Tagged(_) => (Action::Pass, "tagged", vec![country]),
            Second::Observed(_) => (Action::Pass, "observed", vec![country]),
            Second::Reset => (Action::Drop, "refused", vec![unanswered.as_str()]),
            Second::Dropped => (Action::Drop, "refused", vec![]),
        };
        let more = [more, vec![over]].concat();
        holds(action, &case.counted(verdict, "over_limit", None, &more))?;
    }
    Ok(())
}

fn server(source: &str) -> &'static str {
    if source.contains(':') {
        SERVER_6
    } else {
        SERVER
    }
}

/// The packets of `source` come out with this mark before them, and this code point.
fn shown(shower: &mut Shower, source: &str, mark: u32, dscp: Option<u8>) -> Result<()> {
    for service in [0, 0x03, 0x23, 0xff] {
        let expected = dscp.map_or(service, |dscp| dscp << 2 | service & 3);
        let before = hidden(source, server(source), service)?;
        let after = hidden(source, server(source), expected)?;
        for (before, after) in before.into_iter().zip(after) {
            let (metadata, out) = shower.run(&before.frame)?;
            let wanted = (mark != 0).then_some([MAGIC, mark, 0xff]);
            ensure!(
                out == after.frame && metadata == wanted,
                "{source}, {}, {service:#x}: {metadata:x?} {out:02x?}, not {wanted:x?} {:02x?}",
                before.shape,
                after.frame
            );
        }
    }
    Ok(())
}

fn shows(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::Tags)?;
    for (sources, mark, dscp) in [
        (HOME, 0x10, None),
        (SPAM, 0, Some(LE)),
        (UNKNOWN, 0, None),
        (ABROAD, 0x21, Some(AF43)),
    ] {
        for source in sources {
            shown(&mut shower, source, mark, dscp)?;
        }
    }
    // Nine packets with four services, of two classes each.
    ensure!(shower.shown(Shown::Dscp)? == 2 * 36, "DSCPs written");
    ensure!(shower.shown(Shown::Metadata)? == 2 * 36, "marks handed on");
    Ok(())
}

fn bleached(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::TagsEvery)?;
    for (sources, mark, dscp) in [
        (HOME, 0x10, 0),
        (SPAM, 0, LE),
        (UNKNOWN, 0, 0),
        (ABROAD, 0x21, AF43),
    ] {
        for source in sources {
            shown(&mut shower, source, mark, Some(dscp))?;
        }
    }
    // Of nine packets of two classes, those whose service has a code point.
    ensure!(shower.shown(Shown::Bleached)? == 2 * 18, "bleached");
    Ok(())
}

/// Its inner header is that of a connection, and too long for the outer one.
fn tunnelled(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::TagsEvery)?;
    let [source, _] = ABROAD;
    let outer = V4::new("203.0.113.9".parse()?, "203.0.113.77".parse()?).service(0xb8);
    let inner = V4::new(source.parse()?, SERVER.parse()?);
    let inner = inner.tcp(&packets::tcp(40_000, 587, flag::SYN));
    let longer = packets::put(inner.bytes, 2, &[0, 41]);
    let frame = Ethernet::new().carry(&outer.carry(protocol::IPV4, &longer));
    let (metadata, out) = shower.run(&frame)?;
    ensure!(
        out == frame && metadata == Some([MAGIC, 0x21, 0xff]),
        "{metadata:x?} {out:02x?}"
    );
    ensure!(shower.shown(Shown::Tunnelled)? == 1, "the tunnel");
    Ok(())
}

/// What is not to a listed server, or has another port, or is no shape that hides one.
fn others() -> Result<Vec<Vec<u8>>> {
    let [source, source_6] = ABROAD;
    let elsewhere = hidden(source, "192.0.2.2", 0xb8)?;
    let elsewhere_6 = hidden(source_6, "2001:db8:587::2", 0xb8)?;
    let mut frames: Vec<Vec<u8>> = elsewhere
        .into_iter()
        .chain(elsewhere_6)
        .map(|it| it.frame)
        .collect();
    let v4 = V4::new(source.parse()?, SERVER.parse()?).service(0xb8);
    let v6 = V6::new(source_6.parse()?, SERVER_6.parse()?).service(0xb8);
    let head = |port| packets::cut(packets::tcp(40_000, port, flag::SYN), 8);
    frames.extend([
        Ethernet::new().carry(&v4.clone().fragment(0, true).tcp(&head(25))),
        Ethernet::new().carry(&v4.clone().fragment(0, true).tcp(&head(80))),
        Ethernet::new().carry(&v4.clone().fragment(185, false).tcp(&[0; 24])),
        Ethernet::new().carry(&v6.with(Extension::Fragment(185, false)).tcp(&[0; 24])),
        Ethernet::tags(5).carry(&v4.tcp(&packets::tcp(40_000, 587, flag::SYN))),
    ]);
    Ok(frames)
}

fn untouched(_: &mut State) -> Result<()> {
    for configuration in [Configuration::Tags, Configuration::TagsEvery] {
        let mut shower = Shower::new(configuration)?;
        for frame in others()? {
            let (metadata, out) = shower.run(&frame)?;
            ensure!(
                out == frame && metadata.is_none(),
                "{metadata:x?} {out:02x?}, not {frame:02x?}"
            );
        }
        for shown in Shown::ALL {
            ensure!(shower.shown(*shown)? == 0, "{shown}");
        }
    }
    Ok(())
}

fn marks(_: &mut State) -> Result<()> {
    let mut shower = Shower::new(Configuration::Tags)?;
    let state = map_of(shower.0.program()?, maps::STATE)?;
    for no_metadata in [false, true] {
        state.update(&(Word::NoMetadata as u32), &u64::from(no_metadata))?;
        for (sources, mark) in [
            (HOME, Some(0x10)),
            (SPAM, None),
            (UNKNOWN, None),
            (ABROAD, Some(0x21)),
        ] {
            for source in sources {
                for hidden in hidden(source, server(source), 0)? {
                    let found = marked(shower.0.marker()?, &hidden.frame, 0xdead_beef)?;
                    let expected = match mark {
                        Some(mark) if no_metadata => 0xdead_be00 | mark,
                        _ => 0xdead_beef,
                    };
                    ensure!(
                        found == expected,
                        "{source}, {}: {found:#x}, not {expected:#x}",
                        hidden.shape
                    );
                }
            }
        }
        for frame in others()? {
            let found = marked(shower.0.marker()?, &frame, 0)?;
            ensure!(found == 0, "{found:#x} on {frame:02x?}");
        }
    }
    ensure!(
        shower.shown(Shown::MarkedByLookup)? == 2 * 9,
        "look-ups: {}",
        shower.shown(Shown::MarkedByLookup)?
    );
    Ok(())
}
