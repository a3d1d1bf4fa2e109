//! `[[class]]`: what the source address of a submission connection says about it.

use gate_common::{Country, Policy};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    ClassRule, Listed, Origin, class_rule, dscp,
    files::Files,
    marks,
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
    pub(super) rule: ClassRule,
    /// Its bits of the skb mark.
    pub(super) mark: Option<Listed<u32>>,
    /// Its code point.
    pub(super) dscp: Option<Listed<u8>>,
    pub(super) origin: Origin,
}

pub(super) fn read(
    section: Section<'_>,
    files: &mut Files<'_>,
    taken: &mut Taken,
    now: Timestamp,
    problems: &mut Problems,
) -> Result<Draft, Reported> {
    let name = section.required("name", |item, p| names::CLASS.read(item, p), problems);
    let countries = section.list("countries", country, problems);
    let default = section.optional("default", boolean, problems);
    let mark = section.optional("mark", marks::bits, problems);
    let dscp = section.optional("dscp", dscp::code_point, problems);
    let prefixes = prefixes(&section, files, problems);
    let rule = class_rule::read(&section, now, problems);
    let name = name?;
    taken.take("class", &name, problems)?;
    let draft = Draft {
        name: name.value,
        countries: countries?,
        prefixes: prefixes?,
        default: default?.and_then(|default| default.value.then_some(default.origin)),
        rule: rule?,
        mark: mark?,
        dscp: dscp?,
        origin: section.origin,
    };
    by_prefix_alone(&draft, problems)?;
    Ok(draft)
}

/// Reports an exempt class that takes others than those whose prefixes it lists: nobody may be exempt by what a database says.
fn by_prefix_alone(draft: &Draft, problems: &mut Problems) -> Result<(), Reported> {
    if draft.rule.policy != Policy::Exempt {
        return Ok(());
    }
    let country = draft.countries.first().map(|it| ("countries", &it.origin));
    let default = draft.default.as_ref().map(|origin| ("default", origin));
    let mut outcome = Ok(());
    for (key, origin) in country.into_iter().chain(default) {
        outcome = Err(problems.error(
            origin.clone(),
            format!(
                "the class `{}` is exempt, and has `{key}`: only prefixes that are listed can be exempt",
                draft.name
            ),
            format!("leave `{key}` out and list the prefixes in `prefixes` or `files`, or leave `policy` out"),
        ));
    }
    outcome
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
