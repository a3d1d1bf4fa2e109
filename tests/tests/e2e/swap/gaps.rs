//! What could open a gate for a moment: under a flood of connections that are all refused, not one comes out.
//!
//! The control has the same flood and the same count: a program that is away for a millisecond shows.

use std::{os::unix::process::ExitStatusExt as _, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    exec,
    gate::{Config, Daemon, Mode},
    interrupt,
    lab::Who,
    pin,
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{
    ACCESS, Account, LIMIT, Scene, Side,
    jail::{self, Jail},
    looks::looked_at,
    sides,
    torrent::{self, MEET, Rate, Torrent},
};
use crate::{
    bench::{Bench, Found},
    update::server::{Reply, Server, Then},
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let trial = |name: &str, happens: fn(&mut Scene<'_>, &Torrent<'_>) -> Result<()>| {
        let body = move |bench: &Bench<'_>| under_flood(bench, happens);
        torrent::trial(found, format!("gaps::{name}"), body)
    };
    vec![
        torrent::rate(
            found,
            "gaps::a_million_packets_a_second".to_owned(),
            |bench| under_flood(bench, untouched),
        ),
        torrent::trial(
            found,
            "gaps::control_a_moment_without_the_program_shows".to_owned(),
            control,
        ),
        torrent::trial(
            found,
            "gaps::generic_mode_down_and_up_and_another_program".to_owned(),
            generic,
        ),
        trial("kill_9_and_a_start", killed),
        trial("sigterm_and_a_start", terminated),
        trial("a_start_with_another_program", upgraded),
        trial("reloads", reloaded),
        trial("exemptions_of_others", exempted),
        trial("a_reload_that_is_refused", refused),
        trial("a_database_that_is_fetched_and_taken", fetched),
        trial("everybody_looks", looked_at),
        trial("another_interface_goes_down_and_up", bounced),
        trial("interfaces_that_come_and_go", come_and_go),
        trial("a_daemon_out_of_memory", starved),
        jail::ignored_without(trial("a_limit_too_small_for_two_generations", limited)),
        jail::ignored_without(trial(
            "a_daemon_that_the_kernel_kills_for_memory",
            killed_for_memory,
        )),
    ]
}

/// Text that no configuration has.
const NONSENSE: &str = "[port25]\naction = \"perhaps\"\n";

/// Everything that is sent is refused and counted, whatever `happens`, and what was counted once is not forgotten.
fn under_flood(
    bench: &Bench<'_>,
    happens: impl FnOnce(&mut Scene<'_>, &Torrent<'_>) -> Result<()>,
) -> Result<Rate> {
    let (rate, account) = flooded(bench, happens)?;
    closed(&account)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    Ok(rate)
}

/// What was counted of a flood, from before it to after it.
fn flooded(
    bench: &Bench<'_>,
    happens: impl FnOnce(&mut Scene<'_>, &Torrent<'_>) -> Result<()>,
) -> Result<(Rate, Account)> {
    flooded_in(&mut Scene::new(bench)?, happens)
}

fn flooded_in<'b>(
    scene: &mut Scene<'b>,
    happens: impl FnOnce(&mut Scene<'b>, &Torrent<'b>) -> Result<()>,
) -> Result<(Rate, Account)> {
    let bench = scene.bench;
    let before = scene.account()?;
    let flood = Torrent::start(bench)?;
    flood.meet()?;
    let outcome = torrent::watched(&[bench.gate()], || {
        happens(scene, &flood).and_then(|()| flood.meet())
    });
    let rate = flood.stop()?;
    outcome?;
    Ok((rate, scene.account()?.since(&before)))
}

/// Nothing came out, and enough was refused.
fn closed(account: &Account) -> Result<()> {
    let refused = account
        .counted
        .get("reason restricted refused")
        .copied()
        .unwrap_or_default();
    ensure!(
        account.smtp_out == 0 && refused >= 3 * MEET,
        "came out or was not refused: {account:#?}"
    );
    // What was in a queue of an interface when that went down was sent, and never arrived.
    ensure!(refused <= account.smtp, "refused twice: {account:#?}");
    Ok(())
}

/// Nothing happens, for as long as counters are looked at a few times.
fn untouched(_: &mut Scene<'_>, _: &Torrent<'_>) -> Result<()> {
    Ok(interrupt::sleep(Duration::from_secs(2))?)
}

