//! A packet whose port is far behind its beginning, and connections that are older than the rule.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_tests::{
    interrupt,
    lab::{Addresses, Family, NetNs, Who},
    packets::{Extension, V6, flag, protocol, tcp},
};
use libtest_mimic::Trial;
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket},
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::bench::{A_WHILE, Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("recovery::a_port_behind_2048_octets_is_refused", far_port),
        found.lab_trial("recovery::scope_all_ends_what_was_open", scope),
    ]
}

/// How often each packet is sent.
const COPIES: u64 = 3;

/// An opening segment to port 25 behind one header of destination options, as long as one can be.
struct Long {
    bytes: Vec<u8>,
    segment: Vec<u8>,
    to: Ipv6Addr,
}

impl Long {
    fn new(bench: &Bench<'_>) -> Result<Self> {
        let [from, to] = [Who::Subscriber, Who::OtherMail].map(|who| v6(bench, who));
        let (from, to) = (from?, to?);
        let segment = tcp(40_025, 25, flag::SYN);
        let packet = V6::new(from, to)
            .with(Extension::Uniform(protocol::DESTINATION, 255))
            .tcp(&segment);
        ensure!(
            packet.bytes.len() == 40 + 2048 + 20,
            "{} octets",
            packet.bytes.len()
        );
        Ok(Self {
            bytes: packet.bytes,
            segment,
            to,
        })
    }

    /// Sends it some times from the subscriber, and returns how many of them the other side saw.
    fn arrived(&self, bench: &Bench<'_>) -> Result<u64> {
        let watch = watch(bench.lab.netns(Who::OtherMail)?)?;
        let raw = bench.lab.netns(Who::Subscriber)?.run(|| {
            // The sender writes the whole packet, its IPv6 header too.
            Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(255)))
        })??;
        for _ in 0..COPIES {
            let to = SockAddr::from(SocketAddrV6::new(self.to, 0, 0, 0));
            let sent = raw.send_to(&self.bytes, &to)?;
            ensure!(sent == self.bytes.len(), "{sent} octets sent");
        }
        interrupt::sleep(A_WHILE)?;
        let mut frame = [0; 4096];
        let mut seen = 0;
        loop {
            match recv(watch.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(length) => {
                    let frame = frame.get(..length).unwrap_or(&frame);
                    seen += u64::from(
                        length == 14 + self.bytes.len() && frame.ends_with(&self.segment),
                    );
                }
                Err(Errno::EAGAIN) => return Ok(seen),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("cannot read a packet socket"),
            }
        }
    }
}

fn v6(bench: &Bench<'_>, who: Who) -> Result<Ipv6Addr> {
    match bench.lab.address(who, Family::V6)? {
        IpAddr::V6(address) => Ok(address),
        IpAddr::V4(address) => bail!("{address} is no IPv6 address"),
    }
}

fn watch(netns: &NetNs) -> Result<OwnedFd> {
    netns
        .run(|| {
            socket(
                AddressFamily::Packet,
                SockType::Raw,
                SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
        })?
        .with_context(|| format!("cannot watch {}", netns.name()))
}

fn far_port(bench: &Bench<'_>) -> Result<()> {
    let path = [Who::Subscriber, Who::OtherMail];
    for who in path {
        let interface = who.interface();
        bench
            .lab
            .router()
            .ip(&format!("link set {interface} mtu 3000\n"))?;
        bench.lab.netns(who)?.ip("link set eth0 mtu 3000\n")?;
    }
    let long = Long::new(bench)?;
    let arrived = long.arrived(bench)?;
    ensure!(
        arrived == COPIES,
        "without a gate {arrived} of {COPIES} arrive"
    );
    let daemon = bench.run(&bench.config()?)?;
    let (_, status) = bench.gate().status()?;
    let native = |who: Who| {
        status
            .interfaces
            .iter()
            .any(|it| it.name == who.interface() && it.mode.as_deref() == Some("native"))
    };
    ensure!(path.into_iter().all(native), "not native: {status:?}");
    let arrived = long.arrived(bench)?;
    ensure!(arrived == 0, "{arrived} of {COPIES} got through");
    let counters = bench.gate().counters()?;
    let refused = counters
        .reasons
        .iter()
        .find(|it| it.verdict == "refused" && it.reason == "restricted");
    ensure!(
        refused.is_some_and(|it| it.packets == COPIES),
        "{COPIES} refused, restricted: {counters:?}"
    );
    bench.in_force()?;
    daemon.terminate()?;
    bench.gate().detach()?;
    let arrived = long.arrived(bench)?;
    ensure!(
        arrived == COPIES,
        "of a detached gate {arrived} of {COPIES} get through"
    );
    Ok(())
}

/// A connection that stays open, unlike those to the servers of the lab.
struct Session {
    family: Family,
    client: TcpStream,
    server: TcpStream,
}

impl Session {
    fn new(bench: &Bench<'_>, host: &NetNs, address: IpAddr, family: Family) -> Result<Self> {
        let listener = host.run(|| TcpListener::bind((address, 25)))??;
        let client = bench.lab.netns(Who::Subscriber)?.run(|| {
            TcpStream::connect_timeout(&SocketAddr::new(address, 25), Duration::from_secs(3))
        })??;
        let (server, peer) = listener.accept()?;
        ensure!(
            peer.ip() == bench.lab.address(Who::Subscriber, family)?,
            "a connection of {peer}"
        );
        client.set_nodelay(true)?;
        Ok(Self {
            family,
            client,
            server,
        })
    }

    /// Whether an octet that the client sends arrives within `patience`.
    fn passes(&mut self, octet: u8, patience: Duration) -> Result<bool> {
        self.client.write_all(&[octet])?;
        self.arrives(octet, patience)
    }

    fn arrives(&mut self, octet: u8, patience: Duration) -> Result<bool> {
        let mut read = [0];
        self.server.set_read_timeout(Some(patience))?;
        match self.server.read(&mut read) {
            Ok(1) => {
                ensure!(read == [octet], "{read:?} instead of {octet}");
                Ok(true)
            }
            Ok(_) => bail!("{}: the connection has ended", self.family),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn scope(bench: &Bench<'_>) -> Result<()> {
    const SHORT: Duration = Duration::from_millis(1500);
    const LONG: Duration = Duration::from_secs(10);
    let addresses = Addresses {
        v4: "203.0.113.77".parse()?,
        v6: "2001:db8:7100::77".parse()?,
    };
    let host = bench.lab.add_host("patient", "srv-patient", addresses)?;
    let mut config = bench.config()?;
    config.action = "observe";
    bench.run(&config)?.terminate()?;
    let mut sessions = Vec::new();
    for family in Family::ALL.iter().copied() {
        sessions.push(Session::new(bench, &host, addresses.of(family), family)?);
    }
    let mut each = |what: &str, check: fn(&mut Session) -> Result<bool>| {
        for session in &mut sessions {
            ensure!(check(session)?, "{}: {what}", session.family);
        }
        Ok(())
    };
    each("passes nothing while observed", |it| it.passes(1, LONG))?;
    config.action = "enforce";
    bench.run(&config)?.terminate()?;
    bench.in_force()?;
    each("scope syn ended it", |it| it.passes(2, LONG))?;
    config.scope = "all";
    bench.run(&config)?.terminate()?;
    bench.in_force()?;
    each("goes on in scope all", |it| Ok(!it.passes(3, SHORT)?))?;
    config.action = "observe";
    bench.run(&config)?.terminate()?;
    // It was the gate that held it back, and nothing else: what the client sends again arrives.
    each("is dead, not held back", |it| it.arrives(3, LONG))
}
