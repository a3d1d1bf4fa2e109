//! A configuration that `gate init` writes for the router of the lab, checked and put in force as it is.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::lab::{Family, NetNs, Seen, Who};
use libtest_mimic::Trial;

use crate::{
    bench::{Bench, Found},
    disk::Disk,
};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial(
            "init::subscribers_behind_routes_are_observed_in_the_pool_of_the_longest",
            observes,
        ),
        found.lab_trial(
            "init::where_nothing_can_be_guessed_nothing_is_written",
            nothing,
        ),
        found.lab_trial("init::on_a_full_disk_nothing_is_begun", full),
        found.lab_trial("init::what_is_there_stays", stays),
    ]
}

/// Who is behind whose line: two networks that are routed to the one subscriber, of which the other one has a part, and one of a host that is not within them.
const BEHIND: [(Who, &str, &str); 6] = [
    (Who::Subscriber, "10.77.0.0/16", "10.77.1.2"),
    (Who::Subscriber, "2001:db8:7700::/40", "2001:db8:7700:1::2"),
    (Who::Neighbour, "10.77.9.0/24", "10.77.9.2"),
    (Who::Neighbour, "2001:db8:7709::/48", "2001:db8:7709::2"),
    (Who::Static, "172.20.0.0/16", "172.20.0.2"),
    (Who::Static, "fd00:77::/32", "fd00:77::2"),
];

/// Routes to them, and the Internet behind the other ISP.
fn wire(bench: &Bench<'_>) -> Result<()> {
    let (lab, router) = (&bench.lab, bench.lab.router());
    for (who, network, host) in BEHIND {
        let (family, length) = family(network);
        let via = lab.address(who, family)?;
        let device = who.interface();
        router.ip(&format!(
            "route add {network} via {via} dev {device} onlink\n"
        ))?;
        lab.netns(who)?
            .ip(&format!("addr add {host}/{length} dev eth0 nodad\n"))?;
    }
    for family in Family::ALL {
        let via = lab.address(Who::OtherMail, family)?;
        let device = Who::OtherMail.interface();
        router.ip(&format!(
            "route add default via {via} dev {device} onlink\n"
        ))?;
    }
    // What no subscriber has: a group, and what the machine refuses itself.
    router.ip("route add 239.0.0.0/8 dev acc-home\nroute add blackhole 10.88.0.0/16\n")
}

fn family(of: &str) -> (Family, u8) {
    if of.contains(':') {
        (Family::V6, 128)
    } else {
        (Family::V4, 32)
    }
}

fn observes(bench: &Bench<'_>) -> Result<()> {
    wire(bench)?;
    let path = bench.lab.scratch().join("begun.toml");
    let name = path.to_str().context("a path that is no text")?;
    let begun = bench.gate().text(&["init", "--output", name])?;
    ensure!(begun.contains("it only observes"), "{begun}");
    let text = fs::read_to_string(&path)?;
    ensure!(
        !text.contains("239.") && !text.contains("10.88.") && !text.contains("169.254."),
        "{text}"
    );
    ensure!(
        text.contains("# up-peer has the default route")
            && text.contains("# 10.77.9.0/24 lies in a network of acc-home: "),
        "{text}"
    );
    bench.gate().text(&["check", "--config", name])?;
    let daemon = bench.gate().run(&path)?;
    // By the routes that were made above, not by what was written.
    for (who, _, host) in BEHIND {
        let seen = from(bench, bench.lab.netns(who)?, host)?;
        ensure!(matches!(seen, Seen::Open(_)), "{host}: {seen}");
        in_pool(bench, who.interface(), host)?;
    }
    for family in Family::ALL {
        let host = bench.lab.address(Who::Subscriber, family)?.to_string();
        from(bench, bench.lab.netns(Who::Subscriber)?, &host)?;
        in_pool(bench, Who::Subscriber.interface(), &host)?;
    }
    let counters = bench.gate().counters()?;
    let pools: BTreeMap<&str, u64> = counters
        .pools
        .iter()
        .map(|it| (it.name.as_str(), it.packets.observed))
        .filter(|(_, observed)| *observed > 0)
        .collect();
    let expected = BTreeMap::from([("acc-home", 4), ("acc-next", 2), ("acc-office", 2)]);
    ensure!(
        pools == expected && counters.verdicts.refused == 0,
        "{pools:?}, {:?}\n{text}",
        counters.verdicts
    );
    bench.open(Who::Subscriber, Who::OwnMail, 587)?;
    ensure!(bench.gate().counters()?.verdicts.refused == 0, "refused");
    daemon.terminate()?;
    bench.gate().detach().map(drop)
}

