//! A generation that is pinned, as a plan: to be put in force again under another number.
//!
//! Nothing is read but pins: the files that it was made of may be others today. Devices are looked up by name, since one that was made
//! anew has another index.

use jiff::Timestamp;

use super::{
    confirm, exempt, list_devices,
    ready::{Before, Read, Ready, Shared},
};
use crate::{
    attach::{self, Targets, Tolerance, Wanted},
    config::{Missing, Mode},
    error::Error,
    generation::{Manifest, Plan, classes_since, manifest::RolledBack},
    kernel,
    pins::{Pins, Readers},
    sys::strips_vlans,
    view,
};

/// Who wants to go back, if a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Back {
    /// A person, whose name may be known.
    Asked(Option<String>),
    /// Nobody: a reload was not confirmed in time.
    Unconfirmed,
}

/// The generation before the one in force.
pub(super) fn previous(pins: &Pins, before: Before, back: &Back) -> Result<Ready, Error> {
    let Some(manifest) = &before.manifest else {
        return Err(Error::NotLoaded {
            pins: pins.root().to_owned(),
        });
    };
    let none = Error::NoWayBack {
        pins: pins.root().to_owned(),
        generation: manifest.number,
    };
    let from = manifest.number;
    let previous = manifest.previous;
    let Some(to) = previous.filter(|it| pins.generation(*it).is_dir()) else {
        return Err(none);
    };
    let mut plan = plan(pins, to)?;
    let shared = plan.manifest.clone();
    plan.manifest.previous = Some(from);
    plan.manifest.rolled_back = Some(RolledBack {
        at: Timestamp::now(),
        from,
        to,
        by: match back {
            Back::Asked(by) => by.clone(),
            Back::Unconfirmed => None,
        },
        unconfirmed: *back == Back::Unconfirmed,
    });
    plan.manifest.confirm_until = None;
    let lost = exempt::keep(pins, &before, &mut plan)?;
    // What is read today is not what it was made of.
    let mut ready = ready(pins, before, plan, shared, Some(Read::default()))?;
    ready.warnings.extend(lost);
    Ok(ready)
}

/// Whether all of the generation before is there.
pub(super) fn is_kept(pins: &Pins, before: &Before) -> bool {
    let manifest = before.manifest.as_ref();
    let previous = manifest.and_then(|it| it.previous);
    previous.is_some_and(|number| plan(pins, number).is_ok())
}

/// The generation in force, which is to stay what it is.
pub(super) fn again(pins: &Pins, before: Before) -> Result<Ready, Error> {
    let mut plan = plan(pins, before.word.number())?;
    let shared = plan.manifest.clone();
    // A confirmation names the generation that was confirmed.
    plan.manifest.confirm_until = confirm::due(pins, &shared)?;
    ready(pins, before, plan, shared, None)
}

/// What is pinned of a generation.
pub(super) fn plan(pins: &Pins, number: u32) -> Result<Plan, Error> {
    let directory = pins.generation(number);
    Ok(Plan {
        settings: view::settings(&directory)?,
        interfaces: kernel::named_interfaces(&directory)?,
        rules: view::rules(&directory)?,
        lists: kernel::lists(&directory)?,
        source_map: kernel::source_map(&directory)?,
        manifest: kernel::manifest(&directory)?,
        // Its objects have counted all the time, or nobody else has used their counters since.
        fresh_counters: Vec::new(),
    })
}

pub(super) fn ready(
    pins: &Pins,
    before: Before,
    mut plan: Plan,
    shared: Manifest,
    read: Option<Read>,
) -> Result<Ready, Error> {
    let number = before.number().wrapping_add(1).max(1);
    let manifest = &mut plan.manifest;
    manifest.classes_since =
        classes_since(number, manifest.class_names(), before.manifest.as_ref());
    manifest.number = number;
    manifest.loaded_at = Timestamp::now();
    let mut warnings = Vec::new();
    let readers = readers(manifest, &mut warnings)?;
    let devices = list_devices()?;
    // What was in force, or is, is so on the interfaces that there are.
    let targets = attach::targets(&wanted(manifest), &devices, pins, Tolerance::Blocked)?;
    warnings.extend(absent(&targets));
    warnings.extend(
        attach::unseen_vlans(&manifest.interfaces, &devices, strips_vlans)
            .into_iter()
            .map(|name| {
                attach::AttachError::Stripped {
                    interface: name.to_owned(),
                }
                .to_string()
            }),
    );
    let directory = pins.generation(shared.number);
    Ok(Ready {
        before,
        plan,
        read,
        warnings,
        lenient: true,
        instead: None,
        targets,
        readers,
        shared: Some(Shared {
            directory,
            manifest: shared,
        }),
    })
}

/// What there is to say of interfaces that the gate cannot be on now.
pub(super) fn absent(targets: &Targets) -> Vec<String> {
    let missing = targets.missing.iter().filter(|it| !it.elsewhere);
    let missing =
        missing.map(|it| format!("{}: is missing; the gate gets on it when it comes", it.name));
    targets.blocked.values().cloned().chain(missing).collect()
}

/// The devices of a generation, each once, as its configuration wanted them.
pub(super) fn wanted(manifest: &Manifest) -> Vec<Wanted<'_>> {
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for it in &manifest.interfaces {
        let mode = [Mode::Native, Mode::Generic, Mode::Auto]
            .into_iter()
            .find(|mode| mode.name() == it.mode)
            .unwrap_or(Mode::Native);
        let missing = [Missing::Refuse, Missing::Wait]
            .into_iter()
            .find(|missing| missing.name() == it.missing)
            .unwrap_or(Missing::Refuse);
        if wanted.iter().all(|other| other.name != it.name) {
            wanted.push(Wanted {
                name: &it.name,
                mode,
                missing,
            });
        }
    }
    wanted
}

/// A group that is gone keeps nobody from going back.
fn readers(manifest: &Manifest, warnings: &mut Vec<String>) -> Result<Readers, Error> {
    let Some(group) = &manifest.readers else {
        return Ok(Readers::NOBODY);
    };
    let found = Readers::named(group).map_err(Error::system("look the group of readers up"))?;
    if found.is_none() {
        warnings.push(format!(
            "this machine has no group `{group}` any more: nobody without privilege reads tags"
        ));
    }
    Ok(found.unwrap_or(Readers::NOBODY))
}
