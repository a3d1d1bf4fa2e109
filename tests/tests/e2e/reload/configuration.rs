//! Another configuration, by `gate reload` and by SIGHUP.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gate_tests::{exec::Output, gate::Daemon, interrupt, lab::Who};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use super::{
    LIMIT, generation, logs, one_generation, refused_in_status, refuses, reloads, rewrite, until,
    version, well,
};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("reload::a_changed_configuration_takes_effect", command),
        found.lab_trial("reload::sighup_reloads", sighup),
        found.lab_trial("reload::a_half_saved_file_is_not_policy", half_saved),
        found.lab_trial("reload::a_bad_configuration_is_refused", bad),
        found.lab_trial("reload::interfaces_come_and_go", interfaces),
        found.lab_trial("reload::what_fails_half_way_is_taken_back", half_way),
        found.lab_trial("reload::an_interface_that_lost_its_link_gets_it_back", lost),
        found.lab_trial("reload::nothing_new_makes_no_generation", nothing),
        found.lab_trial("reload::two_at_once_make_one_generation", two),
        found.lab_trial("reload::without_a_daemon_it_says_how_to_start_one", alone),
    ]
}

fn command(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    config.action = "observe";
    let daemon = bench.run(&config)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let (before, counters) = (generation(bench)?, bench.gate().counters()?.verdicts);
    config.action = "enforce";
    rewrite(bench, &config)?;
    let change = reloads(bench, &[])?;
    ensure!(
        change.generation.before == Some(before) && change.generation.after == Some(before + 1),
        "from {before} to the next: {change:?}"
    );
    let memory = change.memory.context("no memory")?;
    ensure!(
        // Lists that did not change are shared.
        memory.before > 0
            && memory.after > 0
            && memory.both > memory.before
            && memory.both < memory.before + memory.after,
        "the memory of both generations: {memory:?}"
    );
    bench.in_force()?;
    well(bench)?;
    ensure!(
        bench.gate().counters()?.verdicts.observed == counters.observed,
        "counters did not go on"
    );
    let status = bench.gate().status()?.1;
    ensure!(
        matches!(
            &status.memory[..],
            [kept, one] if kept.generation == before
                && kept.bytes == memory.before
                && one.generation == before + 1
                && one.bytes == memory.after
        ),
        "the memory of the generation in force, and of the one before: {status:?}"
    );
    logs(&daemon, &format!("reloaded: generation {}", before + 1))?;
    let text = bench.gate().text(&["reload"])?;
    ensure!(text.starts_with("nothing changed"), "{text}");
    Ok(())
}

/// Sends SIGHUP and waits until the log has these words once more.
fn hang_up(daemon: &Daemon, words: &str) -> Result<()> {
    let count = || daemon.said().matches(words).count();
    let before = count();
    daemon.signal(Signal::SIGHUP)?;
    let said = interrupt::wait_until(LIMIT, || count() > before)?;
    ensure!(said, "SIGHUP: the log lacks `{words}`: {}", daemon.said());
    Ok(())
}

fn sighup(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let daemon = bench.run(&config)?;
    bench.in_force()?;
    config.action = "observe";
    rewrite(bench, &config)?;
    hang_up(&daemon, "reloaded: generation")?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let path = bench.lab.scratch().join("gate.toml");
    fs::write(&path, "[port25")?;
    hang_up(&daemon, "reload refused")?;
    refused_in_status(bench, "SIGHUP")?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    config.action = "enforce";
    rewrite(bench, &config)?;
    hang_up(&daemon, "reloaded: generation")?;
    well(bench)?;
    bench.in_force()
}

/// Data that changes meanwhile comes with the configuration in force, and not with the half of one on disk.
fn half_saved(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let list = bench.lab.scratch().join("static.txt");
    fs::write(&list, "100.64.200.1\n")?;
    config
        .pools
        .iter_mut()
        .filter(|pool| pool.policy == "exempt")
        .for_each(|pool| pool.files = vec![list.clone()]);
    let _daemon = bench.run(&config)?;
    let before = generation(bench)?;
    let path = bench.lab.scratch().join("gate.toml");
    let whole = fs::read_to_string(&path)?;
    let half = whole.find("[[access]]").context("no pool")?;
    fs::write(&path, whole.get(..half).context("no half")?)?;
    fs::write(&list, "100.64.200.1\n100.64.0.2\n2001:db8:100:2::2\n")?;
    until(bench, "the list in force", |status| {
        let number = status.generation.as_ref().map(|it| it.number);
        number == Some(before + 1)
    })?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)
}

/// What an error says about `enforced`.
const MEANT: &str = "did you mean \"enforce\"?";

