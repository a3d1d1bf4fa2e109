//! From a configuration to the tables of a generation.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use gate_common::{
    Identity, Policy, Role,
    abi::{self, InterfaceKey, List},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    lines::lines,
    lists::{self, CountryTable, ListError, Lists},
    manifest::{self, Counted, Manifest},
    numbers::{Numbers, TooMany},
    prefix::Prefix,
    prefixes::Prefixes,
    rules::{Rules, RulesError},
    settings::{self, narrow, settings},
    source_map::{self, Item, SourceMap},
};
use crate::{
    config::{
        Class, ClassRule, Classes, Config, Connections, InterfaceConfig, Listed, Pool, Stripped,
        Vlans,
    },
    geoip::{Countries, TUNNELS},
};

/// What a generation is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The country database; nothing if the configuration has none.
    pub countries: Option<&'a Countries>,
    /// The generation before.
    pub previous: Option<&'a Manifest>,
    /// Where its prefixes came from.
    pub previous_sources: Option<&'a SourceMap>,
    /// Where relative paths begin in what tells where prefixes come from.
    pub directory: &'a Path,
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
    /// Interfaces and VLANs by name of the device: its index is the kernel's business.
    pub interfaces: Vec<NamedInterface>,
    /// Rules by number.
    pub rules: Vec<abi::Rule>,
    /// The prefix lists.
    pub lists: Lists,
    /// Where their prefixes come from.
    pub source_map: SourceMap,
    /// What the numbers mean.
    pub manifest: Manifest,
    /// Counters to start from zero.
    pub fresh_counters: Vec<u32>,
}

/// An interface, or one VLAN of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedInterface {
    /// The name of the device.
    pub name: String,
    /// [`InterfaceKey::vlan`].
    pub vlan: u16,
    /// What the configuration says of it.
    #[serde(with = "octets")]
    pub interface: abi::Interface,
}

/// An entry of the table of interfaces as its octets: it is read by the same version of the map ABI only.
mod octets {
    use gate_common::abi::Interface;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    type Octets = [u8; size_of::<Interface>()];

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands fields over so"
    )]
    pub(super) fn serialize<S: Serializer>(it: &Interface, to: S) -> Result<S::Ok, S::Error> {
        bytemuck::cast::<Interface, Octets>(*it).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Interface, D::Error> {
        Octets::deserialize(from).map(bytemuck::cast)
    }
}

/// Why a configuration makes no generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Its pools make no rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// A list makes no table.
    #[error(transparent)]
    List(#[from] ListError),
}

impl PlanError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Rules(RulesError::Counters(_)) => {
                "count fewer objects: prefixes from `files` are counted by pool".to_owned()
            }
            Self::Rules(RulesError::Deadlines(_)) => {
                "let fewer prefixes with an `until` lie in one another".to_owned()
            }
            Self::Rules(RulesError::Rules(_)) => {
                "give lines that end on the same day the same `until`".to_owned()
            }
            Self::List(ListError::Table { .. }) => {
                "put prefixes together where neighbours are treated alike, for example all of a /24 instead of its hosts"
                    .to_owned()
            }
            Self::List(ListError::Wrong { .. }) => {
                "this is a fault of the gate or of this machine's memory, not of the configuration: run `gate check` again, \
                 and report it with the list if it stays"
                    .to_owned()
            }
        }
    }
}

impl From<TooMany> for PlanError {
    fn from(error: TooMany) -> Self {
        Self::Rules(error.into())
    }
}

