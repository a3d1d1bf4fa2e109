//! What is tried on a stack of devices: the devices without the gate first.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;

use crate::{
    bench::{BOND, Bench, FAR, Found, PORTS, ip, syns},
    frame::Syn,
    lacp, upgrade,
};

/// Modes in which the kernel takes a program in native mode for a bond, as far as they need no other end that takes part. The one that does is in [`lacp`]: it chooses a
/// port as `balance-xor` does.
const MODES: [&str; 2] = ["active-backup", "balance-rr"];

pub(crate) fn all(found: &Found) -> Vec<Trial> {
    let mut trials = lacp::trials(found);
    trials.extend(upgrade::trials(found));
    for mode in MODES {
        for (name, body) in [
            (
                "control_everything_arrives_without_the_gate",
                bond_control as fn(&Bench<'_>) -> Result<()>,
            ),
            ("the_gate_on_the_bond_judges_each_frame_once", on_bond),
            ("the_gate_on_each_port_judges_each_frame_once", on_ports),
        ] {
            trials.push(found.trial(format!("bond::{mode}::{name}"), bond(mode), body));
        }
    }
    // Before the kernel is asked, and so in any mode.
    for (name, body) in [
        (
            "the_gate_is_not_on_the_bond_in_native_mode",
            not_native as fn(&Bench<'_>) -> Result<()>,
        ),
        ("the_bond_and_a_port_are_not_named_at_once", on_both),
    ] {
        trials.push(found.trial(format!("bond::{name}"), bond("active-backup"), body));
    }
    trials.push(found.trial(
        "bond::a_port_that_comes_later_is_judged",
        bond("active-backup"),
        later,
    ));
    for (name, body) in [
        (
            "the_parent_judges_behind_its_tags",
            on_parent as fn(&Bench<'_>) -> Result<()>,
        ),
        ("the_device_judges_its_own", on_vlan),
        ("both_judge_what_the_first_lets_through", on_parent_and_vlan),
    ] {
        trials.push(found.trial(format!("vlan::{name}"), vlan(), body));
    }
    trials
}

/// Lines of `ip` that make a bond of both ports.
pub(crate) fn bond(mode: &str) -> String {
    let [one, two] = PORTS;
    format!(
        "link add {BOND} type bond mode {mode} miimon 50\n\
         link set {one} master {BOND}\nlink set {two} master {BOND}\n\
         link set {BOND} up\nlink set {one} up\nlink set {two} up\n"
    )
}

const VLAN: &str = "gs-one.200";

fn vlan() -> String {
    let [one, _] = PORTS;
    format!("link add {VLAN} link {one} type vlan id 200\nlink set {one} up\nlink set {VLAN} up\n")
}

fn bond_control(bench: &Bench<'_>) -> Result<()> {
    let syns = syns(0);
    let through = bench.through(FAR[0], BOND, &syns)?;
    ensure!(
        through == syns.len(),
        "{through} of {} came through",
        syns.len()
    );
    Ok(())
}

/// Connections into each wire by which any arrive: none comes through, and each is refused once.
pub(crate) fn judged(bench: &Bench<'_>, when: &str, wires: &[&str]) -> Result<()> {
    let syns = syns(0);
    for far in wires {
        // A bond takes a while to see that a port failed: until something comes in by the other one.
        let open = syns.first().map(|it| Syn { port: 587, ..*it });
        bench.through(far, BOND, open.as_slice())?;
        let before = bench.refused()?;
        let through = bench.through(far, BOND, &syns)?;
        let refused = bench.refused()? - before;
        ensure!(
            through == 0 && refused == syns.len() as u64,
            "{when}, {far}: of {} connections {refused} were refused, and {through} came through",
            syns.len()
        );
    }
    Ok(())
}

/// First with both ports, then when the first one fails.
fn judged_through_a_failure(bench: &Bench<'_>) -> Result<()> {
    judged(bench, "before", &FAR[..1])?;
    ip(&format!("link set {} down\n", FAR[0]))?;
    judged(bench, "after a port failed", &FAR[1..])
}

fn on_bond(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&[BOND], "auto")?;
    judged_through_a_failure(bench)?;
    let (_, status) = bench.gate().status()?;
    let modes: Vec<_> = status.interfaces.iter().map(|it| it.mode.clone()).collect();
    ensure!(modes == [Some("generic".to_owned())], "{status:?}");
    let doctor = bench.doctor("placement", BOND)?;
    ensure!(doctor == ["warning"], "doctor says {doctor:?}");
    Ok(())
}

/// The kernel would take the program, and it would judge nothing: its frames are those of the ports.
fn not_native(bench: &Bench<'_>) -> Result<()> {
    let output = bench.fails(&[BOND], "native")?;
    ensure!(
        output.code() == Some(1)
            && output.stderr.contains("is a bond")
            && output.stderr.contains("hint:"),
        "{output:?}"
    );
    let doctor = bench.doctor("placement", BOND)?;
    ensure!(doctor == ["degraded"], "doctor says {doctor:?}");
    Ok(())
}

fn on_ports(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&PORTS, "native")?;
    judged_through_a_failure(bench)?;
    for port in PORTS {
        let doctor = bench.doctor("placement", port)?;
        ensure!(doctor == ["ok"], "doctor says {doctor:?} of {port}");
    }
    Ok(())
}

/// What the kernel refuses, `gate run` refuses; where it does not, doctor says what comes of it.
fn on_both(bench: &Bench<'_>) -> Result<()> {
    let named = [BOND, PORTS[0]];
    let output = bench.fails(&named, "native")?;
    ensure!(
        output.code() != Some(0) && output.stderr.contains("hint:"),
        "{output:?}"
    );
    let doctor = bench.doctor("placement", PORTS[0])?;
    ensure!(doctor == ["degraded"], "doctor says {doctor:?}");
    let through = bench.through(FAR[0], BOND, &syns(0))?;
    ensure!(through == syns(0).len(), "half a gate is in force");
    Ok(())
}

fn later(bench: &Bench<'_>) -> Result<()> {
    let two = PORTS[1];
    ip(&format!("link set {two} nomaster\n"))?;
    let _daemon = bench.run(&[BOND], "auto")?;
    ip(&format!(
        "link set {two} down\nlink set {two} master {BOND}\nlink set {two} up\n"
    ))?;
    ip(&format!("link set {} down\n", FAR[0]))?;
    judged(bench, "by the port that came later", &FAR[1..])
}

fn on_parent(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&PORTS[..1], "native")?;
    let syns = syns(1);
    let through = bench.through(FAR[0], VLAN, &syns)?;
    let refused = bench.refused()?;
    ensure!(
        through == 0 && refused == syns.len() as u64,
        "{through} came through, {refused} were refused"
    );
    Ok(())
}

fn on_vlan(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&[VLAN], "auto")?;
    let syns = syns(1);
    let through = bench.through(FAR[0], VLAN, &syns)?;
    let refused = bench.refused()?;
    ensure!(
        through == 0 && refused == syns.len() as u64,
        "{through} came through, {refused} were refused"
    );
    let doctor = bench.doctor("placement", VLAN)?;
    ensure!(doctor == ["note"], "doctor says {doctor:?}");
    Ok(())
}

/// A frame that passes is counted twice where both have the program.
fn on_parent_and_vlan(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&[PORTS[0], VLAN], "auto")?;
    let syns = syns(1);
    let through = bench.through(FAR[0], VLAN, &syns)?;
    let refused = bench.refused()?;
    ensure!(
        through == 0 && refused == syns.len() as u64,
        "{through} came through, {refused} were refused"
    );
    let doctor = bench.doctor("placement", VLAN)?;
    ensure!(
        doctor.contains(&"degraded".to_owned()),
        "doctor says {doctor:?}"
    );
    Ok(())
}