/// How many gaps the control makes: the flood pauses between its turns, and a gap in a pause lets nothing through.
const GAPS: usize = 20;

/// A program that passes everything is in its place for a millisecond, some times.
fn control(bench: &Bench<'_>) -> Result<Rate> {
    let (rate, account) = flooded(bench, gaps)?;
    ensure!(
        account.smtp_out > 0 && closed(&account).is_err(),
        "a gap does not show: {account:#?}"
    );
    ensure!(
        Account::default().not_before(&account).is_err(),
        "counters that go backwards do not show"
    );
    Ok(rate)
}

fn gaps(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let link = scene.version().join("links").join(ACCESS);
    let own = pin::get(&scene.version().join("program"))?;
    let passing = pin::passing_program()?;
    for _ in 0..GAPS {
        pin::replace_program(&link, &passing)?;
        interrupt::sleep(Duration::from_millis(1))?;
        pin::replace_program(&link, &own)?;
        interrupt::sleep(Duration::from_millis(10))?;
    }
    flooded.meet()
}

/// The interface that the flood comes in by goes down and up, and then gets other programs, where the mode is generic: in the same mode, by the same links.
/// The control follows in the same flood.
fn generic(bench: &Bench<'_>) -> Result<Rate> {
    let mut plain = Side::Refuse.config(bench)?;
    plain.mode = Mode::Generic;
    let mut scene = Scene::of(bench, &plain)?;
    // One end of a veth pair takes the flood only where it polls, which it does for a native program, or for this.
    let mut ethtool = Command::new("ethtool");
    ethtool.args(["-K", ACCESS, "gro", "on"]);
    bench.lab.router().contain(&mut ethtool);
    exec::tool(&mut ethtool, "")?;
    let (rate, account) = flooded_in(&mut scene, |scene, flooded| {
        let links = scene.version().join("links");
        let status = || -> Result<_> {
            let (_, status) = bench.gate().status()?;
            let modes = status.interfaces.into_iter().map(|it| it.mode);
            let links = pin::list(&links)?;
            let ids: Vec<_> = links.into_iter().map(|it| (it.path, it.object)).collect();
            Ok((modes.collect::<Vec<_>>(), ids))
        };
        let before = status()?;
        ensure!(
            before.0.iter().all(|it| it.as_deref() == Some("generic")),
            "{before:?}"
        );
        let before_it = scene.smtp.segments()?;
        for _ in 0..5 {
            bench
                .lab
                .router()
                .ip(&format!("link set {ACCESS} down\nlink set {ACCESS} up\n"))?;
            flooded.meet()?;
        }
        let came_out = scene.smtp.segments()? - before_it;
        ensure!(came_out == 0, "{came_out} came out of a bounce");
        upgrade(scene, flooded, &plain)?;
        let came_out = scene.smtp.segments()? - before_it;
        ensure!(came_out == 0, "{came_out} came out of an upgrade");
        ensure!(status()? == before, "other links, or another mode");
        gaps(scene, flooded)
    })?;
    ensure!(account.smtp_out > 0, "a gap does not show: {account:#?}");
    Ok(rate)
}

/// The daemon, which the scene has for as long as nobody takes it.
fn take(scene: &mut Scene<'_>) -> Result<Daemon> {
    scene.daemon.take().context("no daemon")
}

fn start(scene: &mut Scene<'_>, config: &Config) -> Result<()> {
    scene.daemon = Some(scene.bench.run(config)?);
    Ok(())
}

fn killed(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let config = Side::Refuse.config(scene.bench)?;
    for _ in 0..2 {
        take(scene)?.kill()?;
        flooded.meet()?;
        start(scene, &config)?;
    }
    Ok(())
}

fn terminated(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let config = Side::Refuse.config(scene.bench)?;
    for _ in 0..2 {
        take(scene)?.terminate()?;
        flooded.meet()?;
        start(scene, &config)?;
    }
    Ok(())
}

/// The program that looks at every packet is another one: as an upgrade has it, it takes the place of the one that runs.
fn upgraded(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let plain = Side::Refuse.config(scene.bench)?;
    upgrade(scene, flooded, &plain)
}

