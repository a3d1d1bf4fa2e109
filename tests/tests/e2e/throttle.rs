//! `throttle`: so many new connections of a source pass, and no more.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use gate_tests::{
    gate::{Answer, Config, Counters, Limit},
    lab::{Addresses, Family, Seen, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("throttle::a_source_opens_so_many_and_no_more", so_many),
        found.lab_trial("throttle::clients_at_once_share_what_a_source_has", at_once),
        found.lab_trial("throttle::what_is_open_lives_on", established),
    ]
}

/// A burst, and in the time that a trial takes nothing more.
fn throttled(bench: &Bench<'_>, burst: u32) -> Result<Config> {
    let mut config = bench.config()?;
    config.action = "throttle";
    config.throttle = Some(Limit {
        limit: 1,
        per: "day",
        burst,
    });
    config.answer = Answer::Reset;
    // As many answers as connections are tried.
    config.answers_source = Some(Limit {
        limit: 1000,
        per: "second",
        burst: 1000,
    });
    Ok(config)
}

/// Connections that came about of `tries`; the rest has to be refused aloud.
fn opened(bench: &Bench<'_>, from: Who, family: Family, tries: usize) -> Result<u64> {
    let mut open = 0;
    for _ in 0..tries {
        match bench.lab.connect(from, Who::OtherMail, family, 25)? {
            Seen::Open(_) => open += 1,
            seen @ (Seen::Silent(_) | Seen::NoAnswer | Seen::Refused(_)) => ensure!(
                seen == Answer::Reset.heard(family),
                "{from}, {family}: {seen}"
            ),
        }
    }
    Ok(open)
}

/// Connections within the limit and over it, by verdict and reason; and nothing else was judged.
fn judged(counters: &Counters) -> Result<(u64, u64)> {
    let within = counters.judged("passed", "within_limit");
    let over = counters.judged("refused", "over_limit");
    let verdicts = &counters.verdicts;
    ensure!(
        (verdicts.passed, verdicts.refused, verdicts.observed) == (within, over, 0),
        "more than one reason each: {counters:?}"
    );
    let limit = counters.limits.iter().find(|it| it.limit == "throttle");
    ensure!(
        limit.is_some_and(|it| (it.within, it.over + it.contended) == (within, over)),
        "{within} within, {over} over: {counters:?}"
    );
    Ok((within, over))
}

fn so_many(bench: &Bench<'_>) -> Result<()> {
    const BURST: u32 = 3;
    let _daemon = bench.run(&throttled(bench, BURST)?)?;
    for family in Family::ALL {
        let open = opened(bench, Who::Subscriber, family, 5)?;
        ensure!(open == 3, "{family}: {open} of 5, not {BURST}");
    }
    // Another source has its own, and what is not throttled none.
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    bench.open(Who::Subscriber, Who::OtherMail, 587)?;
    let (within, over) = judged(&bench.gate().counters()?)?;
    ensure!((within, over) == (8, 4), "{within} within, {over} over");
    let before = bench.gate().counters()?.verdicts.passed;
    for _ in 0..2 * BURST {
        bench.open(Who::Static, Who::OtherMail, 25)?;
    }
    let exempt = bench.gate().counters()?;
    ensure!(
        exempt.judged("passed", "exempt") == u64::from(4 * BURST)
            && exempt.verdicts.passed == before + u64::from(4 * BURST),
        "{exempt:?}"
    );
    Ok(())
}

/// Two clients of one source and one of another, all at once: every connection is counted, and each source has its burst.
fn at_once(bench: &Bench<'_>) -> Result<()> {
    const BURST: u32 = 10;
    const TRIES: usize = 20;
    let _daemon = bench.run(&throttled(bench, BURST)?)?;
    let accepted = bench.lab.accepted_by_all();
    let clients = [Who::Subscriber, Who::Subscriber, Who::Neighbour];
    let open: Vec<u64> = thread::scope(|scope| {
        let started = clients.map(|who| scope.spawn(move || opened(bench, who, Family::V4, TRIES)));
        started
            .into_iter()
            .map(|client| {
                client
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect::<Result<_>>()
    })?;
    let [first, second, other] = open[..] else {
        anyhow::bail!("three clients: {open:?}");
    };
    let burst = u64::from(BURST);
    ensure!(first + second == burst && other == burst, "open: {open:?}");
    let (within, over) = judged(&bench.gate().counters()?)?;
    let tried = (clients.len() * TRIES) as u64;
    ensure!(
        (within, over) == (2 * burst, tried - 2 * burst)
            && bench.lab.accepted_by_all() - accepted == within
            && bench.lab.syns_from_subscribers()? == tried,
        "{within} within, {over} over, of {tried}"
    );
    Ok(())
}

/// A connection that is open says on what it likes, though its source may open no other.
fn established(bench: &Bench<'_>) -> Result<()> {
    const LONG: Duration = Duration::from_secs(10);
    let addresses = Addresses {
        v4: "203.0.113.77".parse()?,
        v6: "2001:db8:7100::77".parse()?,
    };
    let host = bench.lab.add_host("patient", "srv-patient", addresses)?;
    let _daemon = bench.run(&throttled(bench, 1)?)?;
    for family in Family::ALL {
        let address = SocketAddr::new(addresses.of(family), 25);
        let listener = host.run(|| TcpListener::bind(address))??;
        let netns = bench.lab.netns(Who::Subscriber)?;
        let mut client = netns.run(|| TcpStream::connect_timeout(&address, LONG))??;
        let (mut server, _) = listener.accept()?;
        server.set_read_timeout(Some(LONG))?;
        for octet in 0..10 {
            let open = opened(bench, Who::Subscriber, family, 1)?;
            ensure!(open == 0, "{family}: a second connection");
            client.write_all(&[octet])?;
            let mut read = [0];
            server.read_exact(&mut read)?;
            ensure!(read == [octet], "{family}: {read:?}");
        }
    }
    let (within, over) = judged(&bench.gate().counters()?)?;
    ensure!((within, over) == (2, 20), "{within} within, {over} over");
    Ok(())
}
