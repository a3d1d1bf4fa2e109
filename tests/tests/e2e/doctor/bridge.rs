//! Bridges: on which device the program sees a frame once, twice, or never.

use anyhow::{Result, ensure};
use gate_tests::{
    gate::Config,
    lab::{Addresses, Family, NetNs, Who},
};
use libtest_mimic::Trial;

use super::{Doctor, text};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("doctor::a_bridge_s_ports_judge_each_frame_once", |bench| {
            judged(bench, &[PORT], 1)
        }),
        found.lab_trial(
            "doctor::a_bridge_judges_what_it_hands_to_the_router",
            |bench| judged(bench, &[BRIDGE], 1),
        ),
        found.lab_trial("doctor::a_bridge_and_its_port_judge_twice", twice),
    ]
}

const BRIDGE: &str = "acc-br";
const PORT: &str = "acc-port";

/// A subscriber behind a port of a bridge of the router.
fn bridge(bench: &Bench<'_>) -> Result<NetNs> {
    let addresses = Addresses {
        v4: "100.64.0.77".parse()?,
        v6: "2001:db8:100:77::2".parse()?,
    };
    let host = bench.lab.add_host("bridged", PORT, addresses)?;
    let Addresses { v4, v6 } = addresses;
    // What the router has on the port moves to the bridge.
    bench.lab.router().ip(&format!(
        "link add {BRIDGE} type bridge\naddr flush dev {PORT}\nlink set {PORT} master {BRIDGE}\nlink set {BRIDGE} up\n\
         addr add 169.254.0.1/32 dev {BRIDGE}\naddr add fe80::1/64 dev {BRIDGE} nodad\n\
         route replace {v4}/32 dev {BRIDGE}\nroute replace {v6}/128 dev {BRIDGE}\n"
    ))?;
    Ok(host)
}

fn config(bench: &Bench<'_>, named: &[&'static str]) -> Result<Config> {
    let mut config = bench.config()?;
    config.mode = gate_tests::gate::Mode::Auto;
    // Observed frames pass on, and whoever sees them counts them.
    config.action = "observe";
    let access = gate_tests::lab::Role::Access;
    config.interfaces = named.iter().map(|name| (*name, access)).collect();
    Ok(config)
}

/// How often a connection to port 25 is judged.
fn observed(bench: &Bench<'_>, host: &NetNs) -> Result<u64> {
    let before = bench.gate().counters()?.verdicts.observed;
    let server = (bench.lab.address(Who::OtherMail, Family::V4)?, 25).into();
    let seen = bench
        .lab
        .connect_from(host, "100.64.0.77".parse()?, server)?;
    ensure!(seen.local().is_some(), "{seen}");
    Ok(bench.gate().counters()?.verdicts.observed - before)
}

fn judged(bench: &Bench<'_>, named: &[&'static str], times: u64) -> Result<()> {
    let host = bridge(bench)?;
    let config = config(bench, named)?;
    let daemon = bench.run(&config)?;
    let found = observed(bench, &host)?;
    ensure!(found == times, "judged {found} times on {named:?}");
    let doctor = Doctor::ask(bench, &[])?;
    let outcome = if named == [BRIDGE] { "warning" } else { "ok" };
    ensure!(
        doctor.outcome("placement", named.first().copied().unwrap_or_default())? == outcome,
        "{doctor:?}"
    );
    // Refused where it is to be.
    let mut enforced = config;
    enforced.action = "enforce";
    enforced.write(&bench.lab, "gate.toml")?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{reload:?}");
    let server = (bench.lab.address(Who::OtherMail, Family::V4)?, 25).into();
    let seen = bench
        .lab
        .connect_from(&host, "100.64.0.77".parse()?, server)?;
    ensure!(seen.local().is_none(), "{seen}");
    drop(daemon);
    Ok(())
}

/// The kernel takes the program of the bridge after that of the port, and every frame for the router meets both.
fn twice(bench: &Bench<'_>) -> Result<()> {
    let host = bridge(bench)?;
    let config = config(bench, &[PORT, BRIDGE])?;
    let path = config.write(&bench.lab, "gate.toml")?;
    let before = Doctor::ask(bench, &["--config", text(&path)?])?;
    ensure!(before.degraded() == [("placement", PORT)], "{before:?}");
    let daemon = bench.run(&config)?;
    let found = observed(bench, &host)?;
    ensure!(found == 2, "judged {found} times");
    drop(daemon);
    // The other way round the kernel refuses it.
    bench.gate().detach()?;
    let config = self::config(bench, &[BRIDGE, PORT])?;
    let path = config.write(&bench.lab, "gate.toml")?;
    let refused = bench.gate().output(&["run", "--config", text(&path)?])?;
    ensure!(refused.code() == Some(1), "{refused:?}");
    bench.lab.attached().and_then(|attached| {
        ensure!(attached.is_empty(), "{attached:?}");
        Ok(())
    })
}
