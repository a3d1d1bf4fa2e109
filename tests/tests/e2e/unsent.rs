//! Answers that fail to leave: on veth, where the other end has neither GRO nor an XDP program.

use std::{fs, net::IpAddr, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{ABI_VERSION, DeviceKey, TRACEPOINTS, maps};
use gate_tests::{
    exec,
    gate::{Answer, Config, Counters, Daemon},
    interrupt,
    lab::{Addresses, Family, NetNs, Role, Seen, Who},
    pin::{self, Object, Pin},
};
use gate_user::sys::{Access, Map};
use libtest_mimic::Trial;
use nix::{errno::Errno, net::if_::if_nametoindex};

use crate::bench::{Bench, Found};

/// The interface of every host.
const HOST: &str = "eth0";
/// The router's interface to a subscriber that does not listen to what XDP programs send.
const DEAF: &str = "acc-deaf";
/// The router's own address.
const ROUTER: &str = "169.254.0.1";

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("unsent::counted_by_interface_and_kept", kept),
        found.lab_trial("unsent::what_others_send_is_not_counted", others),
        found.lab_trial("unsent::a_lost_tracepoint_is_said_and_put_back", lost),
        found.lab_trial("unsent::a_lost_map_is_said_and_made_anew", map_lost),
        found.lab_trial("unsent::counted_under_a_new_name", renamed),
        found.lab_trial("unsent::counted_from_zero_where_the_gate_is_new", anew),
    ]
}

/// A subscriber that the gate answers, and that does not listen.
struct Deaf {
    netns: NetNs,
    addresses: Addresses,
}

impl Deaf {
    fn new(bench: &Bench<'_>) -> Result<Self> {
        let addresses = Addresses {
            v4: "100.64.0.77".parse()?,
            v6: "2001:db8:100:77::2".parse()?,
        };
        let netns = bench.lab.add_host("deaf", DEAF, addresses)?;
        Ok(Self { netns, addresses })
    }

    /// It is refused, in either family, and hears nothing.
    fn refused(&self, bench: &Bench<'_>) -> Result<()> {
        for family in Family::ALL {
            let server = (bench.lab.address(Who::OtherMail, family)?, 25).into();
            let source = self.addresses.of(family);
            let seen = bench.lab.connect_from(&self.netns, source, server)?;
            ensure!(seen == Seen::NoAnswer, "{family}: {seen}");
        }
        Ok(())
    }
}

/// A configuration with resets, also for who is behind [`DEAF`].
fn config(bench: &Bench<'_>) -> Result<Config> {
    let mut config = bench.config()?;
    config.answer = Answer::Reset;
    config.interfaces.push((DEAF, Role::Access));
    Ok(config)
}

fn answering(bench: &Bench<'_>) -> Result<Daemon> {
    bench.run(&config(bench)?)
}

/// There are as many resets, and as many of them failed to leave by [`DEAF`]; none did by any other interface.
fn counted(bench: &Bench<'_>, resets: u64, unsent: u64) -> Result<()> {
    counted_by(bench, DEAF, resets, Some(unsent))
}

/// The same by another interface, which may have no counter.
fn counted_by(bench: &Bench<'_>, interface: &str, resets: u64, unsent: Option<u64>) -> Result<()> {
    let counters: Counters = bench.gate().counters()?;
    let (deaf, others): (Vec<_>, Vec<_>) = counters
        .unsent
        .iter()
        .partition(|it| it.interface == interface);
    ensure!(
        counters.answered("reset") == resets
            && deaf.iter().map(|it| it.packets).eq(unsent)
            && others.len() > 1
            && others.iter().all(|it| it.packets == 0),
        "not {resets} resets, {unsent:?} unsent by {interface}: {:?}, {:?}",
        counters.answers,
        counters.unsent
    );
    Ok(())
}

