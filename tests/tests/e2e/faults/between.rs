//! Somebody else's XDP program that comes while the gate starts: after it looked at the interface, and before it makes its link there.

use std::{fs, os::fd::OwnedFd, process::Command, thread};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::Daemon,
    hold::{self, Attempt, Before, Call, Verdict},
    lab::Who,
    pin,
};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;

use crate::{
    bench::{Bench, Found},
    interfaces::HOME,
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![found.lab_trial("faults::a_foreign_program_during_a_start", foreign)]
}

/// What comes in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Nothing: that somebody watches changes nothing.
    Not,
    /// A program in native mode, by a link.
    Link,
    /// One in generic mode, by netlink.
    Netlink,
}

fn foreign(bench: &Bench<'_>) -> Result<()> {
    for how in [How::Not, How::Link, How::Netlink] {
        start(bench, how).with_context(|| format!("{how:?}"))?;
        bench.out_of_force()?;
    }
    // Nothing is left in the way of the next one.
    let _daemon = bench.run(&bench.config()?)?;
    bench.in_force()
}

/// Starts the gate, with a foreign program on one interface before the link to it is made; none of them is left.
fn start(bench: &Bench<'_>, how: How) -> Result<()> {
    let router = bench.lab.router();
    let index = router.run(|| if_nametoindex(HOME))??;
    let config = bench.config()?.write(&bench.lab, "gate.toml")?;
    let mut command = bench.gate().command(&["run", "--config"]);
    command.arg(config);
    hold::prepare(&mut command, [Before::Link; 2]);
    let mut daemon = Daemon::spawn(command)?;
    let pid = daemon.id();
    let mut held: Option<Option<OwnedFd>> = None;
    let happens = |call: &Call<'_>| {
        if call.link() == to(index) && held.is_none() {
            held = Some(occupy(bench, how, index)?);
        }
        Ok(Verdict::Done)
    };
    thread::scope(|scope| {
        let watch = scope.spawn(|| hold::watch(pid, happens));
        let tried = || match daemon.outcome()? {
            None => {
                ensure!(how == How::Not, "it is in force");
                bench.in_force()?;
                daemon.terminate()?;
                bench.gate().detach().map(drop)
            }
            Some(ended) => {
                let said = daemon.said();
                drop(daemon);
                let attached = bench.lab.attached()?;
                let foreign = attached.get(HOME).context("theirs is gone")?;
                let words = format!("{HOME}: another XDP program (id {foreign}");
                ensure!(
                    ended.code() == Some(4) && said.contains(&words) && said.contains("hint: "),
                    "should name it: {ended}, {said}"
                );
                ensure!(attached.len() == 1, "it is on others: {attached:?}");
                let pins = pin::list(bench.lab.pins())?;
                ensure!(pins.is_empty(), "still pinned: {pins:?}");
                bench.open(Who::Subscriber, Who::OtherMail, 25)
            }
        };
        let outcome = tried();
        let watched = watch.join();
        outcome.and(watched.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let held = held.context("the gate never made a link to the interface")?;
    if how == How::Netlink {
        ip(bench, &["xdpgeneric", "off"])?;
    }
    drop(held);
    let gone = gate_tests::interrupt::wait_until(super::LIMIT, || {
        bench.lab.attached().is_ok_and(|it| it.is_empty())
    })?;
    ensure!(gone, "a program is still attached");
    Ok(())
}

/// An XDP link to the interface with this index.
const fn to(interface: u32) -> Attempt {
    /// `BPF_XDP`
    const XDP: u32 = 37;
    Attempt {
        interface,
        attach_type: XDP,
    }
}

/// Puts the foreign program on the interface; its link, if it has one.
fn occupy(bench: &Bench<'_>, how: How, index: u32) -> Result<Option<OwnedFd>> {
    let program = pin::passing_program()?;
    match how {
        How::Not => Ok(None),
        How::Link => bench
            .lab
            .router()
            .run(|| pin::attach(&program, index))?
            .map(Some),
        How::Netlink => {
            let theirs = format!("{}-theirs", bench.lab.pins().display());
            pin::pin(&program, theirs.as_ref())?;
            let attached = ip(bench, &["xdpgeneric", "pinned", &theirs]);
            fs::remove_file(theirs)?;
            attached.map(|()| None)
        }
    }
}

fn ip(bench: &Bench<'_>, arguments: &[&str]) -> Result<()> {
    let mut ip = Command::new("ip");
    ip.args(["link", "set", "dev", HOME]).args(arguments);
    bench.lab.router().contain(&mut ip);
    exec::tool(&mut ip, "").map(drop)
}
