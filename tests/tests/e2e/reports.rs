//! What the commands that only read say.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use gate_tests::{
    gate::{Listed, Lookup, Pool},
    lab::{Family, Who},
};
use libtest_mimic::Trial;

use crate::bench::{Bench, Found, Tools};

pub(crate) fn trials(found: &Found) -> Vec<Trial> {
    vec![
        found.lab_trial("reports::lookup_agrees_with_the_real_database", of_file),
        found.lab_trial(
            "reports::lookup_tells_pools_of_the_loaded_generation",
            loaded,
        ),
        found.lab_trial(
            "reports::lookup_names_the_line_of_a_prefix",
            sources_of_prefixes,
        ),
        found.lab_trial("reports::counters_by_source_name_each_source", sources),
        found.lab_trial("reports::check_touches_nothing", check),
        found.lab_trial("reports::nothing_loaded_is_said", nothing_loaded),
    ]
}

fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// Without a gate: the answer is the configuration's.
fn of_file(bench: &Bench<'_>) -> Result<()> {
    const ADDRESSES: [&str; 6] = [
        "8.8.8.8",
        "1.1.1.1",
        "133.11.0.1",
        "2001:200::1",
        "2606:4700::1111",
        "192.0.2.1",
    ];
    let Tools { real, .. } = bench.tools;
    let mut config = bench.config()?;
    config.databases = vec![real.path().to_owned()];
    let path = config.write(&bench.lab, "gate.toml")?;
    let arguments = [&ADDRESSES[..], &["--config", text(&path)?]].concat();
    let answers = bench.gate().lookup(&arguments)?;
    ensure!(answers.len() == ADDRESSES.len(), "answers: {answers:?}");
    for (address, answer) in ADDRESSES.iter().zip(answers) {
        let country = real.country(address.parse()?)?;
        ensure!(
            answer.address == *address && answer.country == country,
            "{address}: {answer:?}, the database says {country:?}"
        );
    }
    Ok(())
}

fn loaded(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    let expected = [
        (Who::Subscriber, Some("dynamic"), "100.64.0.0/16"),
        (Who::Static, Some("static"), "100.64.9.8/32"),
        (Who::OtherMail, None, ""),
    ];
    for (who, pool, prefix) in expected {
        let address = bench.lab.address(who, Family::V4)?.to_string();
        let answers = bench.gate().lookup(&[&address])?;
        let [answer] = answers.as_slice() else {
            anyhow::bail!("one answer: {answers:?}");
        };
        let Lookup {
            pool: found_pool,
            prefix: found_prefix,
            ..
        } = answer;
        ensure!(
            found_pool.as_deref() == pool
                && found_prefix.as_ref().map(|it| it.prefix.as_str()) == pool.map(|_| prefix),
            "{who}: {answer:?}"
        );
    }
    Ok(())
}

/// A prefix is where the configuration has it: its file, its line, its ticket. A reload that moves it to another line does
/// not make it new.
fn sources_of_prefixes(bench: &Bench<'_>) -> Result<()> {
    let list = bench.lab.scratch().join("named.txt");
    fs::write(&list, "100.64.9.77 ticket=NOC-4711\n")?;
    let mut config = bench.config()?;
    config.pools.push(Pool {
        name: "named",
        prefixes: Vec::new(),
        files: vec![list.clone()],
        policy: "exempt",
        action: None,
        until: None,
    });
    let _daemon = bench.run(&config)?;
    let listed = || -> Result<Listed> {
        let [answer] = &bench.gate().lookup(&["100.64.9.77"])?[..] else {
            anyhow::bail!("one answer");
        };
        answer.prefix.clone().context("no prefix")
    };
    let first = listed()?;
    ensure!(
        (first.file.as_ref(), first.line, first.ticket.as_deref())
            == (Some(&list), Some(1), Some("NOC-4711")),
        "{first:?}"
    );
    ensure!(first.since.is_some(), "{first:?}");
    fs::write(&list, "# moved\n100.64.9.78\n100.64.9.77 ticket=NOC-4712\n")?;
    bench.gate().text(&["reload"])?;
    let second = listed()?;
    let expected = Listed {
        line: Some(3),
        ticket: Some("NOC-4712".to_owned()),
        ..first
    };
    ensure!(second == expected, "{second:?} is not {expected:?}");
    Ok(())
}

/// A subscriber is a /32 or a /64, and each verdict is its own.
fn sources(bench: &Bench<'_>) -> Result<()> {
    let _daemon = bench.run(&bench.config()?)?;
    bench.refused(Who::Subscriber, Who::OtherMail, 25)?;
    bench.refused(Who::Subscriber, Who::Neighbour, 25)?;
    bench.open(Who::Static, Who::OtherMail, 25)?;
    let counters = bench.gate().counters()?;
    for (source, refused, passed) in [
        ("100.64.0.2/32", 2, 0),
        ("2001:db8:100:2::/64", 2, 0),
        ("100.64.9.8/32", 0, 1),
        ("2001:db8:100:9::/64", 0, 1),
    ] {
        let found = counters
            .sources
            .entries
            .iter()
            .find(|entry| entry.source == source);
        ensure!(
            found.is_some_and(
                |entry| entry.packets.refused == refused && entry.packets.passed == passed
            ),
            "{source}: {found:?}, of {:?}",
            counters.sources
        );
    }
    Ok(())
}

fn check(bench: &Bench<'_>) -> Result<()> {
    let path = bench.config()?.write(&bench.lab, "gate.toml")?;
    bench.gate().text(&["check", "--config", text(&path)?])?;
    let left = fs::read_dir(bench.lab.pins())?.count();
    ensure!(
        left == 0,
        "check left {left} entries in the directory of pins"
    );
    ensure!(bench.lab.attached()?.is_empty(), "check attached something");
    bench.out_of_force()
}

fn nothing_loaded(bench: &Bench<'_>) -> Result<()> {
    for (arguments, code) in [
        (&["status"][..], 3),
        (&["counters"], 1),
        (&["lookup", "8.8.8.8"], 1),
        (&["flow", "8.8.8.8:1", "192.0.2.25:587"], 1),
    ] {
        let output = bench.gate().output(arguments)?;
        ensure!(
            output.code() == Some(code),
            "{arguments:?} where nothing is loaded: {output:?}"
        );
    }
    Ok(())
}