/// One connection to port 25 of the other ISP, from this address.
fn from(bench: &Bench<'_>, netns: &NetNs, host: &str) -> Result<Seen> {
    let source: IpAddr = host.parse()?;
    let server = bench.lab.address(Who::OtherMail, family(host).0)?;
    bench
        .lab
        .connect_from(netns, source, SocketAddr::new(server, 25))
}

/// That the pool of `interface` is the one that `host` is looked up in.
fn in_pool(bench: &Bench<'_>, interface: &str, host: &str) -> Result<()> {
    let found = bench.gate().text(&["lookup", host])?;
    ensure!(found.contains(interface), "{host}: {found}");
    Ok(())
}

/// In a namespace with nothing but its loopback, and in one with an uplink and no database.
fn nothing(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("begun.toml");
    let name = path.to_str().context("a path that is no text")?;
    let alone = NetNs::new(format!("{}-alone", bench.lab.name()))?;
    let mut said = refused(bench, &alone, name)?;
    ensure!(said.contains("lo is the loopback"), "{said}");
    alone.ip(
        "link add veth-a type veth peer name veth-b\nlink set veth-a up\nlink set veth-b up\n",
    )?;
    said = refused(bench, &alone, name)?;
    ensure!(
        said.contains("veth-a has no address but those of its link, and no route"),
        "{said}"
    );
    alone.ip("addr add 192.0.2.1/24 dev veth-a\nroute add default via 192.0.2.2\n")?;
    if !Path::new("/var/lib/GeoIP").exists() {
        said = refused(bench, &alone, name)?;
        ensure!(said.contains("veth-a leads to the Internet"), "{said}");
    }
    ensure!(!path.exists(), "written");
    Ok(())
}

fn refused(bench: &Bench<'_>, netns: &NetNs, name: &str) -> Result<String> {
    let output = bench
        .gate()
        .within(netns)
        .output(&["init", "--output", name])?;
    ensure!(
        output.code() == Some(1) && output.stderr.contains("hint:"),
        "{output:?}"
    );
    Ok(output.stderr)
}

/// A disk with no room for it.
fn full(bench: &Bench<'_>) -> Result<()> {
    let disk = Disk::new(bench.lab.scratch())?;
    let path = disk.path().join("begun.toml");
    let name = path.to_str().context("a path that is no text")?;
    disk.fill()?;
    let refused = bench.gate().output(&["init", "--output", name])?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("No space left"),
        "{refused:?}"
    );
    ensure!(disk.names()? == [Disk::BALLAST], "{:?}", disk.names()?);
    disk.empty()?;
    bench.gate().text(&["init", "--output", name])?;
    let before = fs::read_to_string(&path)?;
    disk.fill()?;
    let refused = bench
        .gate()
        .output(&["init", "--output", name, "--force"])?;
    ensure!(refused.code() == Some(1), "{refused:?}");
    ensure!(fs::read_to_string(&path)? == before, "it is another file");
    Ok(())
}

fn stays(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("begun.toml");
    let name = path.to_str().context("a path that is no text")?;
    fs::write(&path, "# mine\n")?;
    let refused = bench.gate().output(&["init", "--output", name])?;
    ensure!(
        refused.code() == Some(1) && refused.stderr.contains("hint:"),
        "{refused:?}"
    );
    ensure!(
        fs::read_to_string(&path)? == "# mine\n",
        "it was written over"
    );
    bench.gate().text(&["init", "--output", name, "--force"])?;
    ensure!(
        fs::read_to_string(&path)?.contains("[[interface]]"),
        "not written"
    );
    bench.gate().text(&["check", "--config", name])?;
    let here: Vec<_> = fs::read_dir(bench.lab.scratch())?
        .filter_map(|it| it.ok()?.file_name().into_string().ok())
        .filter(|it| it.starts_with("begun.toml"))
        .collect();
    ensure!(here == ["begun.toml"], "left behind: {here:?}");
    Ok(())
}