impl Plan {
    /// Makes the generation.
    pub fn new(inputs: Inputs<'_>) -> Result<Self, PlanError> {
        let Inputs {
            config,
            countries,
            previous,
            previous_sources,
            directory,
            number,
            now,
        } = inputs;
        let mut numbers = Numbers::after(previous.map(Manifest::counters).unwrap_or_default());
        let mut sources = source_map::Writer::after(previous_sources, now, directory);
        let (interfaces, named) = interfaces(&config.interfaces, &mut numbers)?;
        let pools = pools(&config.pools, &mut numbers)?;
        let pool_counters: Vec<u32> = pools.iter().map(|pool| pool.counter).collect();
        let Rules {
            access,
            table: rules,
            prefixes,
            ..
        } = Rules::new(&config.pools, &pool_counters, &mut numbers, &mut sources)?;
        let relays = relays(&config.port25.relays, &mut numbers)?;
        let classes = classes(config.classes.as_ref(), &mut numbers)?;
        let relay_prefixes = listed(
            List::Relays,
            config
                .port25
                .relays
                .iter()
                .zip(relays.iter().map(|it| it.counter)),
            &mut sources,
        );
        let server_prefixes = listed(
            List::Servers,
            config.submission.servers.iter().map(|it| (it, 1)),
            &mut sources,
        );
        let class_prefixes = class_prefixes(config.classes.as_ref(), &mut sources);
        let no_countries = CountryTable::default();
        let country_table = countries.map_or(&no_countries, |it| &it.table);
        let lists = Lists::try_new(|list| match list {
            List::Access => lists::compile(list, &access),
            List::Relays => lists::compile(list, &relay_prefixes),
            List::Servers => lists::compile(list, &server_prefixes),
            List::Classes => lists::compile(list, &class_prefixes),
            List::Countries => Ok(Arc::clone(country_table.table())),
        })?;
        let networks = countries.map_or(0, |it| {
            let networks = it.databases.iter();
            networks.map(|it| it.networks_v4 + it.networks_v6).sum()
        });
        let sizes = [
            (List::Access, access.len()),
            (List::Relays, relay_prefixes.len()),
            (List::Servers, server_prefixes.len()),
            (List::Classes, class_prefixes.len()),
            (List::Countries, networks),
        ];
        let manifest = Manifest {
            abi: abi::ABI_VERSION,
            number,
            loaded_at: now,
            config: config.file.clone(),
            config_sha256: config.sha256.clone(),
            interfaces,
            marked: settings::marked(config),
            pools,
            unlisted: unlisted(config),
            prefixes,
            relays,
            classes_since: classes_since(
                number,
                classes.iter().map(|class| class.name.as_str()),
                previous,
            ),
            classes,
            counters: config.counters,
            metrics: config.metrics.clone(),
            readers: config.tags.group.as_ref().map(|it| it.value.clone()),
            databases: countries.map(|it| it.databases.clone()).unwrap_or_default(),
            list_files: config.list_files.clone(),
            exemptions: config.exemptions.clone(),
            forced: Vec::new(),
            previous: None,
            rolled_back: None,
            confirm_until: None,
            lines: lines(config, previous, directory, now),
            attribution: countries
                .map(|it| it.attribution.clone())
                .unwrap_or_default(),
            lists: list_sizes(&lists, sizes),
        };
        Ok(Self {
            settings: settings(config, &manifest.classes, country_table.countries()),
            interfaces: named,
            rules,
            lists,
            source_map: sources.finish(),
            manifest,
            fresh_counters: numbers.fresh().iter().copied().collect(),
        })
    }

    /// The interfaces by what the kernel knows them by; `index` gives the index of a device by its name, and those without one are
    /// left out.
    pub fn interfaces_by_key<'a>(
        &'a self,
        index: impl Fn(&str) -> Option<u32> + 'a,
    ) -> impl Iterator<Item = (InterfaceKey, abi::Interface)> + 'a {
        self.interfaces
            .iter()
            .filter_map(move |it| Some((InterfaceKey::of(index(&it.name)?, it.vlan), it.interface)))
    }
}

/// The first of the generations that have had these classes without a break, up to that with this number.
pub(crate) fn classes_since<'n>(
    number: u32,
    names: impl Iterator<Item = &'n str>,
    previous: Option<&Manifest>,
) -> u32 {
    previous
        .filter(|it| it.class_names().eq(names))
        .map_or(number, |it| it.classes_since)
}

/// A list of the configuration, each prefix with its number.
fn listed<'c>(
    list: List,
    items: impl Iterator<Item = (&'c Listed<ipnet::IpNet>, u32)>,
    sources: &mut source_map::Writer<'_>,
) -> Prefixes {
    items
        .map(|(it, number)| {
            let prefix = Prefix::from(it.value);
            // Counters are below `abi::COUNTERS`.
            let number = u16::try_from(number).unwrap_or(0);
            sources.add(Item {
                list,
                prefix,
                number,
                owner: None,
                origin: Some(&it.origin),
                ticket: None,
            });
            (prefix, number)
        })
        .collect()
}

/// What output says of sources that no pool names, if they are restricted.
fn unlisted(config: &Config) -> Option<manifest::Unlisted> {
    let unlisted = config.port25.unlisted;
    (!unlisted.passes()).then(|| manifest::Unlisted {
        action: unlisted.action.to_string(),
        effective_from: unlisted.effective_from,
    })
}

/// What output says of the lists, each of which was made of so many prefixes.
fn list_sizes(
    lists: &Lists,
    prefixes: [(List, usize); List::COUNT as usize],
) -> BTreeMap<String, manifest::ListSize> {
    let size = |(list, prefixes): (List, usize)| {
        let table = lists.table(list);
        let size = manifest::ListSize {
            prefixes,
            bytes: table.bytes(),
            sha256: table.sha256(),
        };
        (list.name().to_owned(), size)
    };
    prefixes.map(size).into()
}

