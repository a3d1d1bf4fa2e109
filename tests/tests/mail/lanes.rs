//! The recipe of `examples/lane-split`: marked connections land on a second listener, and nobody gets there by himself.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    gate::{Config, Daemon},
    interrupt,
    lab::{Family, Lab, PATIENCE, Role, Seen, Who},
    mail, nft,
    packets::{self, Ethernet, V4, V6, flag},
};
use libtest_mimic::Trial;
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use crate::{
    bench::{Bench, Found},
    host::{GROUP, Host, Policy},
};

/// The files of the recipe, as they are.
const NFT: &str = include_str!("../../../examples/lane-split/lane-split.nft");
const MAIN: &str = include_str!("../../../examples/lane-split/main.cf");
const MASTER: &str = include_str!("../../../examples/lane-split/master.cf");
const GATE: &str = include_str!("../../../examples/lane-split/gate.toml");

/// The names under which the two lanes log.
const NORMAL: &str = "postfix/submission/smtpd";
const STRICT: &str = "postfix/strict/smtpd";

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.own_lab_trial("lanes::what_is_marked_lands_on_the_strict_lane", recipe),
        found.own_lab_trial("lanes::the_gate_marks_those_abroad", gate),
        found.own_lab_trial(
            "lanes::a_segment_before_the_syn_is_no_way_past_them",
            crafted,
        ),
    ]
}

/// Loads a rule set in the mail host.
fn load(lab: &Lab, rules: &str) -> Result<()> {
    nft::load(lab.netns(Who::OwnMail)?, rules)
}

fn host(lab: &mut Lab) -> Result<Host> {
    // The trials ask for the port of each client.
    let main = format!("{MAIN}\nsmtpd_client_port_logging = yes\n");
    let host = Host::start(lab, [&main, MASTER], &[])?;
    load(lab, NFT)?;
    Ok(host)
}

/// The line of the recipe that keeps those out who come past the lanes.
const NOT_PAST: &str =
    "\t\tmeta mark & 0xff == 0x51 tcp dport { 587, 465 } reject with tcp reset\n";

/// A counter of the segments that come before the SYN and get as far as the server's socket.
const CAME: &str = "table inet came {\n counter came { }\n chain last {\n type filter hook input priority 100;\n \
                    tcp dport 587 tcp flags & (syn | ack) == ack tcp option md5sig exists counter name came\n }\n}\n";

/// Has connection tracking take a connection from abroad up at a segment that opens none and so has no mark, then opens it from the same port: the
/// lane that it landed on, if on any.
///
/// The answer to such a segment would be a reset, at which connection tracking forgets the connection. A signature that nobody asked for
/// (RFC 2385) has the server drop it without a word.
fn shoot(lab: &Lab, host: &Host, family: Family, port: u16) -> Result<Option<&'static str>> {
    let (client, server) = (
        lab.address(Who::Foreign, family)?,
        lab.address(Who::OwnMail, family)?,
    );
    let ack = packets::tcp_with_options(port, 587, flag::ACK, 5);
    let ack = packets::checked(client, server, packets::put(ack, 20, &[19, 18]));
    let packet = match (client, server) {
        (IpAddr::V4(client), IpAddr::V4(server)) => V4::new(client, server).tcp(&ack),
        (IpAddr::V6(client), IpAddr::V6(server)) => V6::new(client, server).tcp(&ack),
        (client, server) => bail!("{client} and {server} are of two families"),
    };
    let [router, own] = lab.link_addresses(Who::Foreign)?;
    let frame = Ethernet::new().carry(&packet);
    let (_, payload) = frame.split_at(12);
    let log = host.postfix.log().len();
    let mail = lab.netns(Who::OwnMail)?;
    let came = || Ok::<_, anyhow::Error>(nft::packets(mail)?.get("came").copied());
    let before = came()?;
    lab.wire(Who::Foreign)?
        .send(&[&router[..], &own, payload].concat())?;
    interrupt::wait_until(3 * PATIENCE, || came().is_ok_and(|it| it > before))?;
    ensure!(came()? > before, "{family}: the segment got lost");
    let socket = lab.netns(Who::Foreign)?.run(|| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address((client, 0).into()), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(client, port).into())?;
        Ok(socket)
    })??;
    match socket.connect_timeout(&SocketAddr::new(server, 587).into(), 3 * PATIENCE) {
        Ok(()) => {}
        Err(error) => {
            let refused = error.raw_os_error() == Some(Errno::ECONNREFUSED as i32);
            ensure!(refused, "{family}: {error}");
            return Ok(None);
        }
    }
    let name = format!("[{client}]:{port}");
    let lane = || {
        let said = host.postfix.log();
        let said = said.get(log..)?;
        let line = said
            .lines()
            .find(|line| line.contains("connect from") && line.contains(&name))?;
        [NORMAL, STRICT]
            .into_iter()
            .find(|lane| line.contains(lane))
    };
    interrupt::wait_until(GREETING, || lane().is_some())?;
    lane()
        .context("Postfix knows nothing of the connection")
        .map(Some)
}

/// How long Postfix may take to say that somebody is there.
const GREETING: Duration = Duration::from_secs(20);