fn kept(bench: &Bench<'_>) -> Result<()> {
    let deaf = Deaf::new(bench)?;
    let daemon = answering(bench)?;
    counted(bench, 0, 0)?;
    deaf.refused(bench)?;
    counted(bench, 2, 2)?;
    // Who listens gets an answer, which is not counted.
    let (from, to) = (Who::Subscriber, Who::OtherMail);
    let seen = bench.lab.connect(from, to, Family::V4, 25)?;
    ensure!(seen == Seen::Refused(Errno::ECONNREFUSED), "{seen}");
    counted(bench, 3, 2)?;
    daemon.kill()?;
    deaf.refused(bench)?;
    counted(bench, 5, 4)?;
    let links = || pin::list(&tracepoints(bench));
    let left = links()?;
    let daemon = answering(bench)?;
    let own = links()?;
    ensure!(
        own.len() == 2
            && own
                .iter()
                .zip(&left)
                .all(|(own, left)| own.object != left.object),
        "the links of the daemon before are still there: {left:?}, {own:?}"
    );
    counted(bench, 5, 4)?;
    deaf.refused(bench)?;
    counted(bench, 7, 6)?;
    daemon.terminate()?;
    let alive = |pins: &[Pin]| -> Result<usize> {
        let links = exec::tool(Command::new("bpftool").args(["link", "show"]), "")?;
        let there = |pin: &&Pin| match pin.object {
            Object::Link(id) => {
                let line = format!("{id}: raw_tracepoint ");
                links.lines().any(|it| it.starts_with(&line))
            }
            Object::Program(_) | Object::Map(_) | Object::Other => false,
        };
        Ok(pins.iter().filter(there).count())
    };
    let counts = [alive(&left)?, alive(&own)?];
    ensure!(counts == [0, 2], "{counts:?} links before detach");
    bench.gate().detach()?;
    ensure!(alive(&own)? == 0, "links are left after detach");
    Ok(())
}

/// A device of another network namespace that has the index of one of the gate's, and whose frames do not leave.
fn others(bench: &Bench<'_>) -> Result<()> {
    let addresses = Addresses {
        v4: "198.51.100.77".parse()?,
        v6: "2001:db8:5100::77".parse()?,
    };
    let netns = bench.lab.add_host("other", "srv-other", addresses)?;
    let _deaf = Deaf::new(bench)?;
    let _daemon = answering(bench)?;
    let there = netns.run(|| if_nametoindex(HOST))??;
    let subscriber = Who::Subscriber.interface();
    let here = bench.lab.router().run(|| if_nametoindex(subscriber))??;
    ensure!(here == there, "{here} and {there}: this proves nothing");
    let program = pin::returning_program()?;
    let _link = netns.run(|| pin::attach(&program, there))??;
    let (source, server): (IpAddr, _) = (ROUTER.parse()?, (addresses.of(Family::V4), 25).into());
    let seen = bench.lab.connect_from(bench.lab.router(), source, server)?;
    ensure!(seen.local().is_none(), "nothing gets there: {seen}");
    let mut ethtool = Command::new("ethtool");
    ethtool.args(["-S", HOST]);
    netns.contain(&mut ethtool);
    let failed = exec::tool(&mut ethtool, "")?
        .lines()
        .filter_map(|line| line.split_once("xdp_tx_errors:"))
        .try_fold(0, |sum, (_, count)| {
            anyhow::Ok(sum + count.trim().parse::<u64>()?)
        })?;
    ensure!(failed > 0, "the frames of others left");
    counted(bench, 0, 0)
}

/// Where the links to tracepoints are pinned.
fn tracepoints(bench: &Bench<'_>) -> PathBuf {
    version(bench).join("tracepoints")
}

fn version(bench: &Bench<'_>) -> PathBuf {
    bench.lab.pins().join(format!("v{ABI_VERSION}"))
}

/// `gate status` has nothing to say, or just one thing, in which these words are.
fn says(bench: &Bench<'_>, words: Option<&[&str]>) -> Result<()> {
    let (code, status) = bench.gate().status()?;
    let right = match (words, &status.problems[..]) {
        (None, []) => code == Some(0),
        (Some(words), [problem]) => {
            code == Some(3) && words.iter().all(|word| problem.contains(word))
        }
        _ => false,
    };
    ensure!(right, "{words:?}: {code:?}, {status:?}");
    Ok(())
}

/// How long the daemon may take.
const SOON: Duration = Duration::from_secs(20);

/// Loads the configuration that there is now.
fn reload(bench: &Bench<'_>) -> Result<()> {
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(0) && reload.outcome == "loaded",
        "{code:?}, {reload:?}"
    );
    Ok(())
}

