//! Interfaces that come, go, change their names or move, while the daemon runs: it follows without being told, and opens nothing.

use std::{fs, os::fd::OwnedFd, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{
    gate::{Daemon, Status},
    interrupt,
    lab::{Family, NetNs, Who},
    pin,
};
use libtest_mimic::Trial;
use nix::{net::if_::if_nametoindex, sys::signal::Signal};

use crate::bench::{A_WHILE, Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("interfaces::one_made_anew_is_judged_again", anew),
        found.lab_trial(
            "interfaces::one_made_anew_is_judged_whatever_became_of_files",
            files,
        ),
        found.lab_trial("interfaces::one_that_goes_leaves_the_others_alone", gone),
        found.lab_trial("interfaces::one_that_comes_later_is_waited_for", later),
        found.lab_trial("interfaces::a_start_without_one_that_was_there", start),
        found.lab_trial("interfaces::down_and_up_lets_nothing_through", bounce),
        found.lab_trial("interfaces::a_new_name_changes_no_verdict", renamed),
        found.lab_trial("interfaces::in_another_namespace_and_back", moved),
        found.lab_trial(
            "interfaces::one_with_the_index_of_one_that_moved_is_judged",
            same_index,
        ),
        found.lab_trial(
            "interfaces::a_foreign_program_is_named_and_followed",
            foreign,
        ),
        found.lab_trial("interfaces::more_news_than_the_daemon_hears", overflow),
    ]
}

/// How long the daemon may take.
const SOON: Duration = Duration::from_secs(20);
/// The interface of the subscriber.
pub(crate) const HOME: &str = "acc-home";

/// Waits until `gate status` is as `right` has it.
fn until(bench: &Bench<'_>, what: &str, right: impl Fn(&Status) -> bool) -> Result<Status> {
    let mut last = None;
    let came = interrupt::wait_until(SOON, || match bench.gate().status() {
        Ok((_, status)) => {
            let is_right = right(&status);
            last = Some(Ok(status));
            is_right
        }
        Err(error) => {
            last = Some(Err(error));
            false
        }
    })?;
    let last = last.context("nobody asked")??;
    ensure!(came, "{what}, for {SOON:?}: {last:?}");
    Ok(last)
}

fn is_well(bench: &Bench<'_>) -> Result<Status> {
    until(bench, "not well", |status| status.state == "ok")
}

/// What `status` says of the subscriber's interface.
pub(crate) fn home(status: &Status) -> Option<&str> {
    let mut interfaces = status.interfaces.iter();
    Some(interfaces.find(|it| it.name == HOME)?.state.as_str())
}

fn is_missing(bench: &Bench<'_>) -> Result<Status> {
    until(bench, "not missing", |status| {
        home(status) == Some("missing")
    })
}

fn anew(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    bench.in_force()?;
    let before = bench.gate().counters()?.verdicts.refused;
    for _ in 0..3 {
        bench.lab.unplug(Who::Subscriber)?;
        bench.lab.plug(Who::Subscriber)?;
        is_well(bench)?;
        bench.in_force()?;
    }
    let after = bench.gate().counters()?.verdicts.refused;
    ensure!(
        after == before + 6,
        "counters should go on: {before}, then {after}"
    );
    ensure!(
        daemon.said().contains("a change of interfaces"),
        "the log does not say why: {}",
        daemon.said()
    );
    Ok(())
}

/// Nothing that is written in a file keeps the gate off an interface.
fn files(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let list = bench.lab.scratch().join("list.txt");
    fs::write(&list, "198.51.100.0/28\n")?;
    let exempt = config.pools.iter_mut().find(|it| it.policy == "exempt");
    exempt
        .context("no pool is exempt")?
        .files
        .push(list.clone());
    let _daemon = bench.run(&config)?;
    fs::write(&list, "no prefix\n")?;
    until(bench, "not refused", |status| {
        !status.daemon.refused.is_empty()
    })?;
    fs::write(bench.lab.scratch().join("gate.toml"), "no configuration")?;
    bench.lab.unplug(Who::Subscriber)?;
    is_missing(bench)?;
    bench.lab.plug(Who::Subscriber)?;
    until(bench, "not attached", |status| {
        home(status) == Some("attached")
    })?;
    bench.in_force()?;
    // What was refused is still told.
    let (_, status) = bench.gate().status()?;
    ensure!(!status.daemon.refused.is_empty(), "{status:?}");
    // And taken once it is good, with the text that is in force.
    fs::write(&list, "198.51.100.0/28\n198.51.100.32/28\n")?;
    until(bench, "not taken", |status| {
        status.daemon.refused.is_empty()
    })?;
    bench.in_force()
}

