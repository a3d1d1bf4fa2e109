//! What a generation decides by, apart from its lists.

use gate_common::{Action, Addr, Country, Over, Role, abi};

use super::{manifest, rules::unix_ns};
use crate::config::{AnswerFrom, Class, ClassRule, Classes, Config, Limit, Per, Tags, Treatment};

/// The settings; `classes` have their counters, and `countries` the order of the country table.
pub(super) fn settings(
    config: &Config,
    classes: &[manifest::Class],
    countries: &[Country],
) -> abi::Settings {
    let unlisted = config.port25.unlisted;
    let AnswerFrom { v4, v6 } = config.port25.answer_from;
    // Where nothing throttles, any valid limit will do: no bucket asks for it.
    let throttle = config.port25.throttle.unwrap_or(Limit {
        limit: 1,
        per: Per::Second,
        burst: 1,
    });
    let sourceless = sourceless(config);
    let mut settings = abi::Settings {
        dropped_shapes: config
            .dropped_shapes
            .iter()
            .fold(0, |set, shape| set | shape.bit()),
        throttle: throttle.to_abi(),
        answer_source: config.answers.source.to_abi(),
        answer_total: config.answers.total.to_abi(),
        answer_v4: v4.map_or(Addr::UNSPECIFIED, Addr::from),
        answer_v6: v6.map_or(Addr::UNSPECIFIED, Addr::from),
        unlisted_effective_from_ns: unlisted.effective_from.map_or(0, unix_ns),
        sourceless_effective_from_ns: sourceless.effective_from_ns,
        sourceless_action: sourceless.action as u8,
        dscp_all: config.tags.dscp_all.into(),
        bleach: config.tags.bleach.into(),
        shows: shows(config).into(),
        kept_v4: config.counters.source_v4,
        kept_v6: config.counters.source_v6,
        reserved: [0; 2],
        classes: [abi::ClassSettings::default(); abi::CLASSES],
        mark_mask: config.tags.mark_mask,
        countries: [abi::ClassedCountry::default(); abi::COUNTRIES],
        scope: config.port25.scope as u8,
        unlisted: unlisted.policy as u8,
        unlisted_action: unlisted.action as u8,
        unlisted_answer: unlisted.answer as u8,
        submission: config.submission.submission.into(),
        submissions: config.submission.submissions.into(),
        any_server: config.submission.servers.is_empty().into(),
        count_sources: config.counters.sources.into(),
    };
    let configured = config.classes.iter().flat_map(|classes| &classes.list);
    for (slot, (class, named)) in settings.classes.iter_mut().zip(configured.zip(classes)) {
        *slot = class_settings(class, &config.tags, named.counter);
    }
    for (slot, country) in settings.countries.iter_mut().zip(countries) {
        slot.country = country.number();
        slot.class = config
            .classes
            .as_ref()
            .map_or(0, |classes| narrow(class_of(classes, *country)));
    }
    settings
}

/// A class as the tables have it: what is done with its connections, and how it shows to those behind the gate, within its limit and over it.
fn class_settings(class: &Class, tags: &Tags, counter: u32) -> abi::ClassSettings {
    let ClassRule {
        policy,
        action,
        effective_from,
        connections,
        source_v4,
        source_v6,
    } = &class.rule;
    let mark = class.mark.unwrap_or(0);
    let dscp = class.dscp.unwrap_or(abi::ClassSettings::NO_DSCP);
    abi::ClassSettings {
        effective_from_ns: effective_from.map_or(0, unix_ns),
        connections: connections
            .as_ref()
            .map_or_else(abi::Limit::default, |it| it.limit.to_abi()),
        counter,
        mark,
        over_mark: mark | tags.over_mark,
        dscp,
        over_dscp: tags.over_dscp.unwrap_or(dscp),
        over: connections.as_ref().map_or(Over::Tag, |it| it.over) as u8,
        action: *action as u8,
        policy: *policy as u8,
        source_v4: *source_v4,
        source_v6: *source_v6,
        reserved: [0; 5],
    }
}

/// Whether anything shows of any class.
fn shows(config: &Config) -> bool {
    let tags = &config.tags;
    let mut classes = config.classes.iter().flat_map(|classes| &classes.list);
    tags.mark_mask != 0
        || tags.bleach
        || tags.over_dscp.is_some()
        || classes.any(|class| class.dscp.is_some())
}

/// The devices on which the skb mark is set: those that connections with a class come in by, if a mask says that there are marks.
pub(super) fn marked(config: &Config) -> Vec<String> {
    let uplinks = config
        .interfaces
        .iter()
        .filter(|it| config.tags.mark_mask != 0 && it.has_role(Role::Uplink));
    let mut names: Vec<String> = uplinks.map(|it| it.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What is done with shapes whose source cannot be read.
struct Sourceless {
    action: Action,
    effective_from_ns: u64,
}

/// They may be any subscriber's, who must not escape by them what applies to others in the same network: they are refused where anybody is, from
/// when on anybody is. There is no bucket for nobody, and so no limit within which they could pass.
fn sourceless(config: &Config) -> Sourceless {
    let pools = config.pools.iter().map(|pool| pool.treatment);
    let biting = pools
        .chain([config.port25.unlisted])
        .filter(|it| it.action != Action::Observe);
    let first = biting
        .map(|Treatment { effective_from, .. }| effective_from.map_or(0, unix_ns))
        .min();
    Sourceless {
        action: first.map_or(Action::Observe, |_| Action::Enforce),
        effective_from_ns: first.unwrap_or(0),
    }
}

/// The class of a country; of [`Country::NONE`], that of addresses in no database.
pub(super) fn class_of(classes: &Classes, country: Country) -> usize {
    if country == Country::NONE {
        return classes.unknown;
    }
    let named = |class: &Class| class.countries.iter().any(|it| it.value == country);
    classes
        .list
        .iter()
        .position(named)
        .unwrap_or(classes.default)
}

/// Class numbers are below [`abi::CLASSES`], as the configuration made sure.
pub(super) fn narrow(class: usize) -> u8 {
    u8::try_from(class).unwrap_or(0)
}
