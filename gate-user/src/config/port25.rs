//! `[port25]`: the rule for what subscribers send to port 25.

use gate_common::Scope;
use ipnet::IpNet;

use super::{
    Listed, Port25, Treatment,
    problem::{Problems, Reported},
    repeats,
    section::Section,
    treatment::Inherited,
    values::prefix,
    words::{Unlisted, word},
};

/// The rule, and what pools inherit from it.
pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    problems: &mut Problems,
) -> (Result<Port25, Reported>, Inherited) {
    match section {
        Ok(Some(section)) => {
            let inherited = Inherited::read(&section, problems);
            let rule = rule(&section, &inherited, problems);
            (rule, inherited)
        }
        Ok(None) => {
            let rule = Port25 {
                scope: Scope::Syn,
                unlisted: Treatment::EXEMPT,
                relays: Vec::new(),
            };
            (Ok(rule), Inherited::DEFAULT)
        }
        Err(reported) => (Err(reported), Inherited::unknown(reported)),
    }
}

fn rule(
    section: &Section<'_>,
    inherited: &Inherited,
    problems: &mut Problems,
) -> Result<Port25, Reported> {
    let scope = section.optional("scope", word::<Scope>, problems);
    let unlisted = section.optional("unlisted", word::<Unlisted>, problems);
    let relays: Result<Vec<Listed<IpNet>>, _> = section.list("relays", prefix, problems);
    Ok(Port25 {
        scope: scope?.map_or(Scope::Syn, |scope| scope.value),
        unlisted: match unlisted?.map(|unlisted| unlisted.value) {
            None | Some(Unlisted::Pass) => Treatment::EXEMPT,
            Some(Unlisted::Refuse) => inherited.restrict()?,
        },
        relays: repeats::dropped("port25.relays", relays?, problems),
    })
}