fn gone(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    bench.lab.unplug(Who::Subscriber)?;
    let status = is_missing(bench)?;
    ensure!(
        status.state == "degraded" && status.problems.iter().any(|it| it.starts_with(HOME)),
        "nothing is open, and something is missing: {status:?}"
    );
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    bench.tagged(Who::Foreign, "foreign")?;
    // A reload on request says so, and takes what there is.
    let reload = bench.gate().output(&["reload"])?;
    ensure!(reload.code() == Some(0), "{reload:?}");
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.lab.plug(Who::Subscriber)?;
    is_well(bench)?;
    bench.in_force()
}

fn later(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    bench.lab.unplug(Who::Subscriber)?;
    // The twin: a name that never was is refused where nothing says that it is to be waited for.
    let path = config.write(&bench.lab, "gate.toml")?;
    let path = path.to_str().context("a path that is no text")?;
    let refused = bench.gate().output(&["run", "--config", path])?;
    ensure!(
        refused.code() == Some(1)
            && refused.stderr.contains(HOME)
            && refused.stderr.contains("missing = \"wait\""),
        "{refused:?}"
    );
    config.access_keys = "missing = \"wait\"";
    let _daemon = bench.run(&config)?;
    let status = is_well(bench)?;
    ensure!(home(&status) == Some("missing"), "{status:?}");
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.lab.plug(Who::Subscriber)?;
    until(bench, "not attached", |status| {
        home(status) == Some("attached")
    })?;
    bench.in_force()
}

/// What was in force before may be missing at a start: a machine that lost an interface keeps the gate on the others.
fn start(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    bench.run(&config)?.kill()?;
    bench.lab.unplug(Who::Subscriber)?;
    let _daemon = bench.run(&config)?;
    let status = is_missing(bench)?;
    ensure!(status.state == "degraded", "{status:?}");
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.lab.plug(Who::Subscriber)?;
    is_well(bench)?;
    bench.in_force()
}

fn bounce(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let hammer = bench
        .lab
        .hammer(Who::Subscriber, Who::OtherMail, Family::V4, 25)?;
    let address = bench.lab.address(Who::Subscriber, Family::V4)?;
    for _ in 0..5 {
        bench.lab.router().ip(&format!(
            "link set {HOME} down\nlink set {HOME} up\nroute replace {address}/32 dev {HOME}\n"
        ))?;
        interrupt::sleep(A_WHILE)?;
    }
    let knocks = hammer.stop()?;
    ensure!(knocks.open == 0 && knocks.tried > 20, "{knocks:?}");
    is_well(bench)?;
    // IPv6 lost its addresses with the link.
    bench.lab.unplug(Who::Subscriber)?;
    bench.lab.plug(Who::Subscriber)?;
    is_well(bench)?;
    bench.in_force()
}

fn links(bench: &Bench<'_>) -> Result<Vec<pin::Pin>> {
    pin::list(&bench.lab.pins().join(format!("v{ABI_VERSION}/links")))
}

fn rename(bench: &Bench<'_>, from: &str, to: &str) -> Result<()> {
    let [v4, v6] = Family::ALL.map(|family| bench.lab.address(Who::Subscriber, family));
    let (v4, v6) = (v4?, v6?);
    bench.lab.router().ip(&format!(
        "link set {from} down\nlink set {from} name {to}\nlink set {to} up\n\
         addr replace fe80::1/64 dev {to} nodad\n\
         route replace {v4}/32 dev {to}\nroute replace {v6}/128 dev {to}\n"
    ))
}

