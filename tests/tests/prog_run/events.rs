//! Events: which packets are told of, octet for octet what is, and what becomes of those that are not.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::{
    Country, Told,
    abi::{self, Event, Limit},
};
use gate_tests::packets::{self, DOT1Q, Ethernet, Packet, PppoeSession, V4, V6, flag, protocol};
use gate_user::{
    clock,
    kernel::{Maps, Ring, Tale, Terms},
};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, State},
    configurations::{Configuration, NOW},
    kernel::names,
    rows::{self, Row, Side},
};

pub(crate) fn trials(bench: &Bench) -> Vec<Trial> {
    vec![
        bench.trial("events: octet for octet", octets),
        bench.trial(
            "events: every row that is refused, observed or tagged, and no other",
            table,
        ),
        bench.trial("events: nothing without a lease, nor after it", lease),
        bench.trial("events: none where sources are not counted", off),
        bench.trial("events: a sample is by chance and counted", sample),
        bench.trial("events: no more than the rate", rate),
        bench.trial("events: a full ring is counted", full),
    ]
}

/// Longer than any trial takes.
const LONG: Duration = Duration::from_hours(1);
/// Everything, as fast as it comes.
const ALL: Terms = Terms {
    chance: abi::CHANCES,
    limit: Limit {
        interval_ns: 1,
        burst_ns: u64::MAX / 2,
    },
};

/// Somebody who listens, for as long as this lives.
struct Listener<'m> {
    maps: &'m Maps,
    ring: Ring,
    before: Tale,
}

impl<'m> Listener<'m> {
    fn new(state: &'m State, terms: Terms, lease: Duration) -> Result<Self> {
        let maps = &state.device.gate.maps;
        let before = maps.told()?;
        Ok(Self {
            maps,
            ring: maps.listen(terms, lease)?,
            before,
        })
    }

    fn heard(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.ring.take()).collect()
    }

    /// What became of events, by the numbers of the words.
    fn told(&self) -> Result<[u64; 5]> {
        let tale = self.maps.told()?.since(&self.before);
        Ok([
            Told::Written,
            Told::Unsampled,
            Told::OverRate,
            Told::NoRoom,
            Told::Lapsed,
        ]
        .map(|it| tale.count(it)))
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        // The next one clears what is left.
        let _ = self.maps.end_listening(&self.ring);
    }
}

fn syn(source: &str, destination: &str, port: u16) -> Result<Packet> {
    let segment = packets::tcp(40_000, port, flag::SYN);
    Ok(if source.contains(':') {
        V6::new(source.parse()?, destination.parse()?).tcp(&segment)
    } else {
        V4::new(source.parse()?, destination.parse()?).tcp(&segment)
    })
}

fn refused() -> Result<Vec<u8>> {
    Ok(Ethernet::new().carry(&syn("100.64.0.2", "192.0.2.1", 25)?))
}

/// One packet, and the octets of its record after the time, by hand: little-endian numbers, IPv4 as the last 32 bits behind `ffff`.
struct Case {
    configuration: Configuration,
    side: Side,
    frame: Vec<u8>,
    /// Lower and upper half of source and destination, as hexadecimal digits of the octets.
    source: &'static str,
    destination: &'static str,
    port: &'static str,
    /// Names of the counters.
    interface: &'static str,
    group: &'static str,
    prefix: &'static str,
    country: &'static str,
    /// Verdict, reason, role, flags, lengths of IPv4 and IPv6, and two that are 0.
    rest: &'static str,
}

const NOBODY: &str = "0000000000000000 0000000000000000";

/// Refused, restricted, access; /32 and /56.
const YES: &str = "01 05 01 00 20 38 0000";

