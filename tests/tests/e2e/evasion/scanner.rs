//! nmap, which has had its own ways past packet filters for decades.

use std::process::Command;

use anyhow::{Result, ensure};
use gate_tests::{
    exec,
    gate::Answer,
    lab::{Family, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let missing = Command::new("nmap").arg("--version").output().is_err();
    let trial = found.lab_trial("evasion::nmap_finds_port_25_closed", scans);
    if missing {
        vec![trial.with_ignored_flag(true)]
    } else {
        vec![trial]
    }
}

/// Kinds of scan, and whether they find submission open through the gate: octets 8 to 15 of a segment are never a fragment's that
/// honest hosts send.
#[rustfmt::skip]
const SCANS: &[(&[&str], bool)] = &[
    (&["-sS"], true),
    (&["-sS", "-f"], false),
    (&["-sS", "-f", "-f"], true),
    (&["-sS", "--mtu", "24"], true),
    (&["-sS", "--ip-options", "R"], true),
    (&["-sS", "--data-length", "100", "-g", "53"], true),
    (&["-sS", "--scanflags", "SYNURGPSHECECWR"], true),
];

fn scans(bench: &Bench<'_>) -> Result<()> {
    super::stage::warm_up(bench)?;
    for (scan, _) in SCANS {
        let (mail, submission) = open(bench, scan)?;
        ensure!(
            mail && submission,
            "{scan:?} without the gate: port 25 {mail}, 587 {submission}"
        );
    }
    let mut config = bench.config()?;
    config.answer = Answer::Reset;
    let _daemon = bench.run(&config)?;
    for (scan, left) in SCANS {
        let (mail, submission) = open(bench, scan)?;
        ensure!(!mail, "{scan:?} finds port 25 open");
        ensure!(submission == *left, "{scan:?}: 587 open is {submission}");
    }
    Ok(())
}

/// Whether a scan finds ports 25 and 587 of the other ISP's mail host open.
fn open(bench: &Bench<'_>, scan: &[&str]) -> Result<(bool, bool)> {
    let target = bench.lab.address(Who::OtherMail, Family::V4)?.to_string();
    let mut nmap = Command::new("nmap");
    nmap.args(["-n", "-Pn", "-T5", "--max-retries", "1"])
        .args(["--max-rtt-timeout", "200ms", "-p", "25,587", "-oG", "-"])
        .args(scan)
        .arg(target);
    bench.lab.netns(Who::Subscriber)?.contain(&mut nmap);
    let found = exec::tool(&mut nmap, "")?;
    ensure!(found.contains("Ports: "), "{scan:?}: {found}");
    Ok((found.contains("25/open/"), found.contains("587/open/")))
}