fn lost(bench: &Bench<'_>) -> Result<()> {
    let deaf = Deaf::new(bench)?;
    let _daemon = answering(bench)?;
    says(bench, None)?;
    for name in TRACEPOINTS {
        fs::remove_file(tracepoints(bench).join(name)).with_context(|| name)?;
        says(bench, Some(&[name]))?;
        reload(bench)?;
        says(bench, None)?;
    }
    deaf.refused(bench)?;
    counted(bench, 2, 2)
}

/// The programs that are there go on counting, where nobody looks: they have to be replaced.
fn map_lost(bench: &Bench<'_>) -> Result<()> {
    let deaf = Deaf::new(bench)?;
    let _daemon = answering(bench)?;
    deaf.refused(bench)?;
    fs::remove_file(version(bench).join("maps").join(maps::UNSENT))?;
    says(
        bench,
        Some(&[DEAF, Who::Subscriber.interface(), "`gate reload`"]),
    )?;
    reload(bench)?;
    says(bench, None)?;
    counted(bench, 2, 0)?;
    deaf.refused(bench)?;
    counted(bench, 4, 2)
}

/// What [`DEAF`] is called later.
const RENAMED: &str = "acc-mute";

fn renamed(bench: &Bench<'_>) -> Result<()> {
    let deaf = Deaf::new(bench)?;
    let mut config = config(bench)?;
    let _daemon = bench.run(&config)?;
    deaf.refused(bench)?;
    let Addresses { v4, v6 } = deaf.addresses;
    // Linux before 6.2 renames only what is down, and that loses its routes and IPv6 addresses.
    bench.lab.router().ip(&format!(
        "link set {DEAF} down\n\
         link set {DEAF} name {RENAMED}\n\
         link set {RENAMED} up\n\
         addr replace fe80::1/64 dev {RENAMED} nodad\n\
         route replace {v4}/32 dev {RENAMED}\n\
         route replace {v6}/128 dev {RENAMED}\n"
    ))?;
    deaf.refused(bench)?;
    // The configuration has the old name.
    counted(bench, 4, 4)?;
    for (name, _) in &mut config.interfaces {
        if *name == DEAF {
            *name = RENAMED;
        }
    }
    config.write(&bench.lab, "gate.toml")?;
    reload(bench)?;
    deaf.refused(bench)?;
    counted_by(bench, RENAMED, 6, Some(6))
}

/// It is taken out of the configuration and put back; then it is deleted, and another device has its name: with the same index, and with
/// another one.
fn anew(bench: &Bench<'_>) -> Result<()> {
    let deaf = Deaf::new(bench)?;
    let with = config(bench)?;
    let mut without = with.clone();
    without.interfaces.retain(|(name, _)| *name != DEAF);
    let load = |config: &Config| -> Result<()> {
        config.write(&bench.lab, "gate.toml")?;
        reload(bench)?;
        let map = version(bench).join("maps").join(maps::UNSENT);
        let counters = Map::open(&map, Access::Read)?.entries::<DeviceKey, u64>()?;
        ensure!(
            counters.len() == config.interfaces.len(),
            "{counters:?} for {:?}",
            config.interfaces
        );
        says(bench, None)
    };
    let _daemon = bench.run(&with)?;
    deaf.refused(bench)?;
    counted(bench, 2, 2)?;
    load(&without)?;
    counted_by(bench, DEAF, 2, None)?;
    load(&with)?;
    counted(bench, 2, 0)?;
    deaf.refused(bench)?;
    counted(bench, 4, 2)?;
    let router = bench.lab.router();
    let index = router.run(|| if_nametoindex(DEAF))??;
    for index in [index, index + 1000] {
        router.ip(&format!("link delete {DEAF}\n"))?;
        counted_by(bench, DEAF, 4, None)?;
        says(bench, Some(&[DEAF, "no such interface"]))?;
        router.ip(&format!(
            "link add {DEAF} index {index} type veth peer name peer0\nlink set {DEAF} up\n"
        ))?;
        // The daemon follows by itself.
        let well = interrupt::wait_until(SOON, || says(bench, None).is_ok())?;
        if !well {
            says(bench, None)?;
        }
        counted(bench, 4, 0)?;
    }
    Ok(())
}
