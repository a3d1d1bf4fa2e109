//! A scene: the same burst of connections from abroad and from home, where those from abroad have a limit.

use anyhow::{Context as _, Result};
use gate_tests::{
    gate::{Config, Gate},
    lab::{Family, Lab, Who},
};

use crate::narrate::Narrator;

/// Connections of each client.
const TRIES: usize = 20;
/// How many of them are within the limit.
const BURST: usize = 10;
const PORT: u16 = 587;

/// Gives the class of those abroad a limit that only tags.
pub(crate) fn configure(mut config: Config) -> Result<Config> {
    "a limit on connections from abroad".clone_into(&mut config.title);
    let foreign = config.classes.iter_mut().find(|it| it.name == "foreign");
    foreign
        .context("no class for those abroad")?
        .keys
        .push(format!(
            "connections = {{ limit = 6, per = \"hour\", burst = {BURST}, over = \"tag\" }}"
        ));
    Ok(config)
}

/// Opens the connections, and reads every tag.
pub(crate) fn play(lab: &Lab, gate: Gate<'_>, narrator: &mut Narrator) -> Result<()> {
    for (who, within) in [(Who::Foreign, BURST), (Who::Domestic, TRIES)] {
        let server = (lab.address(Who::OwnMail, Family::V4)?, PORT).into();
        let (mut faults, mut open, mut over, mut last) = (Vec::new(), 0, 0, None);
        for number in 0..TRIES {
            let seen = lab.connect(who, Who::OwnMail, Family::V4, PORT)?;
            let Some(source) = seen.local() else {
                faults.push(format!("connection {number}: {seen}"));
                continue;
            };
            open += 1;
            let flow = gate.flow(source, server)?.context("no tag")?;
            over += usize::from(flow.over_limit);
            if flow.over_limit != (number >= within) {
                faults.push(format!("connection {number}: {flow:?}"));
            }
            last = Some(source);
        }
        narrator.check(
            &format!(
                "{}: {TRIES} fast connections, {open} open, {over} of them over the limit by their tag",
                who.label(lab.roamers())
            ),
            &faults,
        )?;
        if let Some(source) = last {
            let ends = [source.to_string(), std::net::SocketAddr::to_string(&server)];
            narrator.line(&format!("$ gate flow {} {}", ends[0], ends[1]))?;
            narrator.quote(&gate.text(&["flow", &ends[0], &ends[1]])?)?;
        }
    }
    Ok(())
}
