//! `[port25]`: the rule for what subscribers send to port 25.

use std::{net::IpAddr, str::FromStr};

use gate_common::{Action, Addr, Scope};
use ipnet::IpNet;
use jiff::Timestamp;

use super::{
    AnswerFrom, Listed, Port25, Treatment,
    problem::{Problems, Reported},
    repeats,
    schema::ANSWER_FROM,
    section::{Item, Section},
    treatment::Inherited,
    values::{prefix, text},
    words::{Unlisted, word},
};

/// The rule, and what pools inherit from it.
pub(super) fn read(
    section: Result<Option<Section<'_>>, Reported>,
    now: Timestamp,
    problems: &mut Problems,
) -> (Result<Port25, Reported>, Inherited) {
    match section {
        Ok(Some(section)) => {
            let inherited = Inherited::read(&section, now, problems);
            let rule = rule(&section, &inherited, problems);
            (rule, inherited)
        }
        Ok(None) => {
            let rule = Port25 {
                action: Action::Observe,
                scope: Scope::Syn,
                unlisted: Treatment::EXEMPT,
                unlisted_at: None,
                answer_from: AnswerFrom::default(),
                throttle: None,
                relays: Vec::new(),
            };
            (Ok(rule), Inherited::default(now))
        }
        Err(reported) => (Err(reported), Inherited::unknown(reported, now)),
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
    let answer_from = answer_from(section, problems);
    let unlisted = unlisted?;
    Ok(Port25 {
        action: inherited.action?,
        scope: scope?.map_or(Scope::Syn, |scope| scope.value),
        unlisted: match unlisted.as_ref().map(|unlisted| unlisted.value) {
            None | Some(Unlisted::Pass) => Treatment::EXEMPT,
            Some(Unlisted::Refuse) => inherited.restrict()?,
        },
        unlisted_at: unlisted.map(|unlisted| unlisted.origin),
        answer_from: answer_from?,
        throttle: inherited.throttle?,
        relays: repeats::dropped("port25.relays", relays?, problems),
    })
}

fn answer_from(section: &Section<'_>, problems: &mut Problems) -> Result<AnswerFrom, Reported> {
    let Some(section) = section.table("answer_from", ANSWER_FROM, problems)? else {
        return Ok(AnswerFrom::default());
    };
    let v4 = section.optional("v4", |item, p| host(item, "IPv4", p), problems);
    let v6 = section.optional("v6", |item, p| host(item, "IPv6", p), problems);
    Ok(AnswerFrom {
        v4: v4?.map(|v4| v4.value),
        v6: v6?.map(|v6| v6.value),
    })
}

/// Reads the address of one host.
fn host<A: FromStr + Copy + Into<IpAddr>>(
    item: &Item<'_>,
    family: &str,
    problems: &mut Problems,
) -> Result<A, Reported> {
    let written = text(item, problems)?;
    // An IPv4 address in IPv6 form is none of a host that sends IPv6.
    let usable = |address: &A| {
        let address: IpAddr = (*address).into();
        let addr = Addr::from(address);
        addr.is_unicast() && addr.is_v4() == address.is_ipv4()
    };
    written.parse().ok().filter(usable).ok_or_else(|| {
        problems.error(
            item.place.origin.clone(),
            format!(
                "`{}` cannot be {written:?}: ICMP comes from the {family} address of one host",
                item.place.path()
            ),
            format!(
                "write an address of this router, for example `{}`, or leave it out: ICMP then comes from the refused destination",
                item.place.key.example
            ),
        )
    })
}
