//! Where the daemon listens.

use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Result, ensure};
use gate_tests::{gate::Config, interrupt, lab::Who};
use libtest_mimic::Trial;

use crate::{
    agree::config,
    bench::{Bench, Found},
    http::{self, DEFAULT},
};

/// How long a change of where it listens may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("listen::who_has_the_address_is_no_harm_to_the_gate", taken),
        found.lab_trial(
            "listen::a_reload_moves_it_and_a_rollback_moves_it_back",
            moves,
        ),
        found.lab_trial("listen::other_hosts_cannot_ask_loopback", others),
    ]
}

/// Whether `address` answers, and is well.
fn answers(bench: &Bench<'_>, address: &str) -> bool {
    http::get(bench.lab.router(), address, "/", "*/*").is_ok_and(|it| it.status == 200)
}

/// Waits until each of these answers, and none of those.
fn settles(bench: &Bench<'_>, open: &[&str], closed: &[&str]) -> Result<()> {
    let settled = interrupt::wait_until(PATIENCE, || {
        open.iter().all(|it| answers(bench, it)) && !closed.iter().any(|it| answers(bench, it))
    })?;
    ensure!(settled, "should be open: {open:?}, closed: {closed:?}");
    bench.in_force()
}

fn taken(bench: &Bench<'_>) -> Result<()> {
    let router = bench.lab.router();
    let listener = router.run(|| TcpListener::bind(DEFAULT))??;
    let daemon = bench.run(&bench.config()?)?;
    let status = || bench.gate().status();
    let degraded = |problem: &str| problem.contains(DEFAULT) && problem.contains("`ss ");
    let told = interrupt::wait_until(PATIENCE, || {
        status().is_ok_and(|(code, it)| {
            code == Some(3) && it.state == "degraded" && it.problems.iter().any(|it| degraded(it))
        })
    })?;
    ensure!(told, "{:?}", status()?);
    ensure!(daemon.said().contains(DEFAULT), "{}", daemon.said());
    bench.in_force()?;
    let logged = daemon.said().matches("metrics cannot be asked for").count();
    ensure!(logged == 1, "said {logged} times: {}", daemon.said());
    drop(listener);
    settles(bench, &[DEFAULT], &[])?;
    let (code, status) = status()?;
    ensure!(code == Some(0) && status.state == "ok", "{status:?}");
    Ok(())
}

fn moves(bench: &Bench<'_>) -> Result<()> {
    const TWO: [&str; 2] = ["127.0.0.1:19090", "[::1]:19091"];
    let _daemon = bench.run(&bench.config()?)?;
    settles(bench, &[DEFAULT], &TWO)?;
    let reload = |tables: &'static str| -> Result<()> {
        let mut config = bench.config()?;
        config.tables = tables;
        config.write(&bench.lab, "gate.toml")?;
        let (code, reload) = bench.gate().reload(&[])?;
        ensure!(code == Some(0), "{reload:?}");
        Ok(())
    };
    reload("[metrics]\nlisten = [\"127.0.0.1:19090\", \"[::1]:19091\"]")?;
    settles(bench, &TWO, &[DEFAULT])?;
    // One address within another takes its place.
    reload("[metrics]\nlisten = [\"0.0.0.0:19090\"]")?;
    settles(bench, &[TWO[0]], &[DEFAULT, TWO[1]])?;
    reload("[metrics]\nlisten = []")?;
    settles(bench, &[], &[DEFAULT, TWO[0], TWO[1]])?;
    ensure!(bench.gate().rollback()?.0 == Some(0));
    settles(bench, &[TWO[0]], &[DEFAULT, TWO[1]])
}

/// The router's address on all of its links.
const ROUTER: &str = "169.254.0.1";

fn others(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&config(bench, "")?)?;
    let ask = |who: Who, port: u16| -> Result<ErrorKind> {
        let result = bench
            .lab
            .netns(who)?
            .run(|| TcpStream::connect((ROUTER, port)))?;
        Ok(result.map_or_else(|error| error.kind(), |_| ErrorKind::AlreadyExists))
    };
    for who in [Who::Subscriber, Who::OwnMail, Who::Foreign] {
        let seen = ask(who, 25587)?;
        ensure!(seen == ErrorKind::ConnectionRefused, "{who}: {seen}");
    }
    // The same hosts reach it where it listens for them: it is the address that keeps them out.
    let open = Config {
        title: "open to others".to_owned(),
        ..config(bench, "[metrics]\nlisten = [\"169.254.0.1:25587\"]")?
    };
    open.write(&bench.lab, "gate.toml")?;
    ensure!(bench.gate().reload(&[])?.0 == Some(0));
    let reached = interrupt::wait_until(PATIENCE, || {
        ask(Who::OwnMail, 25587).is_ok_and(|it| it == ErrorKind::AlreadyExists)
    })?;
    ensure!(reached, "the control is not reached");
    Ok(())
}