fn upgrade(scene: &mut Scene<'_>, flooded: &Torrent<'_>, plain: &Config) -> Result<()> {
    let program = |scene: &Scene<'_>| {
        let attached = scene.bench.lab.router().attached()?;
        attached.get(ACCESS).copied().context("no program")
    };
    let mut every = plain.clone();
    every.tables = "[tags]\ndscp_on = \"all\"\n";
    every.class_keys("domestic", "dscp = 10")?;
    let mut before = program(scene)?;
    for config in [&every, plain] {
        take(scene)?.kill()?;
        start(scene, config)?;
        let after = program(scene)?;
        ensure!(before != after, "the same program: {before}");
        before = after;
        flooded.meet()?;
    }
    Ok(())
}

fn reloaded(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    for _ in 0..10 {
        scene.reload(Side::Refuse)?;
    }
    flooded.meet()
}

/// A hundred changes of exemptions: that of a neighbour, and of a prefix beside the source of the flood.
fn exempted(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    let mut config = Side::Refuse.config(bench)?;
    config.tables = "[exemptions]\nfile = \"exemptions\"\n";
    config.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    for _ in 0..25 {
        for change in ["add", "del"] {
            for prefix in ["100.64.0.3", "100.64.128.0/17"] {
                bench.gate().text(&["exempt", change, prefix])?;
            }
        }
    }
    flooded.meet()
}

fn refused(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    let path = bench.lab.scratch().join("gate.toml");
    let good = std::fs::read(&path)?;
    for bad in [NONSENSE.as_bytes(), &[], b"\xff\xfe"] {
        std::fs::write(&path, bad)?;
        let reload = bench.gate().output(&["reload"])?;
        ensure!(reload.code() == Some(2), "{reload:?}");
        flooded.meet()?;
    }
    std::fs::write(&path, good)?;
    Ok(())
}

/// A server that stalls, and then gives a newer database: `gate geoip update` puts it in place, and the daemon in force.
fn fetched(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    let server = Server::new(bench.lab.router(), "127.0.0.1:0")?;
    let path = bench.lab.scratch().join("update.toml");
    let config = format!(
        "{}\n[[geoip.update]]\ndatabase = \"{}\"\nurl = \"http://{}/db\"\ntimeout = 1\n",
        Side::Refuse.config(bench)?,
        Side::Refuse.database(&bench.lab).display(),
        server.address
    );
    std::fs::write(&path, config)?;
    let update = || {
        let config = path.to_string_lossy();
        bench
            .gate()
            .output(&["geoip", "update", "--config", &config])
    };
    server.set("db", Reply::raw("HTTP/1.1 200 OK\r\n", Then::Stall));
    let stalled = update()?;
    ensure!(stalled.code() == Some(1), "{stalled:?}");
    flooded.meet()?;
    let newer = sides::content(Side::Refuse, 1)?;
    server.set("db", Reply::new("200 OK", "", &newer));
    let output = update()?;
    ensure!(output.code() == Some(0), "{output:?}");
    let taken = || {
        let counters = bench.gate().counters();
        counters.is_ok_and(|it| it.generation == Some(2))
    };
    ensure!(
        interrupt::wait_until(LIMIT, taken)?,
        "the database is not in force"
    );
    flooded.meet()
}

/// Not the one that the flood comes in by: veth in native mode takes the program off while it closes, and some packets of its queue go on without it
/// (`veth_disable_xdp` in drivers/net/veth.c), of a program that drops everything as well.
fn bounced(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let interface = Who::Neighbour.interface();
    for _ in 0..5 {
        let router = scene.bench.lab.router();
        router.ip(&format!(
            "link set {interface} down\nlink set {interface} up\n"
        ))?;
        flooded.meet()?;
    }
    Ok(())
}

/// The interface of a neighbour, which the daemon takes off the gate and puts on it again.
fn come_and_go(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let lab = &scene.bench.lab;
    for _ in 0..3 {
        lab.unplug(Who::Neighbour)?;
        flooded.meet()?;
        lab.plug(Who::Neighbour)?;
        let well = interrupt::wait_until(LIMIT, || {
            let status = scene.bench.gate().status();
            status.is_ok_and(|(_, status)| status.state == "ok")
        })?;
        ensure!(well, "the interface is not on the gate again");
    }
    Ok(())
}

