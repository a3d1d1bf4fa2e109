//! nft in a namespace: rule sets, and what their named counters say.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::{exec, lab::NetNs};

/// Loads a rule set.
pub fn load(netns: &NetNs, rules: &str) -> Result<()> {
    run(netns, &["-f", "-"], rules).map(drop)
}

/// The packets of every named counter.
pub fn packets(netns: &NetNs) -> Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Listed {
        nftables: Vec<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        counter: Option<Counter>,
    }
    #[derive(Deserialize)]
    struct Counter {
        name: String,
        packets: u64,
    }
    let text = run(netns, &["-j", "list", "counters"], "")?;
    let listed: Listed =
        serde_json::from_str(&text).with_context(|| format!("unexpected JSON: {text}"))?;
    let counters = listed.nftables.into_iter().filter_map(|it| it.counter);
    Ok(counters.map(|it| (it.name, it.packets)).collect())
}

fn run(netns: &NetNs, arguments: &[&str], input: &str) -> Result<String> {
    let mut nft = Command::new("nft");
    nft.args(arguments);
    netns.contain(&mut nft);
    exec::tool(&mut nft, input)
}