fn renamed(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let before = links(bench)?;
    rename(bench, HOME, "acc-other")?;
    let status = until(bench, "not named", |status| {
        status.problems.iter().any(|it| it.contains("acc-other"))
    })?;
    ensure!(
        home(&status) == Some("attached"),
        "judged under its new name: {status:?}"
    );
    bench.in_force()?;
    // What makes a generation without being told keeps it as well: another interface that goes and comes.
    bench.lab.unplug(Who::Neighbour)?;
    until(bench, "still there", |status| {
        status.interfaces.iter().any(|it| it.state == "missing")
    })?;
    bench.in_force()?;
    bench.lab.plug(Who::Neighbour)?;
    until(bench, "still missing", |status| {
        status.interfaces.iter().all(|it| it.state == "attached")
    })?;
    bench.in_force()?;
    rename(bench, "acc-other", HOME)?;
    is_well(bench)?;
    bench.in_force()?;
    let of_home = |pins: Vec<pin::Pin>| pins.into_iter().find(|it| it.path.ends_with(HOME));
    ensure!(
        of_home(before) == of_home(links(bench)?),
        "it lost its link on the way"
    );
    Ok(())
}

fn moved(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let elsewhere = bench.lab.netns(Who::OtherMail)?;
    let router = bench.lab.router();
    move_home(router, elsewhere)?;
    let status = is_missing(bench)?;
    ensure!(
        status.state == "degraded"
            && status
                .problems
                .iter()
                .any(|it| it.starts_with(HOME) && it.contains("another network namespace")),
        "{status:?}"
    );
    ensure!(
        elsewhere.attached()?.contains_key(HOME),
        "the program should stay on it"
    );
    let question = [
        "--from",
        "100.64.0.2",
        "--to",
        "198.51.100.25",
        "--in",
        HOME,
    ];
    let asked = bench
        .gate()
        .output(&[&["explain"], &question[..]].concat())?;
    ensure!(
        asked.code() == Some(1) && asked.stderr.contains("is not in this network namespace"),
        "{asked:?}"
    );
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    move_home(elsewhere, router)?;
    restore_home(bench)?;
    is_well(bench)?;
    bench.in_force()
}

pub(crate) fn move_home(from: &NetNs, to: &NetNs) -> Result<()> {
    from.ip(&format!("link set {HOME} netns {}\n", to.name()))
}

/// What a device loses on its way between namespaces.
pub(crate) fn restore_home(bench: &Bench<'_>) -> Result<()> {
    let [v4, v6] = Family::ALL.map(|family| bench.lab.address(Who::Subscriber, family));
    let (v4, v6) = (v4?, v6?);
    bench.lab.router().ip(&format!(
        "link set {HOME} up\naddr replace 169.254.0.1/32 dev {HOME}\naddr replace fe80::1/64 dev {HOME} nodad\n\
         route replace {v4}/32 dev {HOME}\nroute replace {v6}/128 dev {HOME}\n"
    ))
}

/// Indices are numbers of a namespace: a device that comes may have that of one that went to another.
fn same_index(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let router = bench.lab.router();
    let elsewhere = bench.lab.netns(Who::OtherMail)?;
    let index = router.run(|| if_nametoindex(HOME))??;
    // Nobody follows what happens here.
    daemon.kill()?;
    move_home(router, elsewhere)?;
    let [v4, v6] = Family::ALL.map(|family| bench.lab.address(Who::Subscriber, family));
    let (v4, v6) = (v4?, v6?);
    let host = bench.lab.netns(Who::Subscriber)?;
    host.ip("link set eth0 name old0\nlink set old0 down\n")?;
    router.ip(&format!(
        "link add {HOME} index {index} type veth peer name eth0 netns {host}\n\
         link set {HOME} up\naddr add 169.254.0.1/32 dev {HOME}\naddr add fe80::1/64 dev {HOME} nodad\n\
         route replace {v4}/32 dev {HOME}\nroute replace {v6}/128 dev {HOME}\n",
        host = host.name()
    ))?;
    host.ip(&format!(
        "link set eth0 up\naddr replace {v4}/32 dev eth0\naddr replace {v6}/128 dev eth0 nodad\n\
         route replace 169.254.0.1/32 dev eth0 src {v4}\n\
         route replace default via 169.254.0.1 dev eth0 src {v4}\n\
         route replace default via fe80::1 dev eth0 src {v6}\n"
    ))?;
    // The control: it is another device, and nothing judges it yet.
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3) && home(&status) == Some("open"),
        "{status:?}"
    );
    let question = [
        "--from",
        &v4.to_string(),
        "--to",
        "198.51.100.25",
        "--in",
        HOME,
    ];
    let asked = bench
        .gate()
        .output(&[&["explain"], &question[..]].concat())?;
    ensure!(
        asked.code() == Some(3) && asked.stderr.contains("acc-home: open"),
        "{asked:?}"
    );
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let _daemon = bench.run(&config)?;
    is_well(bench)?;
    bench.in_force()
}