/// Connection tracking takes connections up at any segment, as is its default (`nf_conntrack_tcp_loose`). The rule of the recipe makes the
/// difference: without it, those abroad choose their lane.
fn crafted(bench: &mut Bench<'_>) -> Result<()> {
    let host = host(&mut bench.lab)?;
    let _daemon = start(bench)?;
    let lab = &bench.lab;
    let without = NFT.replace(NOT_PAST, "");
    ensure!(without != NFT, "the recipe has no such rule: {NFT}");
    load(lab, CAME)?;
    for (rules, port, expected) in [(NFT, 43_000, None), (&*without, 43_010, Some(NORMAL))] {
        load(lab, rules)?;
        for family in Family::ALL {
            let lane = shoot(lab, &host, family, port)?;
            ensure!(lane == expected, "{family}: {lane:?}, not {expected:?}");
        }
    }
    Ok(())
}

/// A message from each side, in both families: each on its lane, from its own address.
fn split(lab: &Lab, host: &mut Host) -> Result<()> {
    for family in Family::ALL {
        for (who, lane, other) in [
            (Who::Foreign, STRICT, NORMAL),
            (Who::Domestic, NORMAL, STRICT),
        ] {
            let before = host.postfix.log().len();
            host.deliver(lab, who, family, &[])?;
            let log = host.postfix.log();
            let log = log.get(before..).context("the log became shorter")?;
            let address = lab.address(who, family)?;
            ensure!(
                log.contains(lane)
                    && log.contains(&format!("[{address}]:"))
                    && !log.contains(other),
                "{who}, {family}, expected on {lane}:\n{log}"
            );
        }
    }
    Ok(())
}

/// Straight to the strict lane's ports there is no way, from anywhere.
fn no_way_around(lab: &Lab) -> Result<()> {
    for who in [Who::Foreign, Who::Domestic, Who::Subscriber] {
        for family in Family::ALL {
            for port in [10_587, 10_465] {
                let seen = lab.connect(who, Who::OwnMail, family, port)?;
                ensure!(
                    matches!(seen, Seen::Refused(_)),
                    "{who}, {family}, port {port}: {seen}"
                );
            }
        }
    }
    Ok(())
}

/// With a mark that a packet filter sets: what is tried is the recipe alone.
fn recipe(bench: &mut Bench<'_>) -> Result<()> {
    let mut host = host(&mut bench.lab)?;
    let lab = &bench.lab;
    let [v4, v6] = Family::ALL.map(|family| lab.address(Who::Foreign, family));
    // Other bits of the mark are somebody else's.
    load(
        lab,
        &format!(
            "table inet marks {{\n chain first {{\n  type filter hook prerouting priority raw;\n  \
             ip saddr {} meta mark set 0x4351\n  ip6 saddr {} meta mark set 0x4351\n }}\n}}\n",
            v4?, v6?
        ),
    )?;
    split(lab, &mut host)?;
    no_way_around(lab)
}

/// The gate on the mail host's own interface, since a mark does not leave a host.
fn start(bench: &Bench<'_>) -> Result<Daemon> {
    let config = Config {
        interfaces: vec![("eth0", Role::Uplink)],
        pools: Vec::new(),
        ..bench.config()?
    };
    let text = config.to_string();
    // What the recipe says of its class and of the mask, and whose tags the policy server reads.
    let (class, tags) = GATE.split_once("[tags]").context("no [tags]")?;
    let mark = class
        .lines()
        .find(|line| line.starts_with("mark"))
        .context("no mark")?;
    let foreign = "name = \"foreign\"\n";
    ensure!(text.contains(foreign), "{text}");
    let text = text.replace(foreign, &format!("{foreign}{mark}\n"));
    let text = format!("{text}\n[tags]\n{}\ngroup = \"{GROUP}\"\n", tags.trim());
    let path = bench.lab.scratch().join("gate.toml");
    fs::write(&path, text)?;
    let netns = bench.lab.netns(Who::OwnMail)?;
    bench.gate().within(netns).run(&path)
}

fn gate(bench: &mut Bench<'_>) -> Result<()> {
    let mut host = host(&mut bench.lab)?;
    let daemon = start(bench)?;
    let lab = &bench.lab;
    split(lab, &mut host)?;
    no_way_around(lab)?;
    daemon.kill()?;
    split(lab, &mut host)?;
    no_way_around(lab)?;
    // Postfix sees the strict lane's port, the gate saw 587.
    let _policy = Policy::start(lab, &[GROUP], &["--port", "10587=587"])?;
    let client = lab.address(Who::Foreign, Family::V4)?;
    let server = lab.address(Who::OwnMail, Family::V4)?;
    let before = host.postfix.log().len();
    mail::submit(lab.netns(Who::Foreign)?, client, (server, 587), &[])?;
    let log = host.postfix.log();
    let log = log.get(before..).context("the log became shorter")?;
    let port: String = log
        .split_once(&format!("[{client}]:"))
        .context("no client in the log")?
        .1
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let end = SocketAddr::new(client, port.parse()?);
    let answer = Policy::ask(
        lab,
        &[
            ("client_address", &end.ip().to_string()),
            ("client_port", &port),
            ("server_address", &server.to_string()),
            ("server_port", "10587"),
        ],
    )?;
    ensure!(
        answer.contains("X-Gate-Class: foreign") && answer.contains("by=flow"),
        "{answer}"
    );
    Ok(())
}
