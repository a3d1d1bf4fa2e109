//! Country databases that cannot be used.

use std::fs;

use anyhow::{Context as _, Result};
use libtest_mimic::Trial;

use super::{Complaint, changes_nothing, run, text};
use crate::{
    bench::{Bench, Found, Tools},
    database,
};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    let trial = |name: &str, content: fn(&Tools) -> Result<Option<Vec<u8>>>| {
        found.lab_trial(format!("bad_input::database::{name}"), move |bench| {
            unusable(bench, content(bench.tools)?)
        })
    };
    vec![
        trial("missing", |_| Ok(None)),
        trial("empty", |_| Ok(Some(Vec::new()))),
        trial("no_database", |_| {
            Ok(Some(b"network,country\n8.8.8.0/24,US\n".repeat(1000)))
        }),
        trial("without_countries", |_| {
            database::without_countries().map(Some)
        }),
        // What a download that broke off leaves, and what one that lost its middle does: the metadata is at the end.
        trial("truncated", |tools| {
            let whole = fs::read(tools.real.path())?;
            let half = whole.get(..whole.len() / 2);
            Ok(Some(half.context("an empty database")?.to_vec()))
        }),
        trial("without_its_middle", |tools| {
            let mut content = fs::read(tools.real.path())?;
            let third = content.len() / 3;
            content.drain(third..2 * third);
            Ok(Some(content))
        }),
    ]
}

fn unusable(bench: &Bench<'_>, content: Option<Vec<u8>>) -> Result<()> {
    let database = bench.lab.scratch().join("countries.mmdb");
    if let Some(content) = content {
        fs::write(&database, content)?;
    }
    let mut config = bench.config()?;
    config.databases = vec![database.clone()];
    let path = config.write(&bench.lab, "wrong.toml")?;
    let complaint = Complaint {
        code: 2,
        says: &[text(&database)?],
    };
    changes_nothing(bench, || {
        complaint.is_made_in(&run(bench.gate(), &path)?)?;
        complaint.is_made_in(&bench.gate().output(&["check", "--config", text(&path)?])?)
    })
}
