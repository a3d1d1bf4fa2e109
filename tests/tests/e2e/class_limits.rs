//! Limits of country classes: the same burst that passes from home is too much from abroad, and what that comes to is the class's to say.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::{State, maps};
use gate_tests::{
    gate::{Answer, ClassPackets, Config, Counters},
    lab::{Family, Seen, Who},
};
use gate_user::sys::{Access, Map};
use jiff::{Timestamp, ToSpan as _};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

/// Connections of each client and family.
const TRIES: usize = 20;
/// How many of them are within the limit of `foreign`.
const BURST: usize = 10;

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let over = |over, heard| {
        found.lab_trial(
            format!("class_limits::over_{over}_is_what_the_client_sees"),
            move |bench| refuses(bench, over, heard),
        )
    };
    vec![
        found.lab_trial("class_limits::abroad_exceeds_and_home_does_not", tags),
        over("reset", Answer::Reset),
        over("drop", Answer::Drop),
        found.lab_trial("class_limits::an_observed_class_refuses_nobody", |bench| {
            observes(bench, "action = \"observe\"")
        }),
        found.lab_trial("class_limits::own_service_is_exempt", exempt),
        found.lab_trial("class_limits::a_limit_begins_by_itself", begins),
    ]
}

/// A burst for clients abroad, and in the time that a trial takes nothing more.
fn limited(bench: &Bench<'_>, over: &str, keys: &[&str]) -> Result<Config> {
    let mut config = bench.config()?;
    let foreign = config.classes.iter_mut().find(|it| it.name == "foreign");
    let foreign = foreign.context("no class for those abroad")?;
    foreign.keys.push(format!(
        "connections = {{ limit = 1, per = \"day\", burst = {BURST}, over = \"{over}\" }}"
    ));
    foreign.keys.extend(keys.iter().map(|it| (*it).to_owned()));
    Ok(config)
}

/// So many connections one after another, from each a client's end or what became of it instead.
fn attempts(bench: &Bench<'_>, from: Who, family: Family, tries: usize) -> Result<Vec<Seen>> {
    (0..tries)
        .map(|_| bench.lab.connect(from, Who::OwnMail, family, 587))
        .collect()
}

/// Whether the connection from `seen` was over its limit, and whether it was only observed, by its tag.
fn tag(bench: &Bench<'_>, family: Family, seen: Seen, class: &str) -> Result<(bool, bool)> {
    let source = seen.local().with_context(|| format!("{family}: {seen}"))?;
    let server: SocketAddr = (bench.lab.address(Who::OwnMail, family)?, 587).into();
    let flow = bench.gate().flow(source, server)?.context("no tag")?;
    ensure!(flow.class == class, "{source}: {flow:?}");
    Ok((flow.over_limit, flow.observed))
}

fn class(counters: &Counters, name: &str) -> Result<ClassPackets> {
    let found = counters.classes.iter().find(|it| it.name == name);
    found.cloned().with_context(|| format!("no class {name}"))
}

fn tags(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&limited(bench, "tag", &[])?)?;
    for family in Family::ALL {
        for (who, name, within) in [
            (Who::Foreign, "foreign", BURST),
            (Who::Domestic, "domestic", TRIES),
        ] {
            let seen = attempts(bench, who, family, TRIES)?;
            for (number, seen) in seen.into_iter().enumerate() {
                ensure!(matches!(seen, Seen::Open(_)), "{who}, {number}: {seen}");
                let tag = tag(bench, family, seen, name)?;
                ensure!(
                    tag == (number >= within, false),
                    "{who}, {family}, connection {number}: {tag:?}"
                );
            }
        }
    }
    let counters = bench.gate().counters()?;
    let (foreign, domestic) = (class(&counters, "foreign")?, class(&counters, "domestic")?);
    let tries = (2 * TRIES) as u64;
    let over = 2 * (TRIES - BURST) as u64;
    ensure!(
        (foreign.packets.tagged, foreign.packets.over_limit) == (tries, over)
            && (domestic.packets.tagged, domestic.packets.over_limit) == (tries, 0)
            && counters.judged("tagged", "over_limit") == over,
        "{counters:?}"
    );
    for family in Family::ALL {
        let address = bench.lab.address(Who::Foreign, family)?;
        let source = counters.sources.entries.iter().find(|it| {
            let net: Option<ipnet::IpNet> = it.source.parse().ok();
            net.is_some_and(|net| net.contains(&address))
        });
        let source = source.with_context(|| format!("{address} is not counted"))?;
        ensure!(
            (source.packets.tagged, source.over_limit)
                == (TRIES as u64, Some((TRIES - BURST) as u64)),
            "{source:?}"
        );
    }
    let limit = counters.limits.iter().find(|it| it.limit == "class");
    ensure!(
        limit.is_some_and(|it| (it.within, it.over) == (tries - over, over)),
        "{counters:?}"
    );
    Ok(())
}

