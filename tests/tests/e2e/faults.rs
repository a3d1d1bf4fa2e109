//! What happens to a machine under a running daemon: bpffs goes away, somebody wants the interface, signals come by the thousand, the
//! directory of the configuration is another one. The packet path does not notice, and the daemon says what is wrong.

mod between;
mod chores;
mod unknown;

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt as _},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{Daemon, Status},
    interrupt,
    lab::{BPFFS, Family, Who},
    pin,
};
use libtest_mimic::Trial;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::Signal,
};

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = vec![
        found.lab_trial("faults::bpffs_goes_away", unmounted),
        found.lab_trial("faults::bpffs_becomes_read_only", read_only),
        found.lab_trial("faults::a_start_on_a_read_only_bpffs", start_read_only),
        found.lab_trial("faults::nobody_takes_the_interface", xdp_off),
        found.lab_trial("faults::a_storm_of_sighups", storm),
        found.lab_trial("faults::another_directory_of_the_configuration", replaced),
    ];
    trials.extend(between::trials(found));
    trials.extend(unknown::trials(found));
    trials.extend(chores::trials(found));
    trials
}

/// The longest that anything here may take.
const LIMIT: std::time::Duration = std::time::Duration::from_mins(1);

/// `gate run` in a mount namespace of its own, with the configuration of the bench.
fn apart(bench: &Bench<'_>) -> Result<Command> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let mut command = bench.gate().command(&["run", "--config"]);
    command.arg(path);
    let own_mounts = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        Ok(mount(
            None::<&str>,
            "/",
            None::<&str>,
            private,
            None::<&str>,
        )?)
    };
    // SAFETY: between fork and exec there are two system calls on values that are there already, and no allocation.
    unsafe { command.pre_exec(own_mounts) };
    Ok(command)
}

/// Has a tool do something to the mounts of the daemon, and of nobody else.
fn remount(daemon: &Daemon, arguments: &[&str]) -> Result<()> {
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--mount", "--target", &daemon.id().to_string(), "--"]);
    exec::tool(nsenter.args(arguments), "").map(drop)
}

/// Mounts it so that it can be written again.
const WRITABLE: [&str; 4] = ["mount", "-o", "remount,bind,rw", BPFFS];

/// Waits until `gate status` is as `right` has it.
fn until(bench: &Bench<'_>, what: &str, right: impl Fn(&Status) -> bool) -> Result<Status> {
    let mut last = None;
    let came = interrupt::wait_until(LIMIT, || {
        let asked = bench.gate().status();
        let came = matches!(&asked, Ok((_, status)) if right(status));
        last = Some(asked);
        came
    })?;
    let (_, status) = last.context("nobody asked")??;
    ensure!(came, "{what}, for {LIMIT:?}: {status:?}");
    Ok(status)
}

/// Whether this generation is in force.
fn is_at(status: &Status, number: u64) -> bool {
    let generation = status.generation.as_ref();
    generation.is_some_and(|it| it.number == number)
}

/// A reload that this daemon cannot do, after which all is as before.
fn fails(bench: &Bench<'_>, daemon: &mut Daemon, says: &str) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    let reload = bench.gate().output(&["reload"])?;
    let told = reload.stdout.clone() + &reload.stderr;
    ensure!(
        reload.code() == Some(1) && told.contains(says) && told.contains("hint:"),
        "{reload:?} should say {says}"
    );
    ensure!(daemon.outcome()?.is_none(), "it ended: {}", daemon.said());
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let counters = bench.gate().counters()?;
    ensure!(counters.generation == Some(1), "{counters:?}");
    Ok(())
}

/// The next daemon finds everything as it was.
fn goes_on(bench: &Bench<'_>, daemon: Daemon) -> Result<()> {
    daemon.kill()?;
    let next = bench.run(&bench.config()?)?;
    ensure!(next.said().contains("adopted"), "{}", next.said());
    bench.in_force()
}

fn unmounted(bench: &Bench<'_>) -> Result<()> {
    let mut daemon = Daemon::start(apart(bench)?)?;
    bench.in_force()?;
    remount(&daemon, &["umount", "--lazy", BPFFS])?;
    fails(bench, &mut daemon, BPFFS)?;
    goes_on(bench, daemon)
}

/// Mounts it so, for whoever is in that namespace.
const READ_ONLY: [&str; 4] = ["mount", "-o", "remount,bind,ro", BPFFS];

fn read_only(bench: &Bench<'_>) -> Result<()> {
    let mut daemon = Daemon::start(apart(bench)?)?;
    bench.in_force()?;
    remount(&daemon, &READ_ONLY)?;
    fails(bench, &mut daemon, "cannot make the directory")?;
    ensure!(!daemon.said().contains("taking back"), "{}", daemon.said());
    // Nothing is left of what it tried, once it may again.
    remount(&daemon, &WRITABLE)?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(code == Some(0) && reload.outcome == "loaded", "{reload:?}");
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    goes_on(bench, daemon)
}