fn cases() -> Result<Vec<Case>> {
    let dslite = V6::new("2001:db8:100:aa77::2".parse()?, "2001:db8:ffff::1".parse()?);
    let inner = syn("192.168.1.2", "192.0.2.1", 25)?;
    let access = |frame, source, prefix, rest| Case {
        configuration: Configuration::Enforce,
        side: Side::Access,
        frame,
        source,
        destination: NOBODY,
        port: "1900",
        interface: "interface access",
        group: "pool dynamic",
        prefix,
        country: "",
        rest,
    };
    let four = "prefix dynamic 100.64.0.0/10";
    let six = "prefix dynamic 2001:db8:100::/40";
    // 100.64.0.2, whole; and the first 56 bits of 2001:db8:100:aa77::2.
    let v4 = "0000000000000000 02004064ffff0000";
    let v6 = "00aa0001b80d0120 0000000000000000";
    let v4_packet = syn("100.64.0.2", "192.0.2.1", 25)?;
    let v6_packet = syn("2001:db8:100:aa77::2", "2001:db8:5::1", 25)?;
    Ok(vec![
        access(Ethernet::new().carry(&v4_packet), v4, four, YES),
        access(Ethernet::new().carry(&v6_packet), v6, six, YES),
        access(
            Ethernet::new().tag(DOT1Q, 100).carry(&v4_packet),
            v4,
            four,
            YES,
        ),
        access(PppoeSession::new().frame(&v4_packet), v4, four, YES),
        access(PppoeSession::new().frame(&v6_packet), v6, six, YES),
        // The subscriber is who sent the packet outside.
        access(
            Ethernet::new().carry(&dslite.carry(protocol::IPV4, &inner.bytes)),
            v6,
            six,
            YES,
        ),
        // The subscriber is who sent the packet inside, by the configuration.
        Case {
            configuration: Configuration::Vlans,
            interface: "interface access vlans 100-199,300",
            rest: "01 05 01 00 20 40 0000",
            ..access(
                Ethernet::new()
                    .tag(DOT1Q, 100)
                    .carry(&dslite.carry(protocol::IPV4, &inner.bytes)),
                "0000000000000000 0201a8c0ffff0000",
                "prefix dynamic 192.168.0.0/16",
                YES,
            )
        },
        // Would be refused.
        Case {
            configuration: Configuration::AllObserve,
            ..access(
                Ethernet::new().carry(&v4_packet),
                v4,
                four,
                "02 05 01 00 20 40 0000",
            )
        },
        // A connection to a listed server, whose address is told.
        Case {
            configuration: Configuration::Enforce,
            side: Side::Uplink,
            frame: Ethernet::new().carry(&syn("198.51.100.7", "192.0.2.1", 587)?),
            source: "0000000000000000 076433c6ffff0000",
            destination: "0000000000000000 010200c0ffff0000",
            port: "4b02",
            interface: "interface uplink",
            group: "class foreign",
            prefix: "",
            country: "US",
            rest: "03 07 02 00 20 40 0000",
        },
        // A class that is only observed.
        Case {
            configuration: Configuration::ClassLimits,
            side: Side::Uplink,
            frame: Ethernet::new().carry(&syn("198.51.100.48", "192.0.2.1", 465)?),
            source: "0000000000000000 306433c6ffff0000",
            destination: "0000000000000000 010200c0ffff0000",
            port: "d101",
            interface: "interface uplink",
            group: "class observed-tag",
            prefix: "",
            country: "US",
            rest: "03 06 02 02 20 40 0000",
        },
        // To any server: that is other people's.
        Case {
            configuration: Configuration::AnyServer,
            side: Side::Uplink,
            frame: Ethernet::new().carry(&syn("2001:db8:8000::7", "2001:db8:587::1", 465)?),
            source: "00000080b80d0120 0000000000000000",
            destination: NOBODY,
            port: "d101",
            interface: "interface uplink",
            group: "class foreign",
            prefix: "",
            country: "US",
            rest: "03 07 02 00 20 40 0000",
        },
    ])
}

