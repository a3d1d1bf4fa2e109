//! Ways around: a relay that carries packets on, and somebody else who opens the connection.

use std::{fs, net::IpAddr};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    gate::Answer,
    lab::{Family, NetNs, PATIENCE, Who, Wire},
    matrix::Profile,
    packets::{Packet, V4, flag, protocol, put, tcp},
};
use libtest_mimic::Trial;

use super::{shot::Shot, stage::offer};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial(
            "evasion::no_source_route_leads_through_a_relay",
            source_routes,
        ),
        found.lab_trial(
            "evasion::connections_opened_elsewhere_end_with_scope_all",
            opened_elsewhere,
        ),
    ]
}

fn set(netns: &NetNs, settings: &[&str]) -> Result<()> {
    netns.run(|| {
        settings.iter().try_for_each(|setting| {
            let path = format!("/proc/sys/net/{setting}");
            fs::write(&path, "1").with_context(|| format!("cannot set {path}"))
        })
    })?
}

/// A relay, and a router on the way, that follow source routes: nobody's should, some do.
fn gullible(bench: &Bench<'_>) -> Result<()> {
    const ALL: [&str; 5] = [
        "ipv4/ip_forward",
        "ipv6/conf/all/forwarding",
        "ipv4/conf/all/accept_source_route",
        "ipv6/conf/all/accept_source_route",
        "ipv6/conf/all/seg6_enabled",
    ];
    let of_link = |interface: &str| {
        [
            format!("ipv4/conf/{interface}/accept_source_route"),
            format!("ipv6/conf/{interface}/seg6_enabled"),
        ]
    };
    let router = bench.lab.router();
    set(router, &ALL)?;
    for who in [Who::Subscriber, Who::OwnMail, Who::OtherMail] {
        let netns = bench.lab.netns(who)?;
        let own = of_link("eth0");
        let theirs = of_link(who.interface());
        if who != Who::Subscriber {
            set(netns, &ALL)?;
            set(netns, &own.each_ref().map(String::as_str))?;
        }
        set(router, &theirs.each_ref().map(String::as_str))?;
    }
    Ok(())
}

/// A SYN to the relay that says where it goes on to, by each kind of source route there is.
fn routed(shot: &Shot, relay: IpAddr) -> Result<Vec<(&'static str, Packet)>> {
    Ok(match (shot.source, relay, shot.destination) {
        (IpAddr::V4(source), IpAddr::V4(relay), IpAddr::V4(last)) => [131, 137]
            .into_iter()
            .zip(["a loose source route", "a strict source route"])
            .map(|(kind, name)| {
                let [a, b, c, d] = last.octets();
                let options = [kind, 7, 4, a, b, c, d, 0];
                let header = V4::new(source, relay).options_raw(&options);
                (name, header.tcp(&shot.syn()))
            })
            .collect(),
        (IpAddr::V6(_), IpAddr::V6(relay), IpAddr::V6(last)) => {
            // RFC 8754: the last segment comes first.
            let mut header = vec![protocol::TCP, 4, 4, 1, 1, 0, 0, 0];
            header.extend(last.octets());
            header.extend(relay.octets());
            let via = Shot {
                destination: relay.into(),
                ..*shot
            };
            let payload = [header, shot.syn()].concat();
            let packet = via.v6().carry(protocol::ROUTING, &payload);
            vec![("a segment routing header", packet)]
        }
        _ => bail!("two families"),
    })
}

