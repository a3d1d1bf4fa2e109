//! Interfaces that change their name, or that cannot do what is wanted.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Config, Mode},
    interrupt,
    lab::{Family, Lab, Who},
    pin::{self, Object},
};
use libtest_mimic::Trial;

use super::{Scene, adopts, closed_while, complains, fails, is_well, links};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("recovery::a_renamed_interface_is_adopted", renamed),
        found.lab_trial("recovery::names_that_are_swapped_open_nothing", swapped),
        found.lab_trial("recovery::names_that_move_on_open_nothing", moved_on),
        found.lab_trial("recovery::native_where_it_cannot_be_fails", native),
        found.lab_trial("recovery::auto_where_native_cannot_be_is_generic", auto),
    ]
}

const OLD: &str = "acc-home";
const NEW: &str = "acc-moved";

fn renamed(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    ensure!(
        Who::Subscriber.interface() == OLD,
        "the subscriber's interface is not {OLD}"
    );
    let daemon = bench.run(&config)?;
    is_well(bench)?;
    closed_while(bench, || rename(&bench.lab))?;
    complains(bench, &[OLD, NEW])?;
    bench.in_force().context("under a new name")?;
    daemon.terminate()?;
    // Under the old name it is not to be had, and stays as it is.
    fails(bench, &config, 1, &[OLD])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    for (name, _) in &mut config.interfaces {
        if *name == OLD {
            *name = NEW;
        }
    }
    adopts(bench, &config)?;
    let pins = super::version(bench).join("links");
    ensure!(
        pins.join(NEW).exists() && !pins.join(OLD).exists(),
        "the pin of the link has its old name"
    );
    Ok(())
}

/// Linux before 6.2 renames only what is down, and that loses its routes and IPv6 addresses.
fn rename(lab: &Lab) -> Result<()> {
    let [v4, v6] = Family::ALL.map(|family| lab.address(Who::Subscriber, family));
    let (v4, v6) = (v4?, v6?);
    lab.router().ip(&format!(
        "link set {OLD} down\n\
         link set {OLD} name {NEW}\n\
         link set {NEW} up\n\
         addr replace fe80::1/64 dev {NEW} nodad\n\
         route replace {v4}/32 dev {NEW}\n\
         route replace {v6}/128 dev {NEW}\n"
    ))
}

/// Interfaces of two subscribers, on which nothing but the names changes.
const TWO: [&str; 2] = ["acc-home", "acc-next"];

/// Where the gate is attached afterwards, and under which names its links are pinned, is what the configuration names;
/// the links in `kept` are those that there were.
fn settled(bench: &Bench<'_>, config: &Config, kept: &[u32]) -> Result<()> {
    let mut names: Vec<&str> = config.interfaces.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let attached = bench.lab.attached()?;
    ensure!(
        attached.keys().eq(&names),
        "attached to {attached:?}, should be {names:?}"
    );
    let mut pinned = Vec::new();
    for entry in fs::read_dir(super::version(bench).join("links"))? {
        pinned.push(entry?.file_name());
    }
    pinned.sort_unstable();
    ensure!(
        pinned == names,
        "pinned are {pinned:?}, should be {names:?}"
    );
    let links = links(bench)?;
    ensure!(
        kept.iter().all(|link| links.contains(link)),
        "of the links {kept:?} these are left: {links:?}"
    );
    is_well(bench)
}

/// How long the daemon may take.
const SOON: Duration = Duration::from_secs(20);

/// The daemon follows by itself.
fn until_well(bench: &Bench<'_>) -> Result<()> {
    let well = interrupt::wait_until(SOON, || is_well(bench).is_ok())?;
    if well { Ok(()) } else { is_well(bench) }
}

/// Nothing is up while names change, so that the routes and addresses of the lab are of no use afterwards: what is
/// attached is looked at, not who gets through.
fn change_names(bench: &Bench<'_>, lines: &str) -> Result<()> {
    let [one, other] = TWO;
    bench.lab.router().ip(&format!(
        "link set {one} down\nlink set {other} down\n{lines}"
    ))
}

fn swap(bench: &Bench<'_>) -> Result<()> {
    let [one, other] = TWO;
    change_names(
        bench,
        &format!(
            "link set {one} name swap0\nlink set {other} name {one}\nlink set swap0 name {other}\n"
        ),
    )
}

fn swapped(bench: &Bench<'_>) -> Result<()> {
    let whole = bench.config()?;
    let mut config = whole.clone();
    let last = Who::Static.interface();
    config.interfaces.retain(|(name, _)| *name != last);
    let daemon = bench.run(&config)?;
    let kept = links(bench)?;
    swap(bench)?;
    until_well(bench)?;
    settled(bench, &config, &kept)?;
    // Its driver refuses a program now, and all is taken back.
    bench.queues(Who::Static, 2)?;
    whole.write(&bench.lab, "gate.toml")?;
    let before = Scene::now(bench)?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(1) && reload.reason.is_some_and(|it| it.contains(last)),
        "should fail at {last}: {code:?}"
    );
    let after = Scene::now(bench)?;
    ensure!(before == after, "{before:?} became {after:?}");
    config.write(&bench.lab, "gate.toml")?;
    let (_, reload) = bench.gate().reload(&[])?;
    ensure!(reload.outcome == "unchanged", "nothing: {reload:?}");
    settled(bench, &config, &kept)?;
    // With another policy as well, and by a start.
    swap(bench)?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let (_, reload) = bench.gate().reload(&[])?;
    ensure!(reload.outcome == "loaded", "a policy: {reload:?}");
    until_well(bench)?;
    settled(bench, &config, &kept)?;
    daemon.terminate()?;
    swap(bench)?;
    let _daemon = bench.run(&config)?;
    settled(bench, &config, &kept)
}

/// The second is deleted, the first gets its name, and a new one the name of the first.
fn moved_on(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let gone = pin::list(bench.lab.pins())?
        .into_iter()
        .find(|pin| pin.path.ends_with(TWO[1]))
        .context("no link")?;
    let mut kept = links(bench)?;
    kept.retain(|link| gone.object != Object::Link(*link));
    let [one, other] = TWO;
    change_names(
        bench,
        &format!(
            "link delete {other}\nlink set {one} name {other}\n\
             link add {one} type veth peer name peer0\nlink set {one} up\nlink set peer0 up\n"
        ),
    )?;
    until_well(bench)?;
    settled(bench, &config, &kept)?;
    let (_, reload) = bench.gate().reload(&[])?;
    ensure!(reload.outcome == "unchanged", "nothing: {reload:?}");
    Ok(())
}

fn native(bench: &Bench<'_>) -> Result<()> {
    bench.queues(Who::Subscriber, 2)?;
    let config = bench.config()?;
    fails(bench, &config, 1, &[OLD, "`mode = "])?;
    ensure!(
        bench.lab.attached()?.is_empty(),
        "a start that failed left something attached"
    );
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn auto(bench: &Bench<'_>) -> Result<()> {
    bench.queues(Who::Subscriber, 2)?;
    let mut config = bench.config()?;
    config.mode = Mode::Auto;
    let _daemon = bench.run(&config)?;
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(0), "status: {code:?}, {status:?}");
    for interface in &status.interfaces {
        let mode = if interface.name == OLD {
            "generic"
        } else {
            "native"
        };
        ensure!(
            interface.mode.as_deref() == Some(mode),
            "should be {mode}: {interface:?}"
        );
    }
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.in_force()
}