fn digits(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| {
        use std::fmt::Write as _;
        let mut text = text;
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn octets(state: &mut State) -> Result<()> {
    for case in cases()? {
        state.put_in_force(case.configuration, case.side)?;
        state.renew(NOW)?;
        let manifest = state.device.manifest().context("nothing in force")?;
        let names = names(manifest);
        let counter = |name: &str| -> Result<String> {
            if name.is_empty() {
                return Ok("0000".to_owned());
            }
            let found = names.iter().find(|(_, it)| *it == name);
            let (number, _) = found.with_context(|| format!("no counter {name}: {names:?}"))?;
            Ok(digits(&u16::try_from(*number)?.to_le_bytes()))
        };
        let country = Country::from_code(case.country).unwrap_or(Country::NONE);
        let expected = [
            case.source.to_owned(),
            case.destination.to_owned(),
            digits(&manifest.number.to_le_bytes()),
            // Port 40,000.
            "409c".to_owned(),
            case.port.to_owned(),
            counter(case.interface)?,
            counter(case.group)?,
            counter(case.prefix)?,
            digits(&country.number().to_le_bytes()),
            case.rest.to_owned(),
        ]
        .concat()
        .replace(' ', "");
        let mut listener = Listener::new(state, ALL, LONG)?;
        let before = clock::monotonic_coarse_ns()?;
        state.device.run(&case.frame)?;
        let after = clock::monotonic_coarse_ns()?;
        let heard = listener.heard();
        let [event] = heard[..] else {
            anyhow::bail!("{} events, should be one: {heard:?}", heard.len());
        };
        let record = bytemuck::bytes_of(&event);
        let (time, rest) = record.split_at(8);
        let time = u64::from_ne_bytes(time.try_into()?);
        ensure!(
            (before..=after).contains(&time),
            "{before}, {time}, {after}"
        );
        ensure!(
            digits(rest) == expected,
            "{:?} {:?}\n  {} should be\n  {expected}",
            case.configuration,
            case.side,
            digits(rest)
        );
    }
    Ok(())
}

/// What each row says by hand of verdict and reason is what is told of it; and nothing is of those that pass or cannot be read, nor of any where sources are
/// not counted.
fn table(state: &mut State) -> Result<()> {
    let rows = rows::by_configuration().into_iter();
    let rows: Vec<Row> = rows.map(|(_, row)| row).collect();
    let (mut events, mut untold) = (0, 0);
    // One for all rows: each would wait for several grace periods.
    let mut ring = state.device.gate.maps.listen(ALL, LONG)?;
    for row in &rows {
        state.prepare(row)?;
        state.device.run(&row.frame)?;
        let heard: Vec<String> = std::iter::from_fn(|| ring.take())
            .map(|event| {
                let verdict = gate_common::Verdict::from_number(event.verdict);
                let reason = gate_common::Reason::all().find(|it| it.number() == event.reason);
                let words = verdict.zip(reason);
                words.map_or_else(
                    || format!("{event:?}"),
                    |(verdict, reason)| format!("total {verdict} {reason}"),
                )
            })
            .collect();
        let is_told = |total: &String| {
            ["total refused", "total observed", "total tagged"]
                .iter()
                .any(|it| total.starts_with(it))
        };
        let totals = row.expected.change.totals().into_keys();
        let mut expected: Vec<String> = totals.filter(is_told).collect();
        if row.configuration == Configuration::NoSources {
            untold += expected.len();
            expected.clear();
        }
        ensure!(
            heard == expected,
            "{}: told {heard:?}, should be {expected:?}",
            row.name
        );
        events += heard.len();
    }
    ensure!(
        events > 100 && untold > 0 && rows.len() > events + 100,
        "{events} of {} rows, and {untold}: this shows nothing",
        rows.len()
    );
    Ok(state.device.gate.maps.end_listening(&ring)?)
}

fn lease(state: &mut State) -> Result<()> {
    state.put_in_force(Configuration::Enforce, Side::Access)?;
    state.renew(NOW)?;
    let frame = refused()?;
    let maps = &state.device.gate.maps;
    let before = maps.told()?;
    state.device.run(&frame)?;
    ensure!(maps.told()? == before, "told of to nobody");
    let mut listener = Listener::new(state, ALL, LONG)?;
    state.device.run(&frame)?;
    ensure!(listener.heard().len() == 1, "not told");
    // Whoever listens is not heard of any more, and comes back.
    maps.renew_lease(Duration::ZERO)?;
    state.device.run(&frame)?;
    ensure!(
        listener.heard().is_empty() && listener.told()? == [1, 0, 0, 0, 1],
        "{:?}",
        listener.told()?
    );
    maps.renew_lease(LONG)?;
    state.device.run(&frame)?;
    ensure!(listener.heard().len() == 1, "not told again");
    // What was told before the end can be read after it, and nothing is told then.
    state.device.run(&frame)?;
    maps.end_listening(&listener.ring)?;
    state.device.run(&frame)?;
    ensure!(
        listener.heard().len() == 1 && listener.told()? == [3, 0, 0, 0, 1],
        "{:?}",
        listener.told()?
    );
    Ok(())
}

fn off(state: &mut State) -> Result<()> {
    let frame = refused()?;
    for (configuration, events) in [(Configuration::NoSources, 0), (Configuration::Enforce, 1)] {
        state.put_in_force(configuration, Side::Access)?;
        state.renew(NOW)?;
        let mut listener = Listener::new(state, ALL, LONG)?;
        state.device.run(&frame)?;
        let heard = listener.heard().len();
        ensure!(heard == events, "{configuration:?}: {heard}");
        ensure!(
            listener.told()?.iter().sum::<u64>() == events as u64,
            "{configuration:?}: {:?}",
            listener.told()?
        );
    }
    Ok(())
}

/// One in four of four thousand packets, of two families in turn: six standard deviations (27 packets each) around a thousand, and of either family a
/// share that a choice by turns would not have.
fn sample(state: &mut State) -> Result<()> {
    const PACKETS: u64 = 4000;
    state.put_in_force(Configuration::Enforce, Side::Access)?;
    state.renew(NOW)?;
    let frames = [
        refused()?,
        Ethernet::new().carry(&syn("2001:db8:100::2", "2001:db8:5::1", 25)?),
    ];
    let terms = Terms {
        chance: abi::CHANCES / 4,
        ..ALL
    };
    let mut listener = Listener::new(state, terms, LONG)?;
    let program = state.device.program_again()?;
    for frame in frames.iter().cycle().take(usize::try_from(PACKETS)?) {
        crate::kernel::run(&program, frame)?;
    }
    let heard = listener.heard();
    let [written, unsampled, rest @ ..] = listener.told()?;
    ensure!(
        written + unsampled == PACKETS && rest == [0; 3] && heard.len() as u64 == written,
        "{written} and {unsampled}, {rest:?}, {} heard",
        heard.len()
    );
    ensure!((836..=1164).contains(&written), "{written} of {PACKETS}");
    let v4 = heard.iter().filter(|it| it.source.is_v4()).count();
    let v6 = heard.len() - v4;
    ensure!(v4.min(v6) > 300, "{v4} of IPv4, {v6} of IPv6");
    Ok(())
}

/// Five at once, and none more in the time that this takes.
fn rate(state: &mut State) -> Result<()> {
    state.put_in_force(Configuration::Enforce, Side::Access)?;
    state.renew(NOW)?;
    let hour_ns = 3600 * 1_000_000_000;
    let terms = Terms {
        limit: Limit {
            interval_ns: hour_ns,
            burst_ns: 5 * hour_ns,
        },
        ..ALL
    };
    for _ in 0..2 {
        // Each listener has a full bucket.
        let mut listener = Listener::new(state, terms, LONG)?;
        for _ in 0..20 {
            state.device.run(&refused()?)?;
        }
        ensure!(
            listener.heard().len() == 5 && listener.told()? == [5, 0, 15, 0, 0],
            "{:?}",
            listener.told()?
        );
    }
    Ok(())
}

/// Nobody reads: what finds no room is counted, what did find some is whole, and there is room again once it was read.
fn full(state: &mut State) -> Result<()> {
    const PACKETS: u32 = 5000;
    // A ring of 256 KiB has room for one octet less; a record has a header of 8.
    const ROOM: u64 = ((1 << 18) - 1) / (64 + 8);
    state.put_in_force(Configuration::Enforce, Side::Access)?;
    state.renew(NOW)?;
    let mut listener = Listener::new(state, ALL, LONG)?;
    let program = state.device.program_again()?;
    let first = u32::from(Ipv4Addr::new(100, 65, 0, 0));
    for number in 0..PACKETS {
        let source = Ipv4Addr::from_bits(first + number).to_string();
        let frame = Ethernet::new().carry(&syn(&source, "192.0.2.1", 25)?);
        crate::kernel::run(&program, &frame)?;
    }
    let told = listener.told()?;
    ensure!(
        told == [ROOM, 0, 0, u64::from(PACKETS) - ROOM, 0],
        "{told:?}"
    );
    let heard = listener.heard();
    ensure!(heard.len() as u64 == ROOM, "{} heard", heard.len());
    for (number, event) in (0u32..).zip(&heard) {
        ensure!(event.source.v4_bits() == first + number, "{event:?}");
    }
    state.device.run(&refused()?)?;
    ensure!(listener.heard().len() == 1, "still no room");
    drop(listener);
    state.device.forget_sources()
}
