//! Readers of tags: who is one, and what they see.

mod groups;
mod tags;

use anyhow::Result;
use gate_tests::{
    gate::Config,
    lab::{Family, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [groups::trials(found), tags::trials(found)]
        .into_iter()
        .flatten()
        .collect()
}

/// Opens a submission connection in one family, and returns its two ends.
fn connection(bench: &Bench<'_>, from: Who, family: Family) -> Result<[std::net::SocketAddr; 2]> {
    let server = (bench.lab.address(Who::OwnMail, family)?, 587).into();
    let seen = bench.lab.connect(from, Who::OwnMail, family, 587)?;
    let client = seen
        .local()
        .ok_or_else(|| anyhow::anyhow!("{from} to submission: {seen}"))?;
    Ok([client, server])
}

/// A configuration whose tags members of `group` may read.
fn readable(bench: &Bench<'_>, group: Option<&'static str>) -> Result<Config> {
    Ok(Config {
        readers: group,
        ..bench.config()?
    })
}
