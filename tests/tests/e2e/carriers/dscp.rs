//! DSCP, as the mail host behind the router sees it.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use gate_tests::{
    gate::{Config, Mode},
    lab::{Family, Who},
    nft,
};
use libtest_mimic::Trial;

use super::{connect_with_service, grown};
use crate::bench::{Bench, Found};

const RULES: &str = include_str!("../../../../examples/dscp/mail-host.nft");
const COUNTERS: [&str; 5] = [
    "foreign",
    "high_spam",
    "none",
    "foreign_packets",
    "foreign_later",
];
/// The octet with CS1 (RFC 2474 section 4.2.2); Linux takes the bits of ECN of a TCP socket from nobody.
const FORGED: u8 = 8 << 2;

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("dscp::new_connections_have_that_of_their_class", opening),
        found.lab_trial("dscp::generic_mode", generic),
        found.lab_trial("dscp::on_every_packet", every),
        found.lab_trial("dscp::a_class_cannot_be_claimed_from_outside", bleach),
        found.lab_trial("dscp::reload_and_restart", reload),
    ]
}

fn config(bench: &Bench<'_>, tables: &'static str) -> Result<Config> {
    bench.showing(
        &[
            ("foreign", "dscp = \"cs1\""),
            ("high-spam", "dscp = \"le\""),
        ],
        tables,
    )
}

/// A connection in each family from abroad, from where most spam comes from, from home; a wrong checksum would let none open.
fn submits(bench: &Bench<'_>) -> Result<[u64; 5]> {
    grown(bench.lab.netns(Who::OwnMail)?, COUNTERS, || {
        for who in [Who::Foreign, Who::HighSpam, Who::Domestic] {
            bench.submits(who)?;
        }
        Ok(())
    })
}

fn on_opening(bench: &Bench<'_>) -> Result<()> {
    let [foreign, spam, none, carry, later] = submits(bench)?;
    ensure!(
        [foreign, spam, none, carry] == [2, 2, 2, 2] && later > 2,
        "{:?}",
        [foreign, spam, none, carry, later]
    );
    Ok(())
}

fn on_every(bench: &Bench<'_>) -> Result<()> {
    let [foreign, spam, none, carry, later] = submits(bench)?;
    ensure!(
        [foreign, spam, none] == [2, 2, 2] && carry == 2 + later && later > 2,
        "{:?}",
        [foreign, spam, none, carry, later]
    );
    Ok(())
}

fn opening(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.netns(Who::OwnMail)?, RULES)?;
    // The control: without a code point there is none.
    let daemon = bench.run(&bench.config()?)?;
    let found = submits(bench)?;
    ensure!(found == [0, 0, 6, 0, 0], "{COUNTERS:?}: {found:?}");
    daemon.terminate()?;
    let _daemon = bench.run(&config(bench, "")?)?;
    on_opening(bench)?;
    let shown = bench.gate().counters()?;
    ensure!(shown.shown("dscp") == 4, "{:?}", shown.shown);
    Ok(())
}

fn generic(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.netns(Who::OwnMail)?, RULES)?;
    let mut config = config(bench, "\n[tags]\ndscp_on = \"all\"")?;
    config.mode = Mode::Generic;
    let _daemon = bench.run(&config)?;
    on_every(bench)
}

fn every(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.netns(Who::OwnMail)?, RULES)?;
    let _daemon = bench.run(&config(bench, "\n[tags]\ndscp_on = \"all\"")?)?;
    on_every(bench)
}

/// How many packets arrive with the code point of a class from a customer at home who writes it, and how many of another port's.
fn forged(bench: &Bench<'_>) -> Result<[u64; 2]> {
    let netns = bench.lab.netns(Who::OwnMail)?;
    grown(netns, ["foreign_packets", "elsewhere"], || {
        for family in Family::ALL {
            for port in [587, 80] {
                let server = SocketAddr::new(bench.lab.address(Who::OwnMail, family)?, port);
                connect_with_service(bench, Who::Domestic, server, FORGED)?;
            }
        }
        Ok(())
    })
}

fn bleach(bench: &Bench<'_>) -> Result<()> {
    let mail = bench.lab.netns(Who::OwnMail)?;
    nft::load(mail, RULES)?;
    nft::load(
        mail,
        "table inet elsewhere { counter elsewhere { }\n chain in { type filter hook prerouting priority mangle; \
         tcp dport 80 ip dscp cs1 counter name elsewhere\n tcp dport 80 ip6 dscp cs1 counter name elsewhere\n }\n }",
    )?;
    // The control: what they write arrives.
    let daemon = bench.run(&config(bench, "")?)?;
    let [forged_before, elsewhere] = forged(bench)?;
    ensure!(
        forged_before > 4 && elsewhere > 4,
        "{forged_before}, {elsewhere}"
    );
    daemon.terminate()?;
    let _daemon = bench.run(&config(bench, "\n[tags]\nbleach = true")?)?;
    let [forged_after, elsewhere_after] = forged(bench)?;
    ensure!(
        forged_after == 0 && elsewhere_after > 4,
        "{forged_after}, {elsewhere_after}"
    );
    // Classes show all the same, and only on the packet that opens a connection.
    on_opening(bench)?;
    let shown = bench.gate().counters()?;
    ensure!(shown.shown("bleached") > 4, "{:?}", shown.shown);
    Ok(())
}

fn reload(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.netns(Who::OwnMail)?, RULES)?;
    let mut config = config(bench, "")?;
    let daemon = bench.run(&config)?;
    on_opening(bench)?;
    // Another program, in the same links.
    config.tables = "\n[tags]\ndscp_on = \"all\"";
    config.write(&bench.lab, "gate.toml")?;
    let before = bench.lab.attached()?;
    let (code, change) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {change:?}");
    ensure!(
        change
            .change
            .as_ref()
            .is_some_and(|it| it.attached.is_empty() && it.detached.is_empty()),
        "{change:?}"
    );
    ensure!(before != bench.lab.attached()?, "the same program");
    on_every(bench)?;
    daemon.kill()?;
    on_every(bench)?;
    let _daemon = bench.run(&config)?;
    on_every(bench)?;
    config.tables = "";
    config.write(&bench.lab, "gate.toml")?;
    let (code, change) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {change:?}");
    on_opening(bench)?;
    bench.in_force()
}