/// What output says of the interfaces, and what the tables do.
fn interfaces(
    interfaces: &[InterfaceConfig],
    numbers: &mut Numbers,
) -> Result<(Vec<manifest::Interface>, Vec<NamedInterface>), TooMany> {
    let (mut shown, mut named) = (Vec::new(), Vec::new());
    let mut first = HashSet::new();
    for it in interfaces {
        let mut add = |role: Role, identity: Identity, vlans: Option<String>, stripped: bool| {
            let mut interface = manifest::Interface {
                name: it.name.clone(),
                vlans,
                stripped,
                role: role.to_string(),
                identity: (role == Role::Access).then(|| identity.to_string()),
                mode: it.mode.to_string(),
                missing: it.missing.to_string(),
                counter: 0,
            };
            interface.counter = numbers.of(Counted::Interface(interface.label()))?;
            let tabled = abi::Interface {
                counter: interface.counter,
                role: role as u8,
                identity: identity as u8,
                stripped: stripped.into(),
                hidden_role: 0,
            };
            shown.push(interface);
            Ok(tabled)
        };
        let mut name = |vlan, interface| {
            named.push(NamedInterface {
                name: it.name.clone(),
                vlan,
                interface,
            });
        };
        let vlans = it.vlans.as_ref();
        let own = add(it.role, it.identity, vlans.map(Vlans::to_string), false)?;
        let Some(vlans) = vlans else {
            name(InterfaceKey::PORT, own);
            continue;
        };
        if first.insert(it.name.as_str()) {
            // Without a role of its own, so that the program asks for the VLAN.
            let mut roles = interfaces.iter().filter(|other| other.name == it.name);
            let hidden_role = if roles.any(|other| other.role == Role::Access) {
                Role::Access as u8
            } else {
                0
            };
            let port = abi::Interface {
                hidden_role,
                ..abi::Interface::default()
            };
            name(InterfaceKey::PORT, port);
        }
        for vlan in vlans.ids() {
            name(vlan, own);
        }
        if let Some(role) = it.stripped.and_then(Stripped::role) {
            // `identity` belongs to access interfaces: an uplink has the default.
            name(0, add(role, it.identity, None, true)?);
        }
    }
    Ok((shown, named))
}

fn pools(pools: &[Pool], numbers: &mut Numbers) -> Result<Vec<manifest::Pool>, TooMany> {
    let pool = |it: &Pool| {
        let restricted = it.treatment.policy == Policy::Restrict;
        Ok(manifest::Pool {
            name: it.name.clone(),
            policy: it.treatment.policy.to_string(),
            action: restricted.then(|| it.treatment.action.to_string()),
            answer: restricted.then(|| it.treatment.answer.to_string()),
            effective_from: it.treatment.effective_from,
            until: it.until,
            counter: numbers.of(Counted::Pool(it.name.clone()))?,
        })
    };
    pools.iter().map(pool).collect()
}

fn relays(
    relays: &[Listed<ipnet::IpNet>],
    numbers: &mut Numbers,
) -> Result<Vec<manifest::Relay>, TooMany> {
    let relay = |it: &Listed<ipnet::IpNet>| {
        let prefix = Prefix::from(it.value).to_string();
        let counter = numbers.of(Counted::Relay(prefix.clone()))?;
        Ok(manifest::Relay { prefix, counter })
    };
    relays.iter().map(relay).collect()
}

fn classes(
    classes: Option<&Classes>,
    numbers: &mut Numbers,
) -> Result<Vec<manifest::Class>, TooMany> {
    let class = |it: &Class| {
        let ClassRule {
            policy,
            action,
            effective_from,
            ref connections,
            source_v4,
            source_v6,
        } = it.rule;
        let limited = |it: &Connections| manifest::Connections {
            limit: it.limit,
            over: it.over.to_string(),
        };
        Ok(manifest::Class {
            name: it.name.clone(),
            policy: policy.to_string(),
            action: (policy == Policy::Restrict).then(|| action.to_string()),
            effective_from,
            connections: connections.as_ref().map(limited),
            source_v4,
            source_v6,
            counter: numbers.of(Counted::Class(it.name.clone()))?,
        })
    };
    classes
        .map_or(&[][..], |it| &it.list)
        .iter()
        .map(class)
        .collect()
}

fn class_prefixes(classes: Option<&Classes>, sources: &mut source_map::Writer<'_>) -> Prefixes {
    let Some(classes) = classes else {
        return Prefixes::default();
    };
    let tunnels = TUNNELS
        .iter()
        .filter_map(|it| it.parse::<ipnet::IpNet>().ok())
        .map(|it| (Prefix::from(it), classes.tunnels, None));
    let listed = classes.list.iter().enumerate().flat_map(|(number, class)| {
        class
            .prefixes
            .iter()
            .map(move |it| (Prefix::from(it.value), number, Some(&it.origin)))
    });
    // What the operator lists comes last, and so wins where it is the same prefix.
    tunnels
        .chain(listed)
        .map(|(prefix, class, origin)| {
            let number = u16::from(narrow(class)) + 1;
            sources.add(Item {
                list: List::Classes,
                prefix,
                number,
                owner: classes.list.get(class).map(|it| it.name.as_str()),
                origin,
                ticket: None,
            });
            (prefix, number)
        })
        .collect()
}