fn bad(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let path = bench.lab.scratch().join("gate.toml");
    let whole = fs::read_to_string(&path)?;
    fs::write(&path, whole.replace("enforce", "enforced"))?;
    refuses(bench, &[], MEANT)?;
    logs(&daemon, MEANT)?;
    refused_in_status(bench, MEANT)?;
    let Output { stdout, .. } = bench.gate().output(&["reload"])?;
    ensure!(
        stdout.starts_with("refused, generation 1 is in force") && stdout.contains("hint:"),
        "{stdout}"
    );
    bench.in_force()?;
    // The guards are overridden by `--force`; mistakes are not.
    refuses(bench, &["--force"], MEANT)?;
    fs::write(&path, whole.replace("enforce", "observe"))?;
    reloads(bench, &[])?;
    well(bench)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn interfaces(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let all = config.interfaces.clone();
    let name = Who::Neighbour.interface();
    config.interfaces.retain(|(it, _)| *it != name);
    let _daemon = bench.run(&config)?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    config.interfaces = all;
    rewrite(bench, &config)?;
    let change = reloads(bench, &[])?;
    ensure!(change.attached == [name], "attached: {change:?}");
    bench.refused(Who::Neighbour, Who::OtherMail, 25)?;
    bench.in_force()?;
    // One that is not there: nothing of the reload stays.
    let (before, attached) = (one_generation(bench)?, bench.lab.attached()?);
    let role = config.interfaces.first().context("no interface")?.1;
    config.interfaces.push(("nowhere0", role));
    rewrite(bench, &config)?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(1) && reload.outcome == "failed",
        "{code:?}, {reload:?}"
    );
    refused_in_status(bench, "nowhere0")?;
    ensure!(
        one_generation(bench)? == before && bench.lab.attached()? == attached,
        "a reload that failed left something"
    );
    config
        .interfaces
        .retain(|(it, _)| *it != name && *it != "nowhere0");
    rewrite(bench, &config)?;
    let change = reloads(bench, &[])?;
    ensure!(change.detached == [name], "detached: {change:?}");
    ensure!(
        !bench.lab.attached()?.contains_key(name),
        "{name} still has the program"
    );
    well(bench)?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    bench.in_force()
}

/// Of two interfaces that come, the program can be put on the first only.
fn half_way(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let whole = config.clone();
    let [first, second] = [Who::Neighbour, Who::Static].map(Who::interface);
    config
        .interfaces
        .retain(|(it, _)| *it != first && *it != second);
    let _daemon = bench.run(&config)?;
    let (before, attached) = (one_generation(bench)?, bench.lab.attached()?);
    // Its driver refuses a program now.
    bench.queues(Who::Static, 2)?;
    rewrite(bench, &whole)?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(1)
            && reload.outcome == "failed"
            && reload.reason.is_some_and(|it| it.contains(second))
            && reload.hint.is_some(),
        "it should fail and name {second}: {code:?}"
    );
    ensure!(
        one_generation(bench)? == before && bench.lab.attached()? == attached,
        "a reload that failed left something"
    );
    refused_in_status(bench, second)?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    bench.queues(Who::Static, 1)?;
    reloads(bench, &[])?;
    well(bench)?;
    one_generation(bench)?;
    bench.refused(Who::Neighbour, Who::OtherMail, 25)
}

/// With the same configuration and the same data.
fn lost(bench: &Bench<'_>) -> Result<()> {
    let daemon = bench.run(&bench.config()?)?;
    let name = Who::Subscriber.interface();
    // It would be quicker than anybody who looks.
    daemon.signal(Signal::SIGSTOP)?;
    fs::remove_file(version(bench).join("links").join(name))?;
    let status = bench.gate().status();
    daemon.signal(Signal::SIGCONT)?;
    let (code, status) = status?;
    ensure!(
        code == Some(3)
            && status.state == "open"
            && status
                .problems
                .iter()
                .any(|it| it.starts_with(name) && it.contains("the daemon tries again")),
        "{code:?}, {status:?}"
    );
    // Nobody has to ask for it.
    until(bench, "the interface on the gate again", |status| {
        status.state == "ok"
    })?;
    well(bench)?;
    bench.in_force()
}

fn nothing(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let before = generation(bench)?;
    rewrite(bench, &config)?;
    let (code, reload) = bench.gate().reload(&[])?;
    ensure!(
        code == Some(0) && reload.outcome == "unchanged",
        "{code:?}, {reload:?}"
    );
    hang_up(&daemon, "it stays in force")?;
    ensure!(generation(bench)? == before, "a generation for nothing");
    bench.in_force()
}

fn two(bench: &Bench<'_>) -> Result<()> {
    let mut config = bench.config()?;
    let _daemon = bench.run(&config)?;
    let before = generation(bench)?;
    config.action = "observe";
    rewrite(bench, &config)?;
    let outcomes = std::thread::scope(|scope| {
        let ask = || bench.gate().reload(&[]);
        let clients = [scope.spawn(ask), scope.spawn(ask)];
        clients.map(|client| {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))
        })
    });
    let mut words = Vec::new();
    for outcome in outcomes {
        let (code, reload) = outcome??;
        ensure!(code == Some(0), "{code:?}, {reload:?}");
        words.push(reload.outcome);
    }
    words.sort();
    ensure!(words == ["loaded", "unchanged"], "{words:?}");
    ensure!(generation(bench)? == before + 1, "not one generation more");
    bench.open(Who::Subscriber, Who::OtherMail, 25)
}

fn alone(bench: &Bench<'_>) -> Result<()> {
    let says = |words: &str| -> Result<()> {
        let output = bench.gate().output(&["reload"])?;
        ensure!(
            output.code() == Some(3) && output.stderr.contains(words),
            "should end with 3 and say `{words}`: {output:?}"
        );
        Ok(())
    };
    says("gate run --config FILE")?;
    bench.run(&bench.config()?)?.terminate()?;
    let path = bench.lab.scratch().join("gate.toml");
    let path = path.to_str().context("a path that is no text")?;
    says("stays in force")?;
    says(&format!("gate run --config {path}"))?;
    bench.in_force()
}
