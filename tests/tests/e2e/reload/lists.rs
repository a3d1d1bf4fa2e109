//! List files that change while the gate is in force.

use std::{
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{gate::Config, lab::Who};
use libtest_mimic::Trial;

use super::{generation, logs, refused_data, reloads, rewrite, until, until_looked_at, well};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("reload::a_changed_list_takes_effect", changed),
        found.lab_trial(
            "reload::a_list_without_prefixes_or_much_shorter_is_refused",
            guarded,
        ),
        found.lab_trial("reload::a_directory_that_is_swapped_is_noticed", swapped),
    ]
}

/// A list of so many prefixes that concern nobody, and these.
pub(super) fn list(others: u8, more: &[&str]) -> String {
    let mut text = "# Static customers\n".to_owned();
    for number in 0..others {
        // Writing to a text does not fail.
        let _ = writeln!(text, "100.64.200.{number}");
    }
    for line in more {
        let _ = writeln!(text, "{line}");
    }
    text
}

pub(super) const SUBSCRIBER: [&str; 2] = ["100.64.0.2", "2001:db8:100:2::2"];
const NEIGHBOUR: [&str; 2] = ["100.64.0.3", "2001:db8:100:3::2"];

/// A configuration whose exempt pool has a list file, and that.
pub(super) fn config(bench: &Bench<'_>, path: &Path) -> Result<Config> {
    let mut config = bench.config()?;
    config
        .pools
        .iter_mut()
        .filter(|pool| pool.policy == "exempt")
        .for_each(|pool| pool.files = vec![path.to_owned()]);
    Ok(config)
}

pub(super) fn until_generation(bench: &Bench<'_>, number: u64) -> Result<()> {
    // The daemon says so once all is done; the generation is in force a moment before.
    until(bench, "another generation", |status| {
        let last = status.daemon.last_reload.as_ref();
        let change = last.and_then(|reload| reload.change.as_ref());
        change.and_then(|change| change.generation.after) == Some(number)
    })?;
    well(bench)
}

fn changed(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("static.txt");
    fs::write(&path, list(3, &[]))?;
    let daemon = bench.run(&config(bench, &path)?)?;
    let before = generation(bench)?;
    bench.in_force()?;
    fs::write(&path, list(3, &SUBSCRIBER))?;
    until_generation(bench, before + 1)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    let file = File::options().write(true).open(&path)?;
    let modified = file.metadata()?.modified()?;
    // Touched, and nothing else.
    file.set_modified(std::time::SystemTime::now())?;
    until_looked_at(bench)?;
    ensure!(generation(bench)? == before + 1, "touched, no more");
    // Other content of the same length and with the same time.
    let other = list(3, &NEIGHBOUR);
    ensure!(
        other.len() == list(3, &SUBSCRIBER).len(),
        "not the same length"
    );
    fs::write(&path, other)?;
    File::options()
        .write(true)
        .open(&path)?
        .set_modified(modified)?;
    until_generation(bench, before + 2)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)?;
    logs(&daemon, &format!("reloaded: generation {}", before + 2))?;
    ensure!(
        daemon.said().matches("reload: a change of data").count() == 2,
        "two changes: {}",
        daemon.said()
    );
    Ok(())
}

fn guarded(bench: &Bench<'_>) -> Result<()> {
    let path = bench.lab.scratch().join("static.txt");
    fs::write(&path, list(200, &SUBSCRIBER))?;
    let mut config = config(bench, &path)?;
    let daemon = bench.run(&config)?;
    let before = generation(bench)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    for (others, more, words) in [
        (0, &[][..], "no prefix is left of 202"),
        (100, &SUBSCRIBER[..], "102 prefixes, down from 202"),
        (1, &["not an address"][..], "`not` is no prefix"),
    ] {
        refused_data(bench, &daemon, words, || {
            Ok(fs::write(&path, list(others, more))?)
        })?;
        bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    }
    ensure!(generation(bench)? == before, "another generation");
    fs::write(&path, list(150, &SUBSCRIBER))?;
    until_generation(bench, before + 1)?;
    // The list goes with the pool's key: that is for the configuration to say.
    config
        .pools
        .iter_mut()
        .for_each(|pool| pool.files = Vec::<PathBuf>::new());
    rewrite(bench, &config)?;
    let change = reloads(bench, &[])?;
    let step = change
        .list_files
        .get(&path)
        .context("the list is not told")?;
    ensure!(
        step.before == Some(152) && step.after.is_none(),
        "{change:?}"
    );
    bench.in_force()
}

/// As those do who publish a directory of data by one rename.
fn swapped(bench: &Bench<'_>) -> Result<()> {
    let at = |name: &str| bench.lab.scratch().join(name);
    for (directory, customers) in [("day1", SUBSCRIBER), ("day2", NEIGHBOUR)] {
        fs::create_dir(at(directory))?;
        fs::write(at(directory).join("static.txt"), list(3, &customers))?;
    }
    symlink("day1", at("today"))?;
    let _daemon = bench.run(&config(bench, &at("today").join("static.txt"))?)?;
    let before = generation(bench)?;
    bench.open(Who::Subscriber, Who::OtherMail, 25)?;
    symlink("day2", at("next"))?;
    fs::rename(at("next"), at("today"))?;
    until_generation(bench, before + 1)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.open(Who::Neighbour, Who::OtherMail, 25)
}
