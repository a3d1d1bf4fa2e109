//! From a configuration to the tables of a generation.

use std::{collections::BTreeMap, sync::Arc};

use gate_common::{
    Policy,
    abi::{self, maps},
};
use jiff::Timestamp;

use super::{
    manifest::{self, Counted, Manifest},
    numbers::Numbers,
    prefix::Prefix,
    rules::{Rules, RulesError},
    table::PrefixTable,
};
use crate::{
    config::{Classes, Config, Listed, Pool},
    geoip::Countries,
};

/// Prefixes whose addresses say where a tunnel ends and not where the sender is: 6to4 (RFC 3056), Teredo (RFC 4380),
/// and the well-known NAT64 prefix (RFC 6052).
const TUNNELS: [&str; 3] = ["2002::/16", "2001::/32", "64:ff9b::/96"];

/// What a generation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The country database; nothing if the configuration has none.
    pub countries: Option<&'a Countries>,
    /// The generation before.
    pub previous: Option<&'a Manifest>,
    /// The number of this one.
    pub number: u32,
    /// Now.
    pub now: Timestamp,
}

/// A generation, ready for the kernel.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Everything that is not a list.
    pub settings: abi::Settings,
    /// Interfaces by name: their indices are the kernel's business.
    pub interfaces: Vec<(String, abi::Interface)>,
    /// Sources and their rules.
    pub access: PrefixTable,
    /// Rules by number.
    pub rules: Vec<abi::Rule>,
    /// Relays and their counters.
    pub relays: PrefixTable,
    /// Submission servers.
    pub servers: PrefixTable,
    /// Sources and their classes, one more than the class number.
    pub class_prefixes: PrefixTable,
    /// Sources and their countries.
    pub country_prefixes: Arc<PrefixTable>,
    /// What the numbers mean.
    pub manifest: Manifest,
    /// Counters to start from zero.
    pub fresh_counters: Vec<u32>,
}

impl Plan {
    /// Makes the generation.
    pub fn new(inputs: Inputs<'_>) -> Result<Self, RulesError> {
        let Inputs {
            config,
            countries,
            previous,
            number,
            now,
        } = inputs;
        let mut numbers = Numbers::after(previous.map(Manifest::counters).unwrap_or_default());
        let interfaces = interfaces(config, &mut numbers)?;
        let pools = pools(&config.pools, &mut numbers)?;
        let pool_counters: Vec<u32> = pools.iter().map(|pool| pool.counter).collect();
        let Rules {
            access,
            table: rules,
            prefixes,
            ..
        } = Rules::new(&config.pools, &pool_counters, &mut numbers)?;
        let relays = relays(&config.port25.relays, &mut numbers)?;
        let classes = classes(config.classes.as_ref(), &mut numbers)?;
        let servers = config
            .submission
            .servers
            .iter()
            .map(|it| (Prefix::from(it.value), 1))
            .collect();
        let class_prefixes = class_prefixes(config.classes.as_ref());
        let country_prefixes = countries
            .map(|it| Arc::clone(&it.table))
            .unwrap_or_default();
        let relay_table: PrefixTable = relays
            .iter()
            .map(|(prefix, it)| (*prefix, it.counter))
            .collect();
        let tables = [
            (maps::ACCESS, access.len()),
            (maps::RELAYS, relay_table.len()),
            (maps::SERVERS, config.submission.servers.len()),
            (maps::CLASS_PREFIXES, class_prefixes.len()),
            (maps::COUNTRY_PREFIXES, country_prefixes.len()),
        ];
        let manifest = Manifest {
            abi: abi::ABI_VERSION,
            number,
            loaded_at: now,
            config: config.file.clone(),
            config_sha256: config.sha256.clone(),
            interfaces: interfaces.iter().map(|(it, _)| it.clone()).collect(),
            pools,
            prefixes,
            relays: relays.into_iter().map(|(_, it)| it).collect(),
            classes,
            databases: countries.map(|it| it.databases.clone()).unwrap_or_default(),
            attribution: countries
                .map(|it| it.attribution.clone())
                .unwrap_or_default(),
            tables: tables
                .into_iter()
                .map(|(name, size)| (name.to_owned(), size))
                .collect::<BTreeMap<_, _>>(),
        };
        Ok(Self {
            settings: settings(config, &manifest.classes),
            interfaces: interfaces
                .into_iter()
                .map(|(named, it)| (named.name, it))
                .collect(),
            access,
            rules,
            relays: relay_table,
            servers,
            class_prefixes,
            country_prefixes,
            manifest,
            fresh_counters: numbers.fresh().iter().copied().collect(),
        })
    }
}

