//! The skb mark.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd as _,
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{
    exec,
    gate::{InterfaceState, Mode, Status},
    lab::{BPFFS, Family, Seen, Who},
    nft,
    pin::{self, Object},
};
use gate_user::{
    attach::{self, Hook},
    kernel::{Gate, Look},
    object::OBJECT,
    pins::Pins,
};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;
use socket2::SockRef;

use super::{counted, grown, marking};
use crate::bench::{Bench, Found};

const RULES: &str = include_str!("../../../../examples/mark/classes.nft");
const ROUTES: &str = include_str!("../../../../examples/mark/rules.ip");
const COUNTERS: [&str; 4] = ["domestic", "foreign", "over_limit", "other"];

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("mark::new_connections_have_that_of_their_class", classes),
        found.lab_trial("mark::generic_mode", generic),
        found.lab_trial("mark::other_bits_stay", bits),
        found.lab_trial("mark::without_a_mark_nothing_is_marked", control),
        found.lab_trial("mark::rules_and_accepted_sockets_see_it", sockets),
        found.lab_trial("mark::restart_and_reload", reload),
        found.lab_trial("mark::detach_takes_it_off", detach),
        found.lab_trial("mark::what_somebody_removed_is_named_and_put_back", removed),
        found.lab_trial("mark::clsact_among_other_filters", clsact),
    ]
}

/// Two connections from home and from abroad each: both are marked, and nothing else is.
fn marked(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    let found = grown(router, COUNTERS, || {
        bench.submits(Who::Domestic)?;
        bench.submits(Who::Foreign)?;
        bench.submits(Who::HighSpam)?;
        bench.open(Who::Foreign, Who::OwnMail, 80)?;
        bench.submits(Who::Subscriber)
    })?;
    // The class high-spam has no mark, port 80 and subscribers have no class: two families each.
    ensure!(
        found == [2, 2, 0, 6],
        "{COUNTERS:?}: {found:?}; the gate says {:?}",
        bench.gate().counters()?.shown
    );
    Ok(())
}

fn classes(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), RULES)?;
    let _daemon = bench.run(&marking(bench)?)?;
    marked(bench)?;
    // The connection remembers: more packets than those that were marked.
    let [packets] = counted(bench.lab.router(), ["foreign_packets"])?;
    ensure!(packets > 4, "{packets} packets of two connections");
    let shown = bench.gate().counters()?;
    ensure!(
        shown.shown("marked") == 4 && shown.shown("metadata") == 4,
        "{:?}",
        shown.shown
    );
    on_uplinks(&bench.gate().status()?.1, "tcx")
}

/// The carrier that `gate status` shows for each interface.
fn on_uplinks(status: &Status, hook: &str) -> Result<()> {
    for InterfaceState {
        name, role, mark, ..
    } in &status.interfaces
    {
        let expected = (role == "uplink").then_some(hook);
        ensure!(mark.as_deref() == expected, "{name}: {mark:?}");
    }
    Ok(())
}

fn generic(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), RULES)?;
    let mut config = marking(bench)?;
    config.mode = Mode::Generic;
    let _daemon = bench.run(&config)?;
    marked(bench)
}

/// A rule set that counts packets with exactly this mark.
fn exactly(mark: u32) -> String {
    format!(
        "table inet exact {{\n counter exact {{ }}\n chain in {{\n type filter hook prerouting priority mangle;\n \
         meta mark {mark:#x} counter name exact\n }}\n }}\n"
    )
}

fn bits(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    nft::load(router, RULES)?;
    nft::load(router, &exactly(0x4a00_4220))?;
    let _daemon = bench.run(&marking(bench)?)?;
    let program = pin::marking_program(0x4a00_4200)?;
    let _link = router.run(|| pin::attach_first(&program, if_nametoindex("up-abroad")?))??;
    let found = grown(router, ["exact", "foreign"], || bench.submits(Who::Foreign))?;
    ensure!(found == [2, 2], "{found:?}");
    Ok(())
}

fn control(bench: &Bench<'_>) -> Result<()> {
    nft::load(bench.lab.router(), RULES)?;
    let _daemon = bench.run(&bench.config()?)?;
    let found = grown(bench.lab.router(), COUNTERS, || {
        bench.submits(Who::Domestic)?;
        bench.submits(Who::Foreign)
    })?;
    ensure!(found == [0, 0, 0, 4], "{COUNTERS:?}: {found:?}");
    ensure!(pinned(bench)?.is_empty(), "{:?}", pinned(bench)?);
    let (_, status) = bench.gate().status()?;
    ensure!(
        status.interfaces.iter().all(|it| it.mark.is_none()),
        "{:?}",
        status.interfaces
    );
    Ok(())
}

