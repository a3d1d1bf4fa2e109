//! `gate lookup`: what the gate knows about an address.

use std::{io, net::IpAddr};

use gate_common::{
    Addr,
    decide::{Tables as _, classify, rule_in_force},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{Report, Table};
use crate::{error::Error, view::View};

/// What is known about one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lookup {
    /// The address.
    pub address: IpAddr,
    /// Its country; nothing if no database knows it.
    pub country: Option<String>,
    /// The network of the country database that has it.
    pub network: Option<String>,
    /// The class that a submission connection from it gets; nothing if there are no classes.
    pub class: Option<String>,
    /// How the class is found.
    pub class_reason: Option<&'static str>,
    /// The pool that it belongs to as a subscriber.
    pub pool: Option<String>,
    /// The policy of the pool.
    pub policy: Option<String>,
    /// The prefix that puts it there.
    pub prefix: Option<String>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// The relay that it is part of as a destination.
    pub relay: Option<String>,
    /// Whether a submission server has it.
    pub server: bool,
    /// The generation that says so; nothing if it is not loaded.
    pub generation: Option<u32>,
}

/// Answers about several addresses.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Lookups {
    answers: Vec<Lookup>,
    #[serde(skip)]
    attribution: Vec<String>,
}

/// Looks the addresses up at `now`.
pub fn lookup(view: &View, addresses: &[IpAddr], now: Timestamp) -> Result<Lookups, Error> {
    let answers = addresses
        .iter()
        .map(|address| one(view, *address, now))
        .collect();
    view.check()?;
    Ok(Lookups {
        answers,
        attribution: view.manifest.attribution.clone(),
    })
}

fn one(view: &View, address: IpAddr, now: Timestamp) -> Lookup {
    let addr = Addr::from(address);
    let manifest = &view.manifest;
    let now_ns = u64::try_from(now.as_nanosecond()).unwrap_or(0);
    let classified = view
        .settings()
        .map(|settings| classify(addr, settings, view));
    let class = classified.and_then(|it| manifest.classes.get(usize::from(it.class)));
    let rule = rule_in_force(addr, view, now_ns);
    let pool = rule.and_then(|rule| {
        manifest
            .pools
            .iter()
            .find(|pool| pool.counter == rule.pool_counter)
    });
    Lookup {
        address,
        country: classified
            .and_then(|it| it.country.code())
            .map(|code| code.to_string()),
        network: view.network(addr).map(|prefix| prefix.to_string()),
        class: class.map(|class| class.name.clone()),
        class_reason: class.and(classified).map(|it| it.reason.name()),
        pool: pool.map(|pool| pool.name.clone()),
        policy: pool.map(|pool| pool.policy.clone()),
        prefix: rule
            .and_then(|rule| view.access_prefix(addr, rule))
            .map(|prefix| prefix.to_string()),
        until: rule.and_then(|rule| until(rule.until_ns)),
        relay: view.relay_prefix(addr).map(|prefix| prefix.to_string()),
        server: view.server(addr),
        generation: view.loaded.then_some(manifest.number),
    }
}

fn until(until_ns: u64) -> Option<Timestamp> {
    (until_ns != 0)
        .then(|| Timestamp::from_nanosecond(i128::from(until_ns)).ok())
        .flatten()
}

impl Report for Lookups {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "address", "country", "network", "class", "by", "pool", "policy", "prefix", "relay",
        ]);
        let word = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
        for it in &self.answers {
            let policy = match (&it.policy, it.until) {
                (Some(policy), Some(until)) => format!("{policy} until {until}"),
                (policy, _) => word(policy),
            };
            table.row([
                it.address.to_string(),
                word(&it.country),
                word(&it.network),
                word(&it.class),
                it.class_reason.unwrap_or("-").to_owned(),
                word(&it.pool),
                policy,
                word(&it.prefix),
                word(&it.relay),
            ]);
        }
        table.write(out)?;
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}
