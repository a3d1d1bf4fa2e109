//! `gate lookup`: what the gate knows about an address.

use std::{io, net::IpAddr, path::PathBuf};

use gate_common::{
    Addr,
    abi::List,
    decide::{Tables as _, classify, rule_in_force},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{Report, Table};
use crate::{
    error::Error,
    generation::{Source, manifest::Connections},
    view::View,
};

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
    /// The policy of the class.
    pub class_policy: Option<String>,
    /// The action of the class; nothing if it is exempt.
    pub class_action: Option<String>,
    /// Before which moment the class is only observed.
    pub class_effective_from: Option<Timestamp>,
    /// How many new connections a source of the class has; nothing if there is no limit.
    pub connections: Option<Connections>,
    /// The pool that it belongs to as a subscriber.
    pub pool: Option<String>,
    /// The policy of the pool.
    pub policy: Option<String>,
    /// The action of the pool; nothing if it is exempt.
    pub action: Option<String>,
    /// Before which moment the pool is only observed.
    pub effective_from: Option<Timestamp>,
    /// The prefix that puts it there.
    pub prefix: Option<Listed>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// The prefix that gives it its class, if it is not the country.
    pub class_prefix: Option<Listed>,
    /// The relay that it is part of as a destination.
    pub relay: Option<Listed>,
    /// The submission server that it is part of as a destination.
    pub server: Option<Listed>,
    /// The generation that says so; nothing if it is not loaded.
    pub generation: Option<u32>,
}

/// A prefix of the configuration or of a list file, as the generation was made from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The prefix.
    pub prefix: String,
    /// The file; nothing for prefixes that the gate knows by itself.
    pub file: Option<PathBuf>,
    /// The line in it.
    pub line: Option<u32>,
    /// The operator's note.
    pub ticket: Option<String>,
    /// Since when it has been in force; nothing if it is not.
    pub since: Option<Timestamp>,
}

impl Listed {
    fn new(view: &View, source: &Source<'_>) -> Self {
        Self {
            prefix: source.prefix.to_string(),
            file: source.place.map(|(file, _)| file.to_owned()),
            line: source.place.map(|(_, line)| line),
            ticket: source.ticket.map(str::to_owned),
            since: view.loaded.then_some(source.since),
        }
    }
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
    let listed = |list| {
        view.source(list, addr)
            .map(|source| Listed::new(view, &source))
    };
    Lookup {
        address,
        country: classified
            .and_then(|it| it.country.code())
            .map(|code| code.to_string()),
        network: view.network(addr).map(|prefix| prefix.to_string()),
        class: class.map(|class| class.name.clone()),
        class_reason: class.and(classified).map(|it| it.reason.name()),
        class_policy: class.map(|class| class.policy.clone()),
        class_action: class.and_then(|class| class.action.clone()),
        class_effective_from: class.and_then(|class| class.effective_from),
        connections: class.and_then(|class| class.connections.clone()),
        pool: pool.map(|pool| pool.name.clone()),
        policy: pool.map(|pool| pool.policy.clone()),
        action: pool.and_then(|pool| pool.action.clone()),
        effective_from: pool.and_then(|pool| pool.effective_from),
        prefix: rule
            .and_then(|rule| view.access_source(addr, rule))
            .map(|source| Listed::new(view, &source)),
        until: rule.and_then(|rule| until(rule.until_ns)),
        class_prefix: class.and(listed(List::Classes)),
        relay: listed(List::Relays),
        server: listed(List::Servers),
        generation: view.loaded.then_some(manifest.number),
    }
}

fn until(until_ns: u64) -> Option<Timestamp> {
    (until_ns != 0)
        .then(|| Timestamp::from_nanosecond(i128::from(until_ns)).ok())
        .flatten()
}

impl Lookup {
    /// What is done with connections of its class, and with its port 25, where that takes words.
    fn rules(&self) -> impl Iterator<Item = String> {
        let from = |from: Option<Timestamp>| {
            from.map_or_else(String::new, |from| format!(", effective from {from}"))
        };
        let class = self.class.as_ref().and_then(|class| {
            let limit = match (&self.connections, self.class_action.as_deref()) {
                (_, None) => "exempt".to_owned(),
                (None, Some(_)) if self.class_effective_from.is_none() => return None,
                (None, Some(action)) => action.to_owned(),
                (Some(connections), Some(action)) => format!("{action}, connections {connections}"),
            };
            let from = from(self.class_effective_from);
            Some(format!("{}: class {class}, {limit}{from}", self.address))
        });
        let pool = self
            .pool
            .as_ref()
            .zip(self.effective_from)
            .map(|(pool, at)| {
                let action = self.action.as_deref().unwrap_or("-");
                let from = from(Some(at));
                format!("{}: pool {pool}, {action}{from}", self.address)
            });
        class.into_iter().chain(pool)
    }

    /// What the configuration says about the address, one line for each prefix.
    fn sources(&self) -> impl Iterator<Item = String> {
        let listed = [
            ("pool", &self.prefix),
            ("class", &self.class_prefix),
            ("relay", &self.relay),
            ("server", &self.server),
        ];
        let named = |(what, listed): (&str, &Option<Listed>)| {
            let Listed {
                prefix,
                file,
                line,
                ticket,
                since,
            } = listed.clone()?;
            let place = match (file, line) {
                (Some(file), Some(line)) => format!("{}:{line}", file.display()),
                _ => "built in".to_owned(),
            };
            let since = since.map_or_else(String::new, |it| format!(", since {it}"));
            let ticket = ticket.map_or_else(String::new, |it| format!(", ticket {it}"));
            Some(format!(
                "{}: {what} by {prefix}, {place}{since}{ticket}",
                self.address
            ))
        };
        listed
            .into_iter()
            .filter_map(named)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl Report for Lookups {
    fn text(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "address", "country", "network", "class", "by", "pool", "policy", "prefix", "relay",
        ]);
        let word = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
        let prefix = |it: &Option<Listed>| word(&it.as_ref().map(|it| it.prefix.clone()));
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
                prefix(&it.prefix),
                prefix(&it.relay),
            ]);
        }
        table.write(out)?;
        let lines = |it: &Lookup| it.rules().chain(it.sources()).collect::<Vec<_>>();
        let mut sources = self.answers.iter().flat_map(lines).peekable();
        if sources.peek().is_some() {
            writeln!(out)?;
        }
        sources.try_for_each(|line| writeln!(out, "{line}"))?;
        self.attribution
            .iter()
            .try_for_each(|line| writeln!(out, "{line}"))
    }
}
