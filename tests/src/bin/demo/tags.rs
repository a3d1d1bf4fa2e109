//! The scene in which the class reaches the mail server: by skb mark on the router, by DSCP on the mail host behind it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use gate_tests::{
    gate::{Config, Daemon},
    lab::{Family, Who},
    nft,
};

use crate::{narrate::Narrator, scenes::Stage};

const ROUTER: &str = include_str!("../../../../examples/mark/classes.nft");
const MAIL_HOST: &str = include_str!("../../../../examples/dscp/mail-host.nft");

/// Who submits mail, and what has to be seen of that: the counter of the router, by mark, and that of the mail host, by DSCP.
const SEEN: [(Who, &str, &str); 3] = [
    (Who::Domestic, "domestic", "none"),
    (Who::Foreign, "foreign", "foreign"),
    (Who::HighSpam, "high_spam", "high_spam"),
];

/// Plays it; the daemon adopts what the one before left.
pub(crate) fn play(stage: &Stage<'_>, narrator: &mut Narrator) -> Result<Daemon> {
    narrator.scene("Tags: the class reaches the mail server")?;
    let mut config = Config::of(stage.lab, stage.database.path(), stage.mode)?;
    config.class_keys("domestic", "mark = 0x10")?;
    config.class_keys("foreign", "mark = 0x20\ndscp = \"cs1\"")?;
    config.class_keys("high-spam", "mark = 0x30\ndscp = \"le\"")?;
    config.tables = "\n[tags]\nmark_mask = 0xff\nover_mark = 0x80";
    let path = config.write(stage.lab, "tags.toml")?;
    let daemon = stage.start(&path, narrator)?;
    let mail_host = stage.lab.netns(Who::OwnMail)?;
    let router = stage.lab.router();
    narrator.line("$ nft -f examples/mark/classes.nft          # on the router")?;
    nft::load(router, ROUTER)?;
    narrator.line("$ nft -f examples/dscp/mail-host.nft        # on the mail host")?;
    nft::load(mail_host, MAIL_HOST)?;
    for (who, by_mark, by_dscp) in SEEN {
        let before = (nft::packets(router)?, nft::packets(mail_host)?);
        for family in Family::ALL {
            stage.lab.connect(who, Who::OwnMail, family, 587)?;
        }
        let after = (nft::packets(router)?, nft::packets(mail_host)?);
        let mark = grown(by_mark, &before.0, &after.0)?;
        let dscp = grown(by_dscp, &before.1, &after.1)?;
        let faults: Vec<String> = [("mark", mark), ("DSCP", dscp)]
            .into_iter()
            .filter(|(_, seen)| *seen != 2)
            .map(|(carrier, seen)| format!("{seen} of 2 connections seen by {carrier}"))
            .collect();
        narrator.check(
            &format!(
                "{}: 2 connections, the router counts {mark} as `{by_mark}` by mark, the mail host {dscp} as `{by_dscp}` by DSCP",
                who.label(stage.lab.roamers())
            ),
            &faults,
        )?;
    }
    Ok(daemon)
}

/// By how much a counter grew.
fn grown(name: &str, before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Result<u64> {
    let count = |of: &BTreeMap<String, u64>| {
        let packets = of.get(name).copied();
        packets.with_context(|| format!("there is no counter {name}"))
    };
    Ok(count(after)? - count(before)?)
}
