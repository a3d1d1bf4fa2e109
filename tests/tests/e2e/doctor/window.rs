//! The boot window: rules of nftables from the network's start to the gate's, and what the doctor says of them.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{Config, Pool},
    lab::{Family, Who},
    nft,
};
use libtest_mimic::Trial;

use super::{Doctor, mend, text};
use crate::bench::{A_WHILE, Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("doctor::boot_rules_close_the_window", closed),
        found.lab_trial(
            "doctor::boot_rules_leave_it_open_where_nobody_is_refused",
            observed,
        ),
        found.lab_trial("doctor::boot_rules_agree_with_the_gate_at_edges", edges),
        found.lab_trial("doctor::boot_rules_that_are_missing_old_or_left", told),
    ]
}

/// The rules of a configuration, as the operator gets them.
fn rules(bench: &Bench<'_>, config: &Config) -> Result<String> {
    let path = config.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["boot-rules", "--config", text(&path)?])
}

fn unload(bench: &Bench<'_>) -> Result<()> {
    let mut nft = Command::new("nft");
    nft.args(["delete", "table", "inet", "gate_boot"]);
    bench.lab.router().contain(&mut nft);
    exec::tool(&mut nft, "").map(drop)
}

/// From the rules to the gate, not one connection gets through, and who is exempt never notices.
fn closed(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let [v4, v6] = Family::ALL.map(|family| bench.lab.address(Who::OwnMail, family));
    config.relays = vec![v4?.to_string(), v6?.to_string()];
    let rules = rules(bench, &config)?;
    // The control: without them the window is open.
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    nft::load(bench.lab.router(), &rules)?;
    // Loading them twice leaves them once.
    nft::load(bench.lab.router(), &rules)?;
    let is_closed = || {
        bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
        bench.refused(Who::Subscriber, Who::Neighbour, 25)?;
        bench.open(Who::Subscriber, Who::OtherMail, 587)?;
        bench.open(Who::Subscriber, Who::OwnMail, 25)?;
        bench.open(Who::Static, Who::OtherMail, 25)?;
        bench.open(Who::ThirdNetwork, Who::OtherMail, 25)
    };
    is_closed()?;
    let hammer = bench
        .lab
        .hammer(Who::Subscriber, Who::OtherMail, Family::V4, 25)?;
    let exempt = bench
        .lab
        .hammer(Who::Static, Who::OtherMail, Family::V4, 25)?;
    let daemon = bench.run(&config)?;
    unload(bench)?;
    gate_tests::interrupt::sleep(A_WHILE)?;
    let (knocks, let_in) = (hammer.stop()?, exempt.stop()?);
    ensure!(knocks.tried > 20 && knocks.open == 0, "{knocks:?}");
    // Those at the end were still on their way.
    ensure!(let_in.open > 20, "{let_in:?}");
    is_closed()?;
    bench.in_force()?;
    drop(daemon);
    Ok(())
}

fn observed(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    let rules = rules(bench, &config)?;
    nft::load(bench.lab.router(), &rules)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    unload(bench)
}

/// Addresses on both sides of every edge: what nftables does with a connection from there is what the gate does.
fn edges(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let pool = |name, policy, prefixes: &[&str]| Pool {
        name,
        prefixes: prefixes.iter().map(|it| (*it).to_owned()).collect(),
        files: Vec::new(),
        policy,
        action: None,
        until: None,
    };
    config.pools = vec![
        pool(
            "wide",
            "restrict",
            &["100.64.0.0/24", "2001:db8:100:2::/64"],
        ),
        pool(
            "hole",
            "exempt",
            &["100.64.0.128/26", "2001:db8:100:2:8000::/66"],
        ),
        pool("inner", "restrict", &["100.64.0.144/30"]),
    ];
    let sources = [
        "100.63.255.255",
        "100.64.0.0",
        "100.64.0.127",
        "100.64.0.128",
        "100.64.0.143",
        "100.64.0.144",
        "100.64.0.147",
        "100.64.0.148",
        "100.64.0.191",
        "100.64.0.192",
        "100.64.0.255",
        "100.64.1.0",
        "2001:db8:100:1:ffff:ffff:ffff:ffff",
        "2001:db8:100:2::5",
        "2001:db8:100:2:7fff:ffff:ffff:ffff",
        "2001:db8:100:2:8000::",
        "2001:db8:100:2:bfff:ffff:ffff:ffff",
        "2001:db8:100:2:c000::",
        "2001:db8:100:2:ffff:ffff:ffff:ffff",
        "2001:db8:100:3::",
    ];
    let host = bench.lab.netns(Who::Subscriber)?;
    for source in sources {
        let (length, dev) = if source.contains(':') {
            (128, "nodad")
        } else {
            (32, "")
        };
        host.ip(&format!("addr add {source}/{length} dev eth0 {dev}\n"))?;
        bench
            .lab
            .router()
            .ip(&format!("route replace {source}/{length} dev acc-home\n"))?;
    }
    let seen = || -> Result<Vec<bool>> {
        let try_one = |source: &&str| {
            let source: std::net::IpAddr = source.parse()?;
            let family = if source.is_ipv4() {
                Family::V4
            } else {
                Family::V6
            };
            let server = (bench.lab.address(Who::OtherMail, family)?, 25).into();
            let seen = bench.lab.connect_from(host, source, server)?;
            Ok(seen.local().is_some())
        };
        sources.iter().map(try_one).collect()
    };
    let rules = rules(bench, &config)?;
    let before = seen()?;
    ensure!(before.iter().all(|it| *it), "the control: {before:?}");
    nft::load(bench.lab.router(), &rules)?;
    let by_rules = seen()?;
    let _daemon = bench.run(&config)?;
    unload(bench)?;
    let by_gate = seen()?;
    let by_hand = [
        true, false, false, true, true, false, false, true, true, false, false, true, true, false,
        false, true, true, false, false, true,
    ];
    ensure!(
        by_rules == by_gate && by_gate == by_hand,
        "{sources:?}: rules {by_rules:?}, gate {by_gate:?}"
    );
    Ok(())
}

fn told(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    let file = bench.lab.scratch().join("boot.nft");
    let name = text(&file)?;
    let ask = || Doctor::ask(bench, &["--boot-rules", name]);
    let doctor = ask()?;
    let finding = doctor.finding("boot_rules", name)?;
    ensure!(finding.outcome == "warning", "{finding:?}");
    // The command that it names is this one.
    let fix = finding.fix.as_deref().context("no fix")?;
    let (command, to) = fix.split_once(" > ").context("no file")?;
    ensure!(to == name && command.starts_with("gate boot-rules --config "));
    fs::write(&file, rules(bench, &config)?)?;
    let doctor = ask()?;
    ensure!(
        doctor.outcome("boot_rules", name)? == "ok"
            && doctor.outcome("boot_loader", name)? == "warning"
            && doctor.outcome("boot_table", "table inet gate_boot")? == "ok",
        "{doctor:?}"
    );
    // Rules that stay are told, and the command ends that.
    nft::load(bench.lab.router(), &fs::read_to_string(&file)?)?;
    let doctor = ask()?;
    let finding = doctor.finding("boot_table", "table inet gate_boot")?;
    ensure!(finding.outcome == "warning", "{finding:?}");
    mend(bench, finding)?;
    let doctor = ask()?;
    ensure!(doctor.outcome("boot_table", "table inet gate_boot")? == "ok");
    // Another configuration makes other rules.
    config.unlisted = "refuse";
    config.write(&bench.lab, "gate.toml")?;
    ensure!(ask()?.outcome("boot_rules", name)? == "warning");
    drop(daemon);
    Ok(())
}
