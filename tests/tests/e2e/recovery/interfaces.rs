//! Interfaces that change their name, or that cannot do what is wanted.

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::Mode,
    lab::{Family, Lab, Who},
};
use libtest_mimic::Trial;

use super::{adopts, closed_while, complains, fails, is_well};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("recovery::a_renamed_interface_is_adopted", renamed),
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

/// With frames this long the driver of the subscriber's link refuses a program.
fn lengthen(lab: &Lab) -> Result<()> {
    lab.netns(Who::Subscriber)?.ip("link set eth0 mtu 9000\n")
}

fn native(bench: &Bench<'_>) -> Result<()> {
    lengthen(&bench.lab)?;
    let config = bench.config()?;
    fails(bench, &config, 1, &[OLD, "`mode = "])?;
    ensure!(
        bench.lab.attached()?.is_empty(),
        "a start that failed left something attached"
    );
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn auto(bench: &Bench<'_>) -> Result<()> {
    lengthen(&bench.lab)?;
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
