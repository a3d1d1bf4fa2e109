//! An interface that has the program, and another index than the generation in force knows it by: it was in another network namespace, and its index was
//! given away meanwhile.

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::Daemon,
    interrupt,
    lab::{Family, Who},
};
use libtest_mimic::Trial;
use nix::net::if_::if_nametoindex;

use super::{LIMIT, READ_ONLY, WRITABLE, apart, remount, until};
use crate::{
    bench::{Bench, Found},
    interfaces::{HOME, home, move_home, restore_home},
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial(
            "faults::an_interface_that_the_generation_does_not_know",
            unknown,
        ),
        found.lab_trial("faults::an_interface_that_a_start_does_not_know", at_start),
    ]
}

/// While no daemon ran, nothing was judged on it; the next one says so, once, and has it judged.
fn at_start(bench: &Bench<'_>) -> Result<()> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    let first = bench.gate().run(&path)?;
    ensure!(!first.said().contains("did not know"), "{}", first.said());
    first.kill()?;
    let index = move_and_return(bench)?;
    let (_, status) = bench.gate().status()?;
    ensure!(
        status.state == "open" && home(&status) == Some("open"),
        "{status:?}"
    );
    let says = format!("{HOME}: has the index {index}, which generation 1 did not know");
    let next = bench.gate().run(&path)?;
    let said = next.said();
    let times = |words: &str| said.matches(words).count();
    ensure!(times(&says) == 1 && times("did not know") == 1, "{said}");
    bench.in_force()?;
    next.kill()?;
    let last = bench.gate().run(&path)?;
    ensure!(!last.said().contains("did not know"), "{}", last.said());
    bench.in_force()
}

/// The daemon cannot pin anything, so that it makes no generation for the interface: everybody says that nothing is judged there. Once it can, it does.
fn unknown(bench: &Bench<'_>) -> Result<()> {
    let daemon = Daemon::start(apart(bench)?)?;
    bench.in_force()?;
    ensure!(unjudged(bench)? == 0, "nothing is unknown yet");
    remount(&daemon, &READ_ONLY)?;
    let index = move_and_return(bench)?;
    let known = "generation 1 was made before it had its index";
    let status = until(bench, "not open", |status| {
        home(status) == Some("open") && status.problems.iter().any(|it| it.contains(known))
    })?;
    ensure!(status.state == "open", "{status:?}");
    // The kernel has a link carry packets some time after it is up.
    for family in Family::ALL {
        let reached = || {
            let seen = bench
                .lab
                .connect(Who::Subscriber, Who::OtherMail, family, 25);
            seen.is_ok_and(|it| it.local().is_some())
        };
        let passes = interrupt::wait_until(LIMIT, reached)?;
        ensure!(passes, "{family}: nothing judges it, and it does not pass");
    }
    let passed = unjudged(bench)?;
    ensure!(passed > 0, "what passed is counted nowhere");
    let of_home = format!("gate_interface_state{{interface=\"{HOME}\"");
    let told = bench.metrics()?;
    let open = told
        .lines()
        .any(|it| it.starts_with(&of_home) && it.ends_with("state=\"open\"} 1"));
    // The last segments of a connection may come later.
    let counted = told.lines().find_map(|it| {
        it.strip_prefix("gate_packets_total{verdict=\"passed\",reason=\"no_role\"} ")
    });
    let counted: u64 = counted.context("it is in no metric")?.parse()?;
    ensure!(open && counted >= passed, "{passed} passed: {told}");
    let says = format!("{HOME}: has the index {index} now, which generation 1 does not know");
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(&says))?;
    ensure!(said, "the log should say `{says}`: {}", daemon.said());
    ensure!(
        daemon.said().matches(&says).count() == 1,
        "{}",
        daemon.said()
    );
    // What it was about to do, and not what there was to take back of it.
    let cause = "cannot make the directory";
    let said = interrupt::wait_until(LIMIT, || daemon.said().contains(cause))?;
    ensure!(
        said && !daemon.said().contains("taking back"),
        "the log should say `{cause}`: {}",
        daemon.said()
    );
    explained(bench)?;
    // The others are judged as ever.
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    remount(&daemon, &WRITABLE)?;
    // It tries again by itself some seconds later; whoever asks does not wait.
    let (code, _) = bench.gate().reload(&[])?;
    ensure!(code == Some(0), "the reload ended with {code:?}");
    until(bench, "not well", |status| status.state == "ok")?;
    let before = unjudged(bench)?;
    bench.in_force()?;
    ensure!(unjudged(bench)? == before, "something is still unknown");
    Ok(())
}

/// Packets of interfaces that have no role.
fn unjudged(bench: &Bench<'_>) -> Result<u64> {
    Ok(bench.gate().counters()?.judged("passed", "no_role"))
}

/// Has another device take the index of the interface while that is away; which one it has then.
fn move_and_return(bench: &Bench<'_>) -> Result<u32> {
    let router = bench.lab.router();
    let elsewhere = bench.lab.netns(Who::OtherMail)?;
    let before = router.run(|| if_nametoindex(HOME))??;
    move_home(router, elsewhere)?;
    router.ip(&format!(
        "link add taken0 index {before} type veth peer name taken1\n"
    ))?;
    move_home(elsewhere, router)?;
    restore_home(bench)?;
    let after = router.run(|| if_nametoindex(HOME))??;
    ensure!(after != before, "it has the index {before} again");
    Ok(after)
}

/// Who asks why a packet passes there is told that it is not judged.
fn explained(bench: &Bench<'_>) -> Result<()> {
    let [from, to] =
        [Who::Subscriber, Who::OtherMail].map(|who| bench.lab.address(who, Family::V4));
    let (from, to) = (from?, to?);
    let (from, to) = (from.to_string(), to.to_string());
    let arguments = ["explain", "--in", HOME, "--from", &from, "--to", &to];
    let answer = bench.gate().output(&arguments)?;
    ensure!(
        answer.code() == Some(3)
            && answer.stderr.contains("unjudged")
            && answer.stderr.contains("hint:"),
        "{answer:?}"
    );
    Ok(())
}