/// It gets no more memory than it has: whatever that makes of it, the gate goes on.
fn starved(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    let daemon = take(scene)?;
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &daemon.id().to_string(), "--as=1"]);
    exec::tool(&mut prlimit, "")?;
    let mut config = Side::Refuse.config(bench)?;
    "another text".clone_into(&mut config.title);
    config.write(&bench.lab, "gate.toml")?;
    let reload = bench.gate().output(&["reload"])?;
    ensure!(
        reload.code() != Some(0) && reload.stderr.contains("hint:"),
        "without memory: {reload:?}"
    );
    flooded.meet()?;
    let generation = bench.gate().counters()?.generation;
    ensure!(
        generation == Some(1),
        "generation {generation:?} is in force"
    );
    daemon.kill()?;
    start(scene, &config)
}

/// The maps of another generation do not fit into the control group of the daemon: it says which one does not, how large it is, and who limits it;
/// nothing of it is left, and once there is room the same reload works.
fn limited(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    take(scene)?.kill()?;
    let jail = Jail::new(&bench.lab)?;
    let small = Side::Refuse.config(bench)?;
    let mut large = small.clone();
    large.databases = vec![bench.tools.real.path().to_owned()];
    let path = large.write(&bench.lab, "gate.toml")?;
    let mut command = bench.gate().command(&["run", "--force", "--config"]);
    command.arg(path);
    // Its own memory stays with it: what the next reload needs of that it has, and only maps are to be had anew.
    let whole =
        "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296:glibc.malloc.arena_max=1";
    command.env("GLIBC_TUNABLES", whole);
    jail.contain(&mut command)?;
    let mut daemon = Daemon::start(command)?;
    let reload = |config: &Config| {
        config.write(&bench.lab, "gate.toml")?;
        bench.gate().output(&["reload", "--force"])
    };
    for config in [&small, &large, &small] {
        let output = reload(config)?;
        ensure!(output.code() == Some(0), "{output:?}");
    }
    let before = (
        pin::list(bench.lab.pins())?,
        bench.gate().counters()?.generation,
    );
    let maps = jail::maps(&daemon)?;
    jail.leave(4 << 20)?;
    for _ in 0..2 {
        let output = reload(&large)?;
        ensure!(daemon.outcome()?.is_none(), "it ended: {}", daemon.said());
        let told = output.stdout.clone() + &output.stderr;
        let says = |it: &str| told.contains(it);
        ensure!(
            output.code() == Some(1)
                && says("the table countries of ")
                && says(" bytes cannot be made")
                && says(&jail.name())
                && says("gives it more"),
            "{output:?}"
        );
        flooded.meet()?;
        let after = (
            pin::list(bench.lab.pins())?,
            bench.gate().counters()?.generation,
        );
        ensure!(after == before, "{before:?} became {after:?}");
        ensure!(jail::maps(&daemon)? == maps, "maps are left in the daemon");
    }
    jail.leave(1 << 30)?;
    let output = reload(&large)?;
    ensure!(output.code() == Some(0), "with more memory: {output:?}");
    flooded.meet()?;
    daemon.kill()?;
    start(scene, &large)
}

/// It is over its limit in the middle of a reload.
fn killed_for_memory(scene: &mut Scene<'_>, flooded: &Torrent<'_>) -> Result<()> {
    let bench = scene.bench;
    take(scene)?.kill()?;
    let jail = Jail::new(&bench.lab)?;
    let mut config = Side::Refuse.config(bench)?;
    let path = config.write(&bench.lab, "gate.toml")?;
    let mut command = bench.gate().command(&["run", "--config"]);
    command.arg(path);
    jail.contain(&mut command)?;
    let mut daemon = Daemon::start(command)?;
    let before = bench.gate().counters()?.generation;
    jail.leave(4 << 20)?;
    config.databases = vec![bench.tools.real.path().to_owned()];
    config.write(&bench.lab, "gate.toml")?;
    let reload = bench.gate().output(&["reload", "--force"])?;
    ensure!(reload.code() != Some(0), "{reload:?}");
    let ended = daemon.ended()?;
    ensure!(
        ended.is_some_and(|it| it.signal() == Some(Signal::SIGKILL as i32)),
        "the kernel did not kill it: {ended:?}, {}",
        daemon.said()
    );
    flooded.meet()?;
    let generation = bench.gate().counters()?.generation;
    ensure!(
        generation == before,
        "generation {generation:?} is in force, {before:?} was"
    );
    start(scene, &Side::Refuse.config(bench)?)?;
    let said = scene.daemon.as_ref().map(Daemon::said).unwrap_or_default();
    ensure!(said.contains("adopted"), "{said}");
    flooded.meet()
}