/// The links of the program: where each is pinned, and its number.
fn pinned(bench: &Bench<'_>) -> Result<Vec<pin::Pin>> {
    let marks = bench.lab.pins().join(format!("v{ABI_VERSION}/marks"));
    let mut pins = pin::list(&marks)?;
    pins.retain(|pin| matches!(pin.object, Object::Link(_)));
    Ok(pins)
}

fn sockets(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    let mut config = marking(bench)?;
    // The router is the mail host: its own address on every link.
    config.servers = vec!["169.254.0.1/32".to_owned()];
    config.servers.extend(
        [Family::V4, Family::V6]
            .into_iter()
            .map(|family| bench.lab.address(Who::OwnMail, family))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .map(|it| format!("{it}/{}", if it.is_ipv4() { 32 } else { 128 })),
    );
    let _daemon = bench.run(&config)?;
    router.set("net/ipv4/tcp_fwmark_accept", "1")?;
    let server: SocketAddr = "169.254.0.1:587".parse()?;
    let listener = router.run(|| TcpListener::bind(server))??;
    for (who, expected) in [
        (Who::Foreign, 0x20),
        (Who::Domestic, 0x10),
        (Who::HighSpam, 0),
    ] {
        let client = bench.lab.netns(who)?;
        let client = client.run(|| std::net::TcpStream::connect(server))??;
        let (accepted, peer) = listener.accept()?;
        let mark = SockRef::from(&accepted).mark()?;
        ensure!(mark == expected, "{who}: the socket has {mark:#x}");
        let mut ss = Command::new("ss");
        ss.args(["-Htne", "state", "established"])
            .arg(format!("( dport = :{} )", peer.port()));
        router.contain(&mut ss);
        let line = exec::tool(&mut ss, "")?;
        let shown = line.contains(&format!("fwmark:{expected:#x}"));
        ensure!(
            shown == (expected != 0) && line.contains("169.254.0.1:587"),
            "{who}, descriptor {}: {line}",
            client.as_raw_fd()
        );
    }
    // Routed by their class: the table of those from abroad refuses them.
    let before = bench
        .lab
        .connect(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
    ensure!(matches!(before, Seen::Open(_)), "{before}");
    for family in ["-4", "-6"] {
        let mut ip = Command::new("ip");
        ip.args([family, "-n", router.name(), "-batch", "-"]);
        exec::tool(&mut ip, ROUTES)?;
    }
    for family in Family::ALL {
        let seen = bench.lab.connect(Who::Foreign, Who::OwnMail, family, 587)?;
        ensure!(seen.local().is_none(), "{family}, from abroad: {seen}");
    }
    bench.submits(Who::Domestic)?;
    bench.open(Who::Foreign, Who::OwnMail, 80)
}

fn reload(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    nft::load(router, RULES)?;
    let mut config = marking(bench)?;
    bench.run(&config)?.kill()?;
    let before = pinned(bench)?;
    ensure!(before.len() == 5, "a link for each uplink: {before:?}");
    // It outlives its daemon.
    marked(bench)?;
    let _daemon = bench.run(&config)?;
    ensure!(pinned(bench)? == before, "other links: {before:?}");
    marked(bench)?;
    // Another mask, in which the class has another mark.
    config.class_keys("foreign", "mark = 0x2000")?;
    config.class_keys("domestic", "")?;
    config.tables = "\n[tags]\nmark_mask = 0xff00";
    config.write(&bench.lab, "gate.toml")?;
    let (code, change) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {change:?}");
    nft::load(router, &exactly(0x2000))?;
    let found = grown(router, ["domestic", "foreign", "exact"], || {
        bench.submits(Who::Domestic)?;
        bench.submits(Who::Foreign)
    })?;
    ensure!(found == [0, 0, 2], "{found:?}");
    ensure!(pinned(bench)? == before, "other links: {before:?}");
    // No mark any more: the program goes.
    config.class_keys("foreign", "")?;
    config.tables = "";
    config.write(&bench.lab, "gate.toml")?;
    let (code, change) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {change:?}");
    ensure!(pinned(bench)?.is_empty(), "{:?}", pinned(bench)?);
    let found = grown(router, ["exact"], || bench.submits(Who::Foreign))?;
    ensure!(found == [0], "{found:?}");
    Ok(())
}

fn detach(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    nft::load(router, RULES)?;
    bench.run(&marking(bench)?)?.terminate()?;
    let said = bench.gate().detach()?;
    ensure!(
        said.contains("up-abroad: no skb mark is set on it any more"),
        "{said}"
    );
    let pins = pin::list(bench.lab.pins())?;
    ensure!(pins.is_empty(), "still pinned: {pins:?}");
    let found = grown(router, COUNTERS, || bench.submits(Who::Foreign))?;
    ensure!(found == [0, 0, 0, 2], "{found:?}");
    Ok(())
}

fn removed(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    nft::load(router, RULES)?;
    let _daemon = bench.run(&marking(bench)?)?;
    let index = router.run(|| if_nametoindex("up-abroad"))??;
    let pin = bench
        .lab
        .pins()
        .join(format!("v{ABI_VERSION}/marks/{index}"));
    std::fs::remove_file(&pin).with_context(|| pin.display().to_string())?;
    let (code, status) = bench.gate().status()?;
    let of = |name: &str| {
        let it = status.interfaces.iter().find(|it| it.name == name);
        it.and_then(|it| it.mark.clone())
    };
    ensure!(
        code == Some(3)
            && of("up-abroad").as_deref() == Some("none")
            && of("up-home").as_deref() == Some("tcx")
            && status
                .problems
                .iter()
                .any(|it| it.starts_with("up-abroad: no skb mark is set")),
        "{code:?}: {status:?}"
    );
    let found = grown(router, ["foreign"], || bench.submits(Who::Foreign))?;
    ensure!(found == [0], "{found:?}");
    let (code, change) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {change:?}");
    let (code, status) = bench.gate().status()?;
    ensure!(code == Some(0), "{status:?}");
    on_uplinks(&status, "tcx")?;
    marked(bench)
}

/// What `tc` says, in the router.
fn tc(bench: &Bench<'_>, arguments: &str) -> Result<String> {
    let mut tc = Command::new("tc");
    tc.args(arguments.split_whitespace());
    bench.lab.router().contain(&mut tc);
    exec::tool(&mut tc, "")
}

/// Takes the links away and puts filters in their places, as on a kernel that has no TCX.
fn by_filter(bench: &Bench<'_>, interfaces: &[&str]) -> Result<()> {
    let pins = Pins::new(bench.lab.pins())?;
    bench.lab.router().run(|| -> Result<()> {
        let mut gate = Gate::pinned(OBJECT, &pins, Look::Opening)?;
        for name in interfaces {
            let index = if_nametoindex(*name)?;
            pins.remove(&pins.mark(index))?;
            attach::put_on(&mut gate, name, index, Some(Hook::Clsact), &pins)?;
        }
        Ok(())
    })?
}

fn clsact(bench: &Bench<'_>) -> Result<()> {
    const UPLINKS: [&str; 5] = ["up-peer", "up-far", "up-home", "up-abroad", "up-spam"];
    let router = bench.lab.router();
    nft::load(router, RULES)?;
    // Somebody else's: one before the gate's, one behind it, on an interface that has clsact already.
    tc(bench, "qdisc add dev up-abroad clsact")?;
    for (priority, bits) in [(1, 0x4200), (9, 0x0100_0000)] {
        let path = Path::new(BPFFS).join(format!("{}-mark-{priority}", bench.lab.name()));
        pin::pin(&pin::marking_program(bits)?, &path)?;
        let path = path.display();
        tc(
            bench,
            &format!(
                "filter add dev up-abroad ingress prio {priority} bpf da object-pinned {path}"
            ),
        )?;
        std::fs::remove_file(path.to_string())?;
    }
    let theirs = tc(bench, "filter show dev up-abroad ingress")?;
    let config = marking(bench)?;
    let daemon = bench.run(&config)?;
    by_filter(bench, &UPLINKS)?;
    on_uplinks(&bench.gate().status()?.1, "clsact")?;
    marked(bench)?;
    nft::load(router, &exactly(0x0100_4220))?;
    let found = grown(router, ["exact"], || bench.submits(Who::Foreign))?;
    ensure!(found == [2], "the other bits: {found:?}");
    // A restart replaces the program in place, and a filter that somebody removed is named, and put back.
    daemon.terminate()?;
    let daemon = bench.run(&config)?;
    on_uplinks(&bench.gate().status()?.1, "clsact")?;
    marked(bench)?;
    tc(bench, "filter del dev up-home ingress prio 2")?;
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3)
            && status
                .problems
                .iter()
                .any(|it| it.starts_with("up-home: no skb mark")),
        "{code:?}: {status:?}"
    );
    let (code, change) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "{code:?}: {change:?}");
    on_uplinks(&bench.gate().status()?.1, "clsact")?;
    marked(bench)?;
    daemon.terminate()?;
    bench.gate().detach()?;
    // Theirs is as it was, and what the gate made is gone.
    let left = tc(bench, "filter show dev up-abroad ingress")?;
    ensure!(left == theirs, "{left}\nnot\n{theirs}");
    for (interface, made) in UPLINKS.map(|it| (it, it != "up-abroad")) {
        let found = tc(bench, &format!("qdisc show dev {interface}"))?;
        ensure!(found.contains("clsact") != made, "{interface}: {found}");
    }
    ensure!(
        !Path::new(bench.lab.pins())
            .join(format!("v{ABI_VERSION}"))
            .exists(),
        "still pinned"
    );
    Ok(())
}
