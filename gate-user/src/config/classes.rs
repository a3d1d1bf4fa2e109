//! The classes together: every address has exactly one.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use gate_common::{Country, Policy, abi::CLASSES};
use ipnet::IpNet;

use super::{
    Class, Classes, InterfaceConfig, Listed, Origin,
    class::Draft,
    nearest::nearest,
    problem::{Problems, Reported},
    repeats::{self, Repeat, without},
};

/// Puts the classes together; `None` if there is none.
///
/// `unknown` and `tunnels` are the names that `[geoip]` has for the classes of addresses in no database and of tunnels;
/// `uplink` is an interface whose connections get a class, if there is one.
pub(super) fn combine(
    drafts: Vec<Result<Draft, Reported>>,
    unknown: Result<Option<Listed<String>>, Reported>,
    tunnels: Result<Option<Listed<String>>, Reported>,
    uplink: Option<&InterfaceConfig>,
    problems: &mut Problems,
) -> Result<Option<Classes>, Reported> {
    if let Some(Ok(draft)) = drafts.get(CLASSES) {
        return Err(problems.error(
            draft.origin.clone(),
            format!("this is class number {} of {}", CLASSES + 1, drafts.len()),
            format!("at most {CLASSES} classes can be told apart: make some of them one"),
        ));
    }
    // What a class that could not be read would have said is not known: no more can be said of all of them.
    let mut drafts = drafts.into_iter().collect::<Result<Vec<_>, _>>()?;
    if drafts.is_empty() {
        return nothing_to_name(unknown?, tunnels?, problems);
    }
    let countries = own_countries(&mut drafts, problems);
    let prefixes = own_prefixes(&mut drafts, problems);
    let default = default(&drafts, problems);
    let unknown_at = unknown
        .as_ref()
        .ok()
        .and_then(|it| Some(it.as_ref()?.origin.clone()));
    let unknown = index(unknown, "unknown", &drafts, problems);
    let tunnels = index(tunnels, "tunnels", &drafts, problems);
    let (default, default_at) = default?;
    let unknown = match (unknown?, uplink) {
        (Some(unknown), _) => unknown,
        (None, None) => default,
        (None, Some(uplink)) => return Err(no_unknown(&drafts, uplink, problems)),
    };
    let tunnels = tunnels?.unwrap_or(default);
    countries?;
    prefixes?;
    Ok(Some(Classes {
        list: drafts.into_iter().map(class).collect(),
        default,
        default_at,
        unknown,
        unknown_at,
        tunnels,
    }))
}

fn class(draft: Draft) -> Class {
    Class {
        name: draft.name,
        countries: draft.countries,
        prefixes: draft.prefixes,
        rule: draft.rule,
        mark: draft.mark.map(|mark| mark.value),
        dscp: draft.dscp.map(|dscp| dscp.value),
        origin: draft.origin,
    }
}

/// Reports what names a class though there is none.
fn nothing_to_name(
    unknown: Option<Listed<String>>,
    tunnels: Option<Listed<String>>,
    problems: &mut Problems,
) -> Result<Option<Classes>, Reported> {
    let unknown = unknown.map(|name| ("unknown", name));
    let tunnels = tunnels.map(|name| ("tunnels", name));
    let mut outcome = Ok(None);
    for (key, name) in unknown.into_iter().chain(tunnels) {
        outcome = Err(problems.error(
            name.origin,
            format!(
                "`geoip.{key}` names the class `{}`, but there is no [[class]]",
                name.value
            ),
            format!(
                "add a [[class]] with `name = \"{}\"`, or leave `{key}` out",
                name.value
            ),
        ));
    }
    outcome
}

/// Reports countries that two classes name; drops those that one class names twice.
fn own_countries(drafts: &mut [Draft], problems: &mut Problems) -> Result<(), Reported> {
    let mut outcome = Ok(());
    let mut taken: HashMap<Country, (String, Origin)> = HashMap::new();
    for draft in drafts {
        let mut needless = HashSet::new();
        for (position, Listed { value, origin }) in draft.countries.iter().enumerate() {
            let (class, first) = match taken.entry(*value) {
                Entry::Vacant(vacant) => {
                    vacant.insert((draft.name.clone(), origin.clone()));
                    continue;
                }
                Entry::Occupied(taken) => taken.into_mut(),
            };
            let code = value
                .code()
                .map_or_else(String::new, |code| code.to_string());
            if *class == draft.name {
                needless.insert(position);
                problems.warn(
                    origin,
                    format!("{code} is in the class `{class}` twice; the first time at {first}"),
                    "delete one of the two".to_owned(),
                );
            } else {
                outcome = Err(problems.error(
                    origin.clone(),
                    format!(
                        "{code} is in the class `{}` and in the class `{class}` (at {first})",
                        draft.name
                    ),
                    "a country has one class: delete it from one of the two",
                ));
            }
        }
        draft.countries = without(std::mem::take(&mut draft.countries), &needless);
    }
    outcome
}

