//! Pins that somebody else made, removed or owns.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
};

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    lab::{Role, Who},
    pin,
};
use libtest_mimic::Trial;

use super::{adopts, closed_while, complains, fails, text, version};
use crate::bench::{Bench, Found};

pub(super) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("recovery::a_leftover_next_is_no_obstacle", next),
        found.lab_trial("recovery::a_removed_generation_is_made_anew", generation),
        found.lab_trial("recovery::removed_maps_and_a_start_that_fails", maps),
        found.lab_trial("recovery::a_directory_of_somebody_else_is_refused", owner),
        found.lab_trial("recovery::a_directory_for_all_is_refused", permissions),
        found.lab_trial("recovery::a_program_in_place_of_a_link_is_refused", program),
    ]
}

/// A start that was killed between making `next` and renaming it to `current`.
fn next(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    bench.run(&config)?.terminate()?;
    let next = version(bench).join("next");
    symlink("generations/99", &next)?;
    bench.in_force()?;
    adopts(bench, &config)?;
    ensure!(!next.is_symlink(), "{} is still there", next.display());
    let current = version(bench).join("current");
    ensure!(
        current.is_dir() && fs::read_link(&current)?.ends_with("2"),
        "{} does not lead to the second generation",
        current.display()
    );
    Ok(())
}

fn generation(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let daemon = bench.run(&config)?;
    let number = bench
        .gate()
        .counters()?
        .generation
        .context("no generation")?;
    let generations = version(bench).join("generations");
    closed_while(bench, || {
        fs::remove_dir_all(generations.join(number.to_string())).context("cannot remove it")
    })?;
    // The daemon lives: what is wrong is not that.
    complains(bench, &["removed", "gate run"])?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    daemon.terminate()?;
    adopts(bench, &config)?;
    let made = bench.gate().counters()?.generation;
    ensure!(
        made > Some(number),
        "generation {number} was followed by {made:?}"
    );
    Ok(())
}

fn maps(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    bench.run(&config)?.terminate()?;
    fs::remove_dir_all(version(bench).join("maps"))?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    let mut wrong = config.clone();
    wrong.interfaces.push(("absent0", Role::Access));
    closed_while(bench, || fails(bench, &wrong, 1, &["absent0"]))?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    complains(bench, &["gate run"])?;
    adopts(bench, &config)
}

/// Where no gate is loaded, and where one is, which stays in force. The directory keeps its owner and permissions.
fn refuses_the_directory(
    bench: &Bench<'_>,
    change: impl Fn() -> Result<()>,
    mend: impl Fn() -> Result<()>,
) -> Result<()> {
    let config = bench.config()?;
    let path = text(bench.lab.pins())?;
    let refused = || {
        change()?;
        let before = fs::metadata(path)?;
        fails(bench, &config, 4, &[path])?;
        let after = fs::metadata(path)?;
        ensure!(
            (before.uid(), before.mode()) == (after.uid(), after.mode()),
            "owner and permissions: {before:?} became {after:?}"
        );
        Ok(())
    };
    refused().context("where no gate is loaded")?;
    mend()?;
    bench.run(&config)?.terminate()?;
    refused().context("where a gate is loaded")?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    mend()?;
    adopts(bench, &config)
}

fn owner(bench: &Bench<'_>) -> Result<()> {
    const NOBODY: u32 = 65534;
    let give = |user| {
        chown(bench.lab.pins(), Some(user), None).with_context(|| format!("cannot give to {user}"))
    };
    refuses_the_directory(bench, || give(NOBODY), || give(0))
}

fn permissions(bench: &Bench<'_>) -> Result<()> {
    let set = |mode| {
        fs::set_permissions(bench.lab.pins(), fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot set {mode:o}"))
    };
    refuses_the_directory(bench, || set(0o777), || set(0o700))
}

/// An XDP program of somebody else's where the gate has its link to an interface.
fn program(bench: &Bench<'_>) -> Result<()> {
    let config = bench.config()?;
    let links = version(bench).join("links");
    let link = links.join(Who::Subscriber.interface());
    fs::create_dir_all(&links)?;
    let theirs = pin::passing_program()?;
    pin::pin(&theirs, &link)?;
    fails(bench, &config, 4, &[text(&link)?]).context("where no gate is loaded")?;
    fs::remove_file(&link)?;
    bench.run(&config)?.terminate()?;
    // This descriptor keeps the link attached.
    let keep = pin::get(&link)?;
    fs::remove_file(&link)?;
    pin::pin(&theirs, &link)?;
    fails(bench, &config, 4, &[text(&link)?]).context("where a gate is loaded")?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    fs::remove_file(&link)?;
    pin::pin(&keep, &link)?;
    drop(keep);
    adopts(bench, &config)
}