fn interfaces(
    config: &Config,
    numbers: &mut Numbers,
) -> Result<Vec<(manifest::Interface, abi::Interface)>, RulesError> {
    let interface = |it: &crate::config::InterfaceConfig| {
        let counter = numbers.of(Counted::Interface(it.name.clone()))?;
        let named = manifest::Interface {
            name: it.name.clone(),
            role: it.role.to_string(),
            mode: it.mode.to_string(),
            counter,
        };
        Ok((
            named,
            abi::Interface {
                counter,
                role: it.role as u8,
                reserved: [0; 3],
            },
        ))
    };
    config.interfaces.iter().map(interface).collect()
}

fn pools(pools: &[Pool], numbers: &mut Numbers) -> Result<Vec<manifest::Pool>, RulesError> {
    let pool = |it: &Pool| {
        let restricted = it.treatment.policy == Policy::Restrict;
        Ok(manifest::Pool {
            name: it.name.clone(),
            policy: it.treatment.policy.to_string(),
            action: restricted.then(|| it.treatment.action.to_string()),
            answer: restricted.then(|| it.treatment.answer.to_string()),
            counter: numbers.of(Counted::Pool(it.name.clone()))?,
        })
    };
    pools.iter().map(pool).collect()
}

fn relays(
    relays: &[Listed<ipnet::IpNet>],
    numbers: &mut Numbers,
) -> Result<Vec<(Prefix, manifest::Relay)>, RulesError> {
    let relay = |it: &Listed<ipnet::IpNet>| {
        let prefix = Prefix::from(it.value);
        let text = prefix.to_string();
        let counter = numbers.of(Counted::Relay(text.clone()))?;
        Ok((
            prefix,
            manifest::Relay {
                prefix: text,
                counter,
            },
        ))
    };
    relays.iter().map(relay).collect()
}

fn classes(
    classes: Option<&Classes>,
    numbers: &mut Numbers,
) -> Result<Vec<manifest::Class>, RulesError> {
    let class = |it: &crate::config::Class| {
        let counter = numbers.of(Counted::Class(it.name.clone()))?;
        Ok(manifest::Class {
            name: it.name.clone(),
            counter,
        })
    };
    classes
        .map_or(&[][..], |it| &it.list)
        .iter()
        .map(class)
        .collect()
}

fn class_prefixes(classes: Option<&Classes>) -> PrefixTable {
    let Some(classes) = classes else {
        return PrefixTable::default();
    };
    let tunnels = TUNNELS
        .iter()
        .filter_map(|it| it.parse::<ipnet::IpNet>().ok())
        .map(|it| (it.into(), classes.tunnels));
    let listed = classes.list.iter().enumerate().flat_map(|(number, class)| {
        class
            .prefixes
            .iter()
            .map(move |it| (Prefix::from(it.value), number))
    });
    // What the operator lists comes last, and so wins where it is the same prefix.
    tunnels
        .chain(listed)
        .map(|(prefix, number)| (prefix, one_more(number)))
        .collect()
}

fn settings(config: &Config, classes: &[manifest::Class]) -> abi::Settings {
    let unlisted = config.port25.unlisted;
    let mut settings = abi::Settings {
        class_counters: [0; abi::CLASSES],
        country_classes: [0; abi::COUNTRY_CLASSES],
        scope: config.port25.scope as u8,
        unlisted: unlisted.policy as u8,
        unlisted_action: unlisted.action as u8,
        unlisted_answer: unlisted.answer as u8,
        submission: config.submission.submission.into(),
        submissions: config.submission.submissions.into(),
        any_server: config.submission.servers.is_empty().into(),
        count_sources: config.counters.sources.into(),
    };
    for (slot, class) in settings.class_counters.iter_mut().zip(classes) {
        *slot = class.counter;
    }
    if let Some(classes) = &config.classes {
        settings.country_classes.fill(narrow(classes.default));
        for (number, class) in classes.list.iter().enumerate() {
            for country in &class.countries {
                if let Some(slot) = settings
                    .country_classes
                    .get_mut(usize::from(country.number()))
                {
                    *slot = narrow(number);
                }
            }
        }
        if let Some(slot) = settings.country_classes.first_mut() {
            *slot = narrow(classes.unknown);
        }
    }
    settings
}

/// Class numbers are below [`abi::CLASSES`], as the configuration made sure.
fn narrow(class: usize) -> u8 {
    u8::try_from(class).unwrap_or(0)
}

fn one_more(class: usize) -> u32 {
    u32::from(narrow(class)) + 1
}