fn refuses(bench: &Bench<'_>, over: &str, answer: Answer) -> Result<()> {
    const MORE: usize = 3;
    let _daemon = bench.run(&limited(bench, over, &[])?)?;
    for family in Family::ALL {
        let seen = attempts(bench, Who::Foreign, family, BURST + MORE)?;
        for (number, seen) in seen.into_iter().enumerate() {
            let right = if number < BURST {
                matches!(seen, Seen::Open(_))
            } else {
                seen == answer.heard(family)
            };
            ensure!(right, "{family}, connection {number}: {seen}");
        }
        for seen in attempts(bench, Who::Domestic, family, BURST + MORE)? {
            ensure!(matches!(seen, Seen::Open(_)), "from home, {family}: {seen}");
        }
    }
    let counters = bench.gate().counters()?;
    let foreign = class(&counters, "foreign")?.packets;
    let refused = counters.judged("refused", "over_limit");
    ensure!(
        foreign.tagged == (2 * BURST) as u64
            // Who hears nothing may say it again.
            && foreign.refused >= (2 * MORE) as u64
            && (foreign.refused, foreign.over_limit) == (refused, refused)
            && counters.answered("reset") == if over == "reset" { refused } else { 0 },
        "{counters:?}"
    );
    Ok(())
}

/// `keys` say that the class is observed.
fn observes(bench: &Bench<'_>, keys: &str) -> Result<()> {
    let _daemon = bench.run(&limited(bench, "drop", &[keys])?)?;
    let (_, status) = bench.gate().status()?;
    let observed = status.observed.iter().find(|it| it.kind == "class");
    ensure!(
        observed.is_some_and(|it| it.name.as_deref() == Some("foreign") && it.until.is_none()),
        "{status:?}"
    );
    for family in Family::ALL {
        let seen = attempts(bench, Who::Foreign, family, TRIES)?;
        for (number, seen) in seen.into_iter().enumerate() {
            let tag = tag(bench, family, seen, "foreign")?;
            ensure!(
                tag == (number >= BURST, true),
                "{family}, connection {number}: {tag:?}"
            );
        }
    }
    let counters = bench.gate().counters()?;
    let foreign = class(&counters, "foreign")?.packets;
    let over = 2 * (TRIES - BURST) as u64;
    ensure!(
        (foreign.tagged, foreign.observed) == (2 * BURST as u64, over)
            && (foreign.refused, foreign.over_limit) == (0, over),
        "{counters:?}"
    );
    Ok(())
}

/// By its prefix, although the class of its country would have refused it.
fn exempt(bench: &Bench<'_>) -> Result<()> {
    let mut config = limited(bench, "drop", &[])?;
    let own = config
        .classes
        .iter_mut()
        .find(|it| it.name == "own-service");
    let own = own.context("no class for the own service")?;
    for family in Family::ALL {
        let address = bench.lab.address(Who::Foreign, family)?;
        own.prefixes.push(address.to_string());
    }
    let _daemon = bench.run(&config)?;
    for family in Family::ALL {
        for seen in attempts(bench, Who::Foreign, family, TRIES)? {
            let tag = tag(bench, family, seen, "own-service")?;
            ensure!(tag == (false, false), "{family}: {tag:?}");
        }
    }
    let limits = bench.gate().counters()?.limits;
    ensure!(limits.is_empty(), "{limits:?}");
    Ok(())
}

/// An hour before its moment a limit is observed; when the moment has come it bites, with nobody doing anything.
fn begins(bench: &Bench<'_>) -> Result<()> {
    let moment = Timestamp::now().checked_add(1.hour())?;
    let key = format!("effective_from = {moment}");
    let daemon = bench.run(&limited(bench, "reset", &[&key])?)?;
    let (_, status) = bench.gate().status()?;
    let until = status.observed.iter().find(|it| it.kind == "class");
    ensure!(
        until.and_then(|it| it.until) == Some(moment),
        "{moment} is not in {status:?}"
    );
    let seen = attempts(bench, Who::Foreign, Family::V4, BURST + 1)?;
    let last = seen.last().context("no connection")?;
    let tag = tag(bench, Family::V4, *last, "foreign")?;
    ensure!(tag == (true, true), "before its moment: {tag:?}");
    // Nobody is left who would look after the clock; the kernel is told that two hours went by.
    daemon.kill()?;
    let path = bench
        .lab
        .pins()
        .join(format!("v{}", gate_common::abi::ABI_VERSION));
    let state = Map::open(&path.join("maps").join(maps::STATE), Access::Write)?;
    let offset = State::WallOffset as u32;
    let before: Option<u64> = state.lookup(&offset)?;
    let later = before.context("no offset")?.wrapping_add(7_200_000_000_000);
    state.update(&offset, &later)?;
    let seen = bench
        .lab
        .connect(Who::Foreign, Who::OwnMail, Family::V4, 587)?;
    ensure!(
        seen == Answer::Reset.heard(Family::V4),
        "after its moment: {seen}"
    );
    // The other family's burst is untouched.
    let seen = attempts(bench, Who::Foreign, Family::V6, BURST + 1)?;
    ensure!(
        seen.iter().filter(|it| it.local().is_some()).count() == BURST,
        "{seen:?}"
    );
    Ok(())
}