fn start_read_only(bench: &Bench<'_>) -> Result<()> {
    let before = pin::list(bench.lab.pins())?;
    let mut command = apart(bench)?;
    let read_only = || {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        Ok(mount(
            None::<&str>,
            BPFFS,
            None::<&str>,
            flags,
            None::<&str>,
        )?)
    };
    // SAFETY: as above.
    unsafe { command.pre_exec(read_only) };
    let output = exec::output(&mut command, "", LIMIT)?;
    ensure!(
        output.code() == Some(1)
            && output.stderr.contains("Read-only file system")
            && output.stderr.contains("hint:"),
        "{output:?}"
    );
    ensure!(
        pin::list(bench.lab.pins())? == before,
        "something is pinned"
    );
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

/// The kernel keeps an interface with a link for whoever holds the link.
fn xdp_off(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let interface = Who::Subscriber.interface();
    let theirs = bench.lab.pins().join("theirs");
    let attached = bench.lab.attached()?;
    for how in ["xdp", "xdpdrv", "xdpgeneric"] {
        pin::pin(&pin::passing_program()?, &theirs)?;
        let mut off = Command::new("ip");
        off.args(["link", "set", "dev", interface, how, "off"]);
        let mut on = Command::new("ip");
        on.args(["link", "set", "dev", interface, how, "pinned"])
            .arg(&theirs);
        for mut ip in [off, on] {
            bench.lab.router().contain(&mut ip);
            // Whether it says so or not, nothing comes of it.
            exec::output(&mut ip, "", LIMIT)?;
            ensure!(
                bench.lab.attached()? == attached,
                "{ip:?} changed what is attached"
            );
            bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
        }
        fs::remove_file(&theirs)?;
    }
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(0) && status.state == "ok", "{status:?}");
    bench.in_force()
}

/// How many signals there are.
const SIGNALS: usize = 10_000;

fn storm(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    config.action = "observe";
    config.write(&bench.lab, "gate.toml")?;
    for number in 0..SIGNALS {
        daemon.signal(Signal::SIGHUP)?;
        if number % (SIGNALS / 10) == 0 {
            let (_, status) = bench.gate().status()?;
            ensure!(status.daemon.alive, "{status:?}");
        }
    }
    // Before the last change: reloads that read only that are one.
    until(bench, "the storm brings no generation", |it| is_at(it, 2))?;
    config.action = "enforce";
    "the last one".clone_into(&mut config.title);
    config.write(&bench.lab, "gate.toml")?;
    daemon.signal(Signal::SIGHUP)?;
    until(bench, "the last signal brings no generation", |it| {
        is_at(it, 3)
    })?;
    let said = daemon.said();
    let reloads = said.matches("reload: SIGHUP").count();
    ensure!(
        reloads < SIGNALS / 10 && !said.contains("wait for their turn"),
        "{reloads} reloads"
    );
    bench.in_force()
}

/// As configuration management has it: the directory is a link to one of several.
fn replaced(bench: &Bench<'_>) -> Result<()> {
    let scratch = bench.lab.scratch();
    let etc = scratch.join("etc");
    let mut config = bench.config()?;
    let list = etc.join("static.txt");
    for pool in config.pools.iter_mut().filter(|it| it.policy == "exempt") {
        pool.prefixes.clear();
        pool.files = vec![list.clone()];
    }
    let exempt = bench.lab.address(Who::Subscriber, Family::V4)?;
    for (name, text) in [
        ("one", "100.64.200.1\n".to_owned()),
        ("two", format!("{exempt}\n")),
    ] {
        let directory = scratch.join(name);
        fs::create_dir(&directory)?;
        fs::write(directory.join("static.txt"), text)?;
        config.write(&bench.lab, &format!("{name}/gate.toml"))?;
    }
    let turn_to = |name: &str| -> Result<()> {
        let next = scratch.join("next");
        symlink(scratch.join(name), &next)?;
        Ok(fs::rename(&next, &etc)?)
    };
    turn_to("one")?;
    let _daemon = bench.gate().run(&etc.join("gate.toml"))?;
    let reached = || {
        let seen = bench
            .lab
            .connect(Who::Subscriber, Who::OtherMail, Family::V4, 25);
        seen.is_ok_and(|it| it.local().is_some())
    };
    ensure!(!reached(), "nobody is exempt yet");
    // The list is followed to where the link leads now; nobody asks.
    turn_to("two")?;
    ensure!(
        interrupt::wait_until(LIMIT, reached)?,
        "the new list is not in force"
    );
    // Gone, it stays in force as it was, and says so.
    fs::remove_file(&etc)?;
    let reload = bench.gate().output(&["reload"])?;
    let told = reload.stdout.clone() + &reload.stderr;
    ensure!(
        reload.code() == Some(2) && told.contains("gate.toml"),
        "{reload:?}"
    );
    ensure!(reached(), "the list in force is not in force");
    // Made again, as a directory.
    fs::create_dir(&etc)?;
    for name in ["gate.toml", "static.txt"] {
        fs::copy(scratch.join("one").join(name), etc.join(name))?;
    }
    let (code, _) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(0),
        "the directory made anew is not read: {code:?}"
    );
    let shut = interrupt::wait_until(LIMIT, || !reached())?;
    ensure!(shut, "the list made anew is not in force");
    Ok(())
}
