//! Behind devices that do a part of the work: that take VLAN tags off, and that hand the sum of a packet on with it.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use gate_common::abi::NoMetadata;
use gate_tests::{
    exec,
    gate::{Config, Mode},
    interrupt,
    lab::{Family, NetNs, Role, Who, Wire},
    nft,
    packets::{self, DOT1Q, Ethernet, V4, V6, flag},
    pin,
};
use gate_user::{kernel::Maps, pins::Pins, sys::Access};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Socket, Type};

use super::{grown, lost::loses, marking};
use crate::bench::{Bench, Found};

/// How long a packet may take from one namespace to the next.
const ARRIVES: Duration = Duration::from_secs(10);

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("mark::behind_tags_that_are_taken_off", tags_off),
        found.lab_trial("dscp::in_packets_that_come_with_their_sum", summed),
    ]
}

/// What comes from abroad, behind all programs of traffic control: tagged, and of that what has the mark of those abroad.
const TAGGED: &str = "table netdev tagged {
 counter tagged { }
 counter tagged_marked { }
 chain in {
  type filter hook ingress device \"up-abroad\" priority 0;
  vlan id 100 counter name tagged
  vlan id 100 meta mark & 0xff == 0x20 counter name tagged_marked
 }
}
";

/// Who takes the tag off: the kernel, after the XDP program has seen it, or the device, before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Off {
    Kernel,
    Device,
}

/// A SYN from abroad to the mail host, as it leaves.
fn syn(bench: &Bench<'_>, family: Family, off: Off) -> Result<Vec<u8>> {
    let segment = packets::tcp(40_000, 587, flag::SYN);
    let (client, server) = (
        bench.lab.address(Who::Foreign, family)?,
        bench.lab.address(Who::OwnMail, family)?,
    );
    let packet = match (client, server) {
        (IpAddr::V4(client), IpAddr::V4(server)) => V4::new(client, server).tcp(&segment),
        (IpAddr::V6(client), IpAddr::V6(server)) => V6::new(client, server).tcp(&segment),
        (client, server) => bail!("{client} and {server} are of two families"),
    };
    let link = match off {
        Off::Kernel => Ethernet::new().tag(DOT1Q, 100),
        Off::Device => Ethernet::new(),
    };
    let [router, own] = bench.lab.link_addresses(Who::Foreign)?;
    let frame = link.carry(&packet);
    let (_, payload) = frame.split_at(12);
    Ok([&router[..], &own, payload].concat())
}

/// Sends one SYN of each family, in VLAN 100; both are marked, in one of these ways.
fn both_marked(bench: &Bench<'_>, wire: &Wire, off: Off, shown: &[&str]) -> Result<()> {
    let router = bench.lab.router();
    let tagged_packets = || {
        let counters = bench.gate().counters()?;
        let found = counters
            .interfaces
            .iter()
            .find(|it| it.name == "up-abroad" && it.stripped == (off == Off::Device));
        let found = found.with_context(|| format!("no counter, {off:?}"))?;
        let ways: u64 = shown.iter().map(|it| counters.shown(it)).sum();
        Ok::<_, anyhow::Error>((found.packets.tagged, ways))
    };
    let before = tagged_packets()?;
    let found = grown(router, ["tagged", "tagged_marked"], || {
        let sent = nft::packets(router)?.get("tagged").copied();
        for family in Family::ALL {
            wire.send(&syn(bench, family, off)?)?;
        }
        let wanted = sent.map(|it| it + 2);
        let arrived = || nft::packets(router).is_ok_and(|it| it.get("tagged").copied() >= wanted);
        interrupt::wait_until(ARRIVES, arrived)?;
        Ok(())
    })?;
    ensure!(found == [2, 2], "{off:?}, {shown:?}: {found:?}");
    let after = tagged_packets()?;
    ensure!(
        (after.0 - before.0, after.1 - before.1) == (2, 2),
        "{off:?}, {shown:?}: {before:?}, {after:?}"
    );
    Ok(())
}

fn tags_off(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), TAGGED)?;
    let wire = bench.lab.wire(Who::Foreign)?;
    // In generic mode a kernel may have to copy the frame, and then lose track of where it begins.
    let in_the_stack: &[&str] = &["marked", "marked_by_lookup"];
    for (mode, usual) in [
        (Mode::Native, &["marked"][..]),
        (Mode::Generic, in_the_stack),
    ] {
        for off in [Off::Kernel, Off::Device] {
            taken_off(bench, &wire, mode, off, usual)
                .with_context(|| format!("{mode} mode, by the {off:?}"))?;
        }
    }
    Ok(())
}

fn taken_off(bench: &Bench<'_>, wire: &Wire, mode: Mode, off: Off, usual: &[&str]) -> Result<()> {
    let mut config = marking(bench)?;
    config.mode = mode;
    config.uplink_keys = match off {
        Off::Kernel => "vlans = [100]\nstripped = \"pass\"",
        Off::Device => "vlans = [100]\nstripped = \"uplink\"",
    };
    let daemon = bench.run(&config)?;
    let pushes = || pin::attach_to_egress(&pin::tagging_program(100)?, if_nametoindex("eth0")?);
    let _pushed = match off {
        Off::Kernel => None,
        Off::Device => Some(bench.lab.netns(Who::Foreign)?.run(pushes)??),
    };
    both_marked(bench, wire, off, usual)?;
    // The same by look-up, where the metadata gets lost.
    let _loses = loses(bench)?;
    let maps = Maps::open(&Pins::new(bench.lab.pins())?, Access::Write)?;
    maps.set_no_metadata(NoMetadata::Lost)?;
    both_marked(bench, wire, off, &["marked_by_lookup"])?;
    daemon.terminate()?;
    bench.gate().detach().map(drop)
}