/// Puts somebody else's program on the subscriber's interface, before the gate gets there.
fn occupied(bench: &Bench<'_>) -> Result<OwnedFd> {
    let program = pin::passing_program()?;
    bench
        .lab
        .router()
        .run(|| pin::attach(&program, if_nametoindex(HOME)?))?
}

fn stopped(daemon: &Daemon, happens: impl FnOnce() -> Result<()>) -> Result<()> {
    daemon.signal(Signal::SIGSTOP)?;
    let outcome = happens();
    daemon.signal(Signal::SIGCONT)?;
    outcome
}

fn foreign(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    let mut theirs = None;
    stopped(&daemon, || {
        bench.lab.unplug(Who::Subscriber)?;
        bench.lab.plug(Who::Subscriber)?;
        theirs = Some(occupied(bench)?);
        Ok(())
    })?;
    let status = until(bench, "not open", |status| {
        status.state == "open" && home(status) == Some("open")
    })?;
    ensure!(
        status.problems.iter().any(|it| it.starts_with(HOME)),
        "{status:?}"
    );
    let heard = interrupt::wait_until(SOON, || daemon.said().contains("another XDP program"))?;
    ensure!(heard, "the log should name it: {}", daemon.said());
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    // It keeps the gate off no other interface, and no one from going back.
    bench.lab.unplug(Who::Neighbour)?;
    until(bench, "still there", |status| {
        status.interfaces.iter().any(|it| it.state == "missing")
    })?;
    bench.lab.plug(Who::Neighbour)?;
    until(bench, "the other one is not attached", |status| {
        status.interfaces.iter().all(|it| it.state != "missing")
    })?;
    until(bench, "more than one is open", |status| {
        status
            .interfaces
            .iter()
            .filter(|it| it.state == "open")
            .count()
            == 1
    })?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    // However long it was there, as soon as it is gone the gate gets on the interface.
    interrupt::sleep(Duration::from_secs(12))?;
    drop(theirs);
    is_well(bench)?;
    bench.in_force()
}

/// The kernel throws away what a daemon that hangs does not read.
fn overflow(bench: &Bench<'_>) -> Result<()> {
    const PAIRS: usize = 200;
    let daemon = bench.run(&bench.config()?)?;
    stopped(&daemon, || {
        let many = (0..PAIRS)
            .map(|number| format!("link add many{number} type veth peer name more{number}\n"));
        bench.lab.router().ip(&many.collect::<String>())?;
        bench.lab.unplug(Who::Subscriber)?;
        bench.lab.plug(Who::Subscriber)?;
        let dropped = dropped(&daemon)?;
        ensure!(dropped > 0, "the kernel had room for all of it");
        Ok(())
    })?;
    is_well(bench)?;
    bench.in_force()
}

/// How many messages about links the kernel threw away that the daemon had no room for, as the kernel says.
fn dropped(daemon: &Daemon) -> Result<u64> {
    /// `NETLINK_ROUTE`, and the group `RTNLGRP_LINK`.
    const LINKS: [&str; 2] = ["0", "00000001"];
    let process = format!("/proc/{}", daemon.id());
    let mut sockets = Vec::new();
    for entry in fs::read_dir(format!("{process}/fd"))? {
        sockets.push(fs::read_link(entry?.path())?);
    }
    let table = fs::read_to_string(format!("{process}/net/netlink"))?;
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, protocol, _, groups, _, _, _, _, drops, inode] = columns[..] else {
            bail!("not as proc(5) has it: {line}");
        };
        let socket = PathBuf::from(format!("socket:[{inode}]"));
        if [protocol, groups] == LINKS && sockets.contains(&socket) {
            return Ok(drops.parse()?);
        }
    }
    bail!("the daemon does not listen: {table}")
}
