//! DSCP beyond the next router: what a hop that knows nothing of the gate counts as it forwards.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use gate_tests::{
    gate::Config,
    lab::{Addresses, Family, NetNs, Seen, Server, Who},
    nft,
};
use libtest_mimic::Trial;

use super::grown;
use crate::bench::{Bench, Found};

/// Packets to submission, by code point, as they are forwarded: those that open a connection, and later ones.
const RULES: &str = "table inet hop {
 counter opens_cs1_v4 { }
 counter opens_cs1_v6 { }
 counter opens_le_v4 { }
 counter opens_le_v6 { }
 counter opens_other { }
 counter later_cs1_v4 { }
 counter later_cs1_v6 { }
 counter later_other { }
 chain forward {
  type filter hook forward priority filter;
  tcp dport != 587 return
  tcp flags & (syn | ack) == syn jump opens
  tcp flags & (syn | ack) != syn jump later
 }
 chain opens {
  ip dscp cs1 counter name opens_cs1_v4 return
  ip6 dscp cs1 counter name opens_cs1_v6 return
  ip dscp 1 counter name opens_le_v4 return
  ip6 dscp 1 counter name opens_le_v6 return
  counter name opens_other
 }
 chain later {
  ip dscp cs1 counter name later_cs1_v4 return
  ip6 dscp cs1 counter name later_cs1_v6 return
  counter name later_other
 }
}
";
const COUNTERS: [&str; 8] = [
    "opens_cs1_v4",
    "opens_cs1_v6",
    "opens_le_v4",
    "opens_le_v6",
    "opens_other",
    "later_cs1_v4",
    "later_cs1_v6",
    "later_other",
];

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial("dscp::a_second_hop_sees_it", second_hop)]
}

/// A connection in each family from abroad, from where most spam comes from, from home.
fn counted(bench: &Bench<'_>, hop: &NetNs, server: Addresses) -> Result<[u64; 8]> {
    grown(hop, COUNTERS, || {
        for who in [Who::Foreign, Who::HighSpam, Who::Domestic] {
            for family in Family::ALL {
                let source = bench.lab.address(who, family)?;
                let server = SocketAddr::new(server.of(family), 587);
                let client = bench.lab.netns(who)?;
                let seen = bench.lab.connect_from(client, source, server)?;
                ensure!(matches!(seen, Seen::Open(_)), "{who}, {family}: {seen}");
            }
        }
        Ok(())
    })
}

fn config(bench: &Bench<'_>, server: Addresses, tables: &'static str) -> Result<Config> {
    let mut config = bench.showing(
        &[
            ("foreign", "dscp = \"cs1\""),
            ("high-spam", "dscp = \"le\""),
        ],
        tables,
    )?;
    config.servers = vec![
        format!("{}/32", IpAddr::from(server.v4)),
        format!("{}/128", IpAddr::from(server.v6)),
    ];
    Ok(config)
}

fn second_hop(bench: &Bench<'_>) -> Result<()> {
    let at = Addresses {
        v4: "192.0.2.33".parse()?,
        v6: "2001:db8:33::33".parse()?,
    };
    let behind = Addresses {
        v4: "192.0.2.34".parse()?,
        v6: "2001:db8:34::34".parse()?,
    };
    let [hop, host] = bench.lab.add_hop("srv-hop", at, behind)?;
    let _server = Server::new(&host)?;
    nft::load(&hop, RULES)?;
    // The control: without a code point there is none.
    let daemon = bench.run(&config(bench, at, "")?)?;
    let [c4, c6, l4, l6, other, later4, later6, later] = counted(bench, &hop, behind)?;
    ensure!(
        [c4, c6, l4, l6, other, later4, later6] == [0, 0, 0, 0, 6, 0, 0] && later > 6,
        "not about these servers: {later}"
    );
    daemon.terminate()?;
    let daemon = bench.run(&config(bench, behind, "")?)?;
    let found = counted(bench, &hop, behind)?;
    let [c4, c6, l4, l6, other, later4, later6, later] = found;
    ensure!(
        [c4, c6, l4, l6, other, later4, later6] == [1, 1, 1, 1, 2, 0, 0] && later > 6,
        "{COUNTERS:?}: {found:?}"
    );
    daemon.terminate()?;
    let _daemon = bench.run(&config(bench, behind, "\n[tags]\ndscp_on = \"all\"")?)?;
    let found = counted(bench, &hop, behind)?;
    let [c4, c6, l4, l6, other, later4, later6, later] = found;
    ensure!(
        [c4, c6, l4, l6, other] == [1, 1, 1, 1, 2] && later4 > 1 && later6 > 1 && later > 4,
        "{COUNTERS:?}: {found:?}"
    );
    Ok(())
}
