//! A bond of mode 802.3ad, and at the other ends of its wires another one: they find each other by LACP, whose frames the gate lets through.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use gate_tests::interrupt;
use libtest_mimic::Trial;

use crate::{
    bench::{BOND, Bench, FAR, FAR_BOND, Found, LIMIT, PORTS, ip, syns},
    trials::judged,
};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [
        (
            "control_everything_arrives_without_the_gate",
            control as fn(&Bench<'_>) -> Result<()>,
        ),
        ("the_gate_on_the_bond_judges_each_frame_once", on_bond),
        ("the_gate_on_each_port_judges_each_frame_once", on_ports),
    ]
    .map(|(name, body)| found.trial(format!("bond::802.3ad::{name}"), devices(), body))
    .into()
}

/// Lines of `ip` that make both bonds. Each has hardware addresses of its own, so that to LACP they are two systems.
pub(crate) fn devices() -> String {
    let bond = |name: &str, ports: [&str; 2]| {
        let ports = ports.map(|it| format!("link set {it} down\nlink set {it} master {name}\n"));
        let ports = ports.concat();
        format!(
            "link add {name} type bond mode 802.3ad miimon 50 lacp_rate fast\n{ports}link set {name} up\n"
        )
    };
    bond(BOND, PORTS) + &bond(FAR_BOND, FAR)
}

/// Waits until both ends of every wire give and take frames.
pub(crate) fn aggregated(when: &str) -> Result<()> {
    /// Collecting and distributing, of the states in IEEE 802.1AX, 6.4.2.3.
    const IN_USE: u8 = 0x30;
    let state = |port: &str, whose: &str| {
        let directory = Path::new("/sys/class/net").join(port).join("bonding_slave");
        let state = fs::read_to_string(directory.join(format!("ad_{whose}_oper_port_state")));
        state.ok().and_then(|it| it.trim().parse::<u8>().ok())
    };
    let in_use = |port: &&str| {
        ["actor", "partner"]
            .iter()
            .all(|whose| state(port, whose).is_some_and(|it| it & IN_USE == IN_USE))
    };
    let found = interrupt::wait_until(LIMIT, || PORTS.iter().all(in_use))?;
    ensure!(
        found,
        "{when}: the bonds do not find each other: {}",
        fs::read_to_string(Path::new("/proc/net/bonding").join(BOND))?
    );
    Ok(())
}

fn control(bench: &Bench<'_>) -> Result<()> {
    aggregated("without the gate")?;
    let syns = syns(0);
    for far in FAR {
        let through = bench.through(far, BOND, &syns)?;
        ensure!(
            through == syns.len(),
            "{far}: {through} of {} came through",
            syns.len()
        );
    }
    Ok(())
}

/// With both wires, with one, and when the other is back, which takes LACP's frames through the gate.
fn judged_while_a_port_is_away(bench: &Bench<'_>) -> Result<()> {
    let [one, two] = FAR;
    aggregated("before")?;
    judged(bench, "before", &FAR)?;
    ip(&format!("link set {one} down\n"))?;
    judged(bench, "after a port failed", &[two])?;
    ip(&format!("link set {one} up\n"))?;
    aggregated("after the port came back")?;
    judged(bench, "after the port came back", &[one])
}

fn on_bond(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&[BOND], "auto")?;
    judged_while_a_port_is_away(bench)?;
    let doctor = bench.doctor("placement", BOND)?;
    ensure!(doctor == ["warning"], "doctor says {doctor:?}");
    // From there to its ports there is no way but by `gate detach`, and that is said.
    daemon.terminate()?;
    let output = bench.fails(&PORTS, "native")?;
    ensure!(
        output.code() == Some(1)
            && output.stderr.contains(&format!("{}: {BOND}, ", PORTS[0]))
            && output.stderr.contains("gate detach"),
        "{output:?}"
    );
    let doctor = bench.doctor("placement", PORTS[0])?;
    ensure!(doctor == ["degraded"], "doctor says {doctor:?}");
    judged(bench, "after a start that failed", &FAR)
}

fn on_ports(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&PORTS, "native")?;
    judged_while_a_port_is_away(bench)?;
    for port in PORTS {
        let doctor = bench.doctor("placement", port)?;
        ensure!(doctor == ["ok"], "doctor says {doctor:?} of {port}");
    }
    Ok(())
}
