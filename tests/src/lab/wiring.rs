//! Links, addresses, routes and switches of the lab.

use std::{collections::BTreeMap, os::fd::OwnedFd, process::Command};

use anyhow::{Context as _, Result};
use nix::net::if_::if_nametoindex;
use serde::Deserialize;

use super::{Addresses, NetNs};
use crate::{exec, pin};

/// The router's own address on every link. All hosts have the same gateway, as subscribers of one router do.
const GATEWAY_V4: &str = "169.254.0.1";
const GATEWAY_V6: &str = "fe80::1";
/// Those of a router behind the router, which is a host of that one: nobody can have his gateway's addresses himself.
const NEXT_GATEWAY_V4: &str = "169.254.0.2";
const NEXT_GATEWAY_V6: &str = "fe80::2";
/// The interface of every host.
pub(super) const UPLINK: &str = "eth0";

/// For every namespace, before it has links: addresses are usable at once, and come from nobody but us.
const QUIET: &[(&str, &str)] = &[
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
];

/// For the router.
const FORWARDING: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    // Its replies on behalf of hosts that are not there would only be noise.
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
];

/// Makes `router` forward.
pub(super) fn forward(router: &NetNs) -> Result<()> {
    switch(router, QUIET)?;
    switch(router, FORWARDING)
}

/// Connects `host` with `router`, whose end of the link is called `interface`.
pub(super) fn connect(
    router: &NetNs,
    interface: &str,
    host: &NetNs,
    addresses: Addresses,
) -> Result<()> {
    switch(host, QUIET)?;
    router.ip(&router_side(
        interface,
        host.name(),
        addresses,
        [GATEWAY_V4, GATEWAY_V6],
    ))?;
    host.ip(&host_side(addresses, [GATEWAY_V4, GATEWAY_V6]))
}

/// Connects `host` with `hop`, a host of `router` at `via` behind `interface`, which becomes a router itself.
pub(super) fn connect_behind(
    router: &NetNs,
    interface: &str,
    (hop, via): (&NetNs, Addresses),
    host: &NetNs,
    addresses: Addresses,
) -> Result<()> {
    const INTERFACE: &str = "behind";
    let gateway = [NEXT_GATEWAY_V4, NEXT_GATEWAY_V6];
    switch(hop, FORWARDING)?;
    switch(host, QUIET)?;
    hop.ip(&router_side(INTERFACE, host.name(), addresses, gateway))?;
    host.ip(&host_side(addresses, gateway))?;
    let Addresses { v4, v6 } = addresses;
    router.ip(&format!(
        "route add {v4}/32 via {} dev {interface} onlink\n\
         route add {v6}/128 via {} dev {interface} onlink\n",
        via.v4, via.v6
    ))
}

/// Makes `host` take what an XDP program of the router sends back to it by `XDP_TX`, for as long as what this returns lives. A
/// veth device queues such frames for its peer in any case, but wakes it only where that has an XDP program of its own:
/// GRO, which makes the queue, is not enough (`veth_xdp_flush` in drivers/net/veth.c).
pub(super) fn listen(host: &NetNs) -> Result<OwnedFd> {
    let program = pin::passing_program()?;
    host.run(|| pin::attach(&program, if_nametoindex(UPLINK)?))?
}

/// Sends everything that `host` has to say through `device`, to a router whose link address is `router`. The routes go when
/// the device does.
pub(super) fn divert(host: &NetNs, device: &str, router: &str) -> Result<()> {
    let own = link_address(host, UPLINK)?;
    host.ip(&format!(
        "link set {device} address {own}\n\
         link set {device} up\n\
         neigh add {GATEWAY_V4} lladdr {router} dev {device}\n\
         neigh add {GATEWAY_V6} lladdr {router} dev {device}\n\
         route add 0.0.0.0/1 via {GATEWAY_V4} dev {device} onlink\n\
         route add 128.0.0.0/1 via {GATEWAY_V4} dev {device} onlink\n\
         route add ::/1 via {GATEWAY_V6} dev {device}\n\
         route add 8000::/1 via {GATEWAY_V6} dev {device}\n"
    ))
}

/// The link address of an interface.
pub(super) fn link_address(netns: &NetNs, interface: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Link {
        address: String,
    }
    let mut ip = Command::new("ip");
    ip.args([
        "-n",
        netns.name(),
        "-json",
        "link",
        "show",
        "dev",
        interface,
    ]);
    let links: Vec<Link> = serde_json::from_str(&exec::tool(&mut ip, "")?)?;
    let link = links.into_iter().next();
    Ok(link
        .with_context(|| format!("{} has no {interface}", netns.name()))?
        .address)
}

/// Each interface with an XDP program, and the program's id, from `ip link`.
pub(super) fn attached(netns: &NetNs) -> Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Link {
        ifname: String,
        xdp: Option<Xdp>,
    }
    #[derive(Deserialize)]
    struct Xdp {
        prog: Option<Program>,
    }
    #[derive(Deserialize)]
    struct Program {
        id: u64,
    }
    let mut ip = Command::new("ip");
    ip.args(["-n", netns.name(), "-json", "link", "show"]);
    let links: Vec<Link> = serde_json::from_str(&exec::tool(&mut ip, "")?)?;
    Ok(links
        .into_iter()
        .filter_map(|link| Some((link.ifname, link.xdp?.prog?.id)))
        .collect())
}

fn router_side(
    interface: &str,
    host: &str,
    addresses: Addresses,
    [gateway_v4, gateway_v6]: [&str; 2],
) -> String {
    let Addresses { v4, v6 } = addresses;
    format!(
        "link add {interface} type veth peer name {UPLINK} netns {host}\n\
         link set {interface} up\n\
         addr add {gateway_v4}/32 dev {interface}\n\
         addr add {gateway_v6}/64 dev {interface} nodad\n\
         route add {v4}/32 dev {interface}\n\
         route add {v6}/128 dev {interface}\n"
    )
}

fn host_side(addresses: Addresses, [gateway_v4, gateway_v6]: [&str; 2]) -> String {
    let Addresses { v4, v6 } = addresses;
    format!(
        "link set {UPLINK} up\n\
         addr add {v4}/32 dev {UPLINK}\n\
         addr add {v6}/128 dev {UPLINK} nodad\n\
         route add {gateway_v4}/32 dev {UPLINK} src {v4}\n\
         route add default via {gateway_v4} dev {UPLINK} src {v4}\n\
         route add default via {gateway_v6} dev {UPLINK} src {v6}\n"
    )
}

fn switch(netns: &NetNs, settings: &[(&str, &str)]) -> Result<()> {
    settings
        .iter()
        .try_for_each(|(name, value)| netns.set(name, value))
}
