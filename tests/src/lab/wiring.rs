//! Links, addresses, routes and switches of the lab.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Addresses, NetNs};
use crate::exec;

/// The router's own address on every link. All hosts have the same gateway, as subscribers of one router do.
const GATEWAY_V4: &str = "169.254.0.1";
const GATEWAY_V6: &str = "fe80::1";
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
    router.ip(&router_side(interface, host.name(), addresses))?;
    host.ip(&host_side(addresses))?;
    // An XDP program that answers through XDP_TX reaches a veth peer only when that has GRO on.
    let mut ethtool = Command::new("ethtool");
    ethtool.args(["-K", UPLINK, "gro", "on"]);
    host.contain(&mut ethtool);
    exec::tool(&mut ethtool, "").map(drop)
}

/// Each interface with an XDP program, and the program's id, from `ip link`.
pub(super) fn attached(router: &NetNs) -> Result<BTreeMap<String, u64>> {
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
    ip.args(["-n", router.name(), "-json", "link", "show"]);
    let links: Vec<Link> = serde_json::from_str(&exec::tool(&mut ip, "")?)?;
    Ok(links
        .into_iter()
        .filter_map(|link| Some((link.ifname, link.xdp?.prog?.id)))
        .collect())
}

fn router_side(interface: &str, host: &str, addresses: Addresses) -> String {
    let Addresses { v4, v6 } = addresses;
    format!(
        "link add {interface} type veth peer name {UPLINK} netns {host}\n\
         link set {interface} up\n\
         addr add {GATEWAY_V4}/32 dev {interface}\n\
         addr add {GATEWAY_V6}/64 dev {interface} nodad\n\
         route add {v4}/32 dev {interface}\n\
         route add {v6}/128 dev {interface}\n"
    )
}

fn host_side(addresses: Addresses) -> String {
    let Addresses { v4, v6 } = addresses;
    format!(
        "link set {UPLINK} up\n\
         addr add {v4}/32 dev {UPLINK}\n\
         addr add {v6}/128 dev {UPLINK} nodad\n\
         route add {GATEWAY_V4}/32 dev {UPLINK} src {v4}\n\
         route add default via {GATEWAY_V4} dev {UPLINK} src {v4}\n\
         route add default via {GATEWAY_V6} dev {UPLINK} src {v6}\n"
    )
}

/// Writes below `/proc/sys`, which shows each thread the settings of its own network namespace.
fn switch(netns: &NetNs, settings: &[(&str, &str)]) -> Result<()> {
    netns.run(|| {
        settings.iter().try_for_each(|(name, value)| {
            fs::write(format!("/proc/sys/{name}"), value)
                .with_context(|| format!("cannot set {name} in {}", netns.name()))
        })
    })?
}