/// The names of the routes that lead to port 25 of a mail host that is no relay.
fn routes(bench: &Bench<'_>, wire: &Wire, ports: u16) -> Result<Vec<&'static str>> {
    let mut led = Vec::new();
    for (family, ports) in Family::ALL.into_iter().zip((ports..).step_by(8)) {
        let relay = bench.lab.address(Who::OwnMail, family)?;
        let shot = Shot {
            link: bench.lab.link_addresses(Who::Subscriber)?,
            source: bench.lab.address(Who::Subscriber, family)?,
            destination: bench.lab.address(Who::OtherMail, family)?,
            source_port: ports,
            port: 25,
        };
        let count = routed(&shot, relay)?.len();
        for (index, source_port) in (0..count).zip(ports..) {
            let shot = Shot {
                source_port,
                ..shot
            };
            let (name, packet) = routed(&shot, relay)?.swap_remove(index);
            wire.send(&shot.frame(&packet))?;
            let wanted = (shot.destination, shot.port, source_port);
            if wire
                .until(PATIENCE, |frame| offer(frame) == Some(wanted))?
                .1
                .is_some()
            {
                led.push(name);
            }
        }
    }
    Ok(led)
}

fn source_routes(bench: &Bench<'_>) -> Result<()> {
    gullible(bench)?;
    for family in Family::ALL {
        bench
            .lab
            .connect(Who::OwnMail, Who::OtherMail, family, 587)?;
    }
    super::stage::warm_up(bench)?;
    let wire = bench.lab.wire(Who::Subscriber)?;
    let control = routes(bench, &wire, 42_000)?;
    ensure!(
        control == ["a loose source route", "a segment routing header"],
        "without the gate: {control:?}"
    );
    let mut config = bench.config()?.profile(&bench.lab, Profile::Listed)?;
    config.answer = Answer::Drop;
    let _daemon = bench.run(&config)?;
    let guarded = routes(bench, &wire, 42_100)?;
    ensure!(guarded.is_empty(), "got through: {guarded:?}");
    let counters = bench.gate().counters()?;
    ensure!(
        counters.judged("refused", "source_routed") == 3,
        "{counters:?}"
    );
    bench.open(Who::Subscriber, Who::OwnMail, 25)
}

/// A host without source validation opens the connection in the name of a subscriber, who goes on with it ("triangular
/// spamming"). What the subscriber sends opens nothing.
fn opened_elsewhere(bench: &Bench<'_>) -> Result<()> {
    const ADDRESS: &str = "100.64.0.77";
    let [router, own] = bench.lab.link_addresses(Who::Subscriber)?;
    // An address of the line that the subscriber's own kernel does not know: it would reset what it has not opened.
    let own_text = own.map(|octet| format!("{octet:02x}")).join(":");
    let interface = Who::Subscriber.interface();
    bench.lab.router().ip(&format!(
        "route add {ADDRESS}/32 dev {interface}\n\
         neigh add {ADDRESS} lladdr {own_text} dev {interface}\n"
    ))?;
    super::stage::warm_up(bench)?;
    let mut config = bench.config()?;
    for (scope, source_port, accepted) in [("syn", 43_001, 1), ("all", 43_002, 0)] {
        config.scope = scope;
        let daemon = bench.run(&config)?;
        let wire = bench.lab.wire(Who::Subscriber)?;
        let shot = Shot {
            link: bench.lab.link_addresses(Who::ThirdNetwork)?,
            source: ADDRESS.parse()?,
            destination: bench.lab.address(Who::OtherMail, Family::V4)?,
            source_port,
            port: 25,
        };
        let elsewhere = bench.lab.wire(Who::ThirdNetwork)?;
        for frame in shot.one(&shot.syn()) {
            elsewhere.send(&frame)?;
        }
        let wanted = (shot.destination, shot.port, source_port);
        let (_, offered) = wire.until(3 * PATIENCE, |frame| offer(frame) == Some(wanted))?;
        let offered = offered.context("the server offers nothing")?;
        let before = bench.lab.accepted(Who::OtherMail)?.from(shot.source, 25);
        let here = Shot {
            link: [router, own],
            ..shot
        };
        for frame in here.one(&here.check(acknowledging(&here, &offered)?)) {
            wire.send(&frame)?;
        }
        // The server closes what it has accepted; what it has not, it offers again.
        wire.until(3 * PATIENCE, |frame| {
            offer(frame) == Some(wanted) || closes(frame, source_port)
        })?
        .1
        .context("the server says nothing more")?;
        let found = bench.lab.accepted(Who::OtherMail)?.from(shot.source, 25) - before;
        ensure!(found == accepted, "scope {scope}: {found} accepted");
        daemon.terminate()?;
    }
    Ok(())
}

/// The segment that completes the handshake.
fn acknowledging(shot: &Shot, offered: &[u8]) -> Result<Vec<u8>> {
    let numbers: [u8; 8] = *offered
        .get(14 + 20 + 4..)
        .and_then(|rest| rest.first_chunk())
        .context("cut off")?;
    let [s0, s1, s2, s3, ours @ ..] = numbers;
    let theirs = u32::from_be_bytes([s0, s1, s2, s3]).wrapping_add(1);
    let segment = tcp(shot.source_port, shot.port, flag::ACK);
    Ok(put(segment, 4, &[ours, theirs.to_be_bytes()].concat()))
}

/// Whether the other end of an IPv4 connection closes it.
fn closes(frame: &[u8], port: u16) -> bool {
    let at = |offset: usize| frame.get(offset).copied().unwrap_or(0);
    at(23) == protocol::TCP && [at(36), at(37)] == port.to_be_bytes() && at(47) & flag::FIN != 0
}
