//! What becomes of the gate when somebody changes pins or interfaces under it, when starts meet or are cut short, and
//! where a packet or a connection is of a kind that a gate could overlook.

mod interfaces;
mod packets;
mod pins;
mod starts;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gate_common::abi::ABI_VERSION;
use gate_tests::{
    exec::Output,
    gate::Config,
    interrupt,
    lab::{Family, Who},
    pin::{self, Object, Pin},
};
use libtest_mimic::Trial;

use crate::bench::{A_WHILE, Bench, Found};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    [
        interfaces::trials(found),
        pins::trials(found),
        starts::trials(found),
        packets::trials(found),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The directory of pins of this version of the map ABI.
fn version(bench: &Bench<'_>) -> PathBuf {
    bench.lab.pins().join(format!("v{ABI_VERSION}"))
}

/// The ids of the links to interfaces: another id is another attachment.
fn links(bench: &Bench<'_>) -> Result<Vec<u32>> {
    let mut links: Vec<u32> = pin::list(&version(bench).join("links"))?
        .into_iter()
        .filter_map(|pin| match pin.object {
            Object::Link(id) => Some(id),
            Object::Program(_) | Object::Map(_) | Object::Other => None,
        })
        .collect();
    links.sort_unstable();
    Ok(links)
}

/// What there is that a start that fails could have changed.
#[derive(Debug, PartialEq, Eq)]
struct Scene {
    pins: Vec<Pin>,
    entries: usize,
    attached: BTreeMap<String, u64>,
}

impl Scene {
    fn now(bench: &Bench<'_>) -> Result<Self> {
        let path = bench.lab.pins();
        Ok(Self {
            pins: pin::list(path)?,
            entries: fs::read_dir(path)?.count(),
            attached: bench.lab.attached()?,
        })
    }
}

/// `gate run` with `config` ends with `code`, an error that says `words`, a hint, and everything as it was.
fn fails(bench: &Bench<'_>, config: &Config, code: i32, words: &[&str]) -> Result<()> {
    let path = config.write(&bench.lab, "wrong.toml")?;
    let before = Scene::now(bench)?;
    let output: Output = bench.gate().output(&["run", "--config", text(&path)?])?;
    let after = Scene::now(bench)?;
    ensure!(
        output.code() == Some(code),
        "should end with {code}: {output:?}"
    );
    for words in ["gate: error: ", "hint: "].iter().chain(words) {
        ensure!(
            output.stderr.contains(words),
            "should say `{words}`: {}",
            output.stderr
        );
    }
    ensure!(before == after, "{before:?} became {after:?}");
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// `gate status` ends with 3, and one of the problems says all of `words`.
fn complains(bench: &Bench<'_>, words: &[&str]) -> Result<()> {
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(3)
            && status
                .problems
                .iter()
                .any(|problem| words.iter().all(|words| problem.contains(words))),
        "status should end with 3 and say {words:?}: {code:?}, {status:?}"
    );
    Ok(())
}

/// `gate status` has nothing to complain about.
fn is_well(bench: &Bench<'_>) -> Result<()> {
    let (code, status) = bench.gate().status()?;
    ensure!(
        code == Some(0) && status.problems.is_empty(),
        "status: {code:?}, {status:?}"
    );
    Ok(())
}

/// The neighbour knocks at port 25 from the link of which nothing changes, the subscriber from that of which something
/// may, while `happens` does: nobody gets through.
fn closed_while<T>(bench: &Bench<'_>, happens: impl FnOnce() -> Result<T>) -> Result<T> {
    let hammers = [Who::Subscriber, Who::Neighbour].map(|who| {
        bench
            .lab
            .hammer(who, Who::OtherMail, Family::V4, 25)
            .map(|hammer| (who, hammer))
    });
    interrupt::sleep(A_WHILE)?;
    let outcome = happens();
    interrupt::sleep(A_WHILE)?;
    for hammer in hammers {
        let (who, hammer) = hammer?;
        let knocks = hammer.stop()?;
        ensure!(
            knocks.open == 0 && knocks.tried > 20,
            "not one of many of the {who} should get through: {knocks:?}"
        );
    }
    outcome
}

/// `gate run` with `config` on a gate in force: it is adopted with the links that it has, it is closed throughout, and
/// is in force and well afterwards.
fn adopts(bench: &Bench<'_>, config: &Config) -> Result<()> {
    let before = links(bench)?;
    ensure!(
        before.len() == config.interfaces.len(),
        "a link for each interface: {before:?}"
    );
    let daemon = closed_while(bench, || bench.run(config))?;
    let after = links(bench)?;
    ensure!(before == after, "other links: {before:?}, {after:?}");
    ensure!(
        daemon.said().contains("adopted"),
        "not adopted: {}",
        daemon.said()
    );
    is_well(bench)?;
    bench.in_force()
}
