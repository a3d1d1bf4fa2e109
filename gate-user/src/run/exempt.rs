//! One exemption in force at once, and none that goes with a rollback.
//!
//! Nothing is read but the file of exemptions: everything else is that of the generation in force, whoever waits for a confirmation of it, and
//! whatever its other files hold today.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;

use super::{
    confirm,
    ready::{Before, Read, Ready},
    recall,
};
use crate::{
    config::{ListFile, exemptions::load},
    error::Error,
    exempt::ExemptError,
    file,
    generation::{Exemption, Manifest, Plan, Prefix, list_file},
    kernel,
    pins::Pins,
    view,
    watch::{Content, Known, Stamp},
};

/// The generation in force with the exemptions of their file, which a person changed at `asked`; nothing if they are in force.
///
/// No other exemption may go with it: who deletes more of the file is to say so with `gate reload`.
pub(super) fn ready(
    pins: &Pins,
    before: Before,
    read: &Read,
    asked: Prefix,
) -> Result<Option<Ready>, Error> {
    let manifest = before.manifest.as_ref();
    let manifest = manifest.ok_or_else(|| Error::NotLoaded {
        pins: pins.root().to_owned(),
    })?;
    let path = path(manifest)?;
    let stamp = Stamp::of(path);
    let (listed, list) = load(path, &file::read_text)?;
    if list_file(manifest) == Some(&list) && !before.lost {
        return Ok(None);
    }
    let mut plan = recall::plan(pins, before.word.number())?;
    let in_force = Exemption::of(&plan.source_map, &plan.rules);
    let exemptions = Exemption::listed(&listed, &in_force, Timestamp::now());
    let left: BTreeSet<Prefix> = exemptions.iter().map(|it| it.prefix).collect();
    let others: Vec<String> = in_force
        .iter()
        .filter(|it| it.prefix != asked && !left.contains(&it.prefix))
        .map(|it| it.prefix.to_string())
        .collect();
    if !others.is_empty() {
        return Err(ExemptError::OthersGo {
            file: path.to_owned(),
            others,
        }
        .into());
    }
    plan.exempt(&exemptions, &list)?;
    let shared = kernel::manifest(&pins.generation(before.word.number()))?;
    // A confirmation names the generation that was confirmed.
    plan.manifest.confirm_until = confirm::due(pins, &shared)?;
    let read = (!read.text.is_empty()).then(|| {
        let mut files = read.files.clone();
        let content = match stamp {
            Some(_) => Content::Sha256(list.sha256.clone()),
            None => Content::Gone,
        };
        files.insert(path.to_owned(), Known { stamp, content });
        Read {
            text: read.text.clone(),
            files,
        }
    });
    recall::ready(pins, before, plan, shared, read).map(Some)
}

/// Keeps the exemptions in force in a generation that is gone back to; says which cannot be kept, if any.
pub(super) fn keep(pins: &Pins, before: &Before, plan: &mut Plan) -> Result<Option<String>, Error> {
    let Some(file) = before.manifest.as_ref().and_then(list_file) else {
        return Ok(None);
    };
    let (Some(sources), false) = (&before.sources, before.lost) else {
        return Ok(Some(
            "the pins that name the exemptions in force are gone: those of the generation that was gone back to are in force"
                .to_owned(),
        ));
    };
    let rules = view::rules(&pins.generation(before.word.number()))?;
    let exemptions = Exemption::of(sources, &rules);
    if !plan.has_exemptions() {
        return Ok((!exemptions.is_empty()).then(|| {
            lost(
                &exemptions,
                "the configuration that was gone back to has no `[exemptions]`",
            )
        }));
    }
    let mut file = file.clone();
    if let Some(path) = &plan.manifest.exemptions {
        file.path.clone_from(path);
    }
    Ok(take_along(plan, &exemptions, &file))
}

/// Puts these exemptions into a plan, which stays as it is where they do not fit: a way back is there whatever else is. Says what is lost.
fn take_along(plan: &mut Plan, exemptions: &[Exemption], file: &ListFile) -> Option<String> {
    let mut with = plan.clone();
    match with.exempt(exemptions, file) {
        Ok(()) => {
            *plan = with;
            None
        }
        Err(error) => Some(lost(
            exemptions,
            &format!("they do not fit into what was gone back to: {error}"),
        )),
    }
}

/// That these are not kept.
fn lost(exemptions: &[Exemption], why: &str) -> String {
    let names: Vec<String> = exemptions.iter().map(|it| it.prefix.to_string()).collect();
    format!(
        "not in force any more: the exemptions of {}, since {why}",
        names.join(", ")
    )
}

/// The file of exemptions of a generation.
fn path(manifest: &Manifest) -> Result<&Path, ExemptError> {
    manifest
        .exemptions
        .as_deref()
        .ok_or_else(|| ExemptError::NotConfigured {
            config: manifest.config.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, generation::Inputs};

    const CONFIG: &str = "
[[interface]]
name = \"eth1\"
role = \"access\"
[[access]]
name = \"dynamic\"
policy = \"restrict\"
prefixes = [\"10.0.0.0/8\"]
[exemptions]
file = \"exemptions\"
";

    fn plan() -> Plan {
        let read = |path: &Path| match path.to_str() {
            Some("gate.toml") => Ok(CONFIG.to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let now = Timestamp::UNIX_EPOCH;
        let config = config::load_at(Path::new("gate.toml"), &read, now).unwrap();
        Plan::new(Inputs {
            config: &config,
            countries: None,
            previous: None,
            previous_sources: None,
            directory: Path::new(""),
            number: 1,
            now,
        })
        .unwrap()
    }

    /// So many in one another, each of which ends before the one around it.
    fn nested(count: u8) -> Vec<Exemption> {
        let one = |number: u8| Exemption {
            prefix: format!("10.0.0.0/{}", 9 + number)
                .parse::<ipnet::IpNet>()
                .unwrap()
                .into(),
            until_ns: u64::from(100 - number),
            file: "exemptions".into(),
            line: number.into(),
            ticket: None,
            since: Timestamp::UNIX_EPOCH,
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_way_back_is_there_for_more_exemptions_than_fit() {
        let mut plan = plan();
        let file = list_file(&plan.manifest).unwrap().clone();
        let state = |plan: &Plan| {
            let exemptions = Exemption::of(&plan.source_map, &plan.rules);
            (exemptions.len(), plan.rules.len())
        };
        assert_eq!(take_along(&mut plan, &nested(2), &file), None);
        let before = state(&plan);
        assert_eq!(before.0, 2);
        let told = take_along(&mut plan, &nested(20), &file).unwrap();
        assert!(told.starts_with("not in force any more: the exemptions of 10.0.0.0/9, "));
        assert!(told.contains("do not fit"), "{told}");
        assert_eq!(state(&plan), before);
    }
}
