//! Ports 587 and 465: what a rehearsal says of classes and their limits is what the same connections meet once the configuration is in force, as clients, servers and
//! tags have it.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Answer, Config, Rehearsal, RehearsedOutcome},
    lab::{Family, Seen, Who},
};

use super::Going;
use crate::bench::Bench;

/// So many connections of each client and family, to one port and the other in turn.
const TRIES: usize = 6;
const PORTS: [u16; 2] = [587, 465];
/// How many of them are within a limit of the new configuration.
const BURST: usize = 4;
/// What is over it, of each client and family.
const OVER: u64 = (TRIES - BURST) as u64;
/// The clients: those of a class that refuses what is over its limit, of one whose countries go to that class, and of one that only tags it.
const CLIENTS: [Who; 3] = [Who::Foreign, Who::HighSpam, Who::Domestic];

/// What became of one client's connections, by family, as it and the server saw them.
#[derive(Debug, Default)]
struct Met {
    open: u64,
    reset: u64,
    accepted: u64,
    /// Of those that are open, by the word of their class, and whether they were over the limit.
    tags: BTreeMap<(String, bool), u64>,
}

/// By client, and source.
type All = BTreeMap<(String, SourceKey), Met>;
/// A source as a rehearsal writes it: an address of IPv4, a network of IPv6.
type SourceKey = ipnet::IpNet;

pub(super) fn comes_true(bench: &Bench<'_>) -> Result<()> {
    let live = bench.config()?;
    let new = new(&live)?;
    let _daemon = bench.run(&live)?;
    let going = Going::begin(bench, &new)?;
    let before = connect(bench)?;
    let rehearsal = going.end()?;
    new.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["reload"])?;
    let after = connect(bench)?;
    told(&rehearsal)?;
    let tries = TRIES as u64;
    for (key, old) in &before {
        let met = after.get(key).context("another source")?;
        ensure!(
            (old.open, old.reset, old.accepted) == (tries, 0, tries),
            "{key:?}: {old:?}, before"
        );
        let refused = packets(&rehearsal, key.1, |to| to.words()[0] == "refused");
        ensure!(
            met.open == met.accepted && met.open + met.reset == tries && met.reset == refused,
            "{key:?}: {refused} would be refused, and {met:?}"
        );
        // Each tag that is another one now was to be.
        for ((class, over), connections) in &met.tags {
            let was = old.tags.get(&(class.clone(), *over)).copied();
            let other = connections - was.unwrap_or_default().min(*connections);
            let said = packets(&rehearsal, key.1, |to| {
                let [verdict, reason] = to.words();
                let limited = reason == "over_limit";
                (verdict, limited) == ("tagged", *over) && to.class.as_ref() == Some(class)
            });
            ensure!(
                other == said,
                "{key:?}: {said} would be tagged otherwise, and {met:?} after {old:?}"
            );
        }
    }
    Ok(())
}

/// A class that goes, so that its countries are foreign; and limits of two others.
fn new(live: &Config) -> Result<Config> {
    let mut new = live.clone();
    new.classes.retain(|it| it.name != "high-spam");
    for (name, over) in [("foreign", "reset"), ("domestic", "tag")] {
        let class = new.classes.iter_mut().find(|it| it.name == name);
        class.context("no such class")?.keys.push(format!(
            "connections = {{ limit = 1, per = \"day\", burst = {BURST}, over = \"{over}\" }}"
        ));
    }
    Ok(new)
}

/// Everything that the rehearsal has to say, and nothing else.
fn told(rehearsal: &Rehearsal) -> Result<()> {
    let (over, families) = (OVER, Family::ALL.len() as u64);
    let within = BURST as u64;
    let expected = BTreeMap::from(
        [
            (
                ["tagged foreign", "refused foreign over_limit"],
                over * families,
            ),
            (["tagged high-spam", "tagged foreign"], within * families),
            (
                ["tagged high-spam", "refused foreign over_limit"],
                over * families,
            ),
            (
                ["tagged domestic", "tagged domestic over_limit"],
                over * families,
            ),
        ]
        .map(|(pair, packets)| (pair.map(str::to_owned), packets)),
    );
    let mut found: BTreeMap<[String; 2], u64> = BTreeMap::new();
    for it in &rehearsal.differences {
        let words = [&it.from, &it.to].map(|it| {
            let [verdict, reason] = it.words();
            let class = it.class.as_deref().unwrap_or("none");
            let limit = if reason == "over_limit" {
                " over_limit"
            } else {
                ""
            };
            format!("{verdict} {class}{limit}")
        });
        ensure!(
            it.packets == it.top.iter().map(|it| it.packets).sum::<u64>() && it.sources == families,
            "{it:?}"
        );
        *found.entry(words).or_default() += it.packets;
    }
    let packets = rehearsal.packets;
    let all = (CLIENTS.len() * TRIES) as u64 * families;
    ensure!(
        found == expected
            && packets.compared == all
            && packets.otherwise + packets.other_reason == expected.values().sum::<u64>()
            && packets.other_reason == over * families,
        "{found:#?} should be {expected:#?}: {rehearsal:#?}"
    );
    Ok(())
}

/// How many packets of a source would become what is asked for, and are another thing now.
fn packets(
    rehearsal: &Rehearsal,
    source: SourceKey,
    to: impl Fn(&RehearsedOutcome) -> bool,
) -> u64 {
    let wanted = rehearsal.differences.iter().filter(|it| to(&it.to));
    let of_source = wanted.flat_map(|it| &it.top);
    of_source
        .filter(|it| it.source.parse() == Ok(source))
        .map(|it| it.packets)
        .sum()
}

/// The connections of everybody, and what became of them.
fn connect(bench: &Bench<'_>) -> Result<All> {
    let mut all = All::new();
    for who in CLIENTS {
        for family in Family::ALL {
            let address = bench.lab.address(who, family)?;
            let length = match family {
                Family::V4 => 32,
                Family::V6 => 64,
            };
            let source = ipnet::IpNet::new(address, length)?.trunc();
            let accepted = || -> Result<u64> {
                let accepted = bench.lab.accepted(Who::OwnMail)?;
                Ok(PORTS.map(|it| accepted.from(address, it)).iter().sum())
            };
            let before = accepted()?;
            let mut met = Met::default();
            for port in PORTS.into_iter().cycle().take(TRIES) {
                let seen = bench.lab.connect(who, Who::OwnMail, family, port)?;
                match seen {
                    Seen::Open(client) => {
                        met.open += 1;
                        let server: SocketAddr =
                            (bench.lab.address(Who::OwnMail, family)?, port).into();
                        let flow = bench.gate().flow(client, server)?.context("no tag")?;
                        *met.tags.entry((flow.class, flow.over_limit)).or_default() += 1;
                    }
                    refused if refused == Answer::Reset.heard(family) => met.reset += 1,
                    Seen::Refused(_) | Seen::Silent(_) | Seen::NoAnswer => {
                        anyhow::bail!("{who}, {family}, {port}: {seen}")
                    }
                }
            }
            let there = gate_tests::interrupt::wait_until(super::LIMIT, || {
                accepted().is_ok_and(|it| it - before >= met.open)
            })?;
            ensure!(there, "{who}, {family}: {met:?}");
            met.accepted = accepted()? - before;
            all.insert((who.interface().to_owned(), source), met);
        }
    }
    Ok(all)
}