/// Reports prefixes that two classes name; drops those that one class names twice.
fn own_prefixes(drafts: &mut [Draft], problems: &mut Problems) -> Result<(), Reported> {
    for draft in &mut *drafts {
        let prefixes = std::mem::take(&mut draft.prefixes);
        let key = format!("class `{}`", draft.name);
        draft.prefixes = repeats::dropped(&key, prefixes, problems);
    }
    let flat: Vec<(&Draft, &Listed<IpNet>)> = drafts
        .iter()
        .flat_map(|draft| draft.prefixes.iter().map(move |prefix| (draft, prefix)))
        .collect();
    let mut outcome = Ok(());
    for Repeat { first, again } in repeats::find(flat.iter().map(|(_, prefix)| prefix.value)) {
        if let (Some((first_class, first)), Some((class, prefix))) =
            (flat.get(first), flat.get(again))
        {
            outcome = Err(problems.error(
                prefix.origin.clone(),
                format!(
                    "{} is in the class `{}` and in the class `{}` (at {})",
                    prefix.value, class.name, first_class.name, first.origin
                ),
                "a prefix has one class: delete it from one of the two",
            ));
        }
    }
    outcome
}

/// The one class that takes what no other does.
fn default(drafts: &[Draft], problems: &mut Problems) -> Result<(usize, Origin), Reported> {
    let mut defaults = drafts
        .iter()
        .enumerate()
        .filter_map(|(index, draft)| Some((index, draft.default.as_ref()?)));
    let Some((index, first)) = defaults.next() else {
        return Err(problems.error(
            drafts.first().map(|draft| draft.origin.clone()),
            "no [[class]] is the default: countries that no class names would have none",
            "add `default = true` to one class, for example to the one for foreign addresses",
        ));
    };
    let mut outcome = Ok((index, first.clone()));
    for (_, origin) in defaults {
        outcome = Err(problems.error(
            origin.clone(),
            format!("a second class is the default; the first one is at {first}"),
            "keep `default = true` in one class only",
        ));
    }
    outcome
}

/// The class that a key of `[geoip]` names.
fn index(
    name: Result<Option<Listed<String>>, Reported>,
    key: &str,
    drafts: &[Draft],
    problems: &mut Problems,
) -> Result<Option<usize>, Reported> {
    let Some(Listed { value, origin }) = name? else {
        return Ok(None);
    };
    let found = drafts
        .iter()
        .zip(0..)
        .find(|(draft, _)| draft.name == value);
    if let Some((draft, index)) = found {
        if draft.rule.policy == Policy::Exempt {
            return Err(problems.error(
                origin,
                format!("`geoip.{key}` names the class `{value}`, which is exempt: only prefixes that are listed can be exempt"),
                "name another class, or leave `policy` out there",
            ));
        }
        return Ok(Some(index));
    }
    let names = drafts.iter().map(|draft| draft.name.as_str());
    let list = names.clone().collect::<Vec<_>>().join(", ");
    Err(problems.error(
        origin,
        format!("`geoip.{key}` names no class: there is no [[class]] called `{value}`"),
        match nearest(&value, names) {
            Some(name) => format!("did you mean `{name}`? classes: {list}"),
            None => format!("classes: {list}"),
        },
    ))
}

fn no_unknown(drafts: &[Draft], uplink: &InterfaceConfig, problems: &mut Problems) -> Reported {
    let at_home = drafts
        .iter()
        .find(|draft| !draft.countries.is_empty())
        .or(drafts.first())
        .map_or("domestic", |draft| &draft.name);
    problems.error(
        uplink.origin.clone(),
        format!(
            "the uplink interface `{uplink}` needs `geoip.unknown`: connections from addresses in no database would have no \
             class"
        ),
        format!(
            "add `unknown = \"{at_home}\"` to [geoip], or whichever class holds your own country, so that customers at \
             home notice nothing"
        ),
    )
}
