//! What is kept of sources, for how long, and who is told; and that where subscribers connect to is kept nowhere.
//!
//! | module | what it tries |
//! |---|---|
//! | `retention` | what is over goes, by time and by a reload, with a daemon and without; a source is cut as it was asked for |
//! | `destination` | everything that the gate holds and says, searched for where subscribers connected to |
//! | `told` | what `gate privacy` says, and `gate counters --forget` |

mod destination;
mod retention;
mod told;

use std::{net::IpAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gate_common::{Addr, abi::maps};
use gate_tests::{
    gate::{Config, Counters, Packets},
    lab::{Family, Who},
    pin,
};
use gate_user::pins::Pins;
use libtest_mimic::Trial;
use serde_json::Value;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    let mut trials = retention::trials(found);
    trials.extend(destination::trials(found));
    trials.extend(told::trials(found));
    trials
}

/// Much longer than the daemon takes to look again.
const PATIENCE: Duration = Duration::from_secs(40);

fn kept(bench: &Bench<'_>, tables: &'static str) -> Result<Config> {
    Ok(Config {
        tables,
        ..bench.config()?
    })
}

/// Tries port 25 from both lines, over both families.
fn traffic(bench: &Bench<'_>) -> Result<()> {
    for who in [Who::Subscriber, Who::Neighbour] {
        bench.refused(who, Who::OtherMail, 25)?;
    }
    Ok(())
}

/// The octets of an address as maps have them: the two words of an [`Addr`], of which the upper one of IPv4 says nothing.
fn octets(address: IpAddr) -> Vec<u8> {
    let Addr { hi, lo } = Addr::from(address);
    match address {
        IpAddr::V4(_) => lo.to_ne_bytes().to_vec(),
        IpAddr::V6(_) => [hi.to_ne_bytes(), lo.to_ne_bytes()].concat(),
    }
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|it| it == wanted)
}

/// Whether the map of sources has this line's address anywhere in its memory, of either family.
fn in_memory(bench: &Bench<'_>, who: Who) -> Result<bool> {
    let dumped = pin::dump(&Pins::new(bench.lab.pins())?.map(maps::SOURCES))?;
    let found = Family::ALL.map(|family| Ok(has(&dumped, &octets(source(bench, who, family)?))));
    let found: Vec<bool> = found.into_iter().collect::<Result<_>>()?;
    Ok(found.contains(&true))
}

/// The address of a line as it is counted: whole in IPv4, the first 64 bits in IPv6.
fn source(bench: &Bench<'_>, who: Who, family: Family) -> Result<IpAddr> {
    Ok(match bench.lab.address(who, family)? {
        IpAddr::V6(it) => IpAddr::V6((it.to_bits() >> 64 << 64).into()),
        it @ IpAddr::V4(_) => it,
    })
}

/// Every packet that was judged is in an entry, expired, or other; by verdict.
fn adds_up(counters: &Counters) -> Result<()> {
    let Packets {
        passed,
        refused,
        observed,
        tagged,
        ..
    } = counters.verdicts;
    let parts = |of: fn(&Packets) -> u64| {
        let entries = counters.sources.entries.iter();
        entries.map(|it| of(&it.packets)).sum::<u64>()
            + of(&counters.sources.expired)
            + of(&counters.sources.other)
    };
    let found = [
        parts(|it| it.passed),
        parts(|it| it.refused),
        parts(|it| it.observed),
        parts(|it| it.tagged),
    ];
    ensure!(
        found == [passed, refused, observed, tagged]
            && counters.sources.other == Packets::default(),
        "{found:?}: {counters:#?}"
    );
    Ok(())
}

/// Packets of a line that is not shown any more, which the trial knows from before.
fn refused(counters: &Counters) -> u64 {
    counters.sources.expired.refused
}

fn json(bench: &Bench<'_>, arguments: &[&str]) -> Result<Value> {
    let text = bench
        .gate()
        .text(&[&["--format", "json"], arguments].concat())?;
    Ok(serde_json::from_str(&text)?)
}

fn store<'v>(privacy: &'v Value, name: &str) -> Result<&'v Value> {
    let stores = privacy["stores"].as_array().context("no stores")?;
    let found = stores.iter().find(|it| it["store"] == name);
    found.with_context(|| format!("no store {name}: {privacy:#}"))
}
