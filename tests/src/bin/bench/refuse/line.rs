//! A subscribers' line: a sender, a router behind it, and what arrives.

use std::{
    os::fd::{AsFd as _, OwnedFd},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec, interrupt,
    lab::{LabName, NetNs},
    pin, test_run,
};
use nix::net::if_::if_nametoindex;

use super::policy::{ACCESS, SINK};
use crate::cpu;

/// The sender's interface.
const UPLINK: &str = "uplink";
/// Where frames for the router go.
pub(crate) const ROUTER: [u8; 6] = [0x02, 0, 0x5e, 0, 0, 1];
/// How long the last frames may take to arrive.
const PATIENCE: Duration = Duration::from_secs(2);

/// The programs that send: one with sources by chance, one with the frame as it is.
pub(crate) struct Senders {
    pub(crate) random: OwnedFd,
    pub(crate) plain: OwnedFd,
    pub(crate) cpu: usize,
    softirq: u32,
}

impl Senders {
    pub(crate) fn new(random: OwnedFd) -> Result<Self> {
        let cpu = cpu::choose()?;
        Ok(Self {
            random,
            plain: pin::returning_program()?,
            cpu,
            softirq: cpu::softirq_thread(cpu)?,
        })
    }
}

/// The two ends.
pub(crate) struct Line {
    pub(crate) sender: NetNs,
    pub(crate) router: NetNs,
}

impl Line {
    /// Builds it, with the sink in the router if nftables are there.
    pub(crate) fn new(sink: bool) -> Result<Self> {
        let name = LabName::fresh();
        let line = Self {
            sender: NetNs::new(format!("{name}-sender"))?,
            router: NetNs::new(format!("{name}-router"))?,
        };
        for netns in [&line.sender, &line.router] {
            // Nothing arrives but what is sent here.
            netns.set("net/ipv6/conf/default/disable_ipv6", "1")?;
        }
        let mac = ROUTER.map(|it| format!("{it:02x}")).join(":");
        line.router.ip(&format!(
            "link add {ACCESS} address {mac} numtxqueues 1 numrxqueues 1 type veth peer name {UPLINK} numtxqueues 1 numrxqueues 1 netns {}\n\
             link set {ACCESS} up\n",
            line.sender.name()
        ))?;
        line.sender.ip(&format!("link set {UPLINK} up\n"))?;
        // It makes the queue that frames are taken from, with and without an XDP program.
        for (netns, interface) in [(&line.router, ACCESS), (&line.sender, UPLINK)] {
            Self::within(netns, "ethtool", &["-K", interface, "gro", "on"], "")?;
        }
        if sink {
            line.inside("nft", &["-f", "-"], SINK)?;
        }
        Ok(line)
    }

    /// Runs a command in the router.
    pub(crate) fn inside(&self, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        Self::within(&self.router, program, arguments, input)
    }

    fn within(netns: &NetNs, program: &str, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments);
        netns.contain(&mut command);
        exec::tool(&mut command, input)
    }

    /// Sends `frame` so many times and waits until all have arrived. Returns what both ends took of the processor's time, in nanoseconds
    /// for each.
    pub(crate) fn send(
        &self,
        senders: &Senders,
        program: &OwnedFd,
        frame: &[u8],
        copies: u32,
    ) -> Result<f64> {
        let before = self.arrived()?;
        let spent = cpu::spent(senders.softirq)?;
        let own = self.sender.run(|| {
            cpu::keep_to(senders.cpu)?;
            let interface = if_nametoindex(UPLINK)?;
            let start = test_run::processor_time()?;
            test_run::send_live(program.as_fd(), interface, frame, copies)?;
            anyhow::Ok(test_run::processor_time()?.saturating_sub(start))
        })??;
        let mut arrived = 0;
        interrupt::wait_until(PATIENCE, || {
            arrived = self.arrived().map_or(0, |it| it - before);
            arrived >= u64::from(copies)
        })?;
        let others = cpu::spent(senders.softirq)?.saturating_sub(spent);
        ensure!(
            arrived == u64::from(copies),
            "{copies} frames were sent, {arrived} arrived"
        );
        Ok((own.as_nanos() as f64 + others as f64) / f64::from(copies))
    }

    /// How many frames the router's driver has taken off the queue.
    fn arrived(&self) -> Result<u64> {
        let text = self.inside("ethtool", &["-S", ACCESS], "")?;
        statistic(&text, "xdp_packets")
            .with_context(|| format!("{ACCESS} does not say what arrived: {text}"))
    }

    /// How many frames an XDP program has dropped in the driver.
    pub(crate) fn dropped_in_driver(&self) -> Result<u64> {
        let text = self.inside("ethtool", &["-S", ACCESS], "")?;
        statistic(&text, "xdp_drops")
            .with_context(|| format!("{ACCESS} does not say what was dropped: {text}"))
    }

    /// How many packets came through the filter.
    pub(crate) fn sunk(&self) -> Result<u64> {
        let text = self.inside(
            "nft",
            &["-j", "list", "chain", "inet", "sink", "behind"],
            "",
        )?;
        counter(&text).with_context(|| format!("unexpected output of nft: {text}"))
    }
}

/// One of the driver's counts, over all queues that receive.
fn statistic(text: &str, name: &str) -> Option<u64> {
    let ending = format!("_{name}");
    let counts: Vec<u64> = text
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(key, _)| key.starts_with("rx_queue_") && key.ends_with(&ending))
        .map(|(_, count)| count.parse().ok())
        .collect::<Option<_>>()?;
    (!counts.is_empty()).then(|| counts.iter().sum())
}

/// The packets of the only counter in a chain.
fn counter(json: &str) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let rules = value.get("nftables")?.as_array()?.iter();
    let mut counters = rules
        .filter_map(|it| it.get("rule")?.get("expr")?.as_array())
        .flatten()
        .filter_map(|it| it.get("counter")?.get("packets")?.as_u64());
    counters.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_counts_are_of_all_queues() {
        let text = "NIC statistics:\n     peer_ifindex: 2\n     rx_queue_0_xdp_packets: 64\n     rx_queue_0_xdp_drops: 3\n     \
                    rx_queue_1_xdp_packets: 6\n     rx_queue_1_xdp_drops: 0\n     tx_queue_0_xdp_xmit: 9\n";
        assert_eq!(statistic(text, "xdp_packets"), Some(70));
        assert_eq!(statistic(text, "xdp_drops"), Some(3));
        assert_eq!(statistic("NIC statistics:\n", "xdp_drops"), None);
    }

    #[test]
    fn a_chain_has_one_counter() {
        let json = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"chain": {"name": "all"}},
            {"rule": {"chain": "all", "expr": [{"counter": {"packets": 7, "bytes": 400}}, {"drop": null}]}}]}"#;
        assert_eq!(counter(json), Some(7));
        assert_eq!(counter(r#"{"nftables": []}"#), None);
    }
}
