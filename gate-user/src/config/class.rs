//! `[[class]]`: what the source address of a submission connection says about it.

use gate_common::Country;
use ipnet::IpNet;

use super::{
    Listed, Origin,
    files::Files,
    names::{self, Taken},
    problem::{Problems, Reported},
    section::Section,
    values::{boolean, country, path, prefix},
};

/// A class as it is written.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) countries: Vec<Listed<Country>>,
    pub(super) prefixes: Vec<Listed<IpNet>>,
    /// Where it says that it is the default.
    pub(super) default: Option<Origin>,
    pub(super) origin: Origin,
}

pub(super) fn read(
    section: Section<'_>,
    files: &mut Files<'_>,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Result<Draft, Reported> {
    let name = section.required("name", |item, p| names::CLASS.read(item, p), problems);
    let countries = section.list("countries", country, problems);
    let default = section.optional("default", boolean, problems);
    let prefixes = prefixes(&section, files, problems);
    let name = name?;
    taken.take("class", &name, problems)?;
    Ok(Draft {
        name: name.value,
        countries: countries?,
        prefixes: prefixes?,
        default: default?.and_then(|default| default.value.then_some(default.origin)),
        origin: section.origin,
    })
}

fn prefixes(
    section: &Section<'_>,
    files: &mut Files<'_>,
    problems: &mut Problems,
) -> Result<Vec<Listed<IpNet>>, Reported> {
    let written = section.list("prefixes", prefix, problems);
    let listed = section
        .list("files", path, problems)
        .and_then(|names| files.entries(&names, problems));
    let mut prefixes = written?;
    for Listed { value, origin } in listed? {
        if value.until.is_some() {
            return Err(problems.error(
                origin,
                format!(
                    "{} has a deadline, which a class does not know",
                    value.prefix
                ),
                "leave `until` out: deadlines are for the files of [[access]]",
            ));
        }
        prefixes.push(Listed {
            value: value.prefix,
            origin,
        });
    }
    Ok(prefixes)
}