/// A tunnel over Ethernet from `netns`, whose end of it is called `vx`, to the router's, which is called `up-tunnel`.
fn tunnel(bench: &Bench<'_>, netns: &NetNs) -> Result<()> {
    let client = bench.lab.address(Who::Foreign, Family::V4)?;
    bench.lab.router().ip(&format!(
        "link add up-tunnel type vxlan id 7 dstport 4789 local 169.254.0.1 remote {client} dev up-abroad udpcsum\n\
         link set up-tunnel address 02:00:00:00:00:01 up\n\
         addr add {SERVER_V4}/32 dev up-tunnel\n\
         addr add {SERVER_V6}/128 dev up-tunnel nodad\n"
    ))?;
    netns.ip(&format!(
        "link add vx type vxlan id 7 dstport 4789 local {client} remote 169.254.0.1 dev eth0 udpcsum\n\
         link set vx up\n\
         route add {SERVER_V4}/32 dev vx src {client}\n\
         route add {SERVER_V6}/128 dev vx\n\
         neigh add {SERVER_V4} lladdr 02:00:00:00:00:01 dev vx\n\
         neigh add {SERVER_V6} lladdr 02:00:00:00:00:01 dev vx\n"
    ))?;
    // The sum is there only where somebody computes it before the packet leaves.
    let mut ethtool = Command::new("ethtool");
    ethtool.args(["-K", "eth0", "tx", "off"]);
    netns.contain(&mut ethtool);
    exec::tool(&mut ethtool, "").map(drop)
}

const SERVER_V4: &str = "192.0.2.77";
const SERVER_V6: &str = "2001:db8:77::77";

/// A bit of the mark that is none of the gate's.
const SUMMED: u32 = 0x4000_0000;
/// Packets to submission that come out of the tunnel: those that came with their sum, and by code point.
const COUNTED: &str = "table inet tunnel {
 counter came { }
 counter with_sum { }
 counter cs1 { }
 chain in {
  type filter hook input priority filter;
  iifname != \"up-tunnel\" return
  tcp dport != 587 return
  counter name came
  meta mark & 0x40000000 != 0 counter name with_sum
  ip dscp cs1 counter name cs1
  ip6 dscp cs1 counter name cs1
 }
}
";

/// The kernel trusts the sum that comes with a packet as long as it fits. Of IPv4 it still does, since the header's own checksum makes
/// up for every change; of IPv6 the gate changes what the sum is about, and the kernel has to sum up anew.
fn summed(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    let abroad = bench.lab.netns(Who::Foreign)?;
    tunnel(bench, abroad)?;
    nft::load(router, COUNTED)?;
    let mut config: Config = bench.showing(
        &[("foreign", "dscp = \"cs1\"")],
        "\n[tags]\ndscp_on = \"all\"",
    )?;
    config.mode = Mode::Generic;
    config.interfaces.push(("up-tunnel", Role::Uplink));
    config.servers = vec![format!("{SERVER_V4}/32"), format!("{SERVER_V6}/128")];
    let _daemon = bench.run(&config)?;
    let first = || pin::attach_first(&pin::summed_program(SUMMED)?, if_nametoindex("up-tunnel")?);
    let _first = router.run(first)??;
    let listener = router.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, 587)))??;
    for (family, server) in [(Family::V4, SERVER_V4), (Family::V6, SERVER_V6)] {
        let server = SocketAddr::new(server.parse()?, 587);
        let source = bench.lab.address(Who::Foreign, family)?;
        let [came, with_sum, cs1] = grown(router, ["came", "with_sum", "cs1"], || {
            exchange(abroad, source, server, &listener).with_context(|| format!("{family}"))
        })?;
        ensure!(
            came > 3 && with_sum == came && cs1 == came,
            "{family}: {came} packets, {with_sum} with their sum, {cs1} with the code point"
        );
    }
    Ok(())
}

/// What a client sends: more than one segment.
const OCTETS: usize = 100_000;

/// A connection over which all that the client sends arrives.
fn exchange(
    abroad: &NetNs,
    source: IpAddr,
    server: SocketAddr,
    listener: &TcpListener,
) -> Result<()> {
    let socket = abroad.run(|| -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        Ok(socket)
    })??;
    socket.connect_timeout(&server.into(), ARRIVES)?;
    socket.set_write_timeout(Some(ARRIVES))?;
    let (mut accepted, _) = listener.accept()?;
    accepted.set_read_timeout(Some(ARRIVES))?;
    let sent: Vec<u8> = (0..=250).cycle().take(OCTETS).collect();
    let received = thread::scope(|scope| -> Result<Vec<u8>> {
        let octets = &sent;
        let client = scope.spawn(move || -> io::Result<()> {
            let mut client = TcpStream::from(socket);
            client.write_all(octets)?;
            client.shutdown(Shutdown::Write)
        });
        let mut received = Vec::new();
        accepted.read_to_end(&mut received)?;
        client
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(received)
    })?;
    ensure!(received == sent, "{} octets arrived", received.len());
    Ok(())
}
